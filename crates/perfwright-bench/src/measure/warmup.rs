//! Slow requests at the start of a measurement.

use perfwright_stats::spread::{MAD_TO_SIGMA, mad, median};

/// Fewest requests among which slow ones at the start are looked for.
const MIN_REQUESTS: usize = 8;
/// Standard deviations (from the MAD) above the median that are slow; and the least factor, where there is no spread.
const SIGMAS: f64 = 5.0;
const FACTOR: f64 = 1.5;

/// How many requests at the start, without a gap, have a TTFT far above that of the second half. `ttft_ms` is in the
/// order of sending. At most half can be slow: where more are, the start is not what is odd.
pub(super) fn leading_slow(ttft_ms: &[f64]) -> usize {
    if ttft_ms.len() < MIN_REQUESTS {
        return 0;
    }
    let (first, second) = ttft_ms.split_at(ttft_ms.len() / 2);
    let (Some(centre), Some(spread)) = (median(second), mad(second)) else { return 0 };
    let limit = (centre + SIGMAS * MAD_TO_SIGMA * spread).max(centre * FACTOR);
    first.iter().take_while(|t| **t > limit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slow_start_counts() {
        let even: Vec<f64> = (0..20).map(|i| 50.0 + f64::from(i % 3)).collect();
        assert_eq!(leading_slow(&even), 0);
        let mut cold = even.clone();
        cold[0] = 26_000.0;
        cold[1] = 300.0;
        assert_eq!(leading_slow(&cold), 2);
        let mut later = even;
        later[3] = 900.0;
        assert_eq!(leading_slow(&later), 0);
        assert_eq!(leading_slow(&[9.0, 1.0, 1.0]), 0);
    }
}
