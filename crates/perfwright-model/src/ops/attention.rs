//! Attention.

use super::{Category, Ctx, Op, Phase, elementwise, gemms, op, pairs, prod};
use crate::arch::{Attention, KeyValue, QkNorm, Span, Sparse};
use crate::format::Compute;
use crate::kv;
use crate::params::Group;
use crate::weights::Role;

/// Adds the operators of an attention.
pub(super) fn ops(c: &Ctx<'_>, group: &Group<'_>, a: &Attention, ops: &mut Vec<Op>) {
    let tp = c.step.parallel.tp;
    let heads = a.heads / tp;
    gemms(
        c,
        group,
        &[Role::Attention],
        &["o_proj", "o_a_proj", "o_b_proj", "kv_b_proj", "attn_gate_proj"],
        ops,
    );
    let kv_heads = match a.kv {
        KeyValue::Heads { heads, .. } if !a.borrowed_kv => heads.div_ceil(tp),
        KeyValue::Heads { .. } => 0,
        KeyValue::Latent { .. } => 1,
    };
    if a.qk_norm != QkNorm::None {
        ops.push(elementwise("qk_norm", prod(&[c.rows, heads + kv_heads, a.qk_dim()]), 2, 4, c.act));
    }
    if a.rope_dim > 0 {
        ops.push(elementwise("rope", prod(&[c.rows, heads + kv_heads, a.rope_dim]), 2, 3, c.act));
    }
    if let Span::Sparse(sparse) = &a.span
        && sparse.own_indexer
    {
        gemms(c, group, &[Role::Indexer], &[], ops);
        ops.push(indexer(c, sparse));
    }
    up_projection(c, group, ops);
    ops.push(core(c, a, heads));
    for m in group.weights.matrices.iter().filter(|m| m.name == "attn_gate_proj") {
        ops.push(super::gemm(c, group, m, c.rows));
    }
    for m in group.weights.matrices.iter().filter(|m| m.role == Role::Attention && m.name.starts_with("o_")) {
        let mut op = super::gemm(c, group, m, c.rows);
        if m.name == "o_a_proj" {
            // Every group of heads has its own inputs: the matrix holds each group's part of the output.
            op.activation_bytes =
                prod(&[c.rows, heads, a.v_dim(), c.act]).saturating_add(prod(&[c.rows, m.output, c.act]));
        }
        ops.push(op);
    }
}

/// The projection out of the latent. In prefill it makes keys and values, of the tokens in the cache too; in decode
/// its halves are applied to queries and outputs, which costs the same for each new token.
fn up_projection(c: &Ctx<'_>, group: &Group<'_>, ops: &mut Vec<Op>) {
    for m in group.weights.matrices.iter().filter(|m| m.name == "kv_b_proj") {
        ops.push(super::gemm(c, group, m, c.rows));
        if c.step.phase == Phase::Prefill && c.step.context > 0 {
            let mut again = super::gemm(c, group, m, c.requests.saturating_mul(c.step.context));
            again.name = "kv_b_proj of the context".to_owned();
            again.weight_bytes = 0;
            ops.push(again);
        }
    }
}

/// Scores of the indexer: every new token against all before it.
fn indexer(c: &Ctx<'_>, sparse: &Sparse) -> Op {
    let mut op = op("index_scores", Category::Indexer);
    "fp8".clone_into(&mut op.format);
    op.compute = Compute::Fp8;
    let seen = pairs::causal(c.step.context, c.step.tokens).saturating_mul(c.requests.into());
    op.flops = prod(&[2, sparse.index_heads, sparse.index_dim]).saturating_mul(seen);
    let row = kv::index_row(sparse);
    let kept = c.step.context + c.step.tokens;
    op.cache_bytes = prod(&[c.requests, kept + c.step.tokens, row]);
    op.activation_bytes = prod(&[c.rows, sparse.index_heads, sparse.index_dim]);
    op
}

/// Scores, softmax and weighted sum.
fn core(c: &Ctx<'_>, a: &Attention, heads: u64) -> Op {
    let (context, tokens) = (c.step.context, c.step.tokens);
    // Pairs of one request, and the rows of the cache they read: each once.
    let end = context + tokens;
    let (seen, read) = match &a.span {
        Span::Full => (pairs::causal(context, tokens), context),
        Span::Sliding { window } => (pairs::capped(context, tokens, *window), context.min(window - 1)),
        Span::Chunked { chunk } => (pairs::chunked(context, tokens, *chunk), context.min(context % chunk)),
        Span::Sparse(s) => {
            (pairs::capped(context, tokens, s.topk), context.min(s.topk.saturating_mul(tokens)))
        }
        Span::Compressed { ratio, window } => {
            let near = pairs::capped(context, tokens, *window);
            let far = pairs::causal(context, tokens) / u128::from(*ratio);
            (near.saturating_add(far), context.min(*window).saturating_add(end / ratio))
        }
    };
    // Decode scores against the latent itself (absorbed); prefill against keys and values made of it.
    let per_pair = match (&a.kv, c.step.phase) {
        (KeyValue::Latent { rank, rope, .. }, Phase::Decode) => 2 * rank + rope,
        _ => a.qk_dim() + a.v_dim(),
    };
    let seen = seen.saturating_mul(c.requests.into());
    let mut op = op("attention", Category::Attention);
    c.step.kv_dtype.name().clone_into(&mut op.format);
    // Kernels multiply in 16 bits, or in fp8 where the cache is fp8; a bound takes the faster.
    op.compute = match c.step.kv_dtype {
        kv if kv.bytes(16) < 32 => Compute::Fp8,
        _ => Compute::Bf16,
    };
    op.flops = prod(&[2, heads, per_pair]).saturating_mul(seen);
    let row = kv::row(a, c.step.kv_dtype, c.step.parallel.tp);
    op.cache_bytes = prod(&[c.requests, read + tokens, row]);
    op.activation_bytes = prod(&[c.rows, heads, a.qk_dim() + a.v_dim(), c.act]);
    op
}
