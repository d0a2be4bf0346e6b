//! Attention as it is written in a textbook: for each query head, all scores, then the softmax, then the values.

use std::ops::Range;

use super::{Attention, Shared};
use crate::ops::lanes::Lanes;
use crate::ops::math::{LANES, exp, sum_lanes};
use crate::ops::packed::PANEL;
use crate::ops::pool::Context;
use crate::ops::simd::{fma, for_simd};

#[inline(always)]
fn rows_of_head<V: Lanes>(a: &Attention<'_>, rows: Range<usize>, head: usize, out: Shared<'_>) {
    let kv_head = head / a.group;
    let mut scores = Vec::new();
    for row in rows {
        let len = a.positions[row] + 1;
        scores.clear();
        scores.resize(len.next_multiple_of(PANEL), 0.0);
        score::<V>(a, row, head, kv_head, &mut scores);
        softmax::<V>(&mut scores[..len]);
        weigh::<V>(a, row, kv_head, &scores[..len], a.output(out, row, head));
    }
}

/// `scores[j] = scale * sum_d q[d] * k[j, d]`.
#[inline(always)]
fn score<V: Lanes>(a: &Attention<'_>, row: usize, head: usize, kv_head: usize, scores: &mut [f32]) {
    let q = a.query(row, head);
    let (slots, _) = scores.as_chunks_mut::<PANEL>();
    for i in 0..slots.len() {
        let keys = a.layer.key_panel(a.pages[row], i * PANEL, kv_head);
        let q = &q[..keys.len()];
        let mut sum = [0.0f32; PANEL];
        for d in 0..keys.len() {
            for lane in 0..PANEL {
                sum[lane] = fma::<V>(keys[d][lane], q[d], sum[lane]);
            }
        }
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

/// `out[d] = sum_j p[j] * v[j, d]`.
#[inline(always)]
fn weigh<V: Lanes>(a: &Attention<'_>, row: usize, kv_head: usize, p: &[f32], out: &mut [f32]) {
    let page = a.layer.page_size;
    let (out, _) = out.as_chunks_mut::<PANEL>();
    for block in 0..out.len() {
        let mut sum = [0.0f32; PANEL];
        let mut start = 0;
        while start < p.len() {
            let p = &p[start..p.len().min(start + page)];
            let values = a.layer.value_panel(a.pages[row], start, p.len(), kv_head, block);
            let values = &values[..p.len()];
            for j in 0..p.len() {
                for lane in 0..PANEL {
                    sum[lane] = fma::<V>(values[j][lane], p[j], sum[lane]);
                }
            }
            start += page;
        }
        out[block] = sum;
    }
}

for_simd! { fn rows_of_head_simd(a: &Attention<'_>, rows: Range<usize>, head: usize, out: Shared<'_>) = rows_of_head; }

/// A task is some rows of a sequence and one query head; the heads of a group each read the same keys and values.
pub(crate) fn naive(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads * a.group, |rows, head| rows_of_head_simd(ctx.simd, a, rows, head, out));
}
