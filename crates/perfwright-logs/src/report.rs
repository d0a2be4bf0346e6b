//! What a log says, as plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collective::RankWork;
use crate::load::Load;
use crate::path::Statement;
use crate::prefix::Ranks;
use crate::stack::StackKind;
use crate::time::Time;

/// A finding with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// The signature.
    pub signature: String,
    /// Number of the line, from 1.
    pub line: u64,
    /// Offset of the line in bytes.
    pub offset: u64,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The ranks it names.
    pub ranks: Ranks,
    /// The text, shortened.
    pub text: String,
    /// How many such lines there are.
    pub count: u64,
}

/// What happened, by the fixed class ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// The class; `healthy` when the engine works and nothing speaks against it, else `unknown`.
    pub class: String,
    /// The line that decides.
    pub line: Option<u64>,
    /// The finding that decides.
    pub evidence: Option<Seen>,
    /// Other findings by class, deeper ones first: symptoms of it, or further faults.
    pub secondary: Vec<(String, Seen)>,
}

/// Why an engine did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Startup {
    /// The class.
    pub class: String,
    /// The finding; none for a log that just stops.
    pub evidence: Option<Seen>,
}

/// The engine says that it takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// The first such line.
    pub first: Seen,
    /// How often it was said; more than one may be a restart.
    pub count: u64,
}

/// Figures of a CUDA out-of-memory message, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Oom {
    /// Number of the line.
    pub line: u64,
    /// The device.
    pub device: Option<i64>,
    /// Asked for.
    pub tried: Option<i64>,
    /// Memory of the device.
    pub total: Option<i64>,
    /// Free on the device.
    pub free: Option<i64>,
    /// In use by the process.
    pub process: Option<i64>,
    /// Of that, allocated by PyTorch.
    pub allocated: Option<i64>,
    /// Reserved by PyTorch and not allocated.
    pub reserved: Option<i64>,
}

/// A path that was left for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// The first such line.
    pub seen: Seen,
    /// It was written after the engine was ready.
    pub after_ready: bool,
}

/// What a log says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogReport {
    /// `sglang`, `vllm`, `tensorrt-llm`, `tokenspeed`, `llama.cpp`.
    pub engine: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Readiness.
    pub ready: Option<Ready>,
    /// The class of what happened.
    pub incident: Incident,
    /// Why it did not start.
    pub startup: Option<Startup>,
    /// Out-of-memory messages, the first 64.
    pub ooms: Vec<Oom>,
    /// What the ranks say about their collectives.
    pub collectives: Vec<RankWork>,
    /// What the main thread was doing in a stack dump.
    pub stack: Option<StackKind>,
    /// Load.
    pub load: Load,
    /// What it says about the path.
    pub statements: Vec<Statement>,
    /// Paths that were left.
    pub fallbacks: Vec<Fallback>,
    /// Each signature that knew a line.
    pub signatures: Vec<Seen>,
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes left out of lines over the limit.
    pub dropped_bytes: u64,
    /// Lines that look as if they were about memory.
    pub memory_looking: u64,
    /// How many of those a signature knows.
    pub memory_known: u64,
}
