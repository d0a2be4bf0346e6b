//! Attention with an online softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax"; Dao et al.,
//! "FlashAttention"): keys and values are read once for all query heads of a group, scores are never stored.
//!
//! Blocks of 64 positions are counted from position 0, whatever the pages, the chunk or the batch.

use std::ops::Range;

use super::{Attention, Shared, in_tiles};
use crate::ops::gemm::{TILE, tile_onto};
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
    let last = (len - 1) / PANEL * PANEL;
    let mut start = 0;
    while start < len {
        let count = BLOCK.min(len - start);
        let mut p = [[[f32::NEG_INFINITY; PANEL]; BLOCK / PANEL]; R];
        let parts = count.div_ceil(PANEL);
        for part in 0..parts {
            let keys = a.layer.key_panel(a.pages[row], start + part * PANEL, kv_head);
            // The values of these positions are next; they arrive while the scores are computed.
            let values = a.layer.value_panel(a.pages[row], start + part * PANEL, 1, kv_head, 0);
            let mut scores = [[0.0; PANEL]; R];
            tile_onto::<V, R>(q, keys, &mut scores, values.as_ptr());
            let seen = count - part * PANEL;
            for r in 0..R {
                scale::<V>(&mut scores[r], a.scale);
                for lane in seen.min(PANEL)..PANEL {
                    scores[r][lane] = f32::NEG_INFINITY;
                }
                p[r][part] = scores[r];
            }
        }
        let mut shrink = [f32::NEG_INFINITY; PANEL];
        for r in 0..R {
            let before = highest[r];
            highest[r] = max(&p[r], before);
            shrink[r] = before - highest[r];
            for part in 0..parts {
                exp_all::<V>(&mut p[r][part], highest[r]);
            }
        }
        // The first block has nothing to shrink: exp(-inf) is 0. Most later ones leave the maximum, and so the sums, as
        // they are: exp(0) is 1.
        exp_all::<V>(&mut shrink, 0.0);
        let shrinks = shrink[..R] != [1.0; R];
        for r in 0..R {
            if shrinks {
                scale::<V>(&mut totals[r], shrink[r]);
            }
            for part in 0..parts {
                for lane in 0..PANEL {
                    totals[r][lane] += p[r][part][lane];
                }
            }
        }
        let ahead = (start + BLOCK).min(len - 1) / PANEL * PANEL;
        for block in 0..sums.len() {
            let mut acc = sums[block];
            if shrinks {
                for r in 0..R {
                    scale::<V>(&mut acc[r], shrink[r]);
                }
            }
            for part in 0..parts {
                let some = PANEL.min(count - part * PANEL);
                let values = a.layer.value_panel(a.pages[row], start + part * PANEL, some, kv_head, block);
                let mut weights: [&[f32]; R] = [&[]; R];
                for r in 0..R {
                    weights[r] = &p[r][part][..some];
                }
                // Keys of the block after this one.
                let keys = a.layer.key_panel(a.pages[row], (ahead + part * PANEL).min(last), kv_head);
                tile_onto::<V, R>(weights, values, &mut acc, keys.as_ptr().wrapping_add(block * PANEL));
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

/// `x *= by`. In a register: as a loop over an array of vectors, the optimiser takes rows for lanes here.
#[inline(always)]
fn scale<V: Lanes>(x: &mut [f32; PANEL], by: f32) {
    V::load(x).mul_add(by, V::load(&[0.0; PANEL])).store(x);
}

/// `p = e^(p - highest)`.
#[inline(always)]
fn exp_all<V: Lanes>(p: &mut [f32; PANEL], highest: f32) {
    for lane in 0..PANEL {
        p[lane] = exp::<V>(p[lane] - highest);
    }
}

#[inline(always)]
fn max(values: &[[f32; PANEL]; BLOCK / PANEL], start: f32) -> f32 {
    let mut lanes = values[0];
    for part in 1..values.len() {
        for lane in 0..PANEL {
            lanes[lane] = if values[part][lane] > lanes[lane] { values[part][lane] } else { lanes[lane] };
        }
    }
    let mut width = PANEL / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
        width /= 2;
    }
    if lanes[0] > start { lanes[0] } else { start }
}

for_simd! {
    fn rows_of_group_simd(a: &Attention<'_>, rows: Range<usize>, kv_head: usize, out: Shared<'_>) = rows_of_group;
}

/// A task is some rows of a sequence and one key/value head with its whole group of query heads.
pub(crate) fn fused(ctx: &Context, a: &Attention<'_>, out: &mut [f32]) {
    let out = Shared::new(out);
    a.each(ctx, a.layer.heads, |rows, kv_head| rows_of_group_simd(ctx.simd, a, rows, kv_head, out));
}
