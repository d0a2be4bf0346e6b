//! Everything that is fixed before the first request: the contract of a `bench run`.

use std::time::Duration;

use perfwright_client::exchange::Timeouts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arrival::Arrival;
use crate::measure::{PathDemand, Sla};
use crate::workload::Spec;

/// The conditions of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conditions {
    /// What was asked for: `bench run`.
    pub question: String,
    /// The server.
    pub url: String,
    /// `completions`, `chat` or `generate`.
    pub endpoint: String,
    /// The model's name in requests; empty: the first that the server lists.
    pub model: String,
    /// The workload.
    pub workload: Spec,
    /// When sessions start.
    pub arrival: Arrival,
    /// Sessions that are measured.
    pub sessions: u64,
    /// Requests under way at most, where arrivals do not bound them.
    pub max_concurrency: Option<u32>,
    /// Seed of lengths, words and times.
    pub seed: u64,
    /// Whether prompts differ from those of every other trial.
    pub salt: Salt,
    /// Requests before the measured ones, one after the other; they count nowhere.
    pub warmup: u32,
    /// Leave the leading requests that warm-up detection marks out of the figures.
    pub cut_warmup: bool,
    /// Ask for exactly the output length.
    pub ignore_eos: bool,
    /// Fields added to every body.
    pub extra_body: Map<String, Value>,
    /// Time limits.
    pub timeouts: Millis,
    /// What the server must reach.
    pub sla: Vec<Sla>,
    /// When the generator is not believed.
    pub limits: Limits,
    /// Threads that send and receive.
    pub client_threads: u32,
    /// What the path of the server must be.
    #[serde(default, skip_serializing_if = "PathDemand::is_empty")]
    pub path: PathDemand,
}

/// Whether prompts of one trial may be found in a cache that another filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Salt {
    /// Every trial has prompts of its own.
    Unique,
    /// The same seed gives the same prompts.
    None,
}

/// Time limits in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Millis {
    /// Making a connection.
    pub connect: u64,
    /// From sending to the first event.
    pub first: u64,
    /// From one event to the next.
    pub stall: u64,
    /// A whole request.
    pub total: u64,
}

impl Default for Millis {
    fn default() -> Self {
        let d = Timeouts::default();
        let ms = |d: Duration| d.as_secs() * 1000;
        Self { connect: ms(d.connect), first: ms(d.first), stall: ms(d.stall), total: ms(d.total) }
    }
}

impl Millis {
    /// The same for the client.
    pub fn timeouts(self) -> Timeouts {
        Timeouts {
            connect: Duration::from_millis(self.connect),
            first: Duration::from_millis(self.first),
            stall: Duration::from_millis(self.stall),
            total: Duration::from_millis(self.total),
        }
    }
}

/// When the generator was itself the bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Milliseconds by which 99 % of the requests may be late.
    pub lateness_p99_ms: f64,
    /// Part by which the delivered rate may differ from the scheduled one.
    pub rate_off: f64,
    /// Part of a core that the busiest thread may use.
    pub core: f64,
}

/// TTFT bound that the limit on lateness is derived from where no SLA states one, milliseconds: the one that the
/// published serving cookbooks use.
const DEFAULT_TTFT_BOUND_MS: f64 = 1500.0;

impl Limits {
    /// Lateness of 1 % of the smallest TTFT bound, a rate off by 1 %, 85 % of a core.
    pub fn for_sla(sla: &[Sla]) -> Self {
        let bound = sla.iter().filter(|s| s.metric == "ttft_ms").map(|s| s.bound);
        let bound = bound.fold(f64::INFINITY, f64::min);
        let bound = if bound.is_finite() { bound } else { DEFAULT_TTFT_BOUND_MS };
        Self { lateness_p99_ms: bound / 100.0, rate_off: 0.01, core: 0.85 }
    }
}
