//! A plan as plain data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::rows::Framework;
use crate::sla::Sla;

/// Schema name of [`Plan`].
pub const SCHEMA: &str = "perfwright.bench-plan/v1";

/// What a search is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Plan {
    /// `perfwright.bench-plan/v1`.
    pub schema: &'static str,
    /// Where the plan comes from.
    pub source: BTreeMap<String, String>,
    /// The model.
    pub model: Model,
    /// The machine.
    pub hardware: Hardware,
    /// Versions and captured help texts by framework.
    pub versions: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// Kind of dataset.
    pub dataset_kind: String,
    /// A file of requests, one a line.
    pub canonical_jsonl: Option<String>,
    /// Requests of a trial.
    pub num_prompts: u64,
    /// Prompt and answer lengths.
    pub scenarios: Vec<Scenario>,
    /// Path of the endpoint.
    pub endpoint: String,
    /// The client's backend.
    pub backend: Option<String>,
    /// Fixed offered rates to measure, in requests per second.
    pub request_rates: Vec<f64>,
    /// Concurrency caps to measure; none is no cap.
    pub max_concurrency: Vec<Option<u64>>,
    /// Range of the search for the largest rate under the bounds.
    pub qps: Option<Qps>,
    /// Range of the search for the largest concurrency under the bounds, in place of the largest rate.
    pub concurrency: Option<Qps>,
    /// Added to every request.
    pub extra_request_body: Value,
    /// The bounds.
    pub sla: Sla,
    /// How candidates are chosen.
    pub search: Search,
    /// The frameworks.
    pub frameworks: Vec<FrameworkPlan>,
}

/// The model of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Model {
    /// Name or path, as servers take it.
    pub name: String,
    /// Tokenizer.
    pub tokenizer: Option<String>,
    /// Precision.
    pub precision: Option<String>,
    /// Quantisation.
    pub quantization: Option<String>,
    /// Path of its `config.json`, for pruning by what the hardware allows.
    pub config: Option<String>,
}

/// The machine of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hardware {
    /// Name of the GPU.
    pub gpu_model: Option<String>,
    /// GPUs.
    pub gpu_count: Option<u64>,
    /// Several machines.
    pub multi_node: bool,
}

/// Lengths of prompts and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Tokens of a prompt.
    pub input_len: u64,
    /// Tokens of an answer.
    pub output_len: u64,
}

/// A range of rates, or of concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Qps {
    /// Lowest rate, requests per second.
    pub lower: f64,
    /// Highest rate.
    pub upper: f64,
    /// How close the answer should be.
    pub tolerance: f64,
    /// Most rates that are tried for one candidate; enough for the tolerance where the plan does not say.
    pub max_rounds: u64,
    /// The plan said so.
    pub rounds_given: bool,
}

impl Qps {
    /// Halvings from the whole range to the tolerance, and one for the lowest rate.
    #[must_use]
    pub fn needed_rounds(&self) -> u64 {
        let ratio = (self.upper - self.lower) / self.tolerance.max(f64::MIN_POSITIVE);
        if ratio <= 1.0 { 2 } else { ratio.log2().ceil() as u64 + 2 }
    }
}

/// How candidates are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Search {
    /// 1 smoke, 2 bounded, 3 everything.
    pub tier: u64,
    /// Most candidates of a framework, the baseline included.
    pub max_candidates: u64,
    /// Measurements of a load near its bounds.
    pub repeats: u64,
    /// Seed of arrivals and prompts.
    pub seed: u64,
    /// An interrupted search is continued; otherwise a folder that holds a run is refused.
    pub resume: bool,
    /// Folder of the run, where the command line names none.
    pub output_dir: Option<String>,
}

/// A framework of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FrameworkPlan {
    /// Its name.
    pub name: String,
    /// How its commands are made.
    pub kind: Framework,
    /// Whether it takes part; one that does not was left out by the user.
    pub enabled: bool,
    /// The command without model and flags; for others a template with {model}, {host}, {port} and {flags}.
    pub server_command: String,
    /// Flags of every candidate, in the order of the plan.
    pub base: Vec<(String, Value)>,
    /// Flags that are searched.
    pub space: Vec<Knob>,
    /// Environment of the server.
    pub env: BTreeMap<String, String>,
}

/// A flag and the values to try.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Knob {
    /// The flag.
    pub name: String,
    /// The values, in the order of the plan.
    pub values: Vec<Value>,
}
