//! Percentiles, with the definition in the name. Two are in use because they answer different questions.

/// The smallest observation that at least `p` percent of the observations do not exceed (nearest rank; definition 1
/// of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50(4), 1996). It is
/// always a value that was observed, which is what a latency percentile should be.
///
/// `sorted` is in ascending order; `p` is clamped to 0..=100. `None` for an empty slice or a `p` that is no number.
pub fn nearest_rank(sorted: &[f64], p: f64) -> Option<f64> {
    if sorted.is_empty() || p.is_nan() {
        return None;
    }
    let rank = (p.clamp(0.0, 100.0) / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len() - 1)).copied()
}

/// Linear interpolation between the observations around rank `(n - 1) p / 100` (definition 7 of Hyndman and Fan;
/// what NumPy and R print unless told otherwise).
///
/// `sorted` is in ascending order; `p` is clamped to 0..=100. `None` for an empty slice or a `p` that is no number.
pub fn linear(sorted: &[f64], p: f64) -> Option<f64> {
    if sorted.is_empty() || p.is_nan() {
        return None;
    }
    let at = p.clamp(0.0, 100.0) / 100.0 * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let (low, part) = (sorted[below], at - at.floor());
    let high = sorted[(below + 1).min(sorted.len() - 1)];
    Some(if part == 0.0 { low } else { low + part * (high - low) })
}

/// A sorted copy, with values that are not a number last.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    out.sort_by(f64::total_cmp);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples() {
        let v = [15.0, 20.0, 35.0, 40.0, 50.0];
        assert_eq!(nearest_rank(&v, 30.0), Some(20.0));
        assert_eq!(nearest_rank(&v, 40.0), Some(20.0));
        assert_eq!(nearest_rank(&v, 50.0), Some(35.0));
        assert_eq!(nearest_rank(&v, 0.0), Some(15.0));
        assert_eq!(nearest_rank(&v, 100.0), Some(50.0));
        assert_eq!(linear(&v, 40.0), Some(29.0));
        assert_eq!(linear(&v, 50.0), Some(35.0));
        assert_eq!(linear(&v, 200.0), Some(50.0));
        assert_eq!(nearest_rank(&[], 50.0), None);
        assert_eq!(linear(&[], 50.0), None);
        assert_eq!(linear(&v, f64::NAN), None);
    }
}
