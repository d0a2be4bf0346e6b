//! Centre and spread.

use crate::percentile::{linear, sorted};

/// Scale by which the MAD of normally distributed values estimates their standard deviation: 1 / the normal
/// distribution's 75th percentile (Rousseeuw and Croux, "Alternatives to the median absolute deviation", 1993).
pub const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// Arithmetic mean. `None` for an empty slice.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    // Offsets from the first value are summed: equal values have exactly their own mean, and large time stamps
    // lose no digits.
    let first = values[0];
    Some(first + values.iter().map(|v| v - first).sum::<f64>() / values.len() as f64)
}

/// Sample variance, with n - 1 below. `None` for fewer than two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    Some(values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64)
}

/// Median; between the two middle values of an even number. `None` for an empty slice.
pub fn median(values: &[f64]) -> Option<f64> {
    linear(&sorted(values), 50.0)
}

/// Median absolute deviation from the median, not scaled; see [`MAD_TO_SIGMA`]. `None` for an empty slice.
pub fn mad(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    median(&values.iter().map(|v| (v - centre).abs()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), Some(32.0 / 7.0));
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), Some(2.5));
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
        assert_eq!((mean(&[]), variance(&[1.0]), median(&[]), mad(&[])), (None, None, None, None));
    }
}
