//! Diagnostic codes: one constant for each, and the catalogue that explains them.
//!
//! The texts are data in `catalog/codes/codes.toml`. They are parsed only when somebody asks, so a command that ends
//! well pays nothing for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The command ends with the code's exit code.
    Error,
    /// The command goes on; its result is weaker or a setting had no effect.
    Warning,
}

/// A diagnostic code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable name, `PW` and four digits.
    pub id: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// How the command ends; [`Exit::Done`] for a warning, which does not end it.
    pub exit: Exit,
}

impl Code {
    const fn error(id: &'static str, exit: Exit) -> Self {
        Self { id, severity: Severity::Error, exit }
    }

    const fn warning(id: &'static str) -> Self {
        Self { id, severity: Severity::Warning, exit: Exit::Done }
    }
}

/// Declares the constants and, from the same lines, the list of all of them.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:expr;)*) => {
        $($(#[$doc])* pub const $name: Code = $code;)*
        /// Every code, in the order of the catalogue.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    /// The command line does not parse, or asks for something that does not exist.
    USAGE = Code::error("PW0001", Exit::Usage);
    /// `perfwright.toml` is not valid TOML or cannot be read.
    CONFIG_MALFORMED = Code::error("PW0010", Exit::Usage);
    /// A setting has a value it does not accept.
    CONFIG_VALUE = Code::error("PW0011", Exit::Usage);
    /// `perfwright.toml` or the environment names a setting that does not exist.
    CONFIG_UNKNOWN_KEY = Code::warning("PW0012");
    /// No file at the path.
    INPUT_NOT_FOUND = Code::error("PW0101", Exit::Input);
    /// The file may not be read.
    INPUT_PERMISSION = Code::error("PW0102", Exit::Input);
    /// A folder holds no trace.
    INPUT_NO_TRACES = Code::error("PW0103", Exit::Input);
    /// The bytes are not JSON.
    INPUT_NOT_JSON = Code::error("PW0104", Exit::Input);
    /// The JSON is not of the expected kind.
    INPUT_OTHER_SHAPE = Code::error("PW0105", Exit::Input);
    /// The file has no content.
    INPUT_EMPTY = Code::error("PW0106", Exit::Input);
    /// The compressed data is damaged.
    INPUT_GZIP_CORRUPT = Code::error("PW0107", Exit::Input);
    /// The JSON is nested deeper than the limit.
    INPUT_TOO_DEEP = Code::error("PW0108", Exit::Input);
    /// The compressed data ends early; the part before was used.
    INPUT_GZIP_TRUNCATED = Code::warning("PW0109");
    /// The JSON ends early; the part before was used.
    INPUT_JSON_TRUNCATED = Code::warning("PW0110");
    /// Reading failed for another reason.
    INPUT_READ_FAILED = Code::error("PW0111", Exit::Input);
    /// The trace has no GPU events.
    TRACE_NO_GPU_EVENTS = Code::error("PW0201", Exit::HardStop);
    /// GPU events exist but their durations add up to nothing.
    TRACE_NO_DEVICE_TIME = Code::error("PW0202", Exit::HardStop);
    /// The capture trace records no kernel launches.
    TRACE_CAPTURE_NO_LAUNCHES = Code::error("PW0203", Exit::HardStop);
    /// The capture trace does not belong to the replayed trace.
    TRACE_CAPTURE_MISMATCH = Code::error("PW0204", Exit::HardStop);
    /// The mapping trace cannot name kernels.
    TRACE_MAPPING_UNUSABLE = Code::error("PW0205", Exit::HardStop);
    /// A difference is above a limit that was asked for.
    TRACE_LIMIT_EXCEEDED = Code::error("PW0206", Exit::No);
    /// The cache could not be read or written and was not used.
    TRACE_CACHE_UNUSABLE = Code::warning("PW0207");
    /// No step of one trace does the work of a step of the other.
    TRACE_NOTHING_TO_COMPARE = Code::error("PW0208", Exit::HardStop);
    /// A limit is about something that was not compared, or has no interval.
    TRACE_LIMIT_UNPROVEN = Code::error("PW0209", Exit::HardStop);
    /// The trace has no such pass or layer.
    TRACE_NO_SUCH_PART = Code::error("PW0210", Exit::Usage);
    /// Kernels took less time than the GPU needs for the work they are joined to.
    TRACE_MAP_IMPOSSIBLE = Code::error("PW0220", Exit::HardStop);
    /// No forward pass with layers was found to join to the model.
    TRACE_MAP_NO_PASS = Code::error("PW0221", Exit::HardStop);
    /// The server does not profile.
    TRACE_PROFILE_REFUSED = Code::error("PW0222", Exit::Outside);
    /// No whole trace appeared in time.
    TRACE_NO_CAPTURE = Code::error("PW0223", Exit::Outside);
    /// The run folder is not a run of this command.
    RUN_FOREIGN_FOLDER = Code::error("PW0301", Exit::Usage);
    /// The run's contract is another one.
    RUN_CONTRACT_DIFFERS = Code::error("PW0302", Exit::HardStop);
    /// Another process writes to the run folder.
    RUN_LOCKED = Code::error("PW0303", Exit::Outside);
    /// Bytes or chain of a run differ from what was recorded.
    RUN_TAMPERED = Code::error("PW0304", Exit::Tampered);
    /// Recomputing gives another verdict than the stored one.
    RUN_VERDICT_DIFFERS = Code::error("PW0305", Exit::No);
    /// The run uses a gate this version does not know.
    RUN_GATE_UNKNOWN = Code::error("PW0306", Exit::HardStop);
    /// The run was never closed.
    RUN_INTERRUPTED = Code::error("PW0307", Exit::HardStop);
    /// The folder is not a run.
    RUN_NOT_A_RUN = Code::error("PW0308", Exit::Input);
    /// A proof does not lead to the published root.
    RUN_PROOF_FAILS = Code::error("PW0309", Exit::No);
    /// Secrets stand in a run that was to be packed.
    RUN_HOLDS_SECRETS = Code::error("PW0310", Exit::HardStop);
    /// The lab cannot listen at its address.
    LAB_ADDRESS = Code::error("PW0315", Exit::Outside);
    /// The lab's model folder is malformed or of another kind.
    LAB_MODEL = Code::error("PW0316", Exit::Input);
    /// A setting of the lab has no meaning or does not fit the memory.
    LAB_SETTING = Code::error("PW0317", Exit::Usage);
    /// The lab's scheduler ended by itself.
    LAB_ENDED = Code::error("PW0318", Exit::Outside);
    /// A field of a model's config is missing or unusable.
    MODEL_CONFIG_FIELD = Code::error("PW0401", Exit::Input);
    /// Fields of a model's config were not understood.
    MODEL_FIELDS_UNREAD = Code::warning("PW0402");
    /// A measured time is shorter than the hardware allows.
    MODEL_IMPOSSIBLE_TIME = Code::error("PW0403", Exit::HardStop);
    /// The server of a benchmark cannot be reached.
    BENCH_UNREACHABLE = Code::error("PW0411", Exit::Outside);
    /// The load generator was itself the bottleneck.
    BENCH_INVALID_CLIENT = Code::error("PW0412", Exit::HardStop);
    /// No request of a benchmark succeeded.
    BENCH_NO_SUCCESS = Code::error("PW0413", Exit::No);
    /// A requirement is refused, or needs more requests.
    BENCH_SLA_NOT_CERTIFIED = Code::error("PW0414", Exit::No);
    /// The requests of a benchmark cannot be made from the file.
    BENCH_WORKLOAD = Code::error("PW0415", Exit::Input);
    /// A benchmark was stopped.
    BENCH_INTERRUPTED = Code::error("PW0416", Exit::Interrupted);
    /// A question set cannot be used.
    BENCH_QUESTIONS = Code::error("PW0417", Exit::Input);
    /// Too many questions have no usable answer.
    BENCH_ACCURACY_UNUSABLE = Code::error("PW0418", Exit::HardStop);
    /// A file of benchmark rows or results cannot be read.
    BENCH_ROWS_UNREADABLE = Code::error("PW0440", Exit::Input);
    /// Benchmark rows may not be compared.
    BENCH_UNFAIR = Code::error("PW0441", Exit::HardStop);
    /// A benchmark plan cannot be read.
    BENCH_PLAN_UNREADABLE = Code::error("PW0442", Exit::Input);
    /// A benchmark plan asks for something that cannot be.
    BENCH_PLAN_INVALID = Code::error("PW0443", Exit::Input);
    /// A flag is not one of the server's.
    BENCH_FLAG_UNKNOWN = Code::error("PW0444", Exit::Input);
    /// Two sides cannot be compared as measured.
    BENCH_SIDES_DIFFER = Code::error("PW0445", Exit::HardStop);
    /// A plan is legal and will not do what it seems to.
    BENCH_PLAN_DOUBTFUL = Code::warning("PW0446");
    /// Retired: every build runs searches.
    BENCH_NO_RUNNER = Code::error("PW0447", Exit::Usage);
    /// A search cannot go on for a reason outside it.
    BENCH_SEARCH_STOPPED = Code::error("PW0448", Exit::Outside);
    /// A server ran on another path than asked for.
    BENCH_PATH_DIFFERS = Code::error("PW0449", Exit::HardStop);
    /// The finished search of a folder answered another plan.
    BENCH_SEARCH_OTHER = Code::error("PW0450", Exit::Usage);
    /// Something else keeps the machine busy.
    BENCH_BUSY = Code::error("PW0451", Exit::HardStop);
    /// A plan that continues no run, in a folder that holds one.
    BENCH_NO_RESUME = Code::error("PW0452", Exit::Usage);
    /// No campaign is registered for the folder.
    LOOP_NONE = Code::error("PW0501", Exit::Usage);
    /// A campaign is under way already.
    LOOP_UNDER_WAY = Code::error("PW0502", Exit::Usage);
    /// What keeps the campaign was changed or removed.
    LOOP_TAMPERED = Code::error("PW0503", Exit::Tampered);
    /// The plan cannot be read.
    LOOP_PLAN_MALFORMED = Code::error("PW0504", Exit::Input);
    /// A campaign cannot start.
    LOOP_PRECONDITION = Code::error("PW0505", Exit::HardStop);
    /// Only a person may do this.
    LOOP_PERSON = Code::error("PW0506", Exit::Usage);
    /// The campaign is not done.
    LOOP_NOT_DONE = Code::error("PW0507", Exit::No);
    /// The campaign waits for something from outside.
    LOOP_BLOCKED = Code::error("PW0508", Exit::HardStop);
    /// The plan is not ready.
    LOOP_PLAN_LINT = Code::error("PW0509", Exit::No);
    /// Git refused.
    LOOP_GIT = Code::error("PW0510", Exit::Outside);
    /// The command does not fit the campaign's state.
    LOOP_STATE = Code::error("PW0511", Exit::Usage);
    /// The tree changed after the verdict.
    LOOP_REOPENED = Code::error("PW0512", Exit::No);
    /// Output could not be written.
    OUTPUT_NOT_WRITABLE = Code::error("PW0901", Exit::Outside);
    /// A bug in perfwright.
    INTERNAL = Code::error("PW0999", Exit::Internal);
}

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The code, `PW` and four digits.
    pub id: String,
    /// A few words.
    pub title: String,
    /// Error or warning.
    pub severity: Severity,
    /// Exit code of the command; 0 for a warning.
    pub exit: u8,
    /// What has happened.
    pub meaning: String,
    /// What to do about it.
    pub action: String,
    /// How the message looks.
    pub example: String,
}

/// A range of codes with one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// First four characters of its codes.
    pub prefix: String,
    /// The subject.
    pub title: String,
}

/// The catalogue of codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The ranges.
    pub group: Vec<Group>,
    /// The codes.
    pub code: Vec<Entry>,
}

impl Catalogue {
    /// Parses the catalogue that is compiled in.
    ///
    /// # Errors
    /// Where the compiled-in text is not a catalogue; a test keeps that from being released.
    pub fn load() -> Result<Self, toml::de::Error> {
        let mut catalogue: Self = toml::from_str(include_str!("../../../catalog/codes/codes.toml"))?;
        // Line breaks in the running texts are those of the file; each output breaks lines its own way.
        for entry in &mut catalogue.code {
            for text in [&mut entry.meaning, &mut entry.action] {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
        Ok(catalogue)
    }

    /// The entry for what a user typed: `PW0101`, `pw0101` or `0101`.
    pub fn find(&self, typed: &str) -> Option<&Entry> {
        let typed = typed.trim().to_ascii_uppercase();
        let digits = typed.strip_prefix("PW").unwrap_or(&typed);
        self.code.iter().find(|entry| entry.id.strip_prefix("PW") == Some(digits))
    }
}
