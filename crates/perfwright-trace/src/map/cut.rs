//! How many ranks the recorded sizes are cut among.

use perfwright_model::arch::{Architecture, Attention, KeyValue, Mixer};
use perfwright_model::ops::{self, Category, Phase, Step};

use super::plan::Setup;

/// Most ranks that are tried.
const MOST: u64 = 256;

/// A number of ranks, and the recorded products whose sizes the model has under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) tp: u64,
    pub(super) matched: u64,
}

/// How well each number of ranks explains the recorded products, given as sizes (N, K) and how often each occurs. Best
/// first; of equals the smallest.
pub(super) fn fits(setup: &Setup<'_>, shapes: &[((u64, u64), u64)]) -> Vec<Fit> {
    let mut out: Vec<Fit> = (1..=MOST)
        .filter(|tp| *tp <= 16 || tp.is_power_of_two())
        .filter_map(|tp| {
            let known = sizes(setup, tp)?;
            let matched =
                shapes.iter().filter(|(size, _)| known.contains(size)).map(|(_, count)| count).sum();
            Some(Fit { tp, matched })
        })
        .collect();
    out.sort_by_key(|f| (std::cmp::Reverse(f.matched), f.tp));
    out
}

/// Sizes of the model's dense products under `tp` ranks, whole and in the parts that engines compute apart.
fn sizes(setup: &Setup<'_>, tp: u64) -> Option<Vec<(u64, u64)>> {
    let parallel = perfwright_model::parallel::Parallel { tp, ep: 1, ..setup.parallel };
    let step = Step {
        phase: Phase::Prefill,
        batch: parallel.dp,
        tokens: 1,
        context: 0,
        parallel,
        kv_dtype: setup.kv_dtype,
    };
    let all = ops::by_layer(setup.model, &step).ok()?;
    let mut out = Vec::new();
    for op in all.kinds.iter().flatten().chain(&all.after).filter(|op| op.category == Category::Gemm) {
        let Some([_, n, k]) = op.shape else { continue };
        out.push((n, k));
        if op.name.contains("gate_up") {
            out.push((n / 2, k));
        }
    }
    out.extend(attentions(setup.model).flat_map(|a| parts(a, setup.model.hidden, tp)).flatten());
    Some(out)
}

fn attentions(model: &Architecture) -> impl Iterator<Item = &Attention> {
    model.layers.iter().flat_map(|l| &l.mixers).filter_map(|m| match m {
        Mixer::Attention(a) => Some(a),
        Mixer::Linear(_) => None,
    })
}

/// Queries, keys and values apart.
fn parts(a: &Attention, hidden: u64, tp: u64) -> [Option<(u64, u64)>; 3] {
    let KeyValue::Heads { heads, qk_dim, v_dim, .. } = a.kv else { return [None; 3] };
    let kept = heads.div_ceil(tp);
    [a.heads / tp * qk_dim, kept * qk_dim, kept * v_dim].map(|n| Some((n, hidden)))
}

/// Rank of a latent, and its heads' dimensions without rotation and of values.
pub(super) fn latent(model: &Architecture) -> Option<[u64; 3]> {
    attentions(model).find_map(|a| match a.kv {
        KeyValue::Latent { rank, nope, v_dim, .. } => Some([rank, nope, v_dim]),
        KeyValue::Heads { .. } => None,
    })
}
