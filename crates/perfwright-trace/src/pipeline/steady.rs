//! Cold and steady passes: by how far a pass is from what its class usually takes, not by its position.

/// Deviations above the median from which a pass is cold.
const DEVIATIONS: f64 = 5.0;
/// A pass within this share of the median is never cold, however little the others vary.
const AT_LEAST: f64 = 0.15;
/// The median absolute deviation of a normal distribution is this part of its standard deviation.
const NORMAL: f64 = 0.674_5;

/// The median of sorted or unsorted values (lower middle); 0 of none.
pub(super) fn median(mut values: Vec<i64>) -> i64 {
    if values.is_empty() {
        return 0;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable(middle).1
}

/// What is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usual {
    pub(super) median: i64,
    pub(super) deviation: i64,
}

impl Usual {
    /// Of durations.
    pub(super) fn of(values: &[i64]) -> Self {
        let middle = median(values.to_vec());
        let deviation = median(values.iter().map(|v| (v - middle).abs()).collect());
        Self { median: middle, deviation }
    }

    /// True for a duration that is not of the usual kind. Of fewer than three nothing is usual.
    pub(super) fn is_cold(&self, value: i64, of: usize) -> bool {
        let sigma = self.deviation as f64 / NORMAL;
        let over = (DEVIATIONS * sigma).max(AT_LEAST * self.median as f64);
        of >= 3 && (value - self.median) as f64 > over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_is_a_deviation_not_a_position() {
        let passes = [100, 103, 98, 101, 400, 99];
        let usual = Usual::of(&passes);
        assert_eq!(usual, Usual { median: 100, deviation: 1 });
        let cold: Vec<bool> = passes.iter().map(|&p| usual.is_cold(p, passes.len())).collect();
        assert_eq!(cold, [false, false, false, false, true, false]);
        assert!(!usual.is_cold(110, 6), "within the least deviation");
        assert!(!Usual::of(&[1, 100]).is_cold(100, 2), "two passes have no usual duration");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![3, 1, 2]), 2);
        assert_eq!(median(vec![4, 1, 2, 3]), 2);
    }
}
