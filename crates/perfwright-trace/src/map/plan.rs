//! What the model must do in a pass: blocks of operators in the order of the kernels, one for each mixing layer.

use perfwright_model::arch::{Architecture, Mixer, Span};
use perfwright_model::error::ModelError;
use perfwright_model::format::KvDtype;
use perfwright_model::ops::{self, ByLayer, Category, Op, Phase, Step, pairs};
use perfwright_model::parallel::Parallel;

use super::load::{Group, Load};
use super::report::Basis;

/// Operators that stand together in the kernel sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Block {
    pub(super) ops: Vec<Op>,
    /// FLOPs and bytes of its attention are known, and from what.
    pub(super) attention: Option<Basis>,
}

/// The operators of a pass.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) before: Block,
    /// Kinds of blocks.
    pub(super) kinds: Vec<Block>,
    /// The kind of each block; a layer that only feeds forward is part of the block before it.
    pub(super) blocks: Vec<usize>,
    pub(super) after: Block,
    /// False where the tokens are unknown: shapes of weights are right, figures are not.
    pub(super) known: bool,
}

impl Plan {
    /// The block of layer `at` of `layers` that a pass shows; where the counts differ, the one at the same share.
    pub(super) fn block(&self, at: usize, layers: usize) -> usize {
        let n = self.blocks.len();
        match n {
            0 => 0,
            _ if layers == n || at < n && layers < n => self.blocks[at.min(n - 1)],
            _ => self.blocks[(at * n / layers.max(1)).min(n - 1)],
        }
    }
}

/// How the ranks share the model, and its cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) model: &'a Architecture,
    pub(super) parallel: Parallel,
    pub(super) kv_dtype: KvDtype,
}

/// The operators of a pass under a load.
pub(super) fn plan(setup: &Setup<'_>, load: &Load) -> Result<Plan, ModelError> {
    let Setup { model, parallel, kv_dtype } = *setup;
    let dp = parallel.dp.max(1);
    let step = |phase, requests: u64, tokens, context| Step {
        phase,
        batch: requests.saturating_mul(dp),
        tokens,
        context,
        parallel,
        kv_dtype,
    };
    let phase = if load.decode { Phase::Decode } else { Phase::Prefill };
    let tokens = load.tokens.unwrap_or(1);
    // The figures of products depend on the tokens only; those of the head and of states on the requests.
    let base = match load.requests.filter(|r| tokens.is_multiple_of(*r)) {
        Some(requests) => step(phase, requests, tokens / requests, 0),
        None => step(phase, 1, tokens, 0),
    };
    let mut all = ops::by_layer(model, &base)?;
    let basis = attention(setup, load, &mut all, step)?;
    if let (Some(requests), false) = (load.requests, load.decode) {
        all.after.iter_mut().filter(|op| op.name == "lm_head").for_each(|op| rows(op, requests));
    }
    let mut out = Plan {
        before: Block { ops: all.before, attention: None },
        kinds: Vec::new(),
        blocks: Vec::new(),
        after: Block { ops: all.after, attention: None },
        known: load.tokens.is_some(),
    };
    let mut made: Vec<Vec<usize>> = Vec::new();
    for members in members(model, &all.layers) {
        let kind = made.iter().position(|m| *m == members).unwrap_or_else(|| {
            let ops = members.iter().flat_map(|&k| all.kinds[k].iter().cloned()).collect();
            out.kinds.push(Block { ops, attention: basis });
            made.push(members);
            made.len() - 1
        });
        out.blocks.push(kind);
    }
    Ok(out)
}

/// Kinds of layers of each block: a block begins at a layer that mixes tokens.
fn members(model: &Architecture, kinds: &[usize]) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    let mut mixes = false;
    for (layer, &kind) in model.layers.iter().zip(kinds) {
        let begins = !layer.mixers.is_empty() && mixes;
        match out.last_mut() {
            Some(last) if !begins => last.push(kind),
            _ => out.push(vec![kind]),
        }
        mixes |= !layer.mixers.is_empty();
    }
    out
}

/// Another number of rows of a product.
fn rows(op: &mut Op, rows: u64) {
    let Some([m, n, k]) = &mut op.shape else { return };
    let old = u128::from(*m).max(1);
    op.flops = op.flops / old * u128::from(rows);
    op.activation_bytes = op.activation_bytes / old * u128::from(rows);
    *m = rows;
    debug_assert!(*n > 0 && *k > 0);
    op.bytes = op.weight_bytes.saturating_add(op.cache_bytes).saturating_add(op.activation_bytes);
}

/// Sets the figures of attention to those of the requests.
fn attention(
    setup: &Setup<'_>,
    load: &Load,
    all: &mut ByLayer,
    step: impl Fn(Phase, u64, u64, u64) -> Step,
) -> Result<Option<Basis>, ModelError> {
    let mine = |op: &Op| matches!(op.category, Category::Attention | Category::Indexer);
    for op in all.kinds.iter_mut().flatten().filter(|op| mine(op)) {
        (op.flops, op.bytes, op.cache_bytes, op.activation_bytes) = (0, 0, 0, 0);
    }
    for group in &load.attention {
        let one =
            ops::by_layer(setup.model, &step(group.phase(), group.requests, group.tokens, group.context))?;
        for (kind, ops) in all.kinds.iter_mut().enumerate() {
            let full = all.layers.iter().position(|&k| k == kind).is_some_and(|l| sees_all(setup.model, l));
            for op in ops.iter_mut().filter(|op| mine(op)) {
                let Some(part) = one.kinds[kind].iter().find(|p| p.name == op.name && mine(p)) else {
                    continue;
                };
                let (pairs, keys) = scale(group, full || op.category == Category::Indexer);
                let add = |to: &mut u128, amount: u128, by: f64| *to += (amount as f64 * by) as u128;
                match pairs {
                    None => op.flops += part.flops,
                    // The figure is per pair times pairs, so this division is exact.
                    Some((exact, mean)) => op.flops += part.flops / mean.max(1) * exact,
                }
                add(&mut op.cache_bytes, part.cache_bytes, keys);
                op.activation_bytes += part.activation_bytes;
                op.bytes = op.weight_bytes + op.cache_bytes + op.activation_bytes;
            }
        }
    }
    Ok(match load.attention.as_slice() {
        [] => None,
        groups if groups.iter().all(|g| g.exact.is_some()) => Some(Basis::StepAnnotation),
        _ => Some(Basis::Modelled),
    })
}

/// The pairs that the sums give and those of the mean request; the cache that is read, likewise as a quotient. Windows
/// are taken from the mean request.
fn scale(group: &Group, full: bool) -> (Option<(u128, u128)>, f64) {
    let Some((exact, keys)) = group.exact.filter(|_| full) else { return (None, 1.0) };
    let mean = pairs::causal(group.context, group.tokens) * u128::from(group.requests);
    let read = u128::from(group.requests) * u128::from(group.context + group.tokens);
    (Some((exact, mean)), keys as f64 / (read.max(1)) as f64)
}

fn sees_all(model: &Architecture, layer: usize) -> bool {
    let full = |m: &Mixer| matches!(m, Mixer::Attention(a) if a.span == Span::Full);
    model.layers.get(layer).is_some_and(|l| l.mixers.iter().any(full))
}
