//! How many weights a model has, and how many bytes they take.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::{Architecture, Layer};
use crate::parallel::Parallel;
use crate::weights::{self, Weights};

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Params {
    /// The main model as it is served: without draft layers and without towers. A tied head counts once.
    pub total: u128,
    /// Those that one token uses: of the routed experts the chosen ones; the head once, the embedding lookup not.
    pub active: u128,
    /// Draft (multi-token prediction) layers with their projections; embedding and head are those of the main model.
    pub mtp: u128,
}

/// Equal layers counted once: the weights and the indices of the layers that have them.
pub(crate) struct Group<'a> {
    pub(crate) layer: &'a Layer,
    pub(crate) weights: Weights,
    /// A layer of the group, for formats that differ by layer.
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// Groups equal layers with equal formats. `from` is the number of the first layer.
pub(crate) fn groups<'a>(model: &Architecture, layers: &'a [Layer], from: u64) -> Vec<Group<'a>> {
    type Key<'k> = (&'k Layer, Option<Vec<&'k str>>);
    let mut at: HashMap<Key<'_>, Vec<usize>> = HashMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (index, layer) in (from..).zip(layers) {
        let rules = model.quantization.signature(index);
        let key = (layer, rules.map(|rules| rules.keys().map(String::as_str).collect()));
        let seen = at.entry(key).or_default();
        let same = seen.iter().copied().find(|g| model.quantization.signature(groups[*g].first) == rules);
        match same {
            Some(group) => groups[group].count += 1,
            None => {
                seen.push(groups.len());
                groups.push(Group {
                    layer,
                    weights: weights::of(layer, model.hidden),
                    first: index,
                    count: 1,
                });
            }
        }
    }
    groups
}

/// Counts the parameters.
pub fn count(model: &Architecture) -> Params {
    let embedding = u128::from(model.vocab) * u128::from(model.hidden);
    let head_bias = if model.head_bias { u128::from(model.vocab) } else { 0 };
    let outside = u128::from(final_norm(model)) + embedding + head_bias;
    let (mut total, mut active) = (outside, outside);
    if !model.tied {
        total += embedding;
    }
    for group in groups(model, &model.layers, 0) {
        total += group.weights.params() * u128::from(group.count);
        active += group.weights.active(group.layer) * u128::from(group.count);
    }
    let drafts = groups(model, &model.mtp, model.layers.len() as u64);
    let mtp = drafts.iter().map(|group| group.weights.params() * u128::from(group.count)).sum::<u128>()
        + draft_extras(model);
    Params { total, active, mtp }
}

/// Elements of the norm before the head.
pub(crate) fn final_norm(model: &Architecture) -> u64 {
    let bias = model.layers.first().is_some_and(|layer| layer.norm_bias);
    model.hidden * if bias { 2 } else { 1 }
}

/// What a draft has besides its layer: a projection of hidden state and embedding together, and two norms before it.
/// Drafts whose layers have one part each (Nemotron-3) have one projection for the parts of a draft.
fn draft_extras(model: &Architecture) -> u128 {
    let whole = model.mtp.iter().filter(|layer| !layer.mixers.is_empty()).count() as u128;
    let hidden = u128::from(model.hidden);
    whole * (2 * hidden * hidden + 3 * hidden)
}

/// Bytes of all weights of the main model on one rank without parallelism.
pub(crate) fn weight_bytes(model: &Architecture) -> u128 {
    rank_bytes(model, &Parallel::default()).total
}

/// Weights on the fullest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RankBytes {
    /// All of them, in bytes.
    pub total: u128,
    /// Of these the routed experts.
    pub experts: u128,
    /// Of these the embedding and the head.
    pub embedding: u128,
}

/// Bytes of the main model's weights on the rank that holds most.
///
/// Pipeline stages are cut evenly by layers (the first ones take the remainder); the embedding is on the first and
/// the head on the last.
pub fn rank_bytes(model: &Architecture, p: &Parallel) -> RankBytes {
    let plain = model.quantization.plain;
    let table = plain.bytes(u128::from(model.vocab.div_ceil(p.tp)) * u128::from(model.hidden));
    let mut fullest = RankBytes { total: 0, experts: 0, embedding: 0 };
    for (index, range) in p.stages(model.layers.len()).into_iter().enumerate() {
        let (first, last) = (index == 0, index as u64 + 1 == p.pp);
        let mut stage = RankBytes { total: 0, experts: 0, embedding: 0 };
        let ends = u128::from(first) + u128::from(last && !(model.tied && first));
        stage.embedding = table * ends;
        stage.total = stage.embedding;
        if last {
            stage.total += plain.bytes(final_norm(model).into());
        }
        for group in groups(model, &model.layers[range.clone()], range.start as u64) {
            let (bytes, experts) = layer_bytes(model, &group, p);
            stage.total = stage.total.saturating_add(bytes.saturating_mul(group.count.into()));
            stage.experts = stage.experts.saturating_add(experts.saturating_mul(group.count.into()));
        }
        if stage.total > fullest.total {
            fullest = stage;
        }
    }
    fullest
}

/// Bytes of one layer on a rank, and of these the routed experts.
fn layer_bytes(model: &Architecture, group: &Group<'_>, p: &Parallel) -> (u128, u128) {
    let q = &model.quantization;
    let (mut all, mut experts) = (0u128, 0u128);
    for m in &group.weights.matrices {
        let format = matrix_format(model, group.first, m);
        let (input, output) = m.on_rank(p.tp, p.expert_tp());
        let copies = if m.is_routed() { m.copies.div_ceil(p.ep) } else { m.copies };
        let one = format.bytes(u128::from(input) * u128::from(output));
        // A bias is cut with the output; a summed one lies on every rank.
        let bias = q.plain.bytes(u128::from(m.bias) * u128::from(output) / u128::from(m.output.max(1)));
        let bytes = one.saturating_add(bias).saturating_mul(copies.into());
        all = all.saturating_add(bytes);
        if m.is_routed() {
            experts = experts.saturating_add(bytes);
        }
    }
    for v in &group.weights.vectors {
        let count = if v.cut { v.count.div_ceil(p.tp) } else { v.count };
        all = all.saturating_add(q.plain.bytes(count.into()));
    }
    (all, experts)
}

/// How a matrix of a layer is stored. Routers are never quantised: no format in use quantises them.
pub(crate) fn matrix_format(model: &Architecture, layer: u64, m: &weights::Matrix) -> crate::format::Format {
    match m.role {
        weights::Role::Router => model.quantization.plain,
        _ => model.quantization.of(layer, m.modules, m.is_routed()),
    }
}
