//! Result types of a classification.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// What a kernel does. The named ones are the fixed vocabulary; a catalogue may add others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[expect(missing_docs, reason = "each variant is its own word in the catalogue and in JSON")]
pub enum Category {
    Attention,
    Gemm,
    Moe,
    Norm,
    Rope,
    Activation,
    Quantize,
    Communication,
    Memory,
    Elementwise,
    Softmax,
    ReduceTopk,
    Sampling,
    LinearAttention,
    Convolution,
    Embedding,
    #[default]
    Unknown,
    /// A category that only a user's catalogue knows.
    Other(Arc<str>),
}

const NAMED: [(&str, Category); 17] = [
    ("attention", Category::Attention),
    ("gemm", Category::Gemm),
    ("moe", Category::Moe),
    ("norm", Category::Norm),
    ("rope", Category::Rope),
    ("activation", Category::Activation),
    ("quantize", Category::Quantize),
    ("communication", Category::Communication),
    ("memory", Category::Memory),
    ("elementwise", Category::Elementwise),
    ("softmax", Category::Softmax),
    ("reduce_topk", Category::ReduceTopk),
    ("sampling", Category::Sampling),
    ("linear_attention", Category::LinearAttention),
    ("convolution", Category::Convolution),
    ("embedding", Category::Embedding),
    ("unknown", Category::Unknown),
];

impl Category {
    /// The word used in the catalogue, in tables and in JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            named => NAMED.iter().find(|(_, c)| c == named).map_or("unknown", |(word, _)| word),
        }
    }

    /// The category of a word; a word outside the fixed vocabulary becomes [`Category::Other`].
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        NAMED.iter().find(|(w, _)| *w == word).map_or_else(|| Self::Other(word.into()), |(_, c)| c.clone())
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The only serving phase a kernel is built for, where its name proves one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Many query tokens per sequence.
    Prefill,
    /// One (or a few speculative) query tokens per sequence.
    Decode,
}

/// The collective a communication kernel performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the names of the collectives")]
pub enum Comm {
    AllReduce,
    AllGather,
    ReduceScatter,
    AllToAll,
    SendRecv,
    Broadcast,
}

/// An operation that a kernel performs besides its category (`residual`, `norm`, `quant`, ...).
pub type Tag = Arc<str>;

/// Which evidence decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The kernel's own name.
    Name,
    /// The CPU operation that launched it.
    CpuOp,
    /// Nothing matched.
    Nothing,
}

/// A classified kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What the kernel does.
    pub category: Category,
    /// Id of the catalogue rule that decided; `None` for an unknown name.
    pub rule: Option<Arc<str>>,
    /// Evidence behind the category.
    pub by: By,
    /// Operations inside the kernel, for the fusion patterns.
    pub fused: Arc<[Tag]>,
    /// Phase, where the name proves one.
    pub phase: Option<Phase>,
    /// Collective, for communication kernels.
    pub comm: Option<Comm>,
}

impl Classified {
    /// The answer for a name no rule knows.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            category: Category::Unknown,
            rule: None,
            by: By::Nothing,
            fused: Arc::from([]),
            phase: None,
            comm: None,
        }
    }

    /// Whether `tag` is among the fused operations.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.fused.iter().any(|t| &**t == tag)
    }
}
