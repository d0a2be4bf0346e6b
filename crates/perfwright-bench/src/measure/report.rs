//! The answer of `bench run` as plain data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dist::Dist;
use super::sla::Sla;

/// Schema of [`BenchRun`].
pub const BENCH_RUN_SCHEMA: &str = "perfwright.bench-run/v1";

/// The answer of `bench run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchRun {
    /// [`BENCH_RUN_SCHEMA`].
    pub schema: String,
    /// The server.
    pub url: String,
    /// The endpoint.
    pub endpoint: String,
    /// The model's name in requests.
    pub model: String,
    /// What was asked.
    pub workload: WorkloadFigures,
    /// Whether the generator can be believed.
    pub validity: Validity,
    /// The load that was offered.
    pub offered: Offered,
    /// Latencies of successful requests, milliseconds.
    pub metrics: Metrics,
    /// Rates over the measured time.
    pub throughput: Throughput,
    /// Part of the measured requests that succeeded.
    pub success_rate: f64,
    /// The same with its bounds.
    pub success: Share,
    /// Requests that met every latency bound; null without such bounds.
    pub goodput: Option<Goodput>,
    /// The requirements; empty without any.
    pub sla: Vec<SlaResult>,
    /// Failures by class, most frequent first.
    pub failures: Vec<FailureRow>,
    /// Tokens, and where their numbers come from.
    pub tokens: Tokens,
    /// The guard against prompts that were in a cache.
    pub prefix_cache: PrefixCache,
    /// Speculative decoding, where the server tells.
    pub speculation: Option<Speculation>,
    /// Requests before the measurement, and slow ones at its start.
    pub warmup: Warmup,
    /// What the client used.
    pub client: ClientFigures,
    /// Whether the path measured is known to be the path meant.
    pub path: Path,
    /// What the server's counters did.
    pub server: ServerFigures,
    /// What each figure means.
    pub definitions: BTreeMap<String, String>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadFigures {
    /// Kind.
    pub name: String,
    /// Measured requests, cut ones left out.
    pub requests: u64,
    /// `nominal`: prompts were made of words, and the server counts tokens; `exact`: a tokenizer counted them.
    pub lengths: String,
    /// Words of prompts.
    pub input_nominal: Dist,
    /// Tokens asked for.
    pub output_asked: Dist,
    /// Seed.
    pub seed: u64,
}

/// Whether the generator can be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// `valid`; `invalid_client`, when the generator was itself the bottleneck; `no_success`, when nothing was
    /// answered well; `interrupted`.
    pub verdict: String,
    /// Why it is not valid.
    pub reasons: Vec<String>,
    /// Every check.
    pub checks: Vec<Check>,
}

/// One check of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Name.
    pub name: String,
    /// Measured; null where it does not apply.
    pub measured: Option<f64>,
    /// Limit.
    pub limit: f64,
    /// Whether it holds.
    pub ok: bool,
}

/// The load that was offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    /// Kind of arrivals.
    pub arrival: String,
    /// Sessions per second of the drawn schedule; null in a closed loop.
    pub scheduled_rate: Option<f64>,
    /// Sessions per second as started; null for fewer than two.
    pub delivered_rate: Option<f64>,
    /// From the intended send time to the client taking the request up.
    pub lateness_ms: Dist,
    /// From there to leaving the queue of `--max-concurrency`.
    pub held_ms: Dist,
}

/// Latencies of successful requests, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Time to first token, from the intended send time.
    pub ttft_ms: Dist,
    /// Time per output token after the first.
    pub tpot_ms: Dist,
    /// Gaps between events that carry tokens, all requests together.
    pub itl_ms: Dist,
    /// End to end, from the intended send time.
    pub e2e_ms: Dist,
    /// Time to first token, from the actual send time.
    pub ttft_from_send_ms: Dist,
    /// End to end, from the actual send time.
    pub e2e_from_send_ms: Dist,
    /// Time to the first token of content, from the intended send time: later than TTFT where a model reasons first.
    pub ttfo_ms: Dist,
    /// Time in the server's queue, where it tells for each request.
    pub queue_ms: Dist,
}

/// Rates over the measured time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Seconds from the first intended send time to the last event.
    pub duration_s: f64,
    /// Successful requests per second.
    pub requests: f64,
    /// Tokens generated per second, of successful requests.
    pub output_tokens: f64,
    /// Tokens of prompts per second, of successful requests.
    pub input_tokens: f64,
    /// Both together.
    pub total_tokens: f64,
}

/// A counted share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Counted.
    pub count: u64,
    /// Of.
    pub of: u64,
    /// The share is at least this, with 99 % confidence (Clopper-Pearson, one-sided).
    pub at_least: f64,
    /// The share is at most this, likewise.
    pub at_most: f64,
}

/// Requests that met every latency bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goodput {
    /// Good requests per second.
    pub requests: f64,
    /// Good requests of all that were sent; failures are bad.
    pub attainment: Share,
}

/// One requirement, recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlaResult {
    /// The requirement.
    pub sla: Sla,
    /// As text.
    pub text: String,
    /// `certified`, `refused` or `inconclusive`, with 99 % confidence.
    pub outcome: String,
    /// What was measured.
    pub observed: Option<f64>,
    /// Whether what was measured is within the bound, which proves nothing.
    pub observed_within: bool,
    /// The true value is at least this, with 99 % confidence.
    pub low: Option<f64>,
    /// The true value is at most this, likewise; null when it is not bounded by so few requests.
    pub high: Option<f64>,
    /// Requests behind it, failures included.
    pub n: u64,
    /// Requests that may decide it, when it is inconclusive.
    pub needed: Option<u64>,
}

/// Failures of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRow {
    /// Class.
    pub class: String,
    /// How many.
    pub count: u64,
    /// What the first one said.
    pub example: String,
}

/// Tokens, and where their numbers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Tokens of prompts, of successful requests.
    pub input: u64,
    /// Tokens generated, of successful requests.
    pub output: u64,
    /// `usage`, as the server states; `chunks`, one for each event; `mixed`.
    pub basis: String,
    /// Answers with fewer tokens than asked for.
    pub short: u64,
    /// Stated tokens of prompts for each nominal one.
    pub input_per_nominal: Option<f64>,
    /// Tokens for each event that carried some; above 1, gaps are not gaps between tokens.
    pub per_chunk: Option<f64>,
    /// Answers without `[DONE]`.
    pub without_done: u64,
}

/// The guard against prompts that were in a cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrefixCache {
    /// `clean`, `contaminated`, `as_declared`, `undeclared` (the workload's design does not tell) or `unknown` (the
    /// server tells nothing).
    pub verdict: String,
    /// Part of prompt tokens that usage says came from a cache.
    pub usage_share: Option<f64>,
    /// The same from the server's counters before and after.
    pub counter_share: Option<f64>,
    /// What the workload's design gives.
    pub declared_share: Option<f64>,
    /// Every trial has prompts of its own.
    pub salted: bool,
}

/// Speculative decoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speculation {
    /// Tokens for each verification step.
    pub accept_length: f64,
    /// `answers` or `counters`.
    pub basis: String,
}

/// Requests before the measurement, and slow ones at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warmup {
    /// Requests that were sent before and count nowhere.
    pub sent: u64,
    /// Of them, how many failed.
    pub failed: u64,
    /// Measured requests at the start whose TTFT is far above that of the second half.
    pub leading_slow: u64,
    /// Whether those were left out of the figures.
    pub cut: bool,
}

/// What the client used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientFigures {
    /// Processor seconds.
    pub cpu_seconds: f64,
    /// Processor microseconds for each event read, everything included; null without events.
    pub cpu_us_per_event: Option<f64>,
    /// Part of a core that the busiest thread used.
    pub busiest_core: f64,
    /// Threads that sent and received.
    pub threads: u64,
    /// Events read.
    pub events: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests on a connection that was used before.
    pub reused: u64,
    /// Requests that were sent again because a kept connection was closed.
    pub retries: u64,
}

/// Whether the path measured is known to be the path meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// True when backend, graphs, quantisation and parallelism are proven. A run against an address alone proves none.
    pub proven: bool,
    /// Which of its own statements the server gave.
    pub stated: Vec<String>,
    /// Fields of the path that are proven, with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Statements that do not go together, or that nothing proves: the run measured another path than meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<String>,
}

/// What the server's counters did during the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFigures {
    /// Counters were read before and after.
    pub scraped: bool,
    /// Mean time in the queue, milliseconds, from the server's histogram.
    pub queue_ms_mean: Option<f64>,
    /// Why there are none.
    pub notes: Vec<String>,
}
