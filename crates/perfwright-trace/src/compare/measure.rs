//! A quantity per step on both sides, with the interval of its difference.

use std::cell::RefCell;

use hashbrown::HashMap;
use perfwright_stats::bootstrap::{MAX_UNITS, Resampler};
use perfwright_stats::difference::{
    Estimate, MIN_UNITS, differences, resampled_difference, resampled_mean, student_mean, welch,
};
use perfwright_stats::spread::mean;

use super::report::{Interval, Measure, Status};

/// Confidence of every interval.
pub(super) const CONFIDENCE: f64 = 0.95;
/// Resampled means behind every bootstrap interval.
pub(super) const RESAMPLES: usize = 1000;
/// Seed of the draws: the same traces give the same intervals.
pub(super) const SEED: u64 = 0x7065_7266;
/// A difference is claimed when its interval lies beyond this part of A.
pub(super) const THRESHOLD: f64 = 0.01;

/// The draws for one class, made once.
pub(super) struct Plan {
    a: Resampler,
    b: Resampler,
    paired: bool,
    steps: usize,
    /// Draws over single launches by number of units: rows share them.
    launches: RefCell<HashMap<usize, Resampler>>,
}

impl Plan {
    pub(super) fn new(a: usize, b: usize, paired: bool) -> Self {
        let plan = |n: usize, seed| Resampler::new(n, if n < MIN_UNITS { 0 } else { RESAMPLES }, seed);
        let b_plan = if paired { Resampler::new(0, 0, 0) } else { plan(b, !SEED) };
        Self { a: plan(a, SEED), b: b_plan, paired, steps: a.min(b), launches: RefCell::default() }
    }

    /// The interval of the mean difference over steps, or what few steps leave of it.
    fn over_steps(&self, a: &[f64], b: &[f64]) -> Option<(Estimate, Interval)> {
        let few = self.steps < MIN_UNITS;
        if self.paired {
            let d = differences(a, b)?;
            if few {
                return Some((student_mean(&d, CONFIDENCE)?, Interval::StudentSteps));
            }
            return Some((resampled_mean(&d, &self.a, CONFIDENCE)?, Interval::BootstrapSteps));
        }
        if few {
            return Some((welch(a, b, CONFIDENCE)?, Interval::StudentSteps));
        }
        Some((resampled_difference(a, b, (&self.a, &self.b), CONFIDENCE)?, Interval::BootstrapSteps))
    }

    /// Measures a quantity from its values per step (equally long and side by side when paired). `launches` are the
    /// differences of single launches where these pair: with fewer than [`MIN_UNITS`] steps they carry the interval.
    pub(super) fn measure(&self, a: &[f64], b: &[f64], launches: Option<&[f64]>) -> Measure {
        let (mean_a, mean_b) = (mean(a).unwrap_or(0.0), mean(b).unwrap_or(0.0));
        let zero = self.paired && a == b;
        let launches = launches.filter(|l| self.steps < MIN_UNITS && l.len() >= MIN_UNITS);
        let found = match launches {
            _ if zero => Some((Estimate { value: 0.0, low: 0.0, high: 0.0, n: a.len() }, self.name())),
            Some(l) => self.over_launches(l, a.len()),
            None => self.over_steps(a, b),
        };
        let interval = found.map_or(Interval::None, |f| f.1);
        let bounds = found.map(|f| (f.0.low, f.0.high));
        let ratio = (mean_a > 0.0).then(|| mean_b / mean_a);
        Measure {
            a_ns_per_step: mean_a,
            b_ns_per_step: mean_b,
            ratio,
            delta_ns_per_step: mean_b - mean_a,
            ci_low: bounds.map(|b| b.0),
            ci_high: bounds.map(|b| b.1),
            interval,
            status: status(mean_a, mean_b, bounds),
        }
    }

    /// Interval of the difference per step from the differences of single launches of `steps` steps.
    fn over_launches(&self, d: &[f64], steps: usize) -> Option<(Estimate, Interval)> {
        let mut plans = self.launches.borrow_mut();
        let plan = plans
            .entry(d.len().min(MAX_UNITS))
            .or_insert_with(|| Resampler::new(d.len(), RESAMPLES, SEED))
            .of_length(d.len())?;
        let e = resampled_mean(d, &plan, CONFIDENCE)?;
        let per_step = d.len() as f64 / steps.max(1) as f64;
        let scaled =
            Estimate { value: e.value * per_step, low: e.low * per_step, high: e.high * per_step, n: e.n };
        Some((scaled, Interval::BootstrapLaunches))
    }

    fn name(&self) -> Interval {
        if self.steps < MIN_UNITS { Interval::StudentSteps } else { Interval::BootstrapSteps }
    }
}

fn status(a: f64, b: f64, bounds: Option<(f64, f64)>) -> Status {
    match (a > 0.0, b > 0.0, bounds) {
        (false, true, _) => Status::Appeared,
        (true, false, _) => Status::Vanished,
        (_, _, None) => Status::Unclear,
        (_, _, Some((low, _))) if low > a * THRESHOLD => Status::Slower,
        (_, _, Some((_, high))) if high < -a * THRESHOLD => Status::Faster,
        _ => Status::Same,
    }
}
