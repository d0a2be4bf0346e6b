//! What goes into the search and what comes out.

use serde::{Deserialize, Serialize};

use crate::names::{Classified, Symbol};

/// One kernel launch, as the search needs it.
#[derive(Debug, Clone, Copy)]
pub struct LaunchView {
    /// Index into the kernels.
    pub kernel: u32,
    /// Start on the device (ns).
    pub start_ns: i64,
    /// Duration (ns).
    pub dur_ns: i64,
    /// Lane: unique over process and stream.
    pub stream: u32,
    /// Step class, as the caller numbers them.
    pub class: u8,
    /// Step number.
    pub step: u32,
    /// Layer, where known.
    pub layer: Option<u32>,
    /// CPU operation that launched it, as the caller interns them. Carried for the caller; no pattern reads it.
    pub cpu_op: Option<u32>,
}

/// A distinct kernel.
#[derive(Debug, Clone)]
pub struct KernelInfo {
    /// Its parsed name.
    pub symbol: Symbol,
    /// Its category, tags and collective.
    pub class: Classified,
}

/// GPU maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the makers")]
pub enum Vendor {
    Nvidia,
    Amd,
}

/// Facts about the run, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct FusionContext {
    /// `sglang`, `vllm`, `tensorrt-llm`, `transformers`, ...
    pub framework: Option<String>,
    /// Tensor-parallel size.
    pub tp: Option<u32>,
    /// GPU maker.
    pub vendor: Option<Vendor>,
}

/// What the trace proves about a fusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The fused kernel was launched and the unfused chain was not seen.
    Active,
    /// The unfused chain was seen and the fused kernel was not.
    Missing,
    /// Both were seen in one class of steps, or only part of the chain is fused.
    Partial,
}

/// A row of the fuse-pattern table. Rows of different patterns may count the same kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FusionRow {
    /// Step class, as numbered by the caller.
    pub class: u8,
    /// Id of the catalogue entry.
    pub pattern: String,
    /// Its title.
    pub title: String,
    /// What was proved.
    pub state: State,
    /// Summed duration of the kernels that prove it (ns), each launch once.
    pub related_ns: i64,
    /// Those launches.
    pub launches: u64,
    /// Places where the unfused chain was found.
    pub sites: u64,
    /// `related_ns` over the class's device time; filled by the caller.
    pub share_of_class: Option<f64>,
    /// The kernels that prove it (indices), the largest first.
    pub evidence: Vec<u32>,
    /// At most this much would go: removable kernels and the gaps before them (ns).
    pub upper_bound_saving_ns: i64,
    /// What was seen, what it depends on.
    pub rationale: String,
    /// Where the fused form lives.
    pub candidate: String,
    /// Public origin of the entry.
    pub source: String,
}
