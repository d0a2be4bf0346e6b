//! Parameters from a folder in the safetensors format, and back.

use std::path::Path;

use super::layout::{LayerWeights, Parts, Weights, layer_name};
use crate::config::ModelConfig;
use crate::error::LabError;
use crate::safetensors::{self, Folder, Tensor};

impl Weights {
    /// Reads a folder with `config.json` and `model.safetensors` (or several files and their index), with the names
    /// and shapes of a Llama, Qwen2 or Qwen3 model on Hugging Face; F32, F16 or BF16, computed in F32.
    ///
    /// # Errors
    /// When a file cannot be read, is malformed, or the model is of another kind.
    pub fn from_safetensors(dir: &Path) -> Result<Self, LabError> {
        let mut config = ModelConfig::from_dir(dir)?;
        let folder = Folder::open(dir)?;
        // Tied models leave the head out; some configurations do not say so.
        config.tie_word_embeddings |= !folder.contains("lm_head.weight");
        // Every tensor is held against its shape before memory is taken, so a configuration cannot ask for more than
        // the files have.
        Self::build(&config, &|name, shape| folder.read(name, shape))
    }

    /// Writes a folder that [`Weights::from_safetensors`] reads, and that other engines read too.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_safetensors(&self, dir: &Path) -> Result<(), LabError> {
        let io = |action, path: &Path, source| LabError::Io { action, path: path.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(|e| io("create", dir, e))?;
        let config = dir.join("config.json");
        std::fs::write(&config, self.config.to_json()).map_err(|e| io("write", &config, e))?;
        safetensors::write(&dir.join("model.safetensors"), &self.tensors())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (h, v) = (self.config.hidden_size, self.config.vocab_size);
        let parts = Parts::new(&self.config);
        let mut tensors = vec![
            Tensor {
                name: "model.embed_tokens.weight".into(),
                shape: vec![v, h],
                data: self.embedding.clone(),
            },
            Tensor { name: "model.norm.weight".into(), shape: vec![h], data: self.final_norm.clone() },
        ];
        if !self.config.tie_word_embeddings {
            let data = self.head.load(parts.vocab);
            tensors.push(Tensor { name: "lm_head.weight".into(), shape: vec![v, h], data });
        }
        for (layer, weights) in self.layers.iter().enumerate() {
            self.layer_tensors(&parts, layer, weights, &mut tensors);
        }
        tensors
    }

    fn layer_tensors(&self, parts: &Parts, layer: usize, w: &LayerWeights, tensors: &mut Vec<Tensor>) {
        let mut push = |part: &str, shape: &[usize], data: Vec<f32>| {
            tensors.push(Tensor { name: layer_name(layer, part), shape: shape.to_vec(), data });
        };
        let c = &self.config;
        let (h, i, q, kv) = (c.hidden_size, c.intermediate_size, c.q_size(), c.kv_size());
        push("self_attn.q_proj.weight", &[q, h], w.qkv.load(parts.q));
        push("self_attn.k_proj.weight", &[kv, h], w.qkv.load(parts.k));
        push("self_attn.v_proj.weight", &[kv, h], w.qkv.load(parts.v));
        push("self_attn.o_proj.weight", &[h, q], w.out.load(parts.hidden));
        push("mlp.gate_proj.weight", &[i, h], w.gate_up.load(parts.gate));
        push("mlp.up_proj.weight", &[i, h], w.gate_up.load(parts.up));
        push("mlp.down_proj.weight", &[h, i], w.down.load(parts.hidden));
        push("input_layernorm.weight", &[h], w.input_norm.clone());
        push("post_attention_layernorm.weight", &[h], w.post_norm.clone());
        if let Some(bias) = &w.qkv_bias {
            push("self_attn.q_proj.bias", &[q], bias[..q].to_vec());
            push("self_attn.k_proj.bias", &[kv], bias[q..q + kv].to_vec());
            push("self_attn.v_proj.bias", &[kv], bias[q + kv..].to_vec());
        }
        for (name, norm) in [("q_norm", &w.q_norm), ("k_norm", &w.k_norm)] {
            if let Some(norm) = norm {
                push(&format!("self_attn.{name}.weight"), &[c.head_dim], norm.clone());
            }
        }
    }
}
