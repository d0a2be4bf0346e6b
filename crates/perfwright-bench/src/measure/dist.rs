//! A distribution in a few figures.

use perfwright_stats::percentile::linear;
use perfwright_stats::spread::mean;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Figures of one quantity. Percentiles interpolate linearly between observations (NumPy's default); the standard
/// deviation is of the population. Null where there is no observation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dist {
    /// Observations.
    pub n: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub std: Option<f64>,
    /// Smallest.
    pub min: Option<f64>,
    /// 50th percentile.
    pub p50: Option<f64>,
    /// 75th percentile.
    pub p75: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// 99.9th percentile.
    pub p999: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

impl Dist {
    /// The figures of `values`, in any order.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let p = |p| linear(&values, p);
        let mean = mean(&values);
        let std =
            mean.map(|m| (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / values.len() as f64).sqrt());
        Self {
            n: values.len() as u64,
            mean,
            std,
            min: values.first().copied(),
            p50: p(50.0),
            p75: p(75.0),
            p90: p(90.0),
            p95: p(95.0),
            p99: p(99.0),
            p999: p(99.9),
            max: values.last().copied(),
        }
    }
}
