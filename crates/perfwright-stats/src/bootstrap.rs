//! Means of resampled observations.
//!
//! Observations of one question are drawn with replacement, as many as there are, and their mean is taken; many such
//! means show how far the mean could have been elsewhere (Efron and Tibshirani, "An Introduction to the Bootstrap",
//! 1993, chapters 6 and 13). Neighbours in time resemble each other; beyond [`MAX_UNITS`] observations, runs of
//! neighbours are drawn together (non-overlapping blocks: Carlstein, Annals of Statistics 14(3), 1986), which keeps
//! that likeness and bounds the cost.

use std::sync::Arc;

use crate::percentile::linear;
use crate::rng::Rng;
use crate::spread::mean;
use crate::tail::{normal_cdf, student_quantile};

/// Most units that are drawn from; more observations are gathered in blocks.
pub const MAX_UNITS: usize = 64;

/// A plan of draws, made once and used for every series of the same length: the intervals of parts and whole then
/// come from the same draws.
#[derive(Debug, Clone)]
pub struct Resampler {
    observations: usize,
    units: u32,
    /// `resamples` rows of `units` unit numbers.
    draws: Arc<[u32]>,
}

impl Resampler {
    /// A plan for series of `observations` values.
    pub fn new(observations: usize, resamples: usize, seed: u64) -> Self {
        let units = observations.min(MAX_UNITS) as u32;
        let mut rng = Rng::new(seed);
        let draws = (0..resamples * units as usize).map(|_| rng.below(units)).collect();
        Self { observations, units, draws }
    }

    /// The same draws for series of another length that gather into as many units; `None` when they do not.
    pub fn of_length(&self, observations: usize) -> Option<Self> {
        (observations.min(MAX_UNITS) == self.units as usize).then(|| Self {
            observations,
            units: self.units,
            draws: Arc::clone(&self.draws),
        })
    }

    /// Number of units drawn from: the observations, or their blocks.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Mean of each resample of `values`, in draw order. Empty when the length is not the planned one.
    pub fn means(&self, values: &[f64]) -> Vec<f64> {
        if values.len() != self.observations || values.is_empty() {
            return Vec::new();
        }
        let whole = mean(values).unwrap_or(f64::NAN);
        let units = self.units as usize;
        // Offsets from the mean; a block of `k` values stands for `k` draws, so that long and short blocks weigh
        // what they hold.
        let block = |i: usize| {
            let (from, to) = (i * values.len() / units, (i + 1) * values.len() / units);
            values[from..to].iter().map(|v| v - whole).sum::<f64>()
        };
        let offsets: Vec<f64> = (0..units).map(block).collect();
        self.draws
            .chunks_exact(units)
            .map(|row| whole + row.iter().map(|&u| offsets[u as usize]).sum::<f64>() / values.len() as f64)
            .collect()
    }
}

/// Tail probability to cut off on each side of the resampled means for an interval of `confidence` (0 to 1).
///
/// The plain percentile interval uses half of 1 - confidence and is too short for few observations: resampled means
/// spread by the factor sqrt((n-1)/n) too little, and by the normal where Student's distribution holds. The expanded
/// percentile interval (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69(4),
/// 2015, section 3.4) takes the normal's tail beyond sqrt(n/(n-1)) times Student's quantile instead; the two agree
/// for large n.
pub fn expanded_tail(confidence: f64, units: u32) -> f64 {
    if units < 2 {
        return 0.0;
    }
    let n = f64::from(units);
    normal_cdf(-(n / (n - 1.0)).sqrt() * student_quantile(confidence, units - 1))
}

/// Bounds that leave `tail` of the resampled means on each side. `None` for no means.
pub fn bounds(mut means: Vec<f64>, tail: f64) -> Option<(f64, f64)> {
    means.sort_by(f64::total_cmp);
    Some((linear(&means, tail * 100.0)?, linear(&means, (1.0 - tail) * 100.0)?))
}
