//! Which tensors a model has, by their names on Hugging Face, and how they are packed.

use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::error::LabError;
use crate::ops::packed::{Packed, Panels};

/// The parameters of a model, with its shape.
#[derive(Debug)]
pub struct Weights {
    pub(crate) config: ModelConfig,
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) final_norm: Vec<f32>,
    pub(crate) head: Packed,
}

/// The parameters of a layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    pub(crate) input_norm: Vec<f32>,
    pub(crate) qkv: Packed,
    pub(crate) qkv_bias: Option<Vec<f32>>,
    pub(crate) q_norm: Option<Vec<f32>>,
    pub(crate) k_norm: Option<Vec<f32>>,
    pub(crate) out: Packed,
    pub(crate) post_norm: Vec<f32>,
    pub(crate) gate_up: Packed,
    pub(crate) down: Packed,
}

/// Where projections lie in the matrices that they share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) q: Panels,
    pub(crate) k: Panels,
    pub(crate) v: Panels,
    pub(crate) qkv: Panels,
    pub(crate) gate: Panels,
    pub(crate) up: Panels,
    pub(crate) hidden: Panels,
    pub(crate) vocab: Panels,
}

impl Parts {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let panels = |first, step, outputs| Panels { first, step, outputs };
        let (q, kv) = (config.q_size(), config.kv_size());
        let (qp, kvp) = (panels(0, 1, q).count(), panels(0, 1, kv).count());
        Self {
            q: panels(0, 1, q),
            k: panels(qp, 1, kv),
            v: panels(qp + kvp, 1, kv),
            // Heads are multiples of 16 wide, so that the three follow each other without a gap.
            qkv: panels(0, 1, q + 2 * kv),
            gate: panels(0, 2, config.intermediate_size),
            up: panels(1, 2, config.intermediate_size),
            hidden: panels(0, 1, config.hidden_size),
            vocab: panels(0, 1, config.vocab_size),
        }
    }
}

/// Where tensors come from: a name and the shape it has to have.
pub(super) type Source<'a> = dyn Fn(&str, &[usize]) -> Result<Vec<f32>, LabError> + Sync + 'a;

/// The name of a tensor of a layer.
pub(super) fn layer_name(layer: usize, part: &str) -> String {
    format!("model.layers.{layer}.{part}")
}

impl Weights {
    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Bytes of the parameters in memory (32-bit floats, padded to whole panels; a tied head is stored twice).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let vectors = self.embedding.len() + self.final_norm.len();
        let layers: usize = self.layers.iter().map(LayerWeights::bytes).sum();
        vectors * size_of::<f32>() + self.head.bytes() + layers
    }

    /// Bytes of the parameters that a decode step reads: all but the embedding table, of which it reads a row a token.
    #[must_use]
    pub fn bytes_per_step(&self) -> usize {
        self.bytes() - self.embedding.len() * size_of::<f32>()
    }

    pub(super) fn build(config: &ModelConfig, source: &Source<'_>) -> Result<Self, LabError> {
        let (h, v) = (config.hidden_size, config.vocab_size);
        let parts = Parts::new(config);
        let layers: Result<Vec<_>, _> = (0..config.num_layers)
            .into_par_iter()
            .map(|layer| LayerWeights::build(config, &parts, layer, source))
            .collect();
        let embedding = source("model.embed_tokens.weight", &[v, h])?;
        let mut head = Packed::zeros(parts.vocab.count(), h);
        if config.tie_word_embeddings {
            head.store(parts.vocab, &embedding);
        } else {
            head.store(parts.vocab, &source("lm_head.weight", &[v, h])?);
        }
        let final_norm = source("model.norm.weight", &[h])?;
        Ok(Self { config: config.clone(), embedding, layers: layers?, final_norm, head })
    }
}

impl LayerWeights {
    fn bytes(&self) -> usize {
        let matrices = [&self.qkv, &self.out, &self.gate_up, &self.down].map(Packed::bytes);
        let optional = [&self.qkv_bias, &self.q_norm, &self.k_norm].map(|v| v.as_ref().map_or(0, Vec::len));
        let vectors = self.input_norm.len() + self.post_norm.len() + optional.iter().sum::<usize>();
        matrices.iter().sum::<usize>() + vectors * size_of::<f32>()
    }

    fn build(
        config: &ModelConfig,
        parts: &Parts,
        layer: usize,
        source: &Source<'_>,
    ) -> Result<Self, LabError> {
        let (h, i, q, kv) = (config.hidden_size, config.intermediate_size, config.q_size(), config.kv_size());
        let tensor = |part: &str, shape: &[usize]| source(&layer_name(layer, part), shape);
        let mut qkv = Packed::zeros(parts.qkv.count(), h);
        qkv.store(parts.q, &tensor("self_attn.q_proj.weight", &[q, h])?);
        qkv.store(parts.k, &tensor("self_attn.k_proj.weight", &[kv, h])?);
        qkv.store(parts.v, &tensor("self_attn.v_proj.weight", &[kv, h])?);
        let qkv_bias = if config.qkv_bias {
            let mut bias = tensor("self_attn.q_proj.bias", &[q])?;
            bias.extend(tensor("self_attn.k_proj.bias", &[kv])?);
            bias.extend(tensor("self_attn.v_proj.bias", &[kv])?);
            Some(bias)
        } else {
            None
        };
        let head_norm = |part: &str| -> Result<Option<Vec<f32>>, LabError> {
            if config.qk_norm { tensor(part, &[config.head_dim]).map(Some) } else { Ok(None) }
        };
        let mut out = Packed::zeros(parts.hidden.count(), q);
        out.store(parts.hidden, &tensor("self_attn.o_proj.weight", &[h, q])?);
        let mut gate_up = Packed::zeros(2 * parts.gate.count(), h);
        gate_up.store(parts.gate, &tensor("mlp.gate_proj.weight", &[i, h])?);
        gate_up.store(parts.up, &tensor("mlp.up_proj.weight", &[i, h])?);
        let mut down = Packed::zeros(parts.hidden.count(), i);
        down.store(parts.hidden, &tensor("mlp.down_proj.weight", &[h, i])?);
        Ok(Self {
            input_norm: tensor("input_layernorm.weight", &[h])?,
            qkv,
            qkv_bias,
            q_norm: head_norm("self_attn.q_norm.weight")?,
            k_norm: head_norm("self_attn.k_norm.weight")?,
            out,
            post_norm: tensor("post_attention_layernorm.weight", &[h])?,
            gate_up,
            down,
        })
    }
}
