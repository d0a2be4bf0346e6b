//! Convolutions and recurrences.

use super::{Category, Ctx, Op, gemms, op, prod};
use crate::arch::{Linear, Rule};
use crate::kv;
use crate::params::Group;
use crate::weights::Role;

/// Adds the operators of a recurrent mixer.
pub(super) fn ops(c: &Ctx<'_>, group: &Group<'_>, l: &Linear, ops: &mut Vec<Op>) {
    let tp = c.step.parallel.tp;
    let cut = |n: u64| n.div_ceil(tp);
    gemms(c, group, &[Role::Mixer], &["out_proj"], ops);
    let (elements, channels) = kv::state_elements(l);
    let (elements, channels) = (cut(elements), cut(channels));
    let plain = c.model.quantization.plain;
    if l.conv > 0 && channels > 0 {
        let mut conv = op("conv", Category::Recurrence);
        plain.name.clone_into(&mut conv.format);
        conv.flops = prod(&[2, channels, l.conv, c.rows]);
        conv.weight_bytes = plain.bytes(prod(&[channels, l.conv + u64::from(l.conv_bias)]));
        conv.cache_bytes = prod(&[c.requests, channels, l.conv - 1, 2, 2]);
        conv.activation_bytes = prod(&[2, c.rows, channels, c.act]);
        ops.push(conv);
    }
    // Operations on a state element for one token: decay, update and readout, two each; without a delta rule or a
    // step of its own, update and readout.
    let per_element = match l.rule {
        Rule::Gdn { .. } | Rule::Kda { .. } | Rule::Mamba { .. } | Rule::Mamba2 { .. } => 6,
        Rule::Lightning { .. } => 4,
        Rule::ShortConv { .. } => 0,
    };
    if per_element > 0 {
        let mut state = op("state_update", Category::Recurrence);
        state.format = format!("state {} bit", 8 * l.state_bytes);
        state.flops = prod(&[per_element, elements, c.rows]);
        state.cache_bytes = prod(&[2, c.requests, elements, l.state_bytes]);
        state.activation_bytes = prod(&[c.rows, cut(width(l)), c.act]);
        ops.push(state);
    }
    for m in group.weights.matrices.iter().filter(|m| m.role == Role::Mixer && m.name == "out_proj") {
        ops.push(super::gemm(c, group, m, c.rows));
    }
}

/// Values that go into and out of the recurrence for one token.
fn width(l: &Linear) -> u64 {
    match l.rule {
        Rule::Gdn { key_heads, value_heads, key_dim, value_dim } => {
            2 * key_heads * key_dim + 2 * value_heads * value_dim
        }
        Rule::Kda { heads, dim, .. } => 5 * heads * dim,
        Rule::Lightning { heads, dim } => 4 * heads * dim,
        Rule::Mamba { inner, state, .. } => 3 * inner + 2 * state,
        Rule::Mamba2 { heads, dim, state, groups } => 2 * heads * dim + 2 * groups * state,
        Rule::ShortConv { dim } => dim,
    }
}
