//! Writing an answer into a run folder.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use perfwright_evidence::{
    Basis, Clock, EvidenceMeta, Gate, Gpu, Gpus, Host, LockError, Registry, Rule, RunError, RunSpec,
    RunWriter, VerdictOutcome, default_run_dir_name,
};
use perfwright_report::{Document, markdown};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::record::RecordArgs;
use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::environment::PATH;

/// Every gate this binary can evaluate.
///
/// # Errors
/// Two crates exporting one gate under one version is a bug.
pub(crate) fn registry() -> Result<Registry, Diagnostic> {
    let gates = perfwright_trace::gate::GATES
        .iter()
        .chain(perfwright_model::gate::GATES)
        .chain(perfwright_logs::path::GATES)
        .chain(perfwright_bench::measure::GATES)
        .chain(perfwright_bench::gate::GATES)
        .chain(perfwright_bench::accuracy::GATES)
        .chain(perfwright_bench::capture::GATES)
        .chain(perfwright_loop::GATES)
        .chain(perfwright_loop::IMPORT_GATES);
    Registry::new(gates.copied()).map_err(|e| Diagnostic::new(codes::INTERNAL, e.to_string()))
}

/// Where a run goes: the folder that was asked for, or a new one below the runs folder.
pub(crate) fn run_dir(asked: Option<&Path>, noun: &str, slug: &str, context: &Context) -> PathBuf {
    match asked {
        Some(dir) => dir.to_owned(),
        None => {
            let random = RandomState::new().hash_one(std::process::id()) as u16;
            context.settings.runs_dir.join(default_run_dir_name(Clock::System.now_ms(), noun, slug, random))
        }
    }
}

/// The GPUs that the vendors' tools name, or why there are none.
fn gpus(context: &Context) -> Gpus {
    let path = context.env.get(PATH.name).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let probe = perfwright_process::probe_gpus(&path);
    let device = |d: perfwright_process::GpuDevice| Gpu {
        name: d.name,
        memory_bytes: d.memory_bytes,
        driver: d.driver,
    };
    Gpus {
        devices: probe.devices.into_iter().map(device).collect(),
        versions: probe.versions,
        reason: probe.reason,
    }
}

/// A file as a contract names it.
pub(crate) fn file(path: &Path) -> Result<Value, Diagnostic> {
    let meta = std::fs::metadata(path).map_err(|e| Diagnostic::reading(path, &e))?;
    if !meta.is_file() && !meta.is_dir() {
        return Err(Diagnostic::new(codes::INPUT_READ_FAILED, "the input cannot be recorded")
            .file(path)
            .cause("a pipe or device can be read only once, and a run keeps its inputs")
            .help("save the input to a file first"));
    }
    let bytes = meta.is_file().then_some(meta.len());
    Ok(json!({"path": path.display().to_string(), "bytes": bytes}))
}

/// As [`file`], where there is one.
pub(crate) fn optional(path: Option<&Path>) -> Result<Option<Value>, Diagnostic> {
    path.map(file).transpose()
}

/// A run that is being written.
pub(crate) struct Recording {
    run: RunWriter,
    dir: PathBuf,
}

impl Recording {
    /// Starts the run of a question, if it was asked for. `about` is the input the folder is named after; `contract`
    /// is the question, and made only then.
    pub(crate) fn of(
        args: &RecordArgs,
        procedure: &str,
        about: &Path,
        contract: impl FnOnce() -> Result<Value, Diagnostic>,
        context: &Context,
    ) -> Result<Option<Self>, Diagnostic> {
        if !args.record && args.run_dir.is_none() {
            return Ok(None);
        }
        let mut contract = contract()?;
        contract["question"] = procedure.into();
        let noun = procedure.split(' ').next().unwrap_or(procedure);
        let slug = about.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let dir = run_dir(args.run_dir.as_deref(), noun, &slug, context);
        Self::start(&dir, procedure, contract, context).map(Some)
    }

    /// Records input files under `inputs/`; `prefix` keeps those of several arguments apart.
    pub(crate) fn inputs<P: AsRef<Path>>(
        &mut self,
        prefix: &str,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<(), Diagnostic> {
        for (i, path) in paths.into_iter().enumerate() {
            let path = path.as_ref();
            let name =
                path.file_name().map_or_else(|| "input".to_owned(), |n| n.to_string_lossy().into_owned());
            let plain =
                |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
            let name: String = name.chars().map(plain).take(120).collect();
            self.input(&format!("inputs/{prefix}{i}-{name}"), path)?;
        }
        Ok(())
    }

    /// Records the answer as `evidence` (a name ending in `.json`) with its readable form beside it, evaluates the
    /// gates and closes the run.
    pub(crate) fn answer(
        mut self,
        evidence: &str,
        (answer, schema): (&impl Serialize, &str),
        document: &Document,
        gates: &[Gate],
        context: &Context,
    ) -> Result<VerdictOutcome, Diagnostic> {
        let mut json = serde_json::to_vec_pretty(answer)
            .map_err(|e| Diagnostic::new(codes::INTERNAL, format!("the answer cannot be written: {e}")))?;
        json.push(b'\n');
        self.derived(evidence, &json, "application/json", Some(schema))?;
        let text = markdown::document(document, markdown::Options::default());
        let readable = format!("{}.md", evidence.strip_suffix(".json").unwrap_or(evidence));
        self.derived(&readable, text.as_bytes(), "text/markdown", None)?;
        self.finish(gates, context)
    }

    /// Starts a run, or goes on with an interrupted one of the same procedure and contract.
    pub(crate) fn start(
        dir: &Path,
        procedure: &str,
        contract: Value,
        context: &Context,
    ) -> Result<Self, Diagnostic> {
        let spec = spec(dir, procedure, contract, context)?;
        let run = RunWriter::create_or_resume(dir, &spec).map_err(|e| diagnostic(dir, &e))?;
        Ok(Self { run, dir: dir.to_owned() })
    }

    /// Records an input file: a copy, or a reference where it is large.
    pub(crate) fn input(&mut self, name: &str, path: &Path) -> Result<(), Diagnostic> {
        self.file(name, path, Basis::Imported)
    }

    /// Records a file that this run had made, likewise.
    pub(crate) fn measured_file(&mut self, name: &str, path: &Path) -> Result<(), Diagnostic> {
        self.file(name, path, Basis::Measured)
    }

    fn file(&mut self, name: &str, path: &Path, basis: Basis) -> Result<(), Diagnostic> {
        if self.has(name) {
            return Ok(());
        }
        let gzip = std::fs::File::open(path).is_ok_and(|mut f| {
            let mut magic = [0; 2];
            std::io::Read::read_exact(&mut f, &mut magic).is_ok() && magic == [0x1f, 0x8b]
        });
        let media = if gzip { "application/gzip" } else { "application/json" };
        let meta = EvidenceMeta::new(media, basis);
        self.run.add_input(name, path, &meta).map(|_| ()).map_err(|e| diagnostic(&self.dir, &e))
    }

    /// Records bytes that were computed from imported evidence.
    pub(crate) fn derived(
        &mut self,
        name: &str,
        bytes: &[u8],
        media: &str,
        schema: Option<&str>,
    ) -> Result<(), Diagnostic> {
        self.bytes(name, bytes, media, schema, Basis::Imported)
    }

    /// Records bytes that this run measured. An interrupted run that holds the name already keeps what it holds.
    pub(crate) fn measured(
        &mut self,
        name: &str,
        bytes: &[u8],
        media: &str,
        schema: Option<&str>,
    ) -> Result<(), Diagnostic> {
        self.bytes(name, bytes, media, schema, Basis::Measured)
    }

    fn bytes(
        &mut self,
        name: &str,
        bytes: &[u8],
        media: &str,
        schema: Option<&str>,
        basis: Basis,
    ) -> Result<(), Diagnostic> {
        if self.has(name) {
            return Ok(());
        }
        let mut meta = EvidenceMeta::new(media, basis);
        meta.schema = schema.map(str::to_owned);
        self.run.add_bytes(name, bytes, &meta).map_err(|e| diagnostic(&self.dir, &e))
    }

    /// The bytes of evidence as they were recorded, which is without secrets.
    pub(crate) fn recorded(&self, name: &str) -> Option<Vec<u8>> {
        if !self.has(name) {
            return None;
        }
        std::fs::read(self.dir.join(name)).ok()
    }

    /// An interrupted run may hold the file already; its contract names the same input, so it is the same.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.run.evidence().iter().any(|e| e.name == name)
    }

    /// Evaluates the gates of a question, closes the run, and says where it is.
    fn finish(self, gates: &[Gate], context: &Context) -> Result<VerdictOutcome, Diagnostic> {
        self.decide(gates, Rule::AnsweredV1, context)
    }

    /// Evaluates the gates, combines them by `rule`, closes the run, and says where it is.
    pub(crate) fn decide(
        self,
        gates: &[Gate],
        rule: Rule,
        context: &Context,
    ) -> Result<VerdictOutcome, Diagnostic> {
        let dir = self.dir;
        let finished = self.run.finish(gates, rule).map_err(|e| diagnostic(&dir, &e))?;
        context.note(0, &format!("recorded in {}", dir.display()));
        Ok(finished.verdict.outcome)
    }
}

/// What a run in `dir` is begun with; the folder above it is made.
pub(crate) fn spec(
    dir: &Path,
    procedure: &str,
    contract: Value,
    context: &Context,
) -> Result<RunSpec, Diagnostic> {
    let mut spec = RunSpec::new(procedure, env!("PW_VERSION"), contract);
    spec.argv.clone_from(&context.argv);
    spec.env = context.env.text_pairs();
    spec.host = Host::capture(Path::new("/"));
    spec.host.gpus = gpus(context);
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|e| not_writable(parent, &e))?;
    }
    Ok(spec)
}

fn not_writable(path: &Path, e: &std::io::Error) -> Diagnostic {
    Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot write the run").file(path).cause(e.to_string())
}

/// A run error with its code.
pub(crate) fn diagnostic(dir: &Path, e: &RunError) -> Diagnostic {
    let (code, message) = match e {
        RunError::Io { path, source } => return not_writable(path, source),
        RunError::Source { path, source } => return Diagnostic::reading(path, source),
        RunError::Lock(LockError::Held { .. }) => (codes::RUN_LOCKED, "another process writes to the run"),
        RunError::Lock(LockError::Io { .. }) | RunError::Watcher { .. } | RunError::Poisoned => {
            (codes::OUTPUT_NOT_WRITABLE, "cannot write the run")
        }
        RunError::ContractDiffers { .. } => {
            (codes::RUN_CONTRACT_DIFFERS, "the run was begun under another contract")
        }
        RunError::Broken { .. } | RunError::Strangers(_) => {
            (codes::RUN_TAMPERED, "recorded evidence differs from what was recorded")
        }
        RunError::TooLarge { .. } | RunError::Secret(_) | RunError::Canonical(_) => {
            (codes::INPUT_READ_FAILED, "the input cannot be recorded")
        }
        _ => (codes::RUN_FOREIGN_FOLDER, "the folder cannot take this run"),
    };
    Diagnostic::new(code, message)
        .file(dir)
        .cause(e.to_string())
        .help("name a new folder with --run-dir, or look at this one with `perfwright run show`")
}
