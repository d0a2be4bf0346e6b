//! The answer of `trace pipeline` as plain data. JSON holds everything; limits are for the tables.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{Input, Stop, Total};
use crate::steps::{Class, Source};
use crate::store::Partial;

/// Schema name of [`Pipeline`].
pub const SCHEMA: &str = "perfwright.trace-pipeline/v1";

/// The forward passes of a trace, their layers, and the kernels of typical layers.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Pipeline {
    /// `perfwright.trace-pipeline/v1`.
    pub schema: String,
    /// The traces that were read.
    pub inputs: Vec<Input>,
    /// Layers that every complete pass of the main model has; null when they differ or none was found.
    pub layers_per_pass: Option<u32>,
    /// Why `layers_per_pass` is null, or what it rests on.
    pub layers_reason: String,
    /// What supports or contradicts the count.
    pub evidence: Vec<EvidenceRow>,
    /// Forward passes, device by device in start order.
    pub passes: Vec<PassRow>,
    /// Layers of all passes.
    pub layers: Vec<LayerRow>,
    /// Layers that are alike, class by class.
    pub clusters: Vec<ClusterRow>,
    /// Steady passes, class by class.
    pub steady: Vec<SteadyRow>,
    /// The kernels of the layer asked for (`--layer`).
    pub selected: Option<Flow>,
    /// Two layers side by side (`--compare-layer`).
    pub comparison: Option<Comparison>,
    /// Device work in no pass.
    pub outside: Total,
    /// Set when only a part of a trace could be read.
    pub partial: Option<Partial>,
    /// Set when the evidence does not support the tables (exit code 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What a reader should know before trusting a row.
    pub warnings: Vec<String>,
}

/// One piece of evidence on the layer count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct EvidenceRow {
    /// What it is.
    pub kind: EvidenceKind,
    /// Layers a pass by this evidence alone; null where it gives no number.
    pub layers: Option<u32>,
    /// Whether it agrees with what was found; null where it cannot tell.
    pub agrees: Option<bool>,
    /// What was seen.
    pub detail: String,
}

/// Kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Attention or recurrence blocks in the kernel sequence.
    Blocks,
    /// The shortest repeating stretch of the kernel sequence.
    Repetition,
    /// `nn.Module` frames of layers.
    ModuleFrames,
    /// Order of the nodes of a replayed graph.
    GraphNodes,
    /// Layers known from an aligned capture trace.
    Capture,
    /// Layer count of the model's configuration.
    Config,
    /// A kernel the user named as the begin of a layer.
    Anchor,
}

/// Device work of a part of a pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PartRow {
    /// Pieces of device work.
    pub kernels: u64,
    /// Their summed duration.
    pub sum_ns: i64,
    /// Share of each category in `sum_ns`.
    pub shares: BTreeMap<String, f64>,
}

/// One forward pass on one device.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PassRow {
    /// Number of the pass; `layers[].pass` refers to it.
    pub index: u32,
    /// What the pass was for.
    pub class: Class,
    /// Start of its first device work: the trace's `ts` x 1000.
    pub start_ns: i64,
    /// From there to the end of its last device work.
    pub duration_ns: i64,
    /// Summed duration of its device work: prologue, layers and epilogue add up to it.
    pub device_ns: i64,
    /// Pieces of device work.
    pub kernels: u64,
    /// Layers of the main model.
    pub layers: u32,
    /// Layers of a draft model or of multi-token prediction.
    pub draft_layers: u32,
    /// True when it took far longer than its class usually does.
    pub cold: bool,
    /// True when the trace's start or end cuts it; it does not set the layer count.
    pub partial: bool,
    /// Work before the first layer: inputs, embedding.
    pub prologue: PartRow,
    /// Work after the last layer, and between the main and draft layers: final norm, output projection, sampling.
    pub epilogue: PartRow,
    /// What bounds the pass.
    pub bounds: Bounds,
    /// What showed the step it is in; null without steps.
    pub by: Option<Source>,
    /// Label of the step.
    pub label: Option<String>,
    /// Requests, where the label tells.
    pub batch: Option<u64>,
    /// Query tokens, where the label tells.
    pub tokens: Option<u64>,
    /// Index into `inputs`.
    pub input: usize,
    /// Device process.
    pub device: String,
    /// Start in seconds after the trace's first event, as Perfetto shows it.
    pub start_s: f64,
    /// End, likewise.
    pub end_s: f64,
}

/// What bounds a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bounds {
    /// An engine step.
    Step,
    /// A step or trace that holds several passes, cut where output work is followed by input work.
    Work,
    /// Nothing but the layer count of the configuration.
    Config,
    /// Nothing: all work of the device is taken as one pass.
    Trace,
}

/// Whose layer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// The main model's.
    Main,
    /// Of a draft model or of multi-token prediction.
    Draft,
}

/// One layer of one pass.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct LayerRow {
    /// Number of the pass.
    pub pass: u32,
    /// Number of the layer in its pass, from 0; main and draft layers are counted apart.
    pub index: u32,
    /// Whose layer it is.
    pub kind: LayerKind,
    /// Start of its first device work.
    pub start_ns: i64,
    /// End of its last device work.
    pub end_ns: i64,
    /// From start to end.
    pub wall_ns: i64,
    /// Summed duration of its device work.
    pub sum_ns: i64,
    /// Pieces of device work.
    pub kernels: u64,
    /// Share of each category in `sum_ns`.
    pub shares: BTreeMap<String, f64>,
    /// Index into `clusters`.
    pub cluster: u32,
    /// Stream of its main line.
    pub stream: String,
    /// Start in seconds after the trace's first event, as Perfetto shows it.
    pub start_s: f64,
    /// End, likewise.
    pub end_s: f64,
}

/// Layers of equal structure in passes of one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ClusterRow {
    /// Number; `layers[].cluster` refers to it.
    pub index: u32,
    /// Its name from the configuration, e.g. `sliding attention + MoE`, where that tells (`configured`); else as
    /// `structure`.
    pub name: String,
    /// The configuration gave the name: the pass has as many layers as it, so layer N is its layer N.
    pub configured: bool,
    /// The blocks found in the kernels: `attention+mlp`, `attention+moe`, `linear_attention+mlp`.
    pub structure: String,
    /// Class of the passes.
    pub class: Class,
    /// Whose layers.
    pub kind: LayerKind,
    /// What tells it from other clusters: its block kernels in order.
    pub signature: Vec<String>,
    /// Layers in it, over all passes.
    pub count: u64,
    /// Numbers of the layers, each once.
    pub layer_indices: Vec<u32>,
    /// Mean wall time.
    pub mean_wall_ns: i64,
    /// Median wall time.
    pub median_wall_ns: i64,
    /// Mean summed duration.
    pub mean_sum_ns: i64,
    /// Median summed duration.
    pub median_sum_ns: i64,
    /// Share of each category in the summed duration.
    pub shares: BTreeMap<String, f64>,
    /// The layer of median summed duration, from a steady pass where there is one.
    pub representative: Flow,
}

/// The kernels of one layer in start order.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Flow {
    /// Number of the pass.
    pub pass: u32,
    /// Number of the layer.
    pub layer: u32,
    /// Its device work.
    pub kernels: Vec<FlowRow>,
}

/// One piece of device work of a layer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct FlowRow {
    /// Short name.
    pub kernel: String,
    /// Category.
    pub category: String,
    /// Start after the layer's start.
    pub offset_ns: i64,
    /// Duration.
    pub duration_ns: i64,
    /// Of the layer's summed duration.
    pub share: f64,
    /// Stream.
    pub stream: String,
    /// Python line that launched it.
    pub source: Option<String>,
    /// Operator that launched it.
    pub cpu_op: Option<String>,
    /// `Input Dims` of that operator as the trace has them.
    pub input_dims: Option<String>,
}

/// Two layers of one pass side by side.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Comparison {
    /// Number of the pass.
    pub pass: u32,
    /// First layer.
    pub a: u32,
    /// Second layer.
    pub b: u32,
    /// Wall time of each.
    pub wall_ns: [i64; 2],
    /// Summed duration of each.
    pub sum_ns: [i64; 2],
    /// Kernel by kernel, largest difference first.
    pub rows: Vec<DiffRow>,
}

/// One kernel in two layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DiffRow {
    /// Short name.
    pub kernel: String,
    /// Category.
    pub category: String,
    /// Launches in each.
    pub launches: [u64; 2],
    /// Summed duration in each.
    pub sum_ns: [i64; 2],
    /// Second minus first.
    pub delta_ns: i64,
}

/// The steady state of one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct SteadyRow {
    /// Class.
    pub class: Class,
    /// Complete passes.
    pub passes: u64,
    /// Of these, cold ones.
    pub cold: u64,
    /// Median duration of the others.
    pub median_ns: i64,
    /// Median absolute deviation from it.
    pub deviation_ns: i64,
    /// Median summed device time of the others.
    pub median_device_ns: i64,
    /// Median wall time of a main layer in them; null without layers.
    pub median_layer_ns: Option<i64>,
}
