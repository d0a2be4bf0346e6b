//! Percentiles that hold with a stated confidence, whatever the distribution: order statistics as bounds (David and
//! Nagaraja, "Order Statistics", section 7.1). The observations are taken as independent.

use crate::binomial::cdf;

/// The rank (from 1) of the smallest observation that lies at or above the `p`-th percentile of the distribution with
/// at least `confidence`, or `None` when `n` observations are too few for any to do so.
///
/// The k-th observation is below the percentile only if at least k of them are, so it is at or above it with
/// probability `cdf(k - 1; n, p)`.
pub fn upper_rank(n: u64, p: f64, confidence: f64) -> Option<u64> {
    let share = p / 100.0;
    if n == 0 || !(0.0..1.0).contains(&share) || cdf(n - 1, n, share) < confidence {
        return None;
    }
    let (mut low, mut high) = (0, n);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if cdf(middle - 1, n, share) >= confidence { high = middle } else { low = middle }
    }
    Some(high)
}

/// The rank (from 1) of the largest observation that lies at or below the `p`-th percentile with at least
/// `confidence`, or `None`.
pub fn lower_rank(n: u64, p: f64, confidence: f64) -> Option<u64> {
    upper_rank(n, 100.0 - p, confidence).map(|rank| n + 1 - rank)
}

/// The fewest observations of which `above` may exceed a bound so that the `p`-th percentile is at or below that bound
/// with at least `confidence`. `None` where `p` is not in 0..100 or the number is beyond 100 million.
pub fn needed(p: f64, above: u64, confidence: f64) -> Option<u64> {
    let share = 1.0 - p / 100.0;
    if !(share > 0.0 && share <= 1.0) {
        return None;
    }
    let enough = |n: u64| cdf(above, n, share) <= 1.0 - confidence;
    let mut high = above + 1;
    while !enough(high) {
        high = high.checked_mul(2).filter(|n| *n <= 100_000_000)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(if enough(low) { low.max(above + 1) } else { high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_smallest_that_hold() {
        for n in [1u64, 2, 10, 80, 500] {
            for p in [1.0, 50.0, 90.0, 92.0, 99.0] {
                let slow = (1..=n).find(|k| cdf(k - 1, n, p / 100.0) >= 0.99);
                assert_eq!(upper_rank(n, p, 0.99), slow, "{n} {p}");
                if let (Some(low), Some(high)) = (lower_rank(n, p, 0.99), upper_rank(n, p, 0.99)) {
                    assert!(low <= high);
                }
            }
        }
        assert_eq!(upper_rank(0, 50.0, 0.99), None);
        assert_eq!(upper_rank(1000, 100.0, 0.99), None);
    }

    #[test]
    fn needs_of_the_usual_percentiles() {
        // None above: ln(0.01) / ln(p).
        assert_eq!(needed(90.0, 0, 0.99), Some(44));
        assert_eq!(needed(99.0, 0, 0.99), Some(459));
        // One above, as MLPerf's early stopping plans (its function gives one fewer: 63, 129, 661, 6635).
        let one = [90.0, 95.0, 99.0, 99.9].map(|p| needed(p, 1, 0.99).unwrap());
        assert_eq!(one, [64, 130, 662, 6636]);
        assert_eq!(needed(100.0, 0, 0.99), None);
        // 80 observations certify no percentile beyond p94, and p91 when one is above.
        assert!(upper_rank(80, 94.0, 0.99).is_some() && upper_rank(80, 95.0, 0.99).is_none());
        assert!(needed(91.0, 1, 0.99).unwrap() <= 80);
    }
}
