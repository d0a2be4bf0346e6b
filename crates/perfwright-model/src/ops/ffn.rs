//! Feed-forward networks and experts.

use super::{Category, Ctx, Op, elementwise, gemms, op, prod};
use crate::arch::{Ffn, Moe};
use crate::params::{self, Group};
use crate::weights::Role;

/// Adds the operators of the feed-forward parts.
pub(super) fn ops(c: &Ctx<'_>, group: &Group<'_>, ops: &mut Vec<Op>) {
    let tp = c.step.parallel.tp;
    for ffn in &group.layer.ffns {
        match ffn {
            Ffn::Dense { intermediate, gated, .. } => {
                let width = intermediate.div_ceil(tp);
                ops.push(activation("activation", c.rows, width, *gated, c.act));
            }
            Ffn::Moe(moe) => experts(c, group, moe, ops),
        }
    }
    gemms(c, group, &[Role::Dense, Role::Shared, Role::Latent, Role::Router], &[], ops);
}

/// Reads one or two inputs and writes one output per element.
fn activation(name: &str, rows: u64, width: u64, gated: bool, act: u64) -> Op {
    let inputs = if gated { 2 } else { 1 };
    elementwise(name, prod(&[rows, width]), inputs + 1, 4 + inputs, act)
}

/// Experts a step touches on one rank of `ranks`, under uniform routing of `tokens` tokens.
pub(super) fn touched(moe: &Moe, tokens: u64, ranks: u64) -> f64 {
    let here = moe.experts.div_ceil(ranks) as f64;
    let missed = 1.0 - moe.active_experts() as f64 / moe.experts as f64;
    here * (1.0 - missed.powf(tokens as f64))
}

fn experts(c: &Ctx<'_>, group: &Group<'_>, moe: &Moe, ops: &mut Vec<Op>) {
    let p = &c.step.parallel;
    // Experts serve the tokens of all replicas.
    let tokens = c.rows.saturating_mul(p.dp);
    let rows = tokens.saturating_mul(moe.active_experts()).div_ceil(p.ep);
    let touched = touched(moe, tokens, p.ep);
    for m in group.weights.matrices.iter().filter(|m| m.is_routed()) {
        let mut product = super::gemm(c, group, m, rows);
        let (input, output) = m.on_rank(p.tp, p.expert_tp());
        let format = params::matrix_format(c.model, group.first, m);
        let one = format.bytes(prod(&[input, output])) as f64;
        product.weight_bytes = (one * touched) as u128;
        ops.push(product);
    }
    let width = moe.intermediate.div_ceil(p.expert_tp());
    ops.push(activation("experts_activation", rows, width, moe.gated, c.act));
    if moe.shared > 0 {
        ops.push(activation("shared_activation", c.rows, moe.shared.div_ceil(p.tp), moe.gated, c.act));
    }
    if p.ep > 1 {
        // A rank sends each of its tokens to the chosen experts in one byte per value and gets two back.
        let mut exchange = op("ep_dispatch_combine", Category::Communication);
        let own = tokens.div_ceil(p.tp.saturating_mul(p.dp));
        let width = moe.latent.unwrap_or(c.model.hidden);
        exchange.comm_bytes = prod(&[own, moe.active_experts(), width, 1 + 2]);
        exchange.peers = p.tp.saturating_mul(p.dp);
        ops.push(exchange);
        if p.expert_tp() > 1 {
            let mut sum = op("expert_tp_all_reduce", Category::Communication);
            let n = p.expert_tp();
            sum.comm_bytes = prod(&[2, n - 1, own, c.model.hidden, c.act]) / u128::from(n);
            sum.peers = n;
            ops.push(sum);
        }
    }
}
