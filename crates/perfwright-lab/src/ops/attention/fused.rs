//! Attention with an online softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax"; Dao et al.,
//! "FlashAttention"): keys and values are read once for all query heads of a group, scores are never stored.
//!
//! Blocks of 64 positions are counted from position 0, whatever the pages, the chunk or the batch.

use std::ops::Range;

use super::{Attention, Shared, in_tiles};
use crate::ops::gemm::{TILE, tile, tile_onto};
use crate::ops::lanes::Lanes;
use crate::ops::math::{exp, sum_lanes};
use crate::ops::packed::PANEL;
use crate::ops::pool::Context;
use crate::ops::simd::for_simd;

/// Positions between two corrections of the running maximum.
const BLOCK: usize = 64;

#[inline(always)]
fn rows_of_group<V: Lanes>(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) {
    let mut sums = vec![[0.0f32; PANEL]; TILE * a.layer.head_dim / PANEL];
    for row in rows {
        in_tiles!(0, a.group, |first, R| {
            attend::<V, R>(a, row, kv_head, first, &mut sums, out);
        });
    }
}

/// One row, `R` query heads from `first` of the group on.
#[inline(always)]
fn attend<V: Lanes, const R: usize>(
    a: &Attention<'_>,
    row: usize,
    kv_head: usize,
    first: usize,
    sums: &mut [[f32; PANEL]],
    out: Shared<'_>,
) {
    let (sums, _) = sums[..R * a.layer.head_dim / PANEL].as_chunks_mut::<R>();
    let head = kv_head * a.group + first;
    let mut q: [&[f32]; R] = [&[]; R];
    for r in 0..R {
        q[r] = a.query(row, head + r);
    }
    let len = a.positions[row] + 1;
    let mut highest = [f32::NEG_INFINITY; R];
    let mut totals = [[0.0f32; PANEL]; R];
    for block in 0..sums.len() {
        sums[block] = [[0.0; PANEL]; R];
    }
    let mut start = 0;
    while start < len {
        let count = BLOCK.min(len - start);
        let mut p = [[f32::NEG_INFINITY; BLOCK]; R];
        let mut offset = 0;
        while offset < count {
            let keys = a.layer.key_panel(a.pages[row], start + offset, kv_head);
            let scores = tile::<V, R>(q, keys);
            for r in 0..R {
                for lane in 0..PANEL {
                    let seen = offset + lane < count;
                    p[r][offset + lane] = if seen { scores[r][lane] * a.scale } else { f32::NEG_INFINITY };
                }
            }
            offset += PANEL;
        }
        let mut shrink = [0.0f32; R];
        for r in 0..R {
            let before = highest[r];
            highest[r] = max(&p[r], before);
            // The first block has nothing to shrink: exp(-inf) is 0.
            shrink[r] = exp::<V>(before - highest[r]);
            for i in 0..BLOCK {
                p[r][i] = exp::<V>(p[r][i] - highest[r]);
            }
            for lane in 0..PANEL {
                totals[r][lane] *= shrink[r];
            }
            for i in 0..BLOCK {
                totals[r][i % PANEL] += p[r][i];
            }
        }
        for block in 0..sums.len() {
            let mut acc = sums[block];
            for r in 0..R {
                for lane in 0..PANEL {
                    acc[r][lane] *= shrink[r];
                }
            }
            let mut offset = 0;
            while offset < count {
                let part = PANEL.min(count - offset);
                let values = a.layer.value_panel(a.pages[row], start + offset, part, kv_head, block);
                let mut weights: [&[f32]; R] = [&[]; R];
                for r in 0..R {
                    weights[r] = &p[r][offset..offset + part];
                }
                tile_onto::<V, R>(weights, values, &mut acc);
                offset += PANEL;
            }
            sums[block] = acc;
        }
        start += BLOCK;
    }
    for r in 0..R {
        let total = sum_lanes(totals[r]);
        let (out, _) = a.output(out, row, head + r).as_chunks_mut::<PANEL>();
        for block in 0..out.len() {
            for lane in 0..PANEL {
                out[block][lane] = sums[block][r][lane] / total;
            }
        }
    }
}

#[inline(always)]
fn max(values: &[f32; BLOCK], start: f32) -> f32 {
    let mut lanes = [start; PANEL];
    for i in 0..BLOCK {
        let lane = i % PANEL;
        lanes[lane] = if values[i] > lanes[lane] { values[i] } else { lanes[lane] };
    }
    let mut highest = start;
    for lane in 0..PANEL {
        highest = highest.max(lanes[lane]);
    }
    highest
}

for_simd! {
    fn rows_of_group_simd(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) = rows_of_group;
}

/// A task is some rows of a sequence and one key/value head with its whole group of query heads.
pub(crate) fn fused(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads, |rows, kv_head| rows_of_group_simd(ctx.simd, a, rows, kv_head, out));
}
