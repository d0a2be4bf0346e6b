//! Matrix products. Both the naive and the fused operators use this one.
//!
//! An output is one chain `acc = x[k] * w[k] + acc` over `k = 0, 1, ...`: lanes are outputs, never parts of a sum. So
//! the number of rows in a tile, the width of the vectors and the number of threads do not change a bit.

use super::lanes::Lanes;
use super::math::silu;
use super::packed::{PANEL, Packed, Panels};
use super::pool::Context;
use super::shared::Shared;
use super::simd::{for_simd, prefetch};

/// Rows of a tile: eight accumulators hide the latency of the multiply-add.
pub(crate) const TILE: usize = 8;
/// Rows that stay in the second-level cache while panels pass by.
const ROW_BLOCK: usize = 64;

/// Vectors of weights that are asked for ahead of their use.
const AHEAD: usize = 32;

/// One panel times `R` rows.
#[inline(always)]
pub(crate) fn tile<V: Lanes, const R: usize>(rows: [&[f32]; R], panel: &[[f32; PANEL]]) -> [[f32; PANEL]; R] {
    let mut acc = [[0.0f32; PANEL]; R];
    tile_onto::<V, R>(rows, panel, &mut acc, panel.as_ptr().wrapping_add(AHEAD));
    acc
}

/// One panel times `R` rows, continuing the chains in `acc`; meanwhile as many vectors from `next` on are asked for.
#[inline(always)]
pub(crate) fn tile_onto<V: Lanes, const R: usize>(
    rows: [&[f32]; R],
    panel: &[[f32; PANEL]],
    acc: &mut [[f32; PANEL]; R],
    next: *const [f32; PANEL],
) {
    for r in 0..R {
        assert!(rows[r].len() >= panel.len(), "a row has an element for each input");
    }
    let mut sums = [V::load(&acc[0]); R];
    for r in 1..R {
        sums[r] = V::load(&acc[r]);
    }
    for k in 0..panel.len() {
        prefetch(next.wrapping_add(k));
        let weights = V::load(&panel[k]);
        for r in 0..R {
            #[expect(unsafe_code, reason = "checks of eight lengths in the innermost loop halve its speed")]
            // SAFETY: `k` is below the length of `panel`, which the assertion holds against every row.
            let x = unsafe { *rows[r].get_unchecked(k) };
            sums[r] = weights.mul_add(x, sums[r]);
        }
    }
    for r in 0..R {
        sums[r].store(&mut acc[r]);
    }
}

/// Rows of the left side: `count` rows of `inputs` elements.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) count: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn rows<const R: usize>(self, first: usize, inputs: usize) -> [&'a [f32]; R] {
        let mut rows: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            rows[r] = &self.data[(first + r) * inputs..(first + r + 1) * inputs];
        }
        rows
    }
}

/// Where the product goes: rows `stride` apart, columns from `column` on.
pub(crate) struct Out<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) column: usize,
}

#[derive(Clone, Copy)]
struct Target<'a> {
    data: Shared<'a>,
    stride: usize,
    column: usize,
}

impl Target<'_> {
    /// Writes the outputs of a panel for one row.
    #[inline(always)]
    fn put(self, row: usize, panel: usize, outputs: usize, values: &[f32; PANEL]) {
        let from = panel * PANEL;
        let len = PANEL.min(outputs - from);
        #[expect(unsafe_code, reason = "tasks write disjoint columns of one matrix")]
        // SAFETY: a panel belongs to one task, which writes each row of it once; no other task has these columns.
        let slots = unsafe { self.data.range(row * self.stride + self.column + from, len) };
        if let Ok(slots) = <&mut [f32; PANEL]>::try_from(&mut *slots) {
            *slots = *values;
        } else {
            slots.copy_from_slice(&values[..len]);
        }
    }
}

/// Runs `$run::<R>` for rows `first..end` in tiles of at most `$most` rows.
macro_rules! in_tiles {
    ($first:expr, $end:expr, |$row:ident, $R:ident| $run:block) => {{
        let (mut $row, end) = ($first, $end);
        while $row + TILE <= end {
            const $R: usize = TILE;
            $run
            $row += $R;
        }
        if $row + 4 <= end {
            const $R: usize = 4;
            $run
            $row += $R;
        }
        if $row + 2 <= end {
            const $R: usize = 2;
            $run
            $row += $R;
        }
        if $row < end {
            const $R: usize = 1;
            $run
        }
    }};
}
pub(crate) use in_tiles;

#[inline(always)]
fn product<V: Lanes>(x: Rows<'_>, w: &Packed, panels: Panels, first: usize, end: usize, target: Target<'_>) {
    let inputs = w.inputs;
    let mut block = 0;
    while block < x.count {
        let block_end = (block + ROW_BLOCK).min(x.count);
        for p in first..end {
            let (panel, _) = w.panel(panels.first + p * panels.step).as_chunks::<PANEL>();
            in_tiles!(block, block_end, |row, R| {
                let rows = x.rows::<R>(row, inputs);
                let acc = tile::<V, R>(rows, panel);
                for r in 0..R {
                    target.put(row + r, p, panels.outputs, &acc[r]);
                }
            });
        }
        block = block_end;
    }
}

for_simd! {
    fn product_simd(x: Rows<'_>, w: &Packed, panels: Panels, first: usize, end: usize, target: Target<'_>) = product;
}

/// Panels of gate and up projection side by side: `silu(gate) * up` is written, gate and up never are.
#[inline(always)]
fn gated<V: Lanes>(x: Rows<'_>, w: &Packed, outputs: usize, first: usize, end: usize, target: Target<'_>) {
    let inputs = w.inputs;
    let mut block = 0;
    while block < x.count {
        let block_end = (block + ROW_BLOCK).min(x.count);
        for p in first..end {
            let (gate, _) = w.panel(2 * p).as_chunks::<PANEL>();
            let (up, _) = w.panel(2 * p + 1).as_chunks::<PANEL>();
            in_tiles!(block, block_end, |row, R| {
                let rows = x.rows::<R>(row, inputs);
                let gates = tile::<V, R>(rows, gate);
                let ups = tile::<V, R>(rows, up);
                for r in 0..R {
                    let mut values = [0.0f32; PANEL];
                    for lane in 0..PANEL {
                        values[lane] = silu::<V>(gates[r][lane]) * ups[r][lane];
                    }
                    target.put(row + r, p, outputs, &values);
                }
            });
        }
        block = block_end;
    }
}

for_simd! {
    fn gated_simd(x: Rows<'_>, w: &Packed, outputs: usize, first: usize, end: usize, target: Target<'_>) = gated;
}

/// Cuts panels into tasks: enough for the threads to even out, large enough to be worth a hand-over.
fn tasks(ctx: &Context, panels: usize, work: usize) -> usize {
    // About 16 k multiply-adds a panel row are far below the cost of waking a thread.
    if work < 64 * 1024 { 1 } else { panels.min(4 * ctx.threads) }
}

/// `out[m, n] = sum_k x[m, k] * w[n, k]` for the outputs in `panels`.
#[expect(clippy::needless_pass_by_value, reason = "holds the borrow of the output")]
pub(crate) fn gemm(ctx: &Context, x: Rows<'_>, w: &Packed, panels: Panels, out: Out<'_>) {
    let count = panels.count();
    let target = Target { data: Shared::new(out.data), stride: out.stride, column: out.column };
    let pieces = tasks(ctx, count, x.count * w.inputs * panels.outputs);
    ctx.each(pieces, |i| {
        product_simd(ctx.simd, x, w, panels, count * i / pieces, count * (i + 1) / pieces, target);
    });
}

/// `out[m, n] = silu(sum_k x[m, k] * gate[n, k]) * sum_k x[m, k] * up[n, k]`; panels of `w` alternate gate and up.
pub(crate) fn gemm_silu_mul(ctx: &Context, x: Rows<'_>, w: &Packed, outputs: usize, out: &mut [f32]) {
    let count = outputs.div_ceil(PANEL);
    let target = Target { data: Shared::new(out), stride: outputs, column: 0 };
    let pieces = tasks(ctx, count, 2 * x.count * w.inputs * outputs);
    ctx.each(pieces, |i| {
        gated_simd(ctx.simd, x, w, outputs, count * i / pieces, count * (i + 1) / pieces, target);
    });
}
