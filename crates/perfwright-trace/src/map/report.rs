//! The answer of `trace map` as plain data. JSON holds everything; limits are for the tables.

use perfwright_model::parallel::Parallel;
use perfwright_model::roofline::Bound;
use perfwright_model::show::Summary;
use serde::{Deserialize, Serialize};

pub use crate::compare::report::Line;
use crate::report::{Input, Stop, Total};
use crate::steps::Class;
use crate::store::Partial;

/// Schema name of [`TraceMap`].
pub const SCHEMA: &str = "perfwright.trace-map/v1";

/// Kernels joined to the operators of a model. FLOPs are those of matrix products, attention and recurrences, two per
/// multiplication and addition, on one rank.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TraceMap {
    /// `perfwright.trace-map/v1`.
    pub schema: String,
    /// The short answer.
    pub verdict: Vec<Line>,
    /// The traces that were read.
    pub inputs: Vec<Input>,
    /// What the configuration describes.
    pub model: Summary,
    /// What the trace is held against.
    pub question: Question,
    /// Forward passes of each class that were mapped.
    pub classes: Vec<ClassRow>,
    /// Operators with their kernels, longest first in each class.
    pub operators: Vec<OperatorRow>,
    /// Device work of mapped passes that belongs to no operator.
    pub unmapped: Vec<UnmappedRow>,
    /// What contradicts the model, or cannot be.
    pub disagreements: Vec<Disagreement>,
    /// The passes that were mapped.
    pub passes: Vec<PassRow>,
    /// Device work outside of the mapped passes.
    pub outside: Total,
    /// Set when only a part of a trace could be read.
    pub partial: Option<Partial>,
    /// Set when the figures cannot be (exit code 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What the figures assume.
    pub notes: Vec<String>,
    /// What a reader should know before trusting a row.
    pub warnings: Vec<String>,
}

/// What the trace is held against.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Question {
    /// The GPU of the catalogue.
    pub gpu: String,
    /// How ranks share the model.
    pub parallel: Parallel,
    /// What says so.
    pub tp_from: TpFrom,
    /// Format of the weights; `checkpoint` where it is that of the config.
    pub dtype: String,
    /// Format of the cache.
    pub kv_dtype: String,
    /// Only passes of this class.
    pub phase: Option<Class>,
    /// Only this pass.
    pub pass: Option<u32>,
}

/// What says how many ranks share the matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TpFrom {
    /// `--tp`.
    Given,
    /// The shapes that operators recorded.
    RecordedShapes,
    /// Nothing: one rank is assumed.
    Default,
}

/// What a row's FLOPs rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Sizes that operators recorded at every launch.
    RecordedShapes,
    /// The model and the tokens of the pass.
    Modelled,
    /// The model and the sums of query and key lengths in the step's label.
    StepAnnotation,
    /// Recorded sizes for some launches, the model for the others.
    Mixed,
    /// Neither: the trace does not say how many tokens the pass had, or how long their context is.
    Unknown,
}

impl Basis {
    /// The words used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::RecordedShapes => "recorded shapes",
            Basis::Modelled => "modelled",
            Basis::StepAnnotation => "step annotation",
            Basis::Mixed => "mixed",
            Basis::Unknown => "unknown",
        }
    }
}

/// Work against time and what the GPU allows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Figures {
    /// FLOPs of a pass.
    pub flops: Option<u128>,
    /// Bytes of a pass: weights, cache and activations.
    pub bytes: Option<u128>,
    /// Achieved 10^12 FLOPs a second.
    pub tflops: Option<f64>,
    /// Achieved 10^9 bytes a second.
    pub gb_per_s: Option<f64>,
    /// Least time of a pass in microseconds.
    pub roofline_us: Option<f64>,
    /// What limits it.
    pub bound: Option<Bound>,
    /// Share of the matrix units' peak; null where unknown or impossible.
    pub mfu: Option<f64>,
    /// Share of the memory's peak; null where unknown or impossible.
    pub mbu: Option<f64>,
}

/// Forward passes of one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ClassRow {
    /// Class.
    pub class: Class,
    /// Passes that were mapped.
    pub passes: u64,
    /// Passes that the trace cuts, which were not.
    pub partial: u64,
    /// Summed device time of the mapped passes.
    pub device_ns: i64,
    /// Of these, in kernels of operators.
    pub mapped_ns: i64,
    /// Of these, in kernels of operators with known FLOPs or bytes.
    pub figured_ns: i64,
    /// Dense matrix products against the model.
    pub gemm: Gemm,
    /// All operators together, a pass; MFU and MBU are of `device_ns`.
    pub figures: Figures,
}

/// Dense matrix products (experts apart) with recorded sizes, against the model's products that they were joined to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Gemm {
    /// Products with recorded sizes, each operator once.
    pub recorded: u64,
    /// Their FLOPs, a pass.
    pub recorded_flops: u128,
    /// FLOPs of the operators they were joined to, a pass; null where the tokens are unknown.
    pub model_flops: Option<u128>,
    /// FLOPs of all dense products of the model, a pass.
    pub model_all_flops: Option<u128>,
    /// Recorded against those joined; 1 where they are equal.
    pub ratio: Option<f64>,
}

/// One operator, or several that kernels do together, in passes of one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct OperatorRow {
    /// Class of the passes.
    pub class: Class,
    /// The kind of layer it belongs to, or `model`.
    pub part: String,
    /// Its name; several joined by `+`.
    pub name: String,
    /// Kind of operator.
    pub category: perfwright_model::ops::Category,
    /// What the FLOPs rest on.
    pub basis: Basis,
    /// Rows, outputs and inputs of the product that took most time; recorded where the basis is.
    pub shape: Option<[u64; 3]>,
    /// Format of the weights, or of the cache.
    pub format: String,
    /// Layers of a pass that have it, over all passes.
    pub layers: u64,
    /// Kernels, over all passes.
    pub kernels: u64,
    /// Their summed duration, over all passes.
    pub time_ns: i64,
    /// The same a pass.
    pub ns_per_pass: f64,
    /// Of the class's device time.
    pub share: f64,
    /// Work against time.
    pub figures: Figures,
    /// The kernels that take most of the time.
    pub symbols: Vec<String>,
    /// Python line that most of the time was launched from.
    pub source: Option<String>,
}

/// Device work of mapped passes that belongs to no operator: copies, sampling, routing.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct UnmappedRow {
    /// Class of the passes.
    pub class: Class,
    /// Category.
    pub category: String,
    /// Pieces of work, over all passes.
    pub kernels: u64,
    /// Their summed duration.
    pub time_ns: i64,
    /// Of the class's device time.
    pub share: f64,
    /// The kernels that take most of the time.
    pub symbols: Vec<String>,
}

/// Kinds of disagreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Kernels took less time than the GPU needs for the work.
    FasterThanPossible,
    /// The passes have another number of layers.
    LayerCount,
    /// The recorded sizes are those of another number of ranks.
    TensorParallel,
    /// The trace was recorded on another GPU.
    Gpu,
    /// Kernels compute in another precision.
    Dtype,
    /// Recorded products have other rows than the label has tokens.
    TokenCount,
    /// The model has an operator for which no kernel was found.
    OperatorWithoutKernels,
    /// Kernels multiply matrices that the model does not have.
    KernelWithoutOperator,
}

impl Kind {
    /// The words used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::FasterThanPossible => "faster than possible",
            Kind::LayerCount => "layer count",
            Kind::TensorParallel => "tensor parallel",
            Kind::Gpu => "gpu",
            Kind::Dtype => "dtype",
            Kind::TokenCount => "token count",
            Kind::OperatorWithoutKernels => "operator without kernels",
            Kind::KernelWithoutOperator => "kernel without operator",
        }
    }
}

/// One disagreement between trace and model.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Disagreement {
    /// What it is.
    pub kind: Kind,
    /// Class of the passes; null where it concerns the trace.
    pub class: Option<Class>,
    /// The operator or kernel concerned.
    pub subject: String,
    /// What the model, the label or the question says.
    pub expected: String,
    /// What the trace shows.
    pub found: String,
    /// Where that was seen, and what it suggests.
    pub evidence: Vec<String>,
}

/// Precision of products.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 16-bit floats.
    Bf16,
    /// 8 bits.
    Fp8,
    /// 4 bits.
    Fp4,
}

impl Precision {
    /// The word used in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::Bf16 => "bf16",
            Precision::Fp8 => "fp8",
            Precision::Fp4 => "fp4",
        }
    }
}

/// One mapped pass.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PassRow {
    /// Number of the pass, as in `trace pipeline`.
    pub index: u32,
    /// Class.
    pub class: Class,
    /// Start, ns.
    pub start_ns: i64,
    /// Summed device time.
    pub device_ns: i64,
    /// Layers of the main model.
    pub layers: u32,
    /// Requests.
    pub requests: Option<u64>,
    /// New tokens.
    pub tokens: Option<u64>,
    /// What tells the tokens.
    pub tokens_from: TokensFrom,
    /// Dense products against the model.
    pub gemm: Gemm,
    /// Label of the step.
    pub label: Option<String>,
    /// Index into `inputs`.
    pub input: usize,
}

/// What tells how many tokens a pass has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokensFrom {
    /// `--tokens` or `--batch`.
    Given,
    /// The step's label.
    Label,
    /// The rows of recorded products.
    RecordedShapes,
    /// Nothing.
    Unknown,
}
