//! What a model's configuration says of its layers, in the units that a trace shows.
//!
//! A trace shows blocks: one attention or recurrence and what follows it. Most configurations count layers the same
//! way; Nemotron-H counts a mixer and a feed-forward part as two layers, LongCat two attentions as one.

use perfwright_model::arch::{Architecture, Attention, Ffn, KeyValue, Layer, Mixer, Span};

/// The layers that a configuration describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelLayers {
    /// Blocks of the main model in order: what a trace shows as layers.
    pub blocks: Vec<Block>,
    /// Layers as the configuration counts them.
    pub stated: u32,
    /// Draft (multi-token prediction) layers.
    pub drafts: u32,
}

/// One block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// What it is, e.g. `sliding attention + MoE`; empty where only the count is known.
    pub name: String,
    /// It has attention.
    pub attention: bool,
    /// It has a recurrence: linear attention, state space, short convolution.
    pub recurrence: bool,
    /// It has experts.
    pub experts: bool,
}

impl ModelLayers {
    /// The layers of a model.
    pub fn of(model: &Architecture) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        for layer in &model.layers {
            if layer.mixers.is_empty() {
                // A feed-forward part alone belongs to the block before it.
                if let Some(block) = blocks.last_mut() {
                    block.feed(&layer.ffns);
                }
                continue;
            }
            let attentions = layer.mixers.iter().filter(|m| matches!(m, Mixer::Attention(_))).count();
            for nth in 0..attentions.max(1) {
                blocks.push(Block::of(layer, nth));
            }
            if let Some(block) = blocks.last_mut() {
                block.feed(&layer.ffns);
            }
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { blocks, stated: count(model.layers.len()), drafts: count(model.mtp.len()) }
    }

    /// Only a number of layers, of which nothing else is known.
    pub fn plain(layers: u32) -> Self {
        Self { blocks: vec![Block::default(); layers as usize], stated: layers, drafts: 0 }
    }

    /// Layers that a trace of the model shows in a pass.
    pub fn count(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// The count in words, with what else there is.
    pub(super) fn describe(&self) -> String {
        let mut text = match (self.count(), self.stated) {
            (blocks, stated) if blocks == stated => format!("{stated} layers"),
            (blocks, stated) => {
                format!("{stated} layers that make {blocks} blocks of attention or recurrence")
            }
        };
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for block in self.blocks.iter().filter(|b| !b.name.is_empty()) {
            match kinds.iter_mut().find(|k| k.0 == block.name) {
                Some(kind) => kind.1 += 1,
                None => kinds.push((&block.name, 1)),
            }
        }
        if !kinds.is_empty() {
            let list: Vec<String> = kinds.iter().map(|(name, n)| format!("{n} {name}")).collect();
            text.push_str(&format!(" ({})", list.join(", ")));
        }
        if self.drafts > 0 {
            text.push_str(&format!(" and {} draft (MTP)", self.drafts));
        }
        text
    }
}

impl Block {
    /// The block of attention `nth` of a layer, or of its recurrence, without its feed-forward part.
    fn of(layer: &Layer, nth: usize) -> Self {
        let mut block = Self::default();
        let mut attentions = 0;
        for mixer in &layer.mixers {
            match mixer {
                Mixer::Attention(a) => {
                    if attentions == nth {
                        block.attention = true;
                        block.say(&attention(a));
                    }
                    attentions += 1;
                }
                Mixer::Linear(l) if nth == 0 => {
                    block.recurrence = true;
                    block.say(l.name());
                }
                Mixer::Linear(_) => {}
            }
        }
        block
    }

    fn feed(&mut self, ffns: &[Ffn]) {
        let experts = ffns.iter().any(|f| matches!(f, Ffn::Moe(_)));
        self.experts |= experts;
        if experts {
            self.say("MoE");
        } else if !ffns.is_empty() {
            self.say("MLP");
        }
    }

    fn say(&mut self, part: &str) {
        if !self.name.is_empty() {
            self.name.push_str(" + ");
        }
        self.name.push_str(part);
    }

    /// What kernels that were seen (`structure`) contradict in it. Kernels that were not seen contradict nothing:
    /// they may be there under a name that no catalogue entry knows.
    pub(super) fn contradicted_by(&self, structure: &str) -> Option<&'static str> {
        let seen = |part: &str| structure.split('+').any(|s| s == part);
        if self.name.is_empty() {
            None
        } else if seen("moe") && !self.experts {
            Some("its kernels show experts")
        } else if seen("linear_attention") && !self.recurrence {
            Some("its kernels show linear attention or a recurrence")
        } else if seen("attention") && !self.attention {
            Some("its kernels show attention")
        } else {
            None
        }
    }
}

fn attention(a: &Attention) -> String {
    let reach = match a.span {
        Span::Full => "full",
        Span::Sliding { .. } => "sliding",
        Span::Chunked { .. } => "chunked",
        Span::Sparse(_) => "sparse",
        Span::Compressed { .. } => "compressed",
    };
    match a.kv {
        KeyValue::Latent { .. } => format!("{reach} MLA"),
        KeyValue::Heads { .. } => format!("{reach} attention"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use perfwright_model::config::from_value;
    use serde_json::{Value, json};

    use super::*;

    fn of(extra: &Value) -> ModelLayers {
        let mut config = json!({
            "hidden_size": 256, "vocab_size": 1000, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 512, "hidden_act": "silu", "model_type": "some_model",
        });
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        ModelLayers::of(&from_value(Path::new("config.json"), &config, None).unwrap())
    }

    #[test]
    fn kinds_follow_the_pattern_of_the_config() {
        let layers = of(&json!({
            "num_hidden_layers": 4, "sliding_window": 128, "num_local_experts": 8, "num_experts_per_tok": 2,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        }));
        let names: Vec<&str> = layers.blocks.iter().map(|b| b.name.as_str()).collect();
        let (sliding, full) = ("sliding attention + MoE", "full attention + MoE");
        assert_eq!(names, [sliding, full, sliding, full]);
        assert_eq!((layers.count(), layers.drafts), (4, 0));
        assert_eq!(layers.describe(), "4 layers (2 sliding attention + MoE, 2 full attention + MoE)");
    }

    #[test]
    fn a_part_alone_joins_the_block_before_it() {
        let layers = of(&json!({
            "hybrid_override_pattern": "M-M-*-E", "num_hidden_layers": 7, "mamba_num_heads": 8,
            "mamba_head_dim": 32, "ssm_state_size": 16, "n_groups": 2, "conv_kernel": 4, "n_routed_experts": 8,
            "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 64,
        }));
        let names: Vec<&str> = layers.blocks.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["Mamba2 + MLP", "Mamba2 + MLP", "full attention + MLP + MoE"]);
        assert_eq!((layers.count(), layers.stated), (3, 7));
    }

    #[test]
    fn only_what_was_seen_contradicts() {
        let block = Block { name: "full attention + MLP".into(), attention: true, ..Block::default() };
        assert_eq!(block.contradicted_by("attention+mlp"), None);
        assert_eq!(block.contradicted_by("unknown"), None);
        assert!(block.contradicted_by("attention+moe").is_some());
        assert!(block.contradicted_by("linear_attention+mlp").is_some());
        let gdn = Block { name: "GDN + MoE".into(), recurrence: true, experts: true, ..Block::default() };
        assert_eq!(gdn.contradicted_by("linear_attention+mlp"), None);
        assert!(gdn.contradicted_by("attention+moe").is_some());
        assert_eq!(Block::default().contradicted_by("attention+moe"), None);
    }
}
