//! Elementwise functions that vectorise: no calls, no branches.

use super::lanes::Lanes;
use super::simd::fma;

/// Lanes of the sums that run over a row. Fixed, so that a sum does not depend on the width of the vectors.
pub(crate) const LANES: usize = 16;

/// `e^x` to about 2 units in the last place; 0 below -87.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, the Taylor polynomial of degree 7 for `e^r`, and `2^n` put together from
/// bits. Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
#[inline(always)]
pub(crate) fn exp<V: Lanes>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = fma::<V>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<V>(n, -LN2_LOW, fma::<V>(n, -LN2_HIGH, clamped));
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = fma::<V>(p, r, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let value = p * f32::from_bits(exponent);
    if x < -87.0 { 0.0 } else { value }
}

/// `x / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn silu<V: Lanes>(x: f32) -> f32 {
    x / (1.0 + exp::<V>(-x))
}

/// The sum of the lanes, always in the same order.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut lanes = lanes;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of squares, in [`LANES`] chains.
#[inline(always)]
pub(crate) fn sum_of_squares<V: Lanes>(row: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for b in 0..blocks.len() {
        for i in 0..LANES {
            lanes[i] = fma::<V>(blocks[b][i], blocks[b][i], lanes[i]);
        }
    }
    for i in 0..rest.len() {
        lanes[i] = fma::<V>(rest[i], rest[i], lanes[i]);
    }
    sum_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::lanes::Plain;

    #[test]
    fn exp_is_close_to_the_library() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let value = exp::<Plain>(x);
            let exact = f64::from(x).exp();
            let error = (f64::from(value) - exact).abs() / exact;
            assert!(error < 4e-7, "exp({x}) = {value}, relative error {error}");
        }
        assert_eq!(exp::<Plain>(-1000.0), 0.0);
        assert_eq!(exp::<Plain>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<Plain>(0.0), 1.0);
    }

    #[test]
    fn sums_take_every_element() {
        for len in 0..70 {
            let row: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let exact: f32 = row.iter().map(|x| x * x).sum();
            assert_eq!(sum_of_squares::<Plain>(&row), exact, "len {len}");
        }
    }
}
