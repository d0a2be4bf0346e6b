//! Attention with an online softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax"; Dao et al.,
//! "FlashAttention"): keys and values are read once for all query heads of a group, scores are never stored.
//!
//! Blocks of 64 positions are counted from position 0, whatever the pages, the chunk or the batch.

use std::ops::Range;

use super::{Attention, Shared, in_tiles};
use crate::ops::gemm::{TILE, tile, tile_onto};
use crate::ops::math::{exp, sum_lanes};
use crate::ops::packed::PANEL;
use crate::ops::pool::Context;
use crate::ops::simd::for_simd;

/// Positions between two corrections of the running maximum.
const BLOCK: usize = 64;

#[inline(always)]
fn rows_of_group<const FMA: bool>(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) {
    let mut sums = vec![[0.0f32; PANEL]; TILE * a.layer.head_dim / PANEL];
    for row in rows {
        in_tiles!(0, a.group, |first, R| {
            attend::<FMA, R>(a, row, kv_head, first, &mut sums, out);
        });
    }
}

/// One row, `R` query heads from `first` of the group on.
#[inline(always)]
fn attend<const FMA: bool, const R: usize>(
    a: &Attention<'_>,
    row: usize,
    kv_head: usize,
    first: usize,
    sums: &mut [[f32; PANEL]],
    out: Shared<'_>,
) {
    let (sums, _) = sums[..R * a.layer.head_dim / PANEL].as_chunks_mut::<R>();
    let head = kv_head * a.group + first;
    let q: [&[f32]; R] = std::array::from_fn(|r| a.query(row, head + r));
    let len = a.positions[row] + 1;
    let mut highest = [f32::NEG_INFINITY; R];
    let mut totals = [[0.0f32; PANEL]; R];
    sums.fill([[0.0; PANEL]; R]);
    for start in (0..len).step_by(BLOCK) {
        let count = BLOCK.min(len - start);
        let mut p = [[f32::NEG_INFINITY; BLOCK]; R];
        for offset in (0..count).step_by(PANEL) {
            let keys = a.layer.key_panel(a.pages[row], start + offset, kv_head);
            let scores = tile::<FMA, R>(q, keys);
            for r in 0..R {
                for lane in 0..PANEL {
                    let seen = offset + lane < count;
                    p[r][offset + lane] = if seen { scores[r][lane] * a.scale } else { f32::NEG_INFINITY };
                }
            }
        }
        let mut shrink = [0.0f32; R];
        for r in 0..R {
            let before = highest[r];
            highest[r] = max(&p[r], before);
            // The first block has nothing to shrink: exp(-inf) is 0.
            shrink[r] = exp::<FMA>(before - highest[r]);
            for slot in &mut p[r] {
                *slot = exp::<FMA>(*slot - highest[r]);
            }
            for lane in 0..PANEL {
                totals[r][lane] *= shrink[r];
                for offset in (0..BLOCK).step_by(PANEL) {
                    totals[r][lane] += p[r][offset + lane];
                }
            }
        }
        for (block, sums) in sums.iter_mut().enumerate() {
            for r in 0..R {
                for lane in 0..PANEL {
                    sums[r][lane] *= shrink[r];
                }
            }
            for offset in (0..count).step_by(PANEL) {
                let part = PANEL.min(count - offset);
                let values = a.layer.value_panel(a.pages[row], start + offset, part, kv_head, block);
                let p: [&[f32]; R] = std::array::from_fn(|r| &p[r][offset..offset + part]);
                tile_onto::<FMA, R>(p, values, sums);
            }
        }
    }
    for r in 0..R {
        let total = sum_lanes(totals[r]);
        let out = a.output(out, row, head + r);
        for (block, out) in out.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            *out = sums[block][r].map(|s| s / total);
        }
    }
}

#[inline(always)]
fn max(values: &[f32; BLOCK], start: f32) -> f32 {
    let mut lanes = [start; PANEL];
    for part in values.as_chunks::<PANEL>().0 {
        for lane in 0..PANEL {
            lanes[lane] = if part[lane] > lanes[lane] { part[lane] } else { lanes[lane] };
        }
    }
    lanes.into_iter().fold(start, f32::max)
}

for_simd! {
    fn rows_of_group_simd(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) = rows_of_group;
}

/// A task is some rows of a sequence and one key/value head with its whole group of query heads.
pub(crate) fn fused(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads, |rows, kv_head| rows_of_group_simd(ctx.simd, a, rows, kv_head, out));
}
