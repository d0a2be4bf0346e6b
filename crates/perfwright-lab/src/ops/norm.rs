//! RMSNorm and the residual stream.

use super::lanes::Lanes;
use super::math::sum_of_squares;
use super::pool::Context;
use super::shared::Shared;
use super::simd::for_simd;

#[inline(always)]
fn norm_rows<V: Lanes>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    for row in 0..x.len() / width {
        let range = row * width..(row + 1) * width;
        norm_row::<V>(&x[range.clone()], weight, eps, &mut out[range]);
    }
}

#[inline(always)]
fn norm_row<V: Lanes>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let scale = 1.0 / (sum_of_squares::<V>(x) / x.len() as f32 + eps).sqrt();
    let width = x.len();
    let (weight, out) = (&weight[..width], &mut out[..width]);
    for i in 0..width {
        out[i] = x[i] * scale * weight[i];
    }
}

#[inline(always)]
fn norm_in_place<V: Lanes>(x: &mut [f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for row in 0..x.len() / width {
        let x = &mut x[row * width..(row + 1) * width];
        let scale = 1.0 / (sum_of_squares::<V>(x) / width as f32 + eps).sqrt();
        for i in 0..width {
            x[i] = x[i] * scale * weight[i];
        }
    }
}

#[inline(always)]
fn add_norm_rows<V: Lanes>(x: &mut [f32], y: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    for ((x, y), out) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)).zip(out.chunks_exact_mut(width))
    {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
        norm_row::<V>(x, weight, eps, out);
    }
}

#[inline(always)]
fn add_rows<V: Lanes>(x: &mut [f32], y: &[f32]) {
    let y = &y[..x.len()];
    for i in 0..x.len() {
        x[i] += y[i];
    }
}

for_simd! { fn norm_simd(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = norm_rows; }
for_simd! { pub(crate) fn norm_in_place_simd(x: &mut [f32], weight: &[f32], eps: f32) = norm_in_place; }
for_simd! { fn add_norm_simd(x: &mut [f32], y: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = add_norm_rows; }
for_simd! { fn add_simd(x: &mut [f32], y: &[f32]) = add_rows; }

/// `out = x / sqrt(mean(x^2) + eps) * weight`, row by row (Zhang and Sennrich, "Root Mean Square Layer Normalization").
pub(crate) fn rmsnorm(ctx: &Context, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    let shared = Shared::new(out);
    ctx.rows(x.len() / width, width, |first, count| {
        let range = first * width..(first + count) * width;
        #[expect(unsafe_code, reason = "tasks write disjoint rows")]
        // SAFETY: `Context::rows` gives each row to one task.
        let out = unsafe { shared.range(range.start, range.len()) };
        norm_simd(ctx.simd, &x[range], weight, eps, out);
    });
}

/// `x += y`, then [`rmsnorm`] of `x`, in one pass over each row.
pub(crate) fn add_rmsnorm(
    ctx: &Context,
    x: &mut [f32],
    y: &[f32],
    weight: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    let width = weight.len();
    let rows = x.len() / width;
    let (x, out) = (Shared::new(x), Shared::new(out));
    ctx.rows(rows, width, |first, count| {
        let range = first * width..(first + count) * width;
        #[expect(unsafe_code, reason = "tasks write disjoint rows")]
        // SAFETY: `Context::rows` gives each row to one task.
        let (x, out) = unsafe { (x.range(range.start, range.len()), out.range(range.start, range.len())) };
        add_norm_simd(ctx.simd, x, &y[range], weight, eps, out);
    });
}

/// `x += y`.
pub(crate) fn add(ctx: &Context, x: &mut [f32], y: &[f32], width: usize) {
    let rows = x.len() / width;
    let x = Shared::new(x);
    ctx.rows(rows, width, |first, count| {
        let range = first * width..(first + count) * width;
        #[expect(unsafe_code, reason = "tasks write disjoint rows")]
        // SAFETY: `Context::rows` gives each row to one task.
        let x = unsafe { x.range(range.start, range.len()) };
        add_simd(ctx.simd, x, &y[range]);
    });
}
