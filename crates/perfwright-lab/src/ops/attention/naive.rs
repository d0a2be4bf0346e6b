//! Attention as it is written in a textbook: for each query head, all scores, then the softmax, then the values.

use std::ops::Range;

use super::{Attention, Shared};
use crate::ops::math::{LANES, exp, sum_lanes};
use crate::ops::packed::PANEL;
use crate::ops::pool::Context;
use crate::ops::simd::{fma, for_simd};

#[inline(always)]
fn rows_of_head<const FMA: bool>(a: &Attention<'_>, rows: Range<usize>, head: usize, out: Shared<'_>) {
    let kv_head = head / a.group;
    let mut scores = Vec::new();
    for row in rows {
        let len = a.positions[row] + 1;
        scores.clear();
        scores.resize(len.next_multiple_of(PANEL), 0.0);
        score::<FMA>(a, row, head, kv_head, &mut scores);
        softmax::<FMA>(&mut scores[..len]);
        weigh::<FMA>(a, row, kv_head, &scores[..len], a.output(out, row, head));
    }
}

/// `scores[j] = scale * sum_d q[d] * k[j, d]`.
#[inline(always)]
fn score<const FMA: bool>(a: &Attention<'_>, row: usize, head: usize, kv_head: usize, scores: &mut [f32]) {
    let q = a.query(row, head);
    for (i, slots) in scores.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
        let keys = a.layer.key_panel(a.pages[row], i * PANEL, kv_head);
        let mut sum = [0.0f32; PANEL];
        for (x, key) in q.iter().zip(keys) {
            for lane in 0..PANEL {
                sum[lane] = fma::<FMA>(key[lane], *x, sum[lane]);
            }
        }
        *slots = sum.map(|s| s * a.scale);
    }
}

#[inline(always)]
fn softmax<const FMA: bool>(scores: &mut [f32]) {
    let mut highest = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = scores.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            highest[lane] = if block[lane] > highest[lane] { block[lane] } else { highest[lane] };
        }
    }
    let highest = highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let mut lanes = [0.0f32; LANES];
    for block in scores.chunks_mut(LANES) {
        for (score, lane) in block.iter_mut().zip(&mut lanes) {
            *score = exp::<FMA>(*score - highest);
            *lane += *score;
        }
    }
    let total = sum_lanes(lanes);
    for score in scores {
        *score /= total;
    }
}

/// `out[d] = sum_j p[j] * v[j, d]`.
#[inline(always)]
fn weigh<const FMA: bool>(a: &Attention<'_>, row: usize, kv_head: usize, p: &[f32], out: &mut [f32]) {
    let page = a.layer.page_size;
    for (block, out) in out.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
        let mut sum = [0.0f32; PANEL];
        for (i, p) in p.chunks(page).enumerate() {
            let values = a.layer.value_panel(a.pages[row], i * page, p.len(), kv_head, block);
            for (p, value) in p.iter().zip(values) {
                for lane in 0..PANEL {
                    sum[lane] = fma::<FMA>(value[lane], *p, sum[lane]);
                }
            }
        }
        *out = sum;
    }
}

for_simd! { fn rows_of_head_simd(a: &Attention<'_>, rows: Range<usize>, head: usize, out: Shared<'_>) = rows_of_head; }

/// A task is some rows of a sequence and one query head; the heads of a group each read the same keys and values.
pub(crate) fn naive(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads * a.group, |rows, head| rows_of_head_simd(ctx.simd, a, rows, head, out));
}
