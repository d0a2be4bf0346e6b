//! Attention of a layer.

use std::collections::HashMap;

use serde_json::Value;

use super::Reader;
use super::fields::{Fields, MAX_DIM, MAX_HEADS, MAX_LAYERS, MAX_TOKENS};
use super::plan::Reach;
use crate::arch::{Attention, Ffn, Gate, KeyValue, Layer, Linear, Mixer, OutLora, QkNorm, Span, Sparse};
use crate::error::ModelError;
use crate::family::{GateWord, QkNormWord};

/// Parts that were built before, and the per-layer lists they depend on.
pub(crate) struct Cache {
    attention: HashMap<(u8, u64), Mixer>,
    pub(super) linear: Option<Linear>,
    pub(super) mamba: Option<Linear>,
    pub(super) conv: Option<Linear>,
    pub(super) moe: Option<Ffn>,
    pub(super) dense: Option<Ffn>,
    pub(super) blocks: Option<Vec<Block>>,
    compress: Option<Vec<u64>>,
    shares_index: Option<Vec<bool>>,
    sparse: Option<Vec<u64>>,
}

/// One entry of `block_configs` (models found by architecture search).
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Query heads per key and value head; `None` where the layer has no attention.
    group: Option<u64>,
    /// Inner width of the feed-forward network; `None` where there is none.
    pub(super) intermediate: Option<u64>,
}

impl Cache {
    pub(crate) fn new(r: &Reader<'_>) -> Result<Self, ModelError> {
        let sparse = match r.f.object(&["sparse_attention_config"])? {
            Some((_, object)) => Fields::new(std::path::Path::new(""), "", object)
                .counts("sparse_attention_freq", 1)
                .map_err(|_| {
                    r.f.wrong(
                        "sparse_attention_config.sparse_attention_freq",
                        &Value::Null,
                        "a list of 0 and 1",
                    )
                })?,
            None => None,
        };
        let shares_index =
            r.f.texts("indexer_types")?.map(|list| list.iter().map(|kind| *kind == "shared").collect());
        Ok(Self {
            attention: HashMap::new(),
            linear: None,
            mamba: None,
            conv: None,
            moe: None,
            dense: None,
            blocks: blocks(r)?,
            compress: r.f.counts("compress_ratios", MAX_TOKENS)?,
            shares_index,
            sparse,
        })
    }

    /// The attention of layer `index`, or nothing where the config takes it out of this layer.
    pub(crate) fn attention(
        &mut self,
        r: &Reader<'_>,
        reach: Reach,
        index: u64,
    ) -> Result<Mixer, ModelError> {
        let at = index as usize;
        let group = self.blocks.as_ref().and_then(|b| b.get(at)).and_then(|b| b.group);
        let ratio = self.compress.as_ref().and_then(|list| list.get(at)).copied();
        let shares = self.shares_index.as_ref().and_then(|list| list.get(at)).copied().unwrap_or(false);
        // A draft layer beyond the list is built like the last one.
        let sparse = self.sparse.as_ref().map(|list| list.get(at).or(list.last()).copied().unwrap_or(0) == 1);
        let key = (
            match reach {
                Reach::Full => 0,
                Reach::Sliding => 1,
                Reach::Chunked => 2,
            } + 4 * u8::from(shares)
                + 8 * match sparse {
                    None => 0,
                    Some(false) => 1,
                    Some(true) => 2,
                },
            group.or(ratio.map(|r| r + (1 << 40))).unwrap_or(0),
        );
        if let Some(mixer) = self.attention.get(&key) {
            return Ok(mixer.clone());
        }
        let mut attention = read(r, reach, group)?;
        if let Some(ratio) = ratio {
            let window = r.f.positive(&["sliding_window"], MAX_TOKENS)?.unwrap_or(128);
            attention.span = match ratio {
                0 => Span::Sliding { window },
                ratio => Span::Compressed { ratio, window },
            };
            r.note("compressed attention (compress_ratios): weights of the compressor and its indexer are not counted, its cache and FLOPs are estimates");
        } else if reach == Reach::Full {
            attention.span = span(r, !shares, sparse)?;
        }
        let mixer = Mixer::Attention(attention);
        self.attention.insert(key, mixer.clone());
        Ok(mixer)
    }
}

/// Full attention or attention to chosen tokens.
fn span(r: &Reader<'_>, own_indexer: bool, sparse: Option<bool>) -> Result<Span, ModelError> {
    if let (Some(true), Some((name, object))) = (sparse, r.f.object(&["sparse_attention_config"])?) {
        let number = |key: &str, max: u64| {
            object
                .get(key)
                .and_then(Value::as_u64)
                .filter(|n| (1..=max).contains(n))
                .ok_or_else(|| r.f.missing(&[&format!("{name}.{key}")], "a whole number above 0"))
        };
        let topk =
            number("sparse_topk_blocks", MAX_DIM)?.saturating_mul(number("sparse_block_size", MAX_DIM)?);
        let (index_heads, index_dim) =
            (number("sparse_num_index_heads", MAX_HEADS)?, number("sparse_index_dim", MAX_DIM)?);
        return Ok(Span::Sparse(Sparse { topk, index_heads, index_dim, own_indexer: true }));
    }
    let Some(topk) = r.f.positive(&["index_topk"], MAX_TOKENS)? else { return Ok(Span::Full) };
    Ok(Span::Sparse(Sparse {
        topk,
        index_heads: r.f.required(&["index_n_heads"], MAX_HEADS)?,
        index_dim: r.f.required(&["index_head_dim"], MAX_DIM)?,
        own_indexer,
    }))
}

fn read(r: &Reader<'_>, reach: Reach, group: Option<u64>) -> Result<Attention, ModelError> {
    let f = &r.f;
    let heads = f.required(&["num_attention_heads", "n_head", "n_heads"], MAX_HEADS)?;
    let swa_heads = f.positive(&["swa_num_attention_heads"], MAX_HEADS)?;
    let heads = if reach == Reach::Sliding { swa_heads.unwrap_or(heads) } else { heads };
    let bias = f.flag(&["attention_bias", "qkv_bias", "use_qkv_bias"])?;
    let kv = match f.positive(&["kv_lora_rank"], MAX_DIM)? {
        Some(rank) => KeyValue::Latent {
            rank,
            rope: f.required(&["qk_rope_head_dim"], MAX_DIM)?,
            nope: f.required(&["qk_nope_head_dim"], MAX_DIM)?,
            v_dim: f.required(&["v_head_dim"], MAX_DIM)?,
        },
        None => key_value_heads(r, reach, heads, group)?,
    };
    let width = match &kv {
        KeyValue::Heads { qk_dim, .. } => *qk_dim,
        KeyValue::Latent { rope, .. } => *rope,
    };
    // With MLA `head_dim` is something else in every model (64 or 192 in GLM-5); it is not used, but known.
    let _ = f.has(&["head_dim", "qk_head_dim", "num_key_value_heads"]);
    let rope = f.count(&["rotary_dim", "qk_rope_head_dim"], MAX_DIM)?;
    let part = f.number(&["partial_rotary_factor", "rotary_pct"]);
    let rope_dim =
        rope.unwrap_or_else(|| (width as f64 * part.unwrap_or(1.0).clamp(0.0, 1.0)) as u64).min(width);
    let rank = f.count(&["q_lora_rank"], MAX_DIM)?.filter(|rank| *rank > 0);
    let out_lora = match f.positive(&["o_lora_rank"], MAX_DIM)? {
        Some(rank) => Some(OutLora { rank, groups: f.positive(&["o_groups"], MAX_HEADS)?.unwrap_or(1) }),
        None => None,
    };
    let window = || f.required(&["sliding_window", "sliding_window_size", "swa_window"], MAX_TOKENS);
    let span = match reach {
        Reach::Full => Span::Full,
        Reach::Sliding => Span::Sliding { window: window()? },
        Reach::Chunked => Span::Chunked { chunk: f.required(&["attention_chunk_size"], MAX_TOKENS)? },
    };
    let _ = f.has(&["attention_chunk_size", "sliding_window_size"]);
    let sink_field =
        if reach == Reach::Sliding { "add_swa_attention_sink_bias" } else { "add_full_attention_sink_bias" };
    Ok(Attention {
        heads,
        kv,
        span,
        q_lora: rank,
        out_lora,
        rope_dim,
        qkv_bias: r.m.qkv_bias.or(bias).unwrap_or(false),
        out_bias: f.flag(&["attention_out_bias"])?.or(r.m.out_bias).or(bias).unwrap_or(false),
        qk_norm: qk_norm(r)?,
        gate: gate(r)?,
        sinks: f.flag(&[sink_field])?.or(r.m.sinks).unwrap_or(false),
        borrowed_kv: false,
    })
}

fn key_value_heads(
    r: &Reader<'_>,
    reach: Reach,
    heads: u64,
    group: Option<u64>,
) -> Result<KeyValue, ModelError> {
    let f = &r.f;
    let stated =
        f.positive(&["num_key_value_heads", "num_kv_heads", "n_head_kv", "num_query_groups"], MAX_HEADS)?;
    let own_dim = f.positive(&["head_dim", "attention_head_dim", "kv_channels"], MAX_DIM)?;
    let dim = match own_dim {
        Some(dim) => dim,
        None if r.hidden.is_multiple_of(heads) && r.hidden / heads <= MAX_DIM => r.hidden / heads,
        None => {
            return Err(
                f.missing(&["head_dim"], "the head dimension, as hidden_size is no multiple of the heads")
            );
        }
    };
    let v_dim = f.positive(&["v_head_dim"], MAX_DIM)?.unwrap_or(dim);
    let multi_query = f.flag(&["multi_query"])?.unwrap_or(false);
    let default = if multi_query { 1 } else { heads };
    let same_kv = f.flag(&["attention_k_eq_v"])?.unwrap_or(false);
    let (mut kv, mut qk_dim, mut v_dim) = (stated.unwrap_or(default), dim, v_dim);
    if let Some(group) = group {
        kv = (heads / group.max(1)).max(1);
    }
    match reach {
        Reach::Sliding => {
            kv = f.positive(&["swa_num_key_value_heads"], MAX_HEADS)?.unwrap_or(kv);
            let swa_dim = f.positive(&["swa_head_dim"], MAX_DIM)?;
            v_dim = f.positive(&["swa_v_head_dim"], MAX_DIM)?.or(swa_dim).unwrap_or(v_dim);
            qk_dim = swa_dim.unwrap_or(qk_dim);
        }
        Reach::Full | Reach::Chunked => {
            kv = f.positive(&["num_global_key_value_heads"], MAX_HEADS)?.unwrap_or(kv);
            if let Some(dim) = f.positive(&["global_head_dim"], MAX_DIM)? {
                (qk_dim, v_dim) = (dim, dim);
            }
        }
    }
    if kv > heads || !heads.is_multiple_of(kv) {
        let expected = format!("a divisor of the {heads} attention heads");
        return Err(f.wrong("num_key_value_heads", &kv.into(), &expected));
    }
    let one = r.m.shared_kv == Some(true);
    // Gemma-4 projects keys and values once in its full layers only, and stores both.
    Ok(KeyValue::Heads {
        heads: kv,
        qk_dim,
        v_dim,
        shared: one || same_kv && reach == Reach::Full,
        stored_once: one,
    })
}

fn qk_norm(r: &Reader<'_>) -> Result<QkNorm, ModelError> {
    let by_field = match r.f.text(&["qk_norm_type"])? {
        Some("per_layer") => Some(QkNorm::Layer),
        Some("per_head") => Some(QkNorm::Head),
        _ => None,
    };
    let on = r.f.flag(&["use_qk_norm", "qk_norm", "qk_layernorm"])?;
    let by_family = r.m.qk_norm.map(|word| match word {
        QkNormWord::Head => QkNorm::Head,
        QkNormWord::Layer => QkNorm::Layer,
        QkNormWord::None => QkNorm::None,
    });
    Ok(match on {
        Some(false) => QkNorm::None,
        Some(true) => by_field.or(by_family).unwrap_or(QkNorm::Head),
        None => by_family.or(by_field).unwrap_or(QkNorm::None),
    })
}

fn gate(r: &Reader<'_>) -> Result<Gate, ModelError> {
    let own = r.f.flag(&["mla_use_output_gate"])?.unwrap_or(false);
    let stated = r.f.flag(&["attn_output_gate", "attention_output_gate"])?;
    Ok(match (own, stated, r.m.output_gate) {
        (true, _, _) | (_, None | Some(true), Some(GateWord::Own)) => Gate::Own,
        (_, Some(false), _) | (_, None, None) => Gate::None,
        (_, Some(true), _) | (_, None, Some(GateWord::Query)) => Gate::InQuery,
    })
}

/// Reads `block_configs`.
fn blocks(r: &Reader<'_>) -> Result<Option<Vec<Block>>, ModelError> {
    let Some(list) = r.f.list("block_configs")? else { return Ok(None) };
    let width = |multiplier: f64| {
        // The width is two thirds of the multiple of the hidden size, rounded up to 256.
        let raw = (2.0 * multiplier * r.hidden as f64 / 3.0) as u64;
        raw.div_ceil(256).saturating_mul(256).min(super::fields::MAX_WIDTH)
    };
    let part = |entry: &Value, name: &str| entry.get(name).cloned().unwrap_or(Value::Null);
    let off = |part: &Value| {
        ["no_op", "replace_with_linear"]
            .iter()
            .any(|key| part.get(*key).and_then(Value::as_bool) == Some(true))
    };
    let block = |entry: &Value| {
        let (attention, ffn) = (part(entry, "attention"), part(entry, "ffn"));
        for kind in [&attention, &ffn] {
            if kind.get("replace_with_linear").and_then(Value::as_bool) == Some(true) {
                r.note("block_configs replaces parts by one linear layer; those are not counted");
            }
        }
        let group =
            attention.get("n_heads_in_group").and_then(Value::as_u64).filter(|n| (1..=MAX_HEADS).contains(n));
        let multiplier = ffn.get("ffn_mult").and_then(Value::as_f64).filter(|n| (0.0..=1000.0).contains(n));
        let stated =
            ffn.get("intermediate_size").and_then(Value::as_u64).filter(|n| *n <= super::fields::MAX_WIDTH);
        Block {
            group: group.filter(|_| !off(&attention)),
            intermediate: stated.or(multiplier.map(width)).filter(|_| !off(&ffn)),
        }
    };
    Ok(Some(list.iter().take(MAX_LAYERS as usize).map(block).collect()))
}

/// Applies what concerns several layers: parts taken out by `block_configs`, keys and values that the last layers
/// take from earlier ones (Gemma-3n).
pub(crate) fn borrow(r: &Reader<'_>, layers: &mut [Layer]) -> Result<(), ModelError> {
    if let Some(blocks) = blocks(r)? {
        for (layer, block) in layers.iter_mut().zip(blocks) {
            if block.group.is_none() {
                layer.mixers.clear();
            }
            if layer.mixers.is_empty() || layer.ffns.is_empty() {
                layer.norms = u64::from(!(layer.mixers.is_empty() && layer.ffns.is_empty()));
            }
        }
    }
    let shared = r.f.count(&["num_kv_shared_layers"], MAX_LAYERS)?.unwrap_or(0);
    let from = layers.len().saturating_sub(shared as usize);
    for layer in &mut layers[from..] {
        for mixer in &mut layer.mixers {
            if let Mixer::Attention(attention) = mixer {
                attention.borrowed_kv = true;
            }
        }
    }
    Ok(())
}
