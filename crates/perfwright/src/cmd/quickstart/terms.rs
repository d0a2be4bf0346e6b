//! The sizes of a quickstart: what is offered, how often, and how long at most.

use perfwright_bench::arrival::Arrival;
use perfwright_bench::load::{Conditions, Limits, Millis, Salt};
use perfwright_bench::measure::PathDemand;
use perfwright_bench::workload::Spec;
use serde_json::{Map, Value, json};

/// The figure that decides.
pub(super) const METRIC: &str = "output_token_throughput";
/// Relative difference that matters to nobody.
pub(super) const THRESHOLD: f64 = 0.01;
/// The framework that is worked on.
pub(super) const TARGET: &str = "target";
/// The framework that it is held against.
pub(super) const COMPETITOR: &str = "competitor";
/// The model of both.
pub(super) const MODEL: &str = "tiny";

/// Sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Words of a prompt; the server's tokens are bytes.
    pub input_len: u32,
    /// Tokens of an answer.
    pub output_len: u32,
    /// Requests of a measurement.
    pub requests: u64,
    /// Requests under way.
    pub concurrency: u32,
    /// Blocks of an A/B at most.
    pub blocks: u64,
    /// Blocks of the control.
    pub control_blocks: u64,
    /// Seconds for deciding the gap, per try.
    pub gap_s: f64,
    /// Seconds for the revalidation.
    pub revalidation_s: f64,
    /// Tries to decide the gap, and to explain it.
    pub tries: u32,
}

impl Terms {
    /// About a minute on a quiet machine, at most about four on a noisy one.
    pub(super) const FULL: Self = Self {
        input_len: 96,
        output_len: 64,
        requests: 16,
        concurrency: 4,
        blocks: 24,
        control_blocks: 4,
        gap_s: 45.0,
        revalidation_s: 90.0,
        tries: 2,
    };

    /// For tests: the same steps with next to no load.
    pub(super) const SHORT: Self = Self {
        input_len: 24,
        output_len: 12,
        requests: 6,
        concurrency: 2,
        blocks: 4,
        control_blocks: 2,
        gap_s: 20.0,
        revalidation_s: 30.0,
        tries: 1,
    };

    /// The load of every measurement.
    pub(super) fn load(&self) -> Conditions {
        Conditions {
            question: "bench ab".to_owned(),
            url: String::new(),
            endpoint: "completions".to_owned(),
            path: PathDemand::default(),
            model: String::new(),
            workload: Spec::Random {
                input_len: self.input_len,
                output_len: self.output_len,
                range_ratio: 1.0,
            },
            arrival: Arrival::Closed { concurrency: self.concurrency },
            sessions: self.requests,
            max_concurrency: None,
            seed: 1,
            salt: Salt::Unique,
            warmup: 2,
            cut_warmup: false,
            ignore_eos: true,
            extra_body: Map::new(),
            timeouts: Millis::default(),
            limits: Limits::for_sla(&[]),
            sla: Vec::new(),
            client_threads: 1,
        }
    }

    /// The locked workload: load, bounds, figure and threshold.
    pub(super) fn workload(&self) -> Value {
        json!({
            "load": self.load(),
            "search": {
                "input_len": self.input_len,
                "output_len": self.output_len,
                "num_prompts": self.requests,
                "max_concurrency": self.concurrency,
            },
            "bounds": { "min_success_rate": 1.0 },
            "metric": METRIC,
            "threshold": THRESHOLD,
        })
    }
}
