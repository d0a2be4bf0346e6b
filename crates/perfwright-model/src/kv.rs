//! Bytes of the cache of keys and values per token, and of recurrent states per request.

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::{Architecture, Attention, KeyValue, Layer, Linear, Mixer, Rule, Span, Sparse};
use crate::format::KvDtype;
use crate::parallel::Parallel;

/// Values that share one fp32 scale in the fp8 rows of sparse MLA and of the indexer's cache.
const SPARSE_SCALE_GROUP: u64 = 128;

/// What the cache of one rank takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kv {
    /// Bytes per token with every layer at full context: layers with a window counted as if they had none.
    pub per_token: u64,
    /// Of these the layers that keep every token.
    pub per_token_unbounded: u64,
    /// Bytes per token of the indexers' cache, beside `per_token`.
    pub indexer_per_token: u64,
    /// Layers that keep at most a window of tokens.
    pub windows: Vec<Window>,
    /// Recurrent states and convolution tails, per request, at any context.
    pub state_per_request: u64,
}

/// Layers with one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Window {
    /// Tokens kept.
    pub tokens: u64,
    /// Layers.
    pub layers: u64,
    /// Bytes per token of all these layers.
    pub bytes_per_token: u64,
}

impl Kv {
    /// Bytes of a request with `context` tokens, without rounding to pages.
    pub fn request(&self, context: u64) -> u64 {
        let kept = self.per_token_unbounded.saturating_add(self.indexer_per_token).saturating_mul(context);
        let windows = self.windows.iter().map(|w| w.bytes_per_token.saturating_mul(context.min(w.tokens)));
        windows.fold(kept.saturating_add(self.state_per_request), u64::saturating_add)
    }
}

/// The cache of the whole model on one rank.
pub fn whole(model: &Architecture, dtype: KvDtype) -> Kv {
    of(&model.layers, dtype, 1)
}

/// The cache of the stage that holds most, on one of its ranks.
pub fn on_rank(model: &Architecture, dtype: KvDtype, p: &Parallel) -> Kv {
    let stages = p.stages(model.layers.len()).into_iter().map(|range| of(&model.layers[range], dtype, p.tp));
    let weight =
        |kv: &Kv| kv.per_token.saturating_add(kv.indexer_per_token).saturating_add(kv.state_per_request);
    stages.max_by_key(weight).unwrap_or_else(|| of(&[], dtype, 1))
}

/// The cache of some layers, with attention cut among `tp` ranks.
pub fn of(layers: &[Layer], dtype: KvDtype, tp: u64) -> Kv {
    let mut all = Kv {
        per_token: 0,
        per_token_unbounded: 0,
        indexer_per_token: 0,
        windows: Vec::new(),
        state_per_request: 0,
    };
    for mixer in layers.iter().flat_map(|layer| &layer.mixers) {
        match mixer {
            Mixer::Attention(a) => attention(&mut all, a, dtype, tp),
            Mixer::Linear(l) => all.state_per_request = all.state_per_request.saturating_add(state(l, tp)),
        }
    }
    all.windows.sort_by_key(|w| w.tokens);
    all
}

fn attention(all: &mut Kv, a: &Attention, dtype: KvDtype, tp: u64) {
    let bytes = row(a, dtype, tp);
    let window = match &a.span {
        Span::Full | Span::Sparse(_) => None,
        Span::Sliding { window } => Some(*window),
        Span::Chunked { chunk } => Some(*chunk),
        Span::Compressed { ratio, window } => {
            // Every `ratio` tokens leave one entry; the window keeps the last ones in full beside it.
            let entry = bytes / ratio;
            all.per_token = all.per_token.saturating_add(entry);
            all.per_token_unbounded = all.per_token_unbounded.saturating_add(entry);
            add_window(all, *window, bytes);
            return;
        }
    };
    all.per_token = all.per_token.saturating_add(bytes);
    match window {
        Some(tokens) => add_window(all, tokens, bytes),
        None => all.per_token_unbounded = all.per_token_unbounded.saturating_add(bytes),
    }
    if let Span::Sparse(sparse) = &a.span {
        all.indexer_per_token = all.indexer_per_token.saturating_add(index_row(sparse));
    }
}

fn add_window(all: &mut Kv, tokens: u64, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let known = all.windows.iter_mut().find(|w| w.tokens == tokens);
    match known {
        Some(window) => {
            window.layers += 1;
            window.bytes_per_token = window.bytes_per_token.saturating_add(bytes);
        }
        None => all.windows.push(Window { tokens, layers: 1, bytes_per_token: bytes }),
    }
}

/// Bytes one token takes in one layer on one of `tp` ranks.
///
/// A latent is the same for all heads, so every rank holds all of it. Heads are cut; where there are fewer than
/// ranks, each rank holds one.
pub fn row(a: &Attention, dtype: KvDtype, tp: u64) -> u64 {
    if a.borrowed_kv {
        return 0;
    }
    match &a.kv {
        KeyValue::Latent { rank, rope, .. } => match (&a.span, dtype) {
            // The sparse kernels' fp8 rows: latent in fp8, an fp32 scale per 128 values, rotated part in bf16.
            (Span::Sparse(_), KvDtype::Fp8) => rank + rank.div_ceil(SPARSE_SCALE_GROUP) * 4 + rope * 2,
            _ => dtype.bytes(rank + rope),
        },
        KeyValue::Heads { heads, qk_dim, v_dim, stored_once, .. } => {
            let per_head = if *stored_once { *qk_dim } else { qk_dim + v_dim };
            dtype.bytes(heads.div_ceil(tp.max(1)) * per_head)
        }
    }
}

/// Bytes one token takes in an indexer's cache: fp8 keys with an fp32 scale per 128 values, on every rank. Engines keep
/// one for every sparse layer of MLA models; layers that reuse an earlier choice keep none of their own.
pub fn index_row(sparse: &Sparse) -> u64 {
    if sparse.own_indexer { sparse.index_dim + sparse.index_dim.div_ceil(SPARSE_SCALE_GROUP) * 4 } else { 0 }
}

/// Bytes of the state of one request in one layer on one of `tp` ranks: the recurrent state and the last `conv - 1`
/// inputs of the convolution (16-bit).
pub fn state(l: &Linear, tp: u64) -> u64 {
    let tp = tp.max(1);
    let (elements, channels) = state_elements(l);
    let tail = channels.div_ceil(tp).saturating_mul(l.conv.saturating_sub(1)).saturating_mul(2);
    elements.div_ceil(tp).saturating_mul(l.state_bytes).saturating_add(tail)
}

/// Elements of the recurrent state, and channels of the convolution.
pub(crate) fn state_elements(l: &Linear) -> (u64, u64) {
    match l.rule {
        Rule::Gdn { key_heads, value_heads, key_dim, value_dim } => {
            (value_heads * key_dim * value_dim, 2 * key_heads * key_dim + value_heads * value_dim)
        }
        Rule::Kda { heads, dim, .. } => (heads * dim * dim, 3 * heads * dim),
        Rule::Lightning { heads, dim } => (heads * dim * dim, 0),
        Rule::Mamba { inner, state, .. } => (inner * state, inner),
        Rule::Mamba2 { heads, dim, state, groups } => (heads * dim * state, heads * dim + 2 * groups * state),
        Rule::ShortConv { dim } => (0, dim),
    }
}
