//! Attention as it is written in a textbook: all scores, then the softmax, then the values, each query head by itself.

use std::ops::Range;

use super::{Attention, Shared};
use crate::ops::lanes::Lanes;
use crate::ops::math::{LANES, exp, sum_lanes};
use crate::ops::packed::PANEL;
use crate::ops::pool::Context;
use crate::ops::simd::for_simd;

/// Sums that do not wait for each other: a processor starts several multiply-adds before the first one is done. Pages
/// are multiples of it, so that a term's chain depends on its position alone.
const CHAINS: usize = 4;

#[inline(always)]
fn rows_of_group<V: Lanes>(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) {
    let mut scores = Vec::new();
    let mut sums = vec![[[0.0f32; PANEL]; CHAINS]; a.layer.head_dim / PANEL];
    for row in rows {
        let len = a.positions[row] + 1;
        let stride = len.next_multiple_of(PANEL);
        scores.clear();
        scores.resize(a.group * stride, 0.0);
        for (head, scores) in scores.chunks_exact_mut(stride).enumerate() {
            score::<V>(a, row, kv_head * a.group + head, kv_head, scores);
        }
        for scores in scores.chunks_exact_mut(stride) {
            softmax::<V>(&mut scores[..len]);
        }
        for (head, scores) in scores.chunks_exact(stride).enumerate() {
            let out = a.output(out, row, kv_head * a.group + head);
            weigh::<V>(a, row, kv_head, &scores[..len], &mut sums, out);
        }
    }
}

/// `scores[j] = scale * sum_d q[d] * k[j, d]`, summed in [`CHAINS`] chains over `d`.
#[inline(always)]
fn score<V: Lanes>(a: &Attention<'_>, row: usize, head: usize, kv_head: usize, scores: &mut [f32]) {
    let q = a.query(row, head);
    let (slots, _) = scores.as_chunks_mut::<PANEL>();
    for i in 0..slots.len() {
        let keys = a.layer.key_panel(a.pages[row], i * PANEL, kv_head);
        let mut sums = [[0.0f32; PANEL]; CHAINS];
        add_products::<V>(keys, &q[..keys.len()], &mut sums);
        let sum = joined(sums);
        for lane in 0..PANEL {
            slots[i][lane] = sum[lane] * a.scale;
        }
    }
}

#[inline(always)]
fn softmax<V: Lanes>(scores: &mut [f32]) {
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for b in 0..blocks.len() {
        for i in 0..LANES {
            lanes[i] = if blocks[b][i] > lanes[i] { blocks[b][i] } else { lanes[i] };
        }
    }
    let mut highest = f32::NEG_INFINITY;
    for x in lanes.iter().chain(&*rest) {
        highest = highest.max(*x);
    }
    let mut lanes = [0.0f32; LANES];
    for b in 0..blocks.len() {
        for i in 0..LANES {
            blocks[b][i] = exp::<V>(blocks[b][i] - highest);
            lanes[i] += blocks[b][i];
        }
    }
    for i in 0..rest.len() {
        rest[i] = exp::<V>(rest[i] - highest);
        lanes[i] += rest[i];
    }
    let total = sum_lanes(lanes);
    let share = 1.0 / total;
    for i in 0..scores.len() {
        scores[i] *= share;
    }
}

/// `out[d] = sum_j p[j] * v[j, d]`, summed in [`CHAINS`] chains over `j`, page by page, so that a page's values are read
/// in the order in which they lie in memory.
#[inline(always)]
fn weigh<V: Lanes>(
    a: &Attention<'_>,
    row: usize,
    kv_head: usize,
    p: &[f32],
    sums: &mut [[[f32; PANEL]; CHAINS]],
    out: &mut [f32],
) {
    let page = a.layer.page_size;
    sums.fill([[0.0; PANEL]; CHAINS]);
    let mut start = 0;
    while start < p.len() {
        let p = &p[start..p.len().min(start + page)];
        for block in 0..sums.len() {
            let values = a.layer.value_panel(a.pages[row], start, p.len(), kv_head, block);
            add_products::<V>(&values[..p.len()], p, &mut sums[block]);
        }
        start += page;
    }
    let (out, _) = out.as_chunks_mut::<PANEL>();
    for block in 0..out.len() {
        out[block] = joined(sums[block]);
    }
}

/// `sums[i % CHAINS] += rows[i] * x[i]`.
#[inline(always)]
fn add_products<V: Lanes>(rows: &[[f32; PANEL]], x: &[f32], sums: &mut [[f32; PANEL]; CHAINS]) {
    let (row_blocks, row_rest) = rows.as_chunks::<CHAINS>();
    let (x_blocks, x_rest) = x.as_chunks::<CHAINS>();
    // Loops and no closures: a closure is not compiled for the wider instructions.
    let mut acc = [V::load(&sums[0]); CHAINS];
    for c in 1..CHAINS {
        acc[c] = V::load(&sums[c]);
    }
    for i in 0..row_blocks.len() {
        let x = x_blocks[i];
        for c in 0..CHAINS {
            acc[c] = V::load(&row_blocks[i][c]).mul_add(x[c], acc[c]);
        }
    }
    for c in 0..row_rest.len() {
        acc[c] = V::load(&row_rest[c]).mul_add(x_rest[c], acc[c]);
    }
    for c in 0..CHAINS {
        acc[c].store(&mut sums[c]);
    }
}

/// The chains' sum, always in the same order.
#[inline(always)]
fn joined(sums: [[f32; PANEL]; CHAINS]) -> [f32; PANEL] {
    let mut all = sums[0];
    for c in 1..CHAINS {
        for lane in 0..PANEL {
            all[lane] += sums[c][lane];
        }
    }
    all
}

for_simd! {
    fn rows_of_group_simd(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) = rows_of_group;
}

/// A task is some rows of a sequence and one key/value head with its whole group of query heads, each of which reads the
/// keys, and then the values, again: from the second-level cache while they fit.
pub(crate) fn naive(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads, |rows, kv_head| rows_of_group_simd(ctx.simd, a, rows, kv_head, out));
}
