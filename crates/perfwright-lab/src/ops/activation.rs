//! `silu(gate) * up` as a pass of its own.

use super::lanes::Lanes;
use super::math::silu;
use super::pool::Context;
use super::shared::Shared;
use super::simd::for_simd;

#[inline(always)]
fn silu_mul_slice<V: Lanes>(gate: &mut [f32], up: &[f32]) {
    let up = &up[..gate.len()];
    for i in 0..gate.len() {
        gate[i] = silu::<V>(gate[i]) * up[i];
    }
}

for_simd! { fn silu_mul_simd(gate: &mut [f32], up: &[f32]) = silu_mul_slice; }

/// `gate = silu(gate) * up`.
pub(crate) fn silu_mul(ctx: &Context, gate: &mut [f32], up: &[f32], width: usize) {
    let rows = up.len() / width;
    let gate = Shared::new(gate);
    ctx.rows(rows, width, |first, count| {
        let range = first * width..(first + count) * width;
        #[expect(unsafe_code, reason = "tasks write disjoint rows")]
        // SAFETY: `Context::rows` gives each row to one task.
        let gate = unsafe { gate.range(range.start, range.len()) };
        silu_mul_simd(ctx.simd, gate, &up[range]);
    });
}
