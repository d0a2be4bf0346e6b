//! The answer of `trace triage` as plain data. JSON holds everything; limits and cut-offs are for the tables.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::budget::BudgetRow;
use crate::fusion_table::FusionRow;
use crate::overlap::OverlapRow;
use crate::steps::{Class, Source};
use crate::store::{Anomalies, Partial};

/// Schema name of [`Triage`].
pub const SCHEMA: &str = "perfwright.trace-triage/v1";

/// The three tables of a trace, and what is needed to judge them.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Triage {
    /// `perfwright.trace-triage/v1`.
    pub schema: String,
    /// The traces that were read.
    pub inputs: Vec<Input>,
    /// Device work by kind, over all inputs, devices and classes.
    pub totals: Totals,
    /// Engine passes by start, input by input.
    pub steps: Vec<StepRow>,
    /// How much device time has a Python source line.
    pub attribution: AttributionSummary,
    /// The three tables.
    pub tables: Tables,
    /// Where the wall clock goes; the parts of a row add to its `wall_ns`.
    pub budget: Vec<BudgetRow>,
    /// Set when only a part of a trace could be read.
    pub partial: Option<Partial>,
    /// Set when the evidence does not support the tables (exit code 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What a reader should know before trusting a row.
    pub warnings: Vec<String>,
}

/// Why the evidence is not usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Stop {
    /// Code for `perfwright explain`.
    pub code: String,
    /// The reason.
    pub reason: String,
    /// The file concerned.
    pub file: Option<String>,
}

/// One trace file.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Input {
    /// File, as given.
    pub path: String,
    /// What the file is for.
    pub role: Role,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Size of the JSON text, bytes.
    pub text_bytes: u64,
    /// Gzip or plain.
    pub compressed: bool,
    /// Rank, from `distributedInfo` or the file name.
    pub rank: Option<u32>,
    /// Number of ranks of the job.
    pub world_size: Option<u32>,
    /// Engine that wrote the trace: sglang, vllm, tensorrt-llm, tokenspeed, perfwright-lab, pytorch or unknown.
    pub framework: String,
    /// GPU maker: nvidia, amd, unknown, or cpu where an engine computes without a GPU.
    pub vendor: String,
    /// GPU names.
    pub gpus: Vec<String>,
    /// Device processes seen.
    pub devices: u64,
    /// All events.
    pub events: u64,
    /// Complete events (`ph` = `X`) with `dur > 0`.
    pub complete_events: u64,
    /// Device work of this file.
    pub totals: Totals,
    /// Wall time with at least one piece of device work running, summed over devices.
    pub busy_ns: i64,
    /// From the first to the last device event, summed over devices.
    pub span_ns: i64,
    /// True when the columns came from the cache.
    pub from_cache: bool,
    /// Set when only a part could be read.
    pub partial: Option<Partial>,
    /// Events that were set aside.
    pub set_aside: Anomalies,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The trace asked about.
    Trace,
    /// The capture trace that names graph kernels.
    Capture,
    /// The eager trace that names kernels.
    Mapping,
}

/// Device work by kind (`ph:X`, `dur > 0`, all pids).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Totals {
    /// Kernels.
    pub kernel: Total,
    /// Copies.
    pub gpu_memcpy: Total,
    /// Fills.
    pub gpu_memset: Total,
}

impl Totals {
    /// Summed device time, ns.
    pub fn device_ns(&self) -> i64 {
        self.kernel.total_ns + self.gpu_memcpy.total_ns + self.gpu_memset.total_ns
    }

    /// Number of device events.
    pub fn count(&self) -> u64 {
        self.kernel.count + self.gpu_memcpy.count + self.gpu_memset.count
    }

    pub(crate) fn add(&mut self, o: &Totals) {
        for (a, b) in [
            (&mut self.kernel, o.kernel),
            (&mut self.gpu_memcpy, o.gpu_memcpy),
            (&mut self.gpu_memset, o.gpu_memset),
        ] {
            a.count += b.count;
            a.total_ns += b.total_ns;
        }
    }
}

/// Count and summed duration.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Total {
    /// Events.
    pub count: u64,
    /// Summed duration, ns.
    pub total_ns: i64,
}

/// One engine pass on one device.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct StepRow {
    /// What the pass was for.
    pub class: Class,
    /// Start of its device window: the trace's `ts` x 1000.
    pub start_ns: i64,
    /// Length of its device window.
    pub duration_ns: i64,
    /// Requests, where the label tells.
    pub batch: Option<u64>,
    /// Query tokens, where the label tells.
    pub tokens: Option<u64>,
    /// Sum of context lengths, where the label tells.
    pub context: Option<u64>,
    /// Summed device time in it.
    pub device_ns: i64,
    /// What showed the pass.
    pub by: Source,
    /// Label, where there is one.
    pub label: Option<String>,
    /// Index into `inputs`.
    pub input: usize,
    /// Device process.
    pub device: String,
}

/// How much device time has a Python source line, and by which method.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AttributionSummary {
    /// Of all device time.
    pub share: f64,
    /// Of the device time that has a launch record; null when nothing has one.
    pub share_of_launched: Option<f64>,
    /// Device time by method; every method that occurs, those that do not attribute too.
    pub by_method: BTreeMap<String, MethodRow>,
    /// Kernels of graph replays.
    pub graph_kernels: u64,
    /// Of these, the ones that a capture trace gave a Python line.
    pub graph_kernels_attributed: u64,
}

/// Device time of one attribution method.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct MethodRow {
    /// Device events.
    pub count: u64,
    /// Their summed duration.
    pub total_ns: i64,
    /// Of all device time.
    pub share: f64,
    /// True when the method gives a Python line.
    pub attributes: bool,
    /// What the method means.
    pub meaning: String,
}

/// The three tables.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Tables {
    /// Kernels, copies and fills by class, largest first in each class.
    pub kernels: Vec<KernelRow>,
    /// Exposed communication and copies.
    pub overlap: Vec<OverlapRow>,
    /// Fusions that are active, missing or partial.
    pub fusions: Vec<FusionRow>,
}

/// One kernel in one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct KernelRow {
    /// Class of the steps it ran in; `unknown` outside of steps.
    pub class: Class,
    /// Short name, one a raw name.
    pub kernel: String,
    /// Category.
    pub category: String,
    /// Launches.
    pub launches: u64,
    /// Summed duration.
    pub total_ns: i64,
    /// Of the class's summed device time.
    pub share: f64,
    /// Python line most of its time comes from, `path:line func`; null when none is known.
    pub source: Option<String>,
    /// Share of the row's time that this line accounts for.
    pub source_share: f64,
    /// Number of distinct Python lines.
    pub sources: u64,
    /// Operator most of its time comes from.
    pub cpu_op: Option<String>,
    /// How the source is known for most of its time.
    pub method: String,
    /// Mean duration.
    pub mean_ns: i64,
    /// Median duration.
    pub p50_ns: i64,
    /// 99th percentile of the durations (nearest rank).
    pub p99_ns: i64,
    /// Longest duration.
    pub max_ns: i64,
    /// Mean launches a step of the class; null for work outside of steps.
    pub launches_per_step: Option<f64>,
    /// Collective, for communication.
    pub collective: Option<String>,
    /// Catalogue rule that gave the category, and whether the name or the operator decided.
    pub rule: Option<String>,
    /// Names as they stand in the trace.
    pub raw_names: Vec<String>,
}
