//! The row: a superset of the fields that serving benchmark summaries exchange as JSON lines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::sla::Sla;

/// The `schema` field of a row.
pub const SCHEMA: &str = "perfwright.bench-row/v1";

/// How a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran.
    Ok,
    /// It did not start, or ended with an error.
    Failed,
    /// It ran out of memory.
    Oom,
    /// It did not answer in time.
    Timeout,
    /// It was not run; the reason says why.
    Skipped,
}

impl Status {
    /// The name in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Ok, Self::Failed, Self::Oom, Self::Timeout, Self::Skipped]
            .into_iter()
            .find(|s| s.name() == name.trim().to_ascii_lowercase())
    }
}

/// Where the figures of a row come from. A row that says so itself is not believed: the caller decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Somebody said so.
    Declared,
    /// Measured elsewhere and brought here.
    Imported,
    /// Measured by a run whose record is intact.
    Measured,
}

/// The machine of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Hardware {
    /// Name of the GPU.
    pub gpu_model: Option<String>,
    /// GPUs that the server used.
    pub gpu_count: Option<u32>,
    /// The devices, as the environment named them.
    pub visible_devices: Option<String>,
}

/// The load of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Workload {
    /// Kind of dataset: `random`, `sharegpt`, ...
    pub kind: Option<String>,
    /// Name of the scenario.
    pub scenario: Option<String>,
    /// Path of the dataset.
    pub dataset_path: Option<String>,
    /// SHA-256 of the requests that were sent.
    pub sha256: Option<String>,
    /// Tokens of a prompt.
    pub input_len: Option<f64>,
    /// Tokens of an answer.
    pub output_len: Option<f64>,
    /// Requests that were asked for.
    pub num_prompts: Option<u64>,
    /// Offered requests per second; none where requests were sent as fast as the concurrency allows.
    pub request_rate: Option<f64>,
    /// Most requests at once; none where there is no cap.
    pub max_concurrency: Option<u64>,
    /// Path of the endpoint.
    pub endpoint: Option<String>,
}

/// How many requests were sent and answered well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Requests {
    /// Requests sent.
    pub sent: u64,
    /// Requests answered well.
    pub succeeded: u64,
}

/// Speculative decoding of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct SpecDecode {
    /// Whether it was on; none where nothing says so.
    pub enabled: Option<bool>,
    /// EAGLE, NGRAM, MTP, ...
    pub algorithm: Option<String>,
    /// Draft steps.
    pub num_steps: Option<u64>,
    /// Draft tokens per step.
    pub num_draft_tokens: Option<u64>,
    /// Tokens accepted per step, as the engine reports them.
    pub mean_accept_length: Option<f64>,
    /// Share of draft tokens that were accepted.
    pub acceptance_rate: Option<f64>,
    /// Whether `mean_accept_length` counts the token that the target model gives by itself; none: as the engine does.
    pub counts_bonus_token: Option<bool>,
}

/// What a search looked for, where the row is the answer of one and not of a single load.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Objective {
    /// `max_rate` or `max_concurrency`, under the row's SLA.
    pub kind: String,
    /// Largest load that met the SLA.
    pub value: f64,
    /// Low end of the interval: met with certainty.
    pub low: f64,
    /// High end: the smallest load that missed it.
    pub high: f64,
    /// The SLA is missed by far right above the boundary.
    pub cliff: bool,
}

/// Which measurement of a series a row is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Trial {
    /// Rows of one block were measured next to each other: A and B, or B and A.
    pub block: Option<u64>,
    /// Server launch; rows of one launch share what a launch happens to be like.
    pub launch: Option<u64>,
    /// Place in the order of measuring.
    pub order: Option<u64>,
}

/// Where a row was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Source {
    /// The file.
    pub file: String,
    /// Line, from 1, where the file has one row a line.
    pub line: Option<u64>,
    /// `row`, `sglang`, `vllm`, `aiperf`, `aiperf-csv` or `guidellm`.
    pub format: String,
}

/// One candidate under one load.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// `perfwright.bench-row/v1`.
    pub schema: &'static str,
    /// The framework, in one spelling.
    pub framework: String,
    /// Its version.
    pub framework_version: Option<String>,
    /// Its commit.
    pub framework_commit: Option<String>,
    /// Name of the candidate, unique within the framework and scenario.
    pub candidate_id: String,
    /// The model.
    pub model: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Why it did not run, or failed.
    pub failure_reason: Option<String>,
    /// Where the figures come from.
    pub basis: Basis,
    /// The machine.
    pub hardware: Hardware,
    /// The load.
    pub workload: Workload,
    /// The bounds, and what the row said of itself.
    pub sla: Sla,
    /// Figures by name: `request_throughput`, `p50_ttft_ms`, `success_rate`, ...
    pub metrics: BTreeMap<String, f64>,
    /// Requests sent and answered.
    pub requests: Option<Requests>,
    /// Speculative decoding.
    pub spec_decode: SpecDecode,
    /// What a search found.
    pub objective: Option<Objective>,
    /// Which measurement of a series this is.
    pub trial: Trial,
    /// Phase times, cache, memory, normalisation, artefacts and flags as they were written.
    pub carried: Map<String, Value>,
    /// The command that started the server.
    pub server_command: Option<String>,
    /// The command that measured.
    pub benchmark_command: Option<String>,
    /// Where it was read.
    pub source: Source,
    /// What is wrong with the row; such a row is kept and never wins.
    pub problems: Vec<String>,
    /// What a reader should know of the row.
    pub notes: Vec<String>,
}

impl Row {
    /// A row without figures.
    #[must_use]
    pub fn new(framework: &str, candidate_id: &str, status: Status) -> Self {
        Self {
            schema: SCHEMA,
            framework: super::framework::canonical(framework),
            framework_version: None,
            framework_commit: None,
            candidate_id: candidate_id.to_owned(),
            model: None,
            status,
            failure_reason: None,
            basis: Basis::Imported,
            hardware: Hardware::default(),
            workload: Workload::default(),
            sla: Sla::default(),
            metrics: BTreeMap::new(),
            requests: None,
            spec_decode: SpecDecode::default(),
            objective: None,
            trial: Trial::default(),
            carried: Map::new(),
            server_command: None,
            benchmark_command: None,
            source: Source::default(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A figure by name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }

    /// Name of the scenario; `default` where none is given.
    #[must_use]
    pub fn scenario(&self) -> &str {
        let named = [&self.workload.scenario, &self.workload.kind];
        named.into_iter().flatten().map(String::as_str).find(|s| !s.is_empty()).unwrap_or("default")
    }
}
