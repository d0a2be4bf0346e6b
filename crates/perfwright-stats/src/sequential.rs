//! Deciding as early as the data allow, with the error of looking several times under control.
//!
//! Two sides are measured in blocks (A B, then B A, ...), each with a launch of its own, and a block gives one
//! difference. What a launch happens to be like (addresses, clocks, order of allocation) is shared by everything
//! measured on it, so the launch, not the request, is the unit: the differences of blocks carry the variance of two
//! launches and of the measurements on them together.
//!
//! After each look the interval of the mean difference is held against a threshold. Every look has a part of the
//! error; the parts add up to the whole, so by Bonferroni's inequality the chance that any look claims what is not so
//! is at most the whole, however the looks depend on each other. Early looks get little, because they rarely decide.

use crate::difference::{Estimate, student_mean};

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// The second side is larger by more than the threshold.
    Above,
    /// The second side is smaller by more than the threshold.
    Below,
    /// The sides differ by less than the threshold.
    Same,
    /// The interval holds a threshold; more blocks may decide.
    Open,
}

/// When to look, and how sure to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Numbers of blocks after which is looked, rising; the last is the budget.
    pub looks: Vec<usize>,
    /// Chance of any false claim, over all looks.
    pub error: f64,
    /// Difference that matters to nobody, in the unit of the differences.
    pub threshold: f64,
}

/// Blocks of the default budget.
pub const DEFAULT_BLOCKS: usize = 32;

/// Part of the error that the looks before the last share.
const EARLY: f64 = 0.3;

impl Plan {
    /// Looks after a quarter, a half, three quarters and all of `blocks`, but never before four; 5 % error.
    pub fn new(blocks: usize, threshold: f64) -> Self {
        let mut looks: Vec<usize> = [blocks / 4, blocks / 2, blocks * 3 / 4, blocks].to_vec();
        looks.retain(|n| *n >= 4);
        looks.dedup();
        Self { looks, error: 0.05, threshold }
    }

    /// Error of the look at `index`: later looks get more, the last the most.
    pub fn error_at(&self, index: usize) -> f64 {
        let last = self.looks.len().saturating_sub(1);
        if index >= last {
            return if last == 0 { self.error } else { self.error * (1.0 - EARLY) };
        }
        // Parts rise with the square of the look's number.
        let square = |i: usize| ((i + 1) * (i + 1)) as f64;
        let all: f64 = (0..last).map(square).sum();
        self.error * EARLY * square(index) / all
    }
}

/// The state after some blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What follows.
    pub decision: Decision,
    /// Mean difference with the interval of the look that decided, or of the last one; none before the first look.
    pub estimate: Option<Estimate>,
    /// Blocks that were used.
    pub blocks: usize,
    /// More blocks would be looked at.
    pub more: bool,
}

/// Decides from the differences so far, one a block, in the order of measuring. Blocks behind the look that decided
/// are not used, so that measuring on cannot overturn or find a result.
pub fn decide(differences: &[f64], plan: &Plan) -> Verdict {
    let mut last = None;
    for (index, &blocks) in plan.looks.iter().enumerate() {
        if blocks > differences.len() {
            break;
        }
        let estimate = student_mean(&differences[..blocks], 1.0 - plan.error_at(index));
        let decision = estimate.map_or(Decision::Open, |e| against(&e, plan.threshold));
        let more = index + 1 < plan.looks.len();
        last = Some(Verdict { decision, estimate, blocks, more });
        if decision != Decision::Open {
            return Verdict { decision, estimate, blocks, more: false };
        }
    }
    last.unwrap_or(Verdict {
        decision: Decision::Open,
        estimate: None,
        blocks: 0,
        more: !plan.looks.is_empty(),
    })
}

fn against(estimate: &Estimate, threshold: f64) -> Decision {
    if estimate.low > threshold {
        Decision::Above
    } else if estimate.high < -threshold {
        Decision::Below
    } else if estimate.low > -threshold && estimate.high < threshold {
        Decision::Same
    } else {
        Decision::Open
    }
}

/// Standard deviations of launches and of measurements within a launch, from groups of measurements, by the one-way
/// analysis of variance with unequal group sizes (Searle, Casella, McCulloch, "Variance Components", 1992, section
/// 3.6). The first is 0 where launches differ less than their measurements let one expect. `None` without two groups
/// and one group of two.
pub fn launch_spread(launches: &[Vec<f64>]) -> Option<(f64, f64)> {
    let groups: Vec<&Vec<f64>> = launches.iter().filter(|g| !g.is_empty()).collect();
    let (k, n) = (groups.len(), groups.iter().map(|g| g.len()).sum::<usize>());
    if k < 2 || n <= k {
        return None;
    }
    let total = n as f64;
    let grand = groups.iter().flat_map(|g| g.iter()).sum::<f64>() / total;
    let (mut between, mut within, mut squares) = (0.0, 0.0, 0.0);
    for group in groups {
        let size = group.len() as f64;
        let mean = group.iter().sum::<f64>() / size;
        between += size * (mean - grand).powi(2);
        within += group.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        squares += size * size;
    }
    let (ms_between, ms_within) = (between / (k - 1) as f64, within / (n - k) as f64);
    let size = (total - squares / total) / (k - 1) as f64;
    let launch = ((ms_between - ms_within) / size).max(0.0);
    Some((launch.sqrt(), ms_within.sqrt()))
}
