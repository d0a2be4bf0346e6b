//! What a model is made of, as its config says it: plain data, no arithmetic.

use schemars::JsonSchema;
use serde::Serialize;

use crate::quant::Quantization;

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Architecture {
    /// `model_type` of the text model, where the config has one.
    pub model_type: Option<String>,
    /// `architectures` of the config.
    pub architectures: Vec<String>,
    /// Entries of `catalog/families` that decided what a field means.
    pub families: Vec<String>,
    /// Rows of the embedding and of the output head.
    pub vocab: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Largest context in tokens, where the config states one.
    pub max_context: Option<u64>,
    /// The output head is the embedding.
    pub tied: bool,
    /// The output head has a bias.
    pub head_bias: bool,
    /// Element type of what is not quantised.
    pub dtype: Dtype,
    /// How weights are stored.
    #[serde(skip)]
    pub quantization: Quantization,
    /// Layers of the main model, in order.
    #[serde(skip)]
    pub layers: Vec<Layer>,
    /// Draft (multi-token prediction) layers.
    #[serde(skip)]
    pub mtp: Vec<Layer>,
    /// What is beside the text model and not modelled: vision tower, audio tower.
    pub towers: Vec<Tower>,
    /// What was assumed or could not be modelled.
    pub notes: Vec<String>,
    /// Fields that look like dimensions and were not understood.
    pub unread: Vec<String>,
}

/// Element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit float.
    Fp32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    Fp16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Fp32 => 4,
            Self::Bf16 | Self::Fp16 => 2,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}

/// A part that is stated but not modelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tower {
    /// `vision` or `audio`.
    pub kind: String,
    /// Its layers, where stated.
    pub layers: Option<u64>,
    /// Its width, where stated.
    pub hidden: Option<u64>,
}

/// One layer. Most have one mixer and one feed-forward part; Falcon-H1 has two mixers side by side, LongCat two
/// attentions, Nemotron-H one part only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Layer {
    /// What mixes tokens, in order.
    pub mixers: Vec<Mixer>,
    /// What works on each token, in order.
    pub ffns: Vec<Ffn>,
    /// Norms over the hidden width.
    pub norms: u64,
    /// The norms have a bias (LayerNorm).
    pub norm_bias: bool,
}

/// A part of a layer that mixes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mixer {
    /// Softmax attention.
    Attention(Attention),
    /// A recurrence with a state of constant size.
    Linear(Linear),
}

/// Softmax attention.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Form of keys and values.
    pub kv: KeyValue,
    /// Which keys a query sees.
    pub span: Span,
    /// Rank of the query's low-rank projection.
    pub q_lora: Option<u64>,
    /// Low-rank output projection.
    pub out_lora: Option<OutLora>,
    /// Dimensions of a head that are rotated.
    pub rope_dim: u64,
    /// Biases on the projections to queries, keys and values.
    pub qkv_bias: bool,
    /// Bias on the output projection.
    pub out_bias: bool,
    /// Norm of queries and keys.
    pub qk_norm: QkNorm,
    /// Gate on the attention's output.
    pub gate: Gate,
    /// A learned sink per head.
    pub sinks: bool,
    /// Uses the keys and values of an earlier layer and stores none.
    pub borrowed_kv: bool,
}

/// Form of keys and values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum KeyValue {
    /// Keys and values per head: MHA, GQA or MQA by the number of heads.
    Heads {
        /// Key and value heads.
        heads: u64,
        /// Dimension of a query and key head.
        qk_dim: u64,
        /// Dimension of a value head.
        v_dim: u64,
        /// One projection gives keys and values.
        shared: bool,
        /// The cache holds keys and values as one entry.
        stored_once: bool,
    },
    /// One low-rank latent for all heads: MLA.
    Latent {
        /// Rank of the latent.
        rank: u64,
        /// Rotated dimensions, stored beside the latent.
        rope: u64,
        /// Dimensions of a query and key head that are not rotated.
        nope: u64,
        /// Dimension of a value head.
        v_dim: u64,
    },
}

/// Which keys a query sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "span", rename_all = "snake_case")]
pub enum Span {
    /// All before it.
    Full,
    /// The last `window` tokens, its own included.
    Sliding {
        /// Tokens.
        window: u64,
    },
    /// Those before it in its chunk of `chunk` tokens.
    Chunked {
        /// Tokens.
        chunk: u64,
    },
    /// The `topk` tokens an indexer chooses.
    Sparse(Sparse),
    /// A window, and beyond it one entry for every `ratio` tokens (DeepSeek-V4).
    Compressed {
        /// Tokens per entry.
        ratio: u64,
        /// Tokens of the window.
        window: u64,
    },
}

/// Attention to tokens that an indexer chooses (DSA and block-sparse kin).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Sparse {
    /// Tokens attended to.
    pub topk: u64,
    /// Heads of the indexer.
    pub index_heads: u64,
    /// Dimension of its heads.
    pub index_dim: u64,
    /// This layer computes the choice; otherwise it takes that of an earlier layer.
    pub own_indexer: bool,
}

/// Low-rank output projection in groups of heads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct OutLora {
    /// Groups.
    pub groups: u64,
    /// Rank of each group.
    pub rank: u64,
}

/// Norm of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QkNorm {
    /// None, or one without weights.
    None,
    /// One weight per dimension of a head.
    Head,
    /// One weight per dimension of all heads.
    Layer,
}

/// Gate on an attention's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// None.
    None,
    /// The query projection is twice as wide: query and gate (Qwen3-Next, Qwen3.5).
    InQuery,
    /// A projection of its own, as wide as the attention's output (Kimi-K3).
    Own,
}

/// A recurrence with a state of constant size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Linear {
    /// Which recurrence.
    #[serde(flatten)]
    pub rule: Rule,
    /// Width of its short convolution.
    pub conv: u64,
    /// The convolution has a bias.
    pub conv_bias: bool,
    /// The projections have biases.
    pub proj_bias: bool,
    /// Bytes of an element of the recurrent state.
    pub state_bytes: u64,
}

/// Which recurrence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// Gated delta net.
    Gdn {
        /// Query and key heads.
        key_heads: u64,
        /// Value heads.
        value_heads: u64,
        /// Dimension of a key head.
        key_dim: u64,
        /// Dimension of a value head.
        value_dim: u64,
    },
    /// Kimi delta attention: a gated delta net with a decay per dimension.
    Kda {
        /// Heads.
        heads: u64,
        /// Dimension of a head.
        dim: u64,
        /// The output gate is a full matrix, not a low-rank one.
        full_gate: bool,
    },
    /// Linear attention with a fixed decay per head (MiniMax-01).
    Lightning {
        /// Heads.
        heads: u64,
        /// Dimension of a head.
        dim: u64,
    },
    /// Mamba.
    Mamba {
        /// Inner width.
        inner: u64,
        /// State per channel.
        state: u64,
        /// Rank of the step projection.
        dt_rank: u64,
    },
    /// Mamba2.
    Mamba2 {
        /// Heads.
        heads: u64,
        /// Dimension of a head.
        dim: u64,
        /// State per channel.
        state: u64,
        /// Groups that share B and C.
        groups: u64,
    },
    /// Gated short convolution (LFM2).
    ShortConv {
        /// Channels.
        dim: u64,
    },
}

/// A part of a layer that works on each token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ffn {
    /// One feed-forward network.
    Dense {
        /// Inner width.
        intermediate: u64,
        /// Three matrices (gate, up, down) instead of two.
        gated: bool,
        /// Biases.
        bias: bool,
    },
    /// Experts.
    Moe(Moe),
}

/// Experts behind a router.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Moe {
    /// Routed experts.
    pub experts: u64,
    /// Experts without weights that the router may choose (LongCat).
    pub zero_experts: u64,
    /// Experts per token.
    pub top_k: u64,
    /// Inner width of an expert.
    pub intermediate: u64,
    /// Three matrices instead of two.
    pub gated: bool,
    /// Width the tokens are projected to before the experts.
    pub latent: Option<u64>,
    /// Inner width of all shared experts together; 0 without them.
    pub shared: u64,
    /// The shared expert has a gate of its own.
    pub shared_gate: bool,
    /// The experts have biases.
    pub expert_bias: bool,
    /// The router has a bias or a correction per expert.
    pub router_bias: bool,
}

impl Architecture {
    /// What to say of a request of that many tokens where the config allows fewer.
    pub(crate) fn beyond(&self, tokens: u64) -> Option<String> {
        let most = self.max_context.filter(|most| *most > 0 && tokens > *most)?;
        Some(format!("{tokens} tokens are more than the {most} that the config allows"))
    }
}

impl Attention {
    /// `MHA`, `GQA`, `MQA`, `MLA`, with `DSA` for sparse attention.
    pub fn name(&self) -> String {
        let form = match &self.kv {
            KeyValue::Latent { .. } => "MLA",
            KeyValue::Heads { heads, .. } if *heads == self.heads => "MHA",
            KeyValue::Heads { heads: 1, .. } => "MQA",
            KeyValue::Heads { .. } => "GQA",
        };
        match &self.span {
            Span::Full => form.to_owned(),
            Span::Sliding { window } => format!("{form} window {window}"),
            Span::Chunked { chunk } => format!("{form} chunk {chunk}"),
            Span::Sparse(sparse) => format!("{form} sparse {}", sparse.topk),
            Span::Compressed { ratio, .. } => format!("{form} compressed {ratio}"),
        }
    }

    /// Dimension of a query head.
    pub fn qk_dim(&self) -> u64 {
        match self.kv {
            KeyValue::Heads { qk_dim, .. } => qk_dim,
            KeyValue::Latent { nope, rope, .. } => nope.saturating_add(rope),
        }
    }

    /// Dimension of a value head.
    pub fn v_dim(&self) -> u64 {
        match self.kv {
            KeyValue::Heads { v_dim, .. } | KeyValue::Latent { v_dim, .. } => v_dim,
        }
    }
}

impl Linear {
    /// The usual short name.
    pub fn name(&self) -> &'static str {
        match self.rule {
            Rule::Gdn { .. } => "GDN",
            Rule::Kda { .. } => "KDA",
            Rule::Lightning { .. } => "lightning",
            Rule::Mamba { .. } => "Mamba",
            Rule::Mamba2 { .. } => "Mamba2",
            Rule::ShortConv { .. } => "short conv",
        }
    }
}

impl Layer {
    /// A short description: `GQA + MoE 128x8`.
    pub fn name(&self) -> String {
        let mixers = self.mixers.iter().map(|mixer| match mixer {
            Mixer::Attention(attention) => attention.name(),
            Mixer::Linear(linear) => linear.name().to_owned(),
        });
        let ffns = self.ffns.iter().map(|ffn| match ffn {
            Ffn::Dense { .. } => "MLP".to_owned(),
            Ffn::Moe(moe) if moe.shared > 0 => format!("MoE {}x{} + shared", moe.experts, moe.top_k),
            Ffn::Moe(moe) => format!("MoE {}x{}", moe.experts, moe.top_k),
        });
        let parts: Vec<String> = mixers.chain(ffns).collect();
        if parts.is_empty() { "no-op".to_owned() } else { parts.join(" + ") }
    }
}
