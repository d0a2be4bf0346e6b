//! The shape of a model: presets, and `config.json` in the naming of Hugging Face Llama and Qwen models.

use std::path::Path;

use serde_json::Value;

use crate::error::LabError;
use crate::tokenizer::BYTE_VOCAB;

/// Largest `config.json` that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Longest context that is served, in tokens; longer ones of a `config.json` are cut to it.
const MAX_CONTEXT: usize = 32_768;

/// The shape of a dense decoder-only transformer (grouped-query attention, rotary positions, RMSNorm, SwiGLU).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Name the model is served under.
    pub name: String,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Number of query heads.
    pub num_heads: usize,
    /// Number of key/value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head; a multiple of 16.
    pub head_dim: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f32,
    /// Longest context in tokens.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Whether queries and keys are normalised per head before the rotation (Qwen3).
    pub qk_norm: bool,
    /// Whether the query, key and value projections have a bias (Qwen2).
    pub qkv_bias: bool,
}

impl ModelConfig {
    /// About 0.9 M parameters: starts at once, for tests.
    #[must_use]
    pub fn tiny() -> Self {
        Self {
            name: "lab-tiny".into(),
            vocab_size: BYTE_VOCAB,
            hidden_size: 128,
            intermediate_size: 384,
            num_layers: 4,
            num_heads: 8,
            num_kv_heads: 2,
            head_dim: 16,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 4096,
            tie_word_embeddings: false,
            qk_norm: false,
            qkv_bias: false,
        }
    }

    /// About 66 M parameters with eight query heads to a key/value head: weights and long contexts are far larger than
    /// the caches of a processor, so its speed is that of memory, as on a GPU.
    #[must_use]
    pub fn small() -> Self {
        Self {
            name: "lab-small".into(),
            vocab_size: BYTE_VOCAB,
            hidden_size: 768,
            intermediate_size: 2048,
            num_layers: 10,
            num_heads: 16,
            num_kv_heads: 2,
            head_dim: 64,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 8192,
            tie_word_embeddings: false,
            qk_norm: false,
            qkv_bias: false,
        }
    }

    /// The preset of that name (`tiny`, `small`).
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "tiny" => Some(Self::tiny()),
            "small" => Some(Self::small()),
            _ => None,
        }
    }

    /// Width of all query heads together.
    #[must_use]
    pub fn q_size(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    #[must_use]
    pub fn kv_size(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Query heads to a key/value head.
    #[must_use]
    pub fn group(&self) -> usize {
        self.num_heads / self.num_kv_heads
    }

    /// Number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        let (h, q, kv) = (self.hidden_size, self.q_size(), self.kv_size());
        let bias = if self.qkv_bias { q + 2 * kv } else { 0 };
        let qk_norm = if self.qk_norm { 2 * self.head_dim } else { 0 };
        let layer = h * (2 * q + 2 * kv) + 3 * h * self.intermediate_size + 2 * h + bias + qk_norm;
        let heads = if self.tie_word_embeddings { 1 } else { 2 };
        heads * self.vocab_size * h + self.num_layers * layer + h
    }

    /// Reads `config.json` of a model folder.
    ///
    /// # Errors
    /// When it cannot be read, is not a sane configuration, or names a kind of model that is not run here.
    pub fn from_dir(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join("config.json");
        let bytes = crate::safetensors::read_bounded(&path, MAX_CONFIG_BYTES)?;
        Self::from_json(&bytes, &path)
    }

    /// Reads the bytes of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`ModelConfig::from_dir`].
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self, LabError> {
        let fields = Fields { value: parse(bytes, path)?, path };
        let kind = fields.text("model_type").unwrap_or("llama").to_owned();
        if !matches!(kind.as_str(), "llama" | "qwen2" | "qwen3") {
            return Err(fields.unsupported(format!("model_type {kind:?}"), "llama, qwen2 or qwen3"));
        }
        fields.refuse_variants(&kind)?;
        let num_heads = fields.size("num_attention_heads", 1024)?;
        let hidden_size = fields.size("hidden_size", 65_536)?;
        let config = Self {
            name: fields.text("_name_or_path").filter(|n| !n.is_empty()).unwrap_or("lab-weights").to_owned(),
            vocab_size: fields.size("vocab_size", 1 << 20)?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size", 1 << 18)?,
            num_layers: fields.size("num_hidden_layers", 512)?,
            num_heads,
            num_kv_heads: fields.size_or("num_key_value_heads", num_heads, 1024)?,
            head_dim: fields.size_or("head_dim", hidden_size / num_heads, 1024)?,
            rope_theta: fields.number_or("rope_theta", 10_000.0)?,
            rms_norm_eps: fields.number_or("rms_norm_eps", 1e-6)? as f32,
            max_position_embeddings: fields
                .size_or("max_position_embeddings", 2048, 1 << 24)?
                .min(MAX_CONTEXT),
            tie_word_embeddings: fields.flag("tie_word_embeddings"),
            qk_norm: kind == "qwen3",
            qkv_bias: kind == "qwen2",
        };
        config.check(path)?;
        Ok(config)
    }

    /// The `config.json` that [`ModelConfig::from_json`] reads back as this configuration.
    #[must_use]
    pub fn to_json(&self) -> String {
        let kind = match (self.qk_norm, self.qkv_bias) {
            (true, _) => "qwen3",
            (false, true) => "qwen2",
            (false, false) => "llama",
        };
        let value = serde_json::json!({
            "_name_or_path": self.name,
            "model_type": kind,
            "hidden_act": "silu",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_dim,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": f64::from(self.rms_norm_eps),
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": "float32",
        });
        format!("{value:#}\n")
    }

    /// Holds the fields against each other.
    pub(crate) fn check(&self, path: &Path) -> Result<(), LabError> {
        let malformed = |place: &str, cause: String| {
            Err(LabError::Malformed { path: path.to_owned(), place: place.to_owned(), cause })
        };
        if self.num_kv_heads == 0 || !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return malformed("num_key_value_heads", "does not divide num_attention_heads".into());
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(16) {
            return Err(LabError::Unsupported {
                path: path.to_owned(),
                what: format!("head_dim {}", self.head_dim),
                hint: "a multiple of 16".into(),
            });
        }
        if !(self.rope_theta.is_finite() && self.rope_theta >= 1.0) {
            return malformed("rope_theta", format!("{} is not a frequency base", self.rope_theta));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return malformed("rms_norm_eps", format!("{} is not between 0 and 1", self.rms_norm_eps));
        }
        if self.vocab_size < BYTE_VOCAB {
            return malformed(
                "vocab_size",
                format!(
                    "{} is less than the {BYTE_VOCAB} tokens of the byte-level tokenizer",
                    self.vocab_size
                ),
            );
        }
        Ok(())
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<Value, LabError> {
    let malformed =
        |cause: String| LabError::Malformed { path: path.to_owned(), place: "JSON".into(), cause };
    let value: Value = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(malformed("not an object".into())) }
}

/// Fields of a `config.json`, with messages that name them.
struct Fields<'a> {
    value: Value,
    path: &'a Path,
}

impl Fields<'_> {
    fn malformed(&self, key: &str, cause: impl Into<String>) -> LabError {
        LabError::Malformed { path: self.path.to_owned(), place: key.to_owned(), cause: cause.into() }
    }

    fn unsupported(&self, what: String, hint: &str) -> LabError {
        LabError::Unsupported { path: self.path.to_owned(), what, hint: hint.to_owned() }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn size(&self, key: &str, max: usize) -> Result<usize, LabError> {
        let value = self.get(key).ok_or_else(|| self.malformed(key, "is missing"))?;
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        match size {
            Some(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(self.malformed(key, format!("is not a whole number from 1 to {max}"))),
        }
    }

    fn size_or(&self, key: &str, default: usize, max: usize) -> Result<usize, LabError> {
        if self.get(key).is_some() { self.size(key, max) } else { Ok(default) }
    }

    fn number_or(&self, key: &str, default: f64) -> Result<f64, LabError> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| self.malformed(key, "is not a number")),
        }
    }

    /// Variants of these families that compute something else are refused, not run wrongly.
    fn refuse_variants(&self, kind: &str) -> Result<(), LabError> {
        if let Some(act) = self.text("hidden_act")
            && act != "silu"
        {
            return Err(self.unsupported(format!("hidden_act {act:?}"), "silu"));
        }
        let scaling = self.get("rope_scaling").and_then(|s| s.get("rope_type").or_else(|| s.get("type")));
        if scaling.is_some_and(|t| t.as_str() != Some("default")) {
            return Err(self.unsupported("rope_scaling".into(), "plain rotary positions"));
        }
        if self.flag("use_sliding_window") {
            return Err(self.unsupported("sliding-window attention".into(), "full attention"));
        }
        if kind != "qwen2" && self.flag("attention_bias") {
            return Err(self.unsupported("attention_bias".into(), "no bias, or that of qwen2"));
        }
        if self.flag("mlp_bias") {
            return Err(self.unsupported("mlp_bias".into(), "no bias"));
        }
        Ok(())
    }
}
