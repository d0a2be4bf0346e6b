//! Mean difference of two series, with an interval.

use crate::bootstrap::{Resampler, bounds, expanded_tail};
use crate::spread::{mean, variance};
use crate::tail::student_quantile;

/// Fewer units than this are too few to resample: five values have 126 distinct resamples, four have 35.
pub const MIN_UNITS: usize = 5;

/// An estimate with its interval, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean difference, second series minus first.
    pub value: f64,
    /// Low end of the interval.
    pub low: f64,
    /// High end of the interval.
    pub high: f64,
    /// Observations behind it: pairs, or the smaller of two samples.
    pub n: usize,
}

impl Estimate {
    fn exact(value: f64, n: usize) -> Self {
        Self { value, low: value, high: value, n }
    }

    /// True when the interval lies on one side of `value`.
    pub fn excludes(&self, value: f64) -> bool {
        self.low > value || self.high < value
    }
}

/// `b[i] - a[i]`; `None` when the lengths differ.
pub fn differences(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| b - a).collect())
}

/// Mean of `values` with the expanded bootstrap percentile interval ([`expanded_tail`]) from the draws of `plan`.
/// `None` for fewer than two values or a plan of another length. Equal values have an interval of no width.
pub fn resampled_mean(values: &[f64], plan: &Resampler, confidence: f64) -> Option<Estimate> {
    if values.len() < 2 {
        return None;
    }
    let value = mean(values)?;
    if values.iter().all(|v| *v == values[0]) {
        return Some(Estimate::exact(value, values.len()));
    }
    let (low, high) = bounds(plan.means(values), expanded_tail(confidence, plan.units()))?;
    Some(Estimate { value, low, high, n: values.len() })
}

/// Paired mean difference with a bootstrap interval: `b[i]` belongs to `a[i]`, and pairs are drawn. `None` when the
/// lengths differ or there are fewer than two pairs.
pub fn paired(a: &[f64], b: &[f64], resamples: usize, seed: u64, confidence: f64) -> Option<Estimate> {
    let d = differences(a, b)?;
    resampled_mean(&d, &Resampler::new(d.len(), resamples, seed), confidence)
}

/// Unpaired mean difference with a bootstrap interval: each series is drawn by itself, by the draws of its plan
/// (Efron and Tibshirani, section 8.3). The tail is that of the smaller sample, which is the careful choice. `None`
/// when either has fewer than two values.
pub fn resampled_difference(
    a: &[f64],
    b: &[f64],
    plans: (&Resampler, &Resampler),
    confidence: f64,
) -> Option<Estimate> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let value = mean(b)? - mean(a)?;
    let n = a.len().min(b.len());
    if a.iter().all(|v| *v == a[0]) && b.iter().all(|v| *v == b[0]) {
        return Some(Estimate::exact(value, n));
    }
    let (from_a, from_b) = (plans.0.means(a), plans.1.means(b));
    let means = from_a.iter().zip(&from_b).map(|(a, b)| b - a).collect();
    let units = plans.0.units().min(plans.1.units());
    let (low, high) = bounds(means, expanded_tail(confidence, units))?;
    Some(Estimate { value, low, high, n })
}

/// Unpaired mean difference with a bootstrap interval; see [`resampled_difference`].
pub fn unpaired(a: &[f64], b: &[f64], resamples: usize, seed: u64, confidence: f64) -> Option<Estimate> {
    let plans = (Resampler::new(a.len(), resamples, seed), Resampler::new(b.len(), resamples, !seed));
    resampled_difference(a, b, (&plans.0, &plans.1), confidence)
}

/// Mean of `values` with Student's interval, mean +- t s / sqrt(n): for numbers of values too small to resample. It
/// trusts that the values are near normal. `None` for fewer than two values.
pub fn student_mean(values: &[f64], confidence: f64) -> Option<Estimate> {
    let (value, n) = (mean(values)?, values.len());
    let half = student_quantile(confidence, (n - 1) as u32) * (variance(values)? / n as f64).sqrt();
    Some(Estimate { value, low: value - half, high: value + half, n })
}

/// Unpaired mean difference with Welch's interval (Welch, Biometrika 34, 1947), its degrees of freedom rounded down.
/// `None` when either series has fewer than two values.
pub fn welch(a: &[f64], b: &[f64], confidence: f64) -> Option<Estimate> {
    let value = mean(b)? - mean(a)?;
    let n = a.len().min(b.len());
    let (ea, eb) = (variance(a)? / a.len() as f64, variance(b)? / b.len() as f64);
    let error = ea + eb;
    if error == 0.0 {
        return Some(Estimate::exact(value, n));
    }
    let df = error * error / (ea * ea / (a.len() - 1) as f64 + eb * eb / (b.len() - 1) as f64);
    let half = student_quantile(confidence, df.max(1.0) as u32) * error.sqrt();
    Some(Estimate { value, low: value - half, high: value + half, n })
}
