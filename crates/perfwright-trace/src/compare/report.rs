//! The answer of `trace compare` as plain data. JSON holds everything; limits and cut-offs are for the tables.

use serde::Serialize;

use crate::report::{Input, Stop};
use crate::steps::Class;
use crate::store::Partial;

/// Schema name of [`Comparison`].
pub const SCHEMA: &str = "perfwright.trace-compare/v1";

/// What differs between trace A (before, or ours) and trace B (after, or theirs).
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Comparison {
    /// `perfwright.trace-compare/v1`.
    pub schema: String,
    /// The answer in at most ten lines, with the title.
    pub verdict: Vec<Line>,
    /// Traces of side A.
    pub a: Vec<Input>,
    /// Traces of side B.
    pub b: Vec<Input>,
    /// How it was compared.
    pub method: Method,
    /// The classes that were compared, and how their steps matched.
    pub classes: Vec<ClassRow>,
    /// Kernels by class, largest difference per step first. A kernel row is device time: kernels that run beside
    /// others count in full.
    pub rows: Vec<Row>,
    /// The same by category.
    pub categories: Vec<CategoryRow>,
    /// Where the gap in wall time comes from. Each nanosecond of a step is in one row, so the differences of a class
    /// add to its `delta_ns_per_step`.
    pub gaps: Vec<GapRow>,
    /// Part of the wall-time gap, over all classes, that neither a kernel nor a late host nor a stream wait explains:
    /// the classes' `unexplained_ns_per_step`, weighed by steps, over their gaps. A gap under 0.1 % of A's wall time
    /// counts as 0.1 %, so the share can be over 1 where kernels and waits cancel out. Null when nothing was compared.
    pub unexplained_share: Option<f64>,
    /// Steps without a partner.
    pub unmatched: Vec<Unmatched>,
    /// The limits that were asked for.
    pub limits: Vec<LimitRow>,
    /// Set when only a part of a trace could be read.
    pub partial: Option<Partial>,
    /// Set when nothing can be compared (exit code 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// False: a trace does not state backends, quantisation or flags, so that both sides took the same path is not
    /// shown by it. Other evidence has to.
    pub path_proven: bool,
    /// What a reader should know before trusting a row.
    pub warnings: Vec<String>,
}

/// One line of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Line {
    /// What it is about.
    pub about: String,
    /// The text.
    pub text: String,
}

/// What is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Engine passes, class by class.
    Steps,
    /// Passes or profiler extents whose class is not known.
    Extents,
    /// Whole traces, one a device.
    Trace,
}

/// How it was compared.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Method {
    /// What is compared with what.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// How far batch, tokens and context of a nearest pair may be apart, as a part of the larger.
    pub tolerance: f64,
    /// A difference is claimed (`slower`, `faster`) when its interval lies beyond this part of A.
    pub threshold: f64,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Resampled means behind a bootstrap interval.
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

/// What became of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The interval lies above the threshold.
    Slower,
    /// The interval lies below the negative threshold.
    Faster,
    /// No difference beyond the threshold is shown.
    Same,
    /// Only in B.
    Appeared,
    /// Only in A.
    Vanished,
    /// There are too few steps for an interval.
    Unclear,
}

impl Status {
    /// The word used in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Slower => "slower",
            Status::Faster => "faster",
            Status::Same => "same",
            Status::Appeared => "appeared",
            Status::Vanished => "vanished",
            Status::Unclear => "unclear",
        }
    }
}

/// What an interval was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// Expanded percentile bootstrap over five or more steps (paired where the steps pair one to one).
    BootstrapSteps,
    /// Fewer than five steps: the same over the single launches of the kernel in them, which does not see what
    /// changes from step to step.
    BootstrapLaunches,
    /// Fewer than five steps: Student's interval over steps (Welch's, where they do not pair).
    StudentSteps,
    /// One step: no interval.
    None,
}

/// A quantity per step on both sides, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Measure {
    /// Mean over the compared steps of A.
    pub a_ns_per_step: f64,
    /// Mean over the compared steps of B.
    pub b_ns_per_step: f64,
    /// B / A; null where A is zero.
    pub ratio: Option<f64>,
    /// B - A.
    pub delta_ns_per_step: f64,
    /// Low end of the difference's interval; null where there is none.
    pub ci_low: Option<f64>,
    /// High end of the difference's interval; null where there is none.
    pub ci_high: Option<f64>,
    /// What the interval was made from.
    pub interval: Interval,
    /// What became of it.
    pub status: Status,
}

impl Measure {
    /// True when the interval lies on one side of zero.
    pub fn excludes_zero(&self) -> bool {
        self.ci_low.is_some_and(|l| l > 0.0) || self.ci_high.is_some_and(|h| h < 0.0)
    }
}

/// One class of steps. Its measure is the wall time of a step.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ClassRow {
    /// Class.
    pub class: Class,
    /// Steps of A in the class.
    pub a_steps: u64,
    /// Steps of B in the class.
    pub b_steps: u64,
    /// Steps compared: pairs, or the smaller of two samples.
    pub matched: u64,
    /// Pairs of equal batch, tokens and context (those of `matched_by`).
    pub exact: u64,
    /// Pairs within the tolerance.
    pub nearest: u64,
    /// Largest distance of a nearest pair.
    pub farthest: f64,
    /// True when steps are compared pair by pair, false when as two samples.
    pub paired: bool,
    /// What the steps have been matched by: batch, tokens, context, or their order.
    pub matched_by: Vec<String>,
    /// Wall time of a step.
    #[serde(flatten)]
    pub wall: Measure,
    /// Device time in a step of A, ns.
    pub a_device_ns_per_step: f64,
    /// Device time in a step of B, ns.
    pub b_device_ns_per_step: f64,
    /// Layers of every compared step; null where they are not known or differ.
    pub layers: Option<u32>,
    /// Part of the wall-time gap that is neither in a kernel, nor host-bound, nor a stream wait, ns.
    pub unexplained_ns_per_step: f64,
    /// The same over the gap; as the answer's `unexplained_share`.
    pub unexplained_share: f64,
}

/// One kernel in one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Row {
    /// Class of the steps.
    pub class: Class,
    /// Category.
    pub category: String,
    /// Short name; that of A where the sides differ.
    pub kernel: String,
    /// Name in B, where the same caller launches another kernel there.
    pub renamed_to: Option<String>,
    /// What showed that a renamed kernel is the same.
    pub renamed_by: Option<String>,
    /// Mean launches a step of A.
    pub a_launches_per_step: f64,
    /// Mean launches a step of B.
    pub b_launches_per_step: f64,
    /// Device time a step.
    #[serde(flatten)]
    pub time: Measure,
    /// Python file and function most of its time comes from, where known.
    pub source: Option<String>,
    /// Operator most of its time comes from, where known.
    pub cpu_op: Option<String>,
    /// The fewest positions that make up 90 % of its difference: `all 36 layers`, `layers 0-2`, `before`, `after`.
    /// Null where layers are not known, or the compared steps differ in their number.
    pub differs_in: Option<String>,
    /// Its time by position in the step, aligned by the number of the layer; empty where `differs_in` is null. The
    /// positions add to the row.
    pub positions: Vec<PositionRow>,
}

/// Where in a step work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before the first layer.
    Before,
    /// In a layer.
    Layer,
    /// After the last layer.
    After,
    /// Beside them.
    Unknown,
}

/// A kernel's device time at one position, means without an interval.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PositionRow {
    /// Where.
    pub place: Place,
    /// Number of the layer.
    pub layer: Option<u32>,
    /// Mean over the compared steps of A.
    pub a_ns_per_step: f64,
    /// Mean over the compared steps of B.
    pub b_ns_per_step: f64,
    /// B - A.
    pub delta_ns_per_step: f64,
}

/// One category in one class, device time.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct CategoryRow {
    /// Class of the steps.
    pub class: Class,
    /// Category.
    pub category: String,
    /// Device time a step.
    #[serde(flatten)]
    pub time: Measure,
}

/// One part of the wall-time gap of a class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct GapRow {
    /// Class of the steps.
    pub class: Class,
    /// `compute`, `exposed communication`, `copies`, `host-bound`, `stream wait` or `idle`.
    pub part: String,
    /// Category of what ran; null where nothing did.
    pub category: Option<String>,
    /// Wall time a step.
    #[serde(flatten)]
    pub time: Measure,
}

/// A step without a partner.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Unmatched {
    /// `a` or `b`.
    pub side: String,
    /// Class.
    pub class: Class,
    /// Start on the device, ns.
    pub start_ns: i64,
    /// Label, where there is one.
    pub label: Option<String>,
    /// Requests.
    pub batch: Option<u64>,
    /// Query tokens.
    pub tokens: Option<u64>,
    /// Sum of context lengths.
    pub context: Option<u64>,
    /// Why it has none.
    pub reason: String,
}

/// How a limit came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitResult {
    /// No interval lies beyond the limit.
    Within,
    /// At least one does.
    Exceeded,
    /// What the limit is about was not compared, or has no interval.
    Unproven,
}

/// A limit that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LimitRow {
    /// The expression as given.
    pub limit: String,
    /// How it came out.
    pub result: LimitResult,
    /// What exceeds it, or why it is unproven.
    pub found: Vec<String>,
}
