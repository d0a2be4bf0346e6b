//! The largest load that meets the bounds, from noisy measurements: loads are bracketed and halved; near the boundary
//! a load is measured several times; the answer carries an interval and says when it is a cliff, and when larger loads
//! passed although a smaller one did not.

use perfwright_stats::spread::{mean, variance};
use perfwright_stats::tail::student_quantile;
use schemars::JsonSchema;
use serde::Serialize;

/// A pressure within this of 1 (natural logarithm) is near the boundary and is measured again: 10 %.
const NEAR: f64 = 0.1;
/// Confidence with which a load is called good or bad.
const CONFIDENCE: f64 = 0.98;
/// Two neighbouring loads further apart than this factor have a gap worth a look.
const WIDE: f64 = 4.0;
/// Pressure right above the boundary over pressure right below it, from which on it is a cliff.
pub const CLIFF: f64 = 1.5;

/// Where and how closely to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Smallest load.
    pub lower: f64,
    /// Largest load.
    pub upper: f64,
    /// How close the answer should be.
    pub tolerance: f64,
    /// Most loads that are tried.
    pub rounds: usize,
    /// Most measurements of one load.
    pub repeats: usize,
    /// Loads are whole numbers.
    pub whole: bool,
}

/// One measurement: the pressure is the worst figure over its bound; up to 1 is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The load.
    pub load: f64,
    /// The pressure.
    pub pressure: f64,
}

/// What is known of one load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Level {
    /// The load.
    pub load: f64,
    /// Measurements.
    pub measured: usize,
    /// Geometric mean of the pressures; none where one was without bound.
    pub pressure: Option<f64>,
    /// Whether it meets the bounds.
    pub good: bool,
    /// The measurements leave no doubt.
    pub certain: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    /// Largest load that met the bounds; 0 where not even the smallest did.
    pub value: f64,
    /// Largest load that met them without doubt.
    pub low: f64,
    /// Smallest load above that missed them without doubt; the largest tried load where none did.
    pub high: f64,
    /// The bounds are missed by far right above.
    pub cliff: bool,
    /// A larger load passed although a smaller one failed.
    pub non_monotone: bool,
    /// The largest load passed: the boundary is beyond.
    pub beyond: bool,
    /// The tolerance was reached.
    pub complete: bool,
    /// Every load that was tried, smallest first.
    pub levels: Vec<Level>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Measure this load.
    Probe(f64),
    /// Enough is known.
    Done(Found),
}

/// Decides from what was measured so far; the same observations give the same answer.
#[must_use]
pub fn next(range: &Range, observations: &[Observation]) -> Next {
    let mut levels: Vec<(Level, bool)> = Vec::new();
    for observation in observations {
        if levels.iter().all(|(l, _)| l.load != observation.load) {
            levels.push(level(observation.load, observations, range.repeats));
        }
    }
    // A load whose measurements do not decide is measured again before anything else.
    if let Some((open, _)) = levels.iter().find(|(_, again)| *again) {
        return Next::Probe(open.load);
    }
    let tried = levels.len();
    let mut levels: Vec<Level> = levels.into_iter().map(|(l, _)| l).collect();
    levels.sort_by(|a, b| a.load.total_cmp(&b.load));
    let known = |load: f64| levels.iter().find(|l| l.load == load);
    let Some(bottom) = known(range.lower) else { return Next::Probe(range.lower) };
    if !bottom.good || range.upper <= range.lower {
        return Next::Done(found(range, levels));
    }
    let Some(top) = known(range.upper) else {
        return if tried < range.rounds {
            Next::Probe(range.upper)
        } else {
            Next::Done(found(range, levels))
        };
    };
    let (lo, hi) = bracket(&levels);
    let step = if range.whole { 1.0_f64.max(range.tolerance) } else { range.tolerance };
    if tried >= range.rounds {
        return Next::Done(found(range, levels));
    }
    if let (false, Some(hi)) = (top.good, hi)
        && hi - lo > step
    {
        return match middle(lo, hi, range.whole).filter(|m| known(*m).is_none()) {
            Some(load) => Next::Probe(load),
            None => Next::Done(found(range, levels)),
        };
    }
    // Halving goes towards one boundary only: a look into a wide gap on either side of it finds another.
    let wide = |side: &dyn Fn(f64) -> bool| {
        let loads: Vec<f64> = levels.iter().map(|l| l.load).filter(|l| side(*l)).collect();
        loads.windows(2).find(|w| w[1] / w[0] > WIDE && w[1] - w[0] > 2.0 * step).map(|w| (w[0], w[1]))
    };
    let gap = wide(&|l| l <= lo).or_else(|| hi.and_then(|hi| wide(&|l| l >= hi)));
    match gap.and_then(|(a, b)| middle(a, b, range.whole)).filter(|m| known(*m).is_none()) {
        Some(load) => Next::Probe(load),
        None => Next::Done(found(range, levels)),
    }
}

/// Largest load up to which everything passed, and the smallest that failed.
fn bracket(levels: &[Level]) -> (f64, Option<f64>) {
    let failed = levels.iter().position(|l| !l.good);
    let lo = levels[..failed.unwrap_or(levels.len())].last().map_or(0.0, |l| l.load);
    (lo, failed.map(|i| levels[i].load))
}

fn middle(lo: f64, hi: f64, whole: bool) -> Option<f64> {
    // Wide brackets are halved in proportion, narrow ones in the middle.
    let exact = if lo > 0.0 && hi / lo > 4.0 { (lo * hi).sqrt() } else { (lo + hi) / 2.0 };
    let load = if whole { exact.round() } else { exact };
    (load > lo && load < hi).then_some(load)
}

/// What is known of a load, and whether it should be measured again.
fn level(load: f64, observations: &[Observation], repeats: usize) -> (Level, bool) {
    let of = observations.iter().filter(|o| o.load == load);
    let logs: Vec<f64> = of.map(|o| if o.pressure > 0.0 { o.pressure.ln() } else { -20.0 }).collect();
    let n = logs.len();
    let centre = mean(&logs).unwrap_or(f64::INFINITY);
    if !centre.is_finite() {
        // A figure without bound (nothing came back) is bad without any doubt.
        return (Level { load, measured: n, pressure: None, good: false, certain: true }, false);
    }
    let certain = match variance(&logs) {
        Some(v) if n > 1 => {
            let half = student_quantile(CONFIDENCE, (n - 1) as u32) * (v / n as f64).sqrt();
            centre - half > 0.0 || centre + half < 0.0
        }
        _ => centre.abs() > NEAR,
    };
    let level = Level { load, measured: n, pressure: Some(centre.exp()), good: centre <= 0.0, certain };
    (level, !certain && n < repeats)
}

fn found(range: &Range, levels: Vec<Level>) -> Found {
    let (value, failed) = bracket(&levels);
    let certain_below = levels.iter().take_while(|l| l.good && l.load <= value).filter(|l| l.certain);
    let low = certain_below.last().map_or(0.0, |l| l.load);
    let last = levels.last().map_or(range.lower, |l| l.load);
    let high = levels
        .iter()
        .find(|l| !l.good && l.certain && l.load > value)
        .map_or_else(|| last.max(value), |l| l.load);
    let pressure = |load: Option<f64>| {
        let level = levels.iter().find(|l| Some(l.load) == load);
        level.map(|l| l.pressure.unwrap_or(f64::INFINITY))
    };
    let step = if range.whole { range.tolerance.max(1.0) } else { range.tolerance };
    let near = failed.is_some_and(|hi| value > 0.0 && hi - value <= step.max(0.1 * hi));
    let cliff = near
        && pressure(failed)
            .zip(pressure(Some(value)))
            .is_some_and(|(above, below)| above > CLIFF * below.max(1e-9));
    let non_monotone = failed.is_some_and(|hi| levels.iter().any(|l| l.good && l.load > hi));
    let beyond = failed.is_none() && last >= range.upper;
    let complete = beyond || failed.is_some_and(|hi| hi - value <= step || value == 0.0);
    Found { value, low, high, cliff, non_monotone, beyond, complete, levels }
}

#[cfg(test)]
mod tests {
    use perfwright_stats::rng::Rng;

    use super::*;

    const RANGE: Range =
        Range { lower: 0.25, upper: 16.0, tolerance: 0.1, rounds: 20, repeats: 5, whole: false };

    /// Drives the search with an objective until it is done.
    fn drive(range: &Range, mut pressure: impl FnMut(f64) -> f64) -> (Found, usize) {
        let mut seen = Vec::new();
        for _ in 0..1000 {
            match next(range, &seen) {
                Next::Probe(load) => seen.push(Observation { load, pressure: pressure(load) }),
                Next::Done(found) => return (found, seen.len()),
            }
        }
        panic!("no end")
    }

    #[test]
    fn a_clean_boundary_is_found_within_the_tolerance() {
        let (found, _) = drive(&RANGE, |load| load / 7.3);
        assert!(found.value <= 7.3 && found.value > 7.1, "{found:?}");
        assert!(found.complete && !found.cliff && !found.non_monotone && !found.beyond);
    }

    #[test]
    fn noise_widens_the_interval_and_keeps_the_truth_inside() {
        let (mut inside, mut rng) = (0, Rng::new(5));
        for _ in 0..200 {
            // About 3 % of noise: the sum of twelve even draws is near normal.
            let mut noise = || (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
            let (found, _) = drive(&RANGE, |load| (load / 7.3) * (0.03 * noise()).exp());
            inside += usize::from(found.low <= 7.3 && 7.3 <= found.high + 1e-9);
        }
        assert!(inside >= 180, "{inside} of 200");
    }

    #[test]
    fn a_cliff_is_called_one() {
        let (found, _) = drive(&RANGE, |load| if load < 5.0 { 0.6 } else { 8.0 });
        assert!(found.cliff && (4.8..5.0).contains(&found.value), "{found:?}");
        // No answer at all is a figure without bound.
        let (found, _) = drive(&RANGE, |load| if load < 5.0 { 0.6 } else { f64::INFINITY });
        assert!(found.cliff, "{found:?}");
    }

    #[test]
    fn an_island_of_failure_is_seen() {
        let (found, _) =
            drive(&RANGE, |load| if load > 1.0 && load < 3.0 || load > 12.0 { 2.0 } else { 0.5 });
        assert!(found.non_monotone, "{found:?}");
        assert!(found.value <= 1.0);
    }

    #[test]
    fn the_ends_of_the_range_are_answers() {
        let (none, tries) = drive(&RANGE, |_| 3.0);
        assert_eq!((none.value, none.low, tries), (0.0, 0.0, 1));
        let (all, tries) = drive(&RANGE, |_| 0.2);
        assert!(all.beyond && all.value == 16.0 && tries <= 6, "{all:?} {tries}");
    }

    #[test]
    fn whole_loads_and_few_rounds() {
        let range = Range { lower: 1.0, upper: 64.0, tolerance: 1.0, rounds: 20, repeats: 3, whole: true };
        let (found, _) = drive(&range, |load| load / 23.5);
        assert_eq!((found.value, found.complete), (23.0, true));
        let (found, tries) = drive(&Range { rounds: 4, repeats: 1, ..range }, |load| load / 23.5);
        assert!(!found.complete && tries <= 4, "{found:?}");
    }
}
