//! `model show`: what the config describes, in words and as a Mermaid flowchart.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::{
    Architecture, Attention, Ffn, Gate, KeyValue, Layer, Linear, Mixer, Moe, Rule, Span, Tower,
};
use crate::format::KvDtype;
use crate::kv;
use crate::params::{self, Params};
use crate::weights;

/// Schema name of [`Show`].
pub const SCHEMA: &str = "perfwright.model-show/v1";

/// A model in a few lines.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// `model_type`, where stated.
    pub model_type: Option<String>,
    /// `architectures`.
    pub architectures: Vec<String>,
    /// Layers of the main model.
    pub layers: u64,
    /// Draft layers.
    pub mtp_layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Rows of the embedding.
    pub vocab: u64,
    /// Name of the unquantised element type.
    pub dtype: String,
    /// How the checkpoint is quantised, where it is.
    pub quantization: Option<String>,
    /// Kinds of layers with their number, in the order in which they first occur.
    pub kinds: Vec<Kind>,
}

/// One kind of layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kind {
    /// `GQA + MLP`, `GDN + MoE 512x10 + shared`.
    pub name: String,
    /// How many layers are of the kind.
    pub layers: u64,
    /// The first of them.
    pub first: u64,
}

/// The answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Show {
    /// `perfwright.model-show/v1`.
    pub schema: &'static str,
    /// In a few lines.
    pub model: Summary,
    /// Parameters.
    pub params: Params,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Largest context, where stated.
    pub max_context: Option<u64>,
    /// Kinds of layers in full.
    pub kinds: Vec<KindDetail>,
    /// The kind of every layer, as indices into `kinds`.
    pub layer_kinds: Vec<u32>,
    /// Catalogue entries that decided what fields mean.
    pub families: Vec<String>,
    /// Parts that are stated and not modelled.
    pub towers: Vec<Tower>,
    /// The flowchart in Mermaid.
    pub mermaid: String,
    /// What was assumed or could not be modelled.
    pub notes: Vec<String>,
    /// Fields that look like dimensions and were not understood.
    pub unread: Vec<String>,
}

/// One kind of layer in full.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KindDetail {
    /// Its name.
    pub name: String,
    /// How many layers are of the kind.
    pub layers: u64,
    /// Its parts.
    pub layer: Layer,
    /// Parameters of one layer.
    pub params: u128,
    /// Of these, those one token uses.
    pub active: u128,
    /// Bytes per token in a bf16 cache, of one layer.
    pub kv_bytes_per_token: u64,
    /// Bytes of states per request, of one layer.
    pub state_bytes_per_request: u64,
    /// Formats of its matrices, `name: format`.
    pub formats: Vec<String>,
}

/// The few lines.
pub fn summary(model: &Architecture) -> Summary {
    let mut kinds: Vec<Kind> = Vec::new();
    for (index, layer) in model.layers.iter().enumerate() {
        let name = layer.name();
        match kinds.iter_mut().find(|kind| kind.name == name) {
            Some(kind) => kind.layers += 1,
            None => kinds.push(Kind { name, layers: 1, first: index as u64 }),
        }
    }
    Summary {
        model_type: model.model_type.clone(),
        architectures: model.architectures.clone(),
        layers: model.layers.len() as u64,
        mtp_layers: model.mtp.len() as u64,
        hidden: model.hidden,
        vocab: model.vocab,
        dtype: model.dtype.name().to_owned(),
        quantization: model.quantization.method.clone(),
        kinds,
    }
}

/// All of it.
pub fn show(model: &Architecture) -> Show {
    let mut kinds: Vec<KindDetail> = Vec::new();
    let mut seen: std::collections::HashMap<&Layer, u32> = std::collections::HashMap::new();
    let mut layer_kinds = Vec::with_capacity(model.layers.len());
    for (index, layer) in (0u64..).zip(&model.layers) {
        let kind = *seen.entry(layer).or_insert_with(|| {
            kinds.push(detail(model, layer, index));
            kinds.len() as u32 - 1
        });
        kinds[kind as usize].layers += 1;
        layer_kinds.push(kind);
    }
    Show {
        schema: SCHEMA,
        model: summary(model),
        params: params::count(model),
        tied: model.tied,
        max_context: model.max_context,
        mermaid: mermaid(model, &kinds, &layer_kinds),
        kinds,
        layer_kinds,
        families: model.families.clone(),
        towers: model.towers.clone(),
        notes: model.notes.clone(),
        unread: model.unread.clone(),
    }
}

fn detail(model: &Architecture, layer: &Layer, index: u64) -> KindDetail {
    let weights = weights::of(layer, model.hidden);
    let kv = kv::of(std::slice::from_ref(layer), KvDtype::Bf16, 1);
    let format = |m: &weights::Matrix| format!("{}: {}", m.name, params::matrix_format(model, index, m).name);
    KindDetail {
        name: layer.name(),
        layers: 0,
        params: weights.params(),
        active: weights.active(layer),
        kv_bytes_per_token: kv.per_token,
        state_bytes_per_request: kv.state_per_request,
        formats: weights.matrices.iter().map(format).collect(),
        layer: layer.clone(),
    }
}

/// Longest run of kinds that is looked for as a repeating block.
const MAX_PERIOD: usize = 64;

/// Runs of layers: a block of kinds and how often it repeats.
pub fn blocks(kinds: &[u32]) -> Vec<(Vec<u32>, usize)> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < kinds.len() {
        let rest = &kinds[at..];
        let repeats =
            |period: usize| rest.chunks_exact(period).take_while(|chunk| *chunk == &rest[..period]).count();
        // The shortest block that covers most layers.
        let longest = MAX_PERIOD.min(rest.len() / 2).max(1);
        let best = (1..=longest).map(|period| (period, repeats(period))).fold(
            (1, repeats(1)),
            |best, (period, n)| {
                if n > 1 && period * n > best.0 * best.1 { (period, n) } else { best }
            },
        );
        blocks.push((rest[..best.0].to_vec(), best.1));
        at += best.0 * best.1;
    }
    blocks
}

/// The flowchart: embedding, blocks of layers, norm, head; drafts beside them.
fn mermaid(model: &Architecture, kinds: &[KindDetail], layer_kinds: &[u32]) -> String {
    let mut out = String::from("flowchart TD\n");
    let node = |out: &mut String, id: &str, text: &str| {
        let _ = writeln!(out, "    {id}[\"{}\"]", text.replace('"', "'"));
    };
    node(&mut out, "embed", &format!("embedding {} x {}", model.vocab, model.hidden));
    let mut above = "embed".to_owned();
    for (number, (block, repeats)) in blocks(layer_kinds).iter().enumerate() {
        let _ = writeln!(out, "    subgraph block{number}[\"{repeats} x {} layer(s)\"]", block.len());
        let mut previous: Option<String> = None;
        let mut at = 0;
        while at < block.len() {
            let kind = block[at];
            let run = block[at..].iter().take_while(|k| **k == kind).count();
            let id = format!("b{number}_{at}");
            let times = if run > 1 { format!("{run} x ") } else { String::new() };
            node(&mut out, &id, &format!("{times}{}", describe(&kinds[kind as usize].layer)));
            if let Some(previous) = &previous {
                let _ = writeln!(out, "    {previous} --> {id}");
            }
            previous = Some(id);
            at += run;
        }
        out.push_str("    end\n");
        let _ = writeln!(out, "    {above} --> block{number}");
        above = format!("block{number}");
    }
    node(&mut out, "norm", "final norm");
    node(&mut out, "head", if model.tied { "head (tied to the embedding)" } else { "head" });
    let _ = writeln!(out, "    {above} --> norm --> head");
    if let Some(draft) = model.mtp.first() {
        node(&mut out, "mtp", &format!("draft: {} x {}", model.mtp.len(), describe(draft)));
        out.push_str("    norm -.-> mtp -.-> head\n");
    }
    for (number, tower) in model.towers.iter().enumerate() {
        node(&mut out, &format!("tower{number}"), &format!("{} tower (not modelled)", tower.kind));
        let _ = writeln!(out, "    tower{number} -.-> embed");
    }
    out
}

/// A layer with its dimensions.
pub fn describe(layer: &Layer) -> String {
    let mixers = layer.mixers.iter().map(|mixer| match mixer {
        Mixer::Attention(a) => attention(a),
        Mixer::Linear(l) => linear(l),
    });
    let ffns = layer.ffns.iter().map(|ffn| match ffn {
        Ffn::Dense { intermediate, gated, .. } => {
            format!("MLP {intermediate}{}", if *gated { " gated" } else { "" })
        }
        Ffn::Moe(moe) => experts(moe),
    });
    let parts: Vec<String> = mixers.chain(ffns).collect();
    if parts.is_empty() { "no-op".to_owned() } else { parts.join("<br/>") }
}

fn attention(a: &Attention) -> String {
    let form = match &a.kv {
        KeyValue::Heads { heads, qk_dim, v_dim, .. } if qk_dim == v_dim => {
            format!("{} heads, {heads} kv, dim {qk_dim}", a.heads)
        }
        KeyValue::Heads { heads, qk_dim, v_dim, .. } => {
            format!("{} heads, {heads} kv, dim {qk_dim} and {v_dim}", a.heads)
        }
        KeyValue::Latent { rank, rope, nope, v_dim } => {
            format!("{} heads of {nope} + {rope} and {v_dim}, latent {rank}", a.heads)
        }
    };
    let indexer = match &a.span {
        Span::Sparse(s) if s.own_indexer => format!(", indexer {} x {}", s.index_heads, s.index_dim),
        Span::Sparse(_) => ", indexer of an earlier layer".to_owned(),
        _ => String::new(),
    };
    let gate = if a.gate == Gate::None { "" } else { ", output gate" };
    format!("{}: {form}{indexer}{gate}", a.name())
}

fn linear(l: &Linear) -> String {
    let dims = match l.rule {
        Rule::Gdn { key_heads, value_heads, key_dim, value_dim } => {
            format!("{key_heads} key heads of {key_dim}, {value_heads} value heads of {value_dim}")
        }
        Rule::Kda { heads, dim, .. } | Rule::Lightning { heads, dim } => format!("{heads} heads of {dim}"),
        Rule::Mamba { inner, state, .. } => format!("{inner} wide, state {state}"),
        Rule::Mamba2 { heads, dim, state, groups } => {
            format!("{heads} heads of {dim}, state {state}, {groups} groups")
        }
        Rule::ShortConv { dim } => format!("{dim} channels, width {}", l.conv),
    };
    format!("{}: {dims}", l.name())
}

fn experts(moe: &Moe) -> String {
    let shared = if moe.shared > 0 { format!(", shared {}", moe.shared) } else { String::new() };
    let latent = moe.latent.map_or(String::new(), |latent| format!(", latent {latent}"));
    format!("MoE: {} of {} experts of {}{shared}{latent}", moe.top_k, moe.experts, moe.intermediate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeating_blocks_are_found() {
        assert_eq!(blocks(&[0; 36]), [(vec![0], 36)]);
        assert_eq!(blocks(&[0, 0, 0, 1, 0, 0, 0, 1]), [(vec![0, 0, 0, 1], 2)]);
        assert_eq!(blocks(&[0, 1, 1, 1]), [(vec![0], 1), (vec![1], 3)]);
        assert!(blocks(&[]).is_empty());
    }
}
