//! The part a piece of device work plays in a layer.

use crate::intern::StrId;
use crate::names::Category;
use crate::part::Meanings;
use crate::store::{KERNEL, MEMCPY, Store};

/// The part a piece of device work plays in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Computes attention over the sequence.
    Attention,
    /// Computes a recurrence over the sequence: linear attention, state space.
    Linear,
    /// Prepares or joins attention.
    Helper,
    Norm,
    Gemm,
    Moe,
    Activation,
    Communication,
    Softmax,
    /// Chooses some of many: top-k.
    Select,
    Embedding,
    Sampling,
    CopyIn,
    CopyOut,
    /// Copies and fills on the device, elementwise work, and what nothing is known of.
    Other,
    /// Belongs to a backward pass.
    Backward,
}

impl Kind {
    /// True for work that mixes tokens of a sequence: one of these a layer.
    pub(crate) fn mixes(self) -> bool {
        matches!(self, Kind::Attention | Kind::Linear)
    }

    /// True for work that only a feed-forward block does.
    pub(crate) fn feeds(self) -> bool {
        matches!(self, Kind::Moe | Kind::Activation)
    }

    /// True for work that stands between two forward passes, never between two layers.
    pub(crate) fn bounds_pass(self) -> bool {
        matches!(self, Kind::Embedding | Kind::Sampling | Kind::CopyIn | Kind::CopyOut)
    }
}

/// The kind of every name of a trace, by string id.
pub(crate) fn kinds(store: &Store, meanings: &Meanings) -> Vec<Kind> {
    let mut out = vec![Kind::Other; store.strings.len()];
    let mut seen = vec![false; out.len()];
    for (&name, &kind) in store.devices.name.iter().zip(&store.devices.kind) {
        if !std::mem::replace(&mut seen[name as usize], true) {
            out[name as usize] = of(store, meanings, name, kind);
        }
    }
    out
}

fn of(store: &Store, meanings: &Meanings, name: StrId, kind: u8) -> Kind {
    if kind != KERNEL {
        let has = |word: &[u8]| memchr::memmem::find(store.strings.bytes(name), word).is_some();
        return match kind {
            MEMCPY if has(b"HtoD") => Kind::CopyIn,
            MEMCPY if has(b"DtoH") => Kind::CopyOut,
            _ => Kind::Other,
        };
    }
    let c = &meanings.classified[name as usize];
    let symbol = meanings.symbols.get(&name);
    let said = |word: &str| symbol.is_some_and(|s| s.words.has(word) || s.functor_words.has(word));
    if c.has("backward") || said("backward") || said("bwd") {
        return Kind::Backward;
    }
    match c.category {
        Category::Attention if meanings.hints[name as usize].is_attention() => Kind::Attention,
        Category::Attention => Kind::Helper,
        Category::LinearAttention => Kind::Linear,
        _ if c.has("norm") => Kind::Norm,
        Category::Norm => Kind::Norm,
        Category::Moe => Kind::Moe,
        Category::Gemm if c.has("activation") => Kind::Activation,
        Category::Gemm => Kind::Gemm,
        Category::Activation => Kind::Activation,
        Category::Communication => Kind::Communication,
        Category::Embedding => Kind::Embedding,
        Category::Memory if c.has("gather") || c.has("embedding") => Kind::Embedding,
        Category::Sampling => Kind::Sampling,
        Category::ReduceTopk if c.has("argmax") => Kind::Sampling,
        Category::ReduceTopk => Kind::Select,
        Category::Softmax => Kind::Softmax,
        _ => Kind::Other,
    }
}
