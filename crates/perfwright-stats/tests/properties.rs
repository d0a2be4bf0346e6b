//! What must hold for every input, and how often the intervals hold the truth.

use perfwright_stats::bootstrap::{MAX_UNITS, Resampler, expanded_tail};
use perfwright_stats::difference::{paired, resampled_mean, student_mean, unpaired, welch};
use perfwright_stats::percentile::{linear, nearest_rank, sorted};
use perfwright_stats::rng::Rng;
use perfwright_stats::spread::{mad, mean, median};
use perfwright_stats::tail::{normal_cdf, student_quantile, student_within};
use proptest::prelude::*;

fn values(at_least: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1e6..1e6f64, at_least..60)
}

proptest! {
    #[test]
    fn nearest_rank_is_observed_and_leaves_p_percent_below(v in values(1), p in 0.0..100.0f64) {
        let v = sorted(&v);
        let x = nearest_rank(&v, p).unwrap();
        let not_above = v.iter().filter(|y| **y <= x).count() as f64;
        let below = v.iter().filter(|y| **y < x).count() as f64;
        prop_assert!(v.contains(&x));
        prop_assert!(not_above >= p / 100.0 * v.len() as f64);
        prop_assert!(below < p / 100.0 * v.len() as f64 || below == 0.0);
    }

    #[test]
    fn percentiles_rise_and_stay_inside(v in values(1), p in 0.0..100.0f64, q in 0.0..100.0f64) {
        let v = sorted(&v);
        let (p, q) = (p.min(q), p.max(q));
        for f in [nearest_rank, linear] {
            let (a, b) = (f(&v, p).unwrap(), f(&v, q).unwrap());
            prop_assert!(a <= b && v[0] <= a && b <= v[v.len() - 1]);
        }
    }

    #[test]
    fn shifting_moves_the_median_and_keeps_the_mad(v in values(1), by in -1e3..1e3f64) {
        let moved: Vec<f64> = v.iter().map(|x| x + by).collect();
        prop_assert!((median(&moved).unwrap() - median(&v).unwrap() - by).abs() < 1e-6);
        prop_assert!((mad(&moved).unwrap() - mad(&v).unwrap()).abs() < 1e-6);
        prop_assert!(mad(&v).unwrap() >= 0.0);
    }

    #[test]
    fn intervals_hold_their_estimate_and_turn_with_the_sides(a in values(2), b in values(2), seed: u64) {
        let n = a.len().min(b.len());
        for (f, r) in [
            (paired(&a[..n], &b[..n], 300, seed, 0.95), paired(&b[..n], &a[..n], 300, seed, 0.95)),
            (welch(&a, &b, 0.95), welch(&b, &a, 0.95)),
        ] {
            let (f, r) = (f.unwrap(), r.unwrap());
            prop_assert!(f.low <= f.value + 1e-6 && f.value <= f.high + 1e-6);
            prop_assert!((f.value + r.value).abs() < 1e-6);
            prop_assert!((f.low + r.high).abs() < 1e-5 && (f.high + r.low).abs() < 1e-5);
        }
        let e = unpaired(&a, &b, 300, seed, 0.95).unwrap();
        prop_assert!((e.value - (mean(&b).unwrap() - mean(&a).unwrap())).abs() < 1e-6);
        prop_assert_eq!(e, unpaired(&a, &b, 300, seed, 0.95).unwrap());
    }

    #[test]
    fn equal_differences_have_no_width(a in values(2), seed: u64) {
        let e = paired(&a, &a, 200, seed, 0.95).unwrap();
        prop_assert_eq!((e.value, e.low, e.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn student_quantiles_fall_towards_the_normal(df in 1u32..900, confidence in 0.5..0.999f64) {
        let t = student_quantile(confidence, df);
        prop_assert!((student_within(t, df) - confidence).abs() < 1e-9);
        prop_assert!(t >= student_quantile(confidence, df + 1));
        prop_assert!(1.0 - 2.0 * normal_cdf(-t) >= confidence - 1e-9);
    }

    #[test]
    fn total_on_any_floats(v in prop::collection::vec(any::<f64>(), 0..20), seed: u64) {
        let _ = (paired(&v, &v, 50, seed, 0.95), unpaired(&v, &v, 50, seed, 0.95), welch(&v, &v, 0.95));
        let _ = (student_mean(&v, 0.95), mad(&v), nearest_rank(&sorted(&v), 50.0));
    }
}

/// Sum of twelve uniform draws less six: near normal, mean 0, deviation 1.
fn noise(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
}

fn misses(n: usize, interval: impl Fn(&[f64], u64) -> (f64, f64)) -> usize {
    let mut rng = Rng::new(99);
    let outside = |round: u64, rng: &mut Rng| {
        let v: Vec<f64> = (0..n).map(|_| noise(rng)).collect();
        let (low, high) = interval(&v, round);
        low > 0.0 || high < 0.0
    };
    (0..1000).filter(|&round| outside(round, &mut rng)).count()
}

#[test]
fn expanded_intervals_of_95_percent_miss_about_5_percent() {
    for n in [5, 8, 20, 60] {
        let missed = misses(n, |v, seed| {
            let e = resampled_mean(v, &Resampler::new(v.len(), 1000, seed), 0.95).unwrap();
            (e.low, e.high)
        });
        let limit = if n == 5 { 90 } else { 75 };
        assert!((15..=limit).contains(&missed), "n = {n}: {missed} of 1000");
    }
    for n in [2, 3, 5] {
        let missed = misses(n, |v, _| {
            let e = student_mean(v, 0.95).unwrap();
            (e.low, e.high)
        });
        assert!((30..=75).contains(&missed), "Student, n = {n}: {missed} of 1000");
    }
}

#[test]
fn the_plain_percentile_interval_would_miss_more() {
    let plain = misses(5, |v, seed| {
        let means = Resampler::new(v.len(), 1000, seed).means(v);
        perfwright_stats::bootstrap::bounds(means, 0.025).unwrap()
    });
    assert!(plain > 120, "{plain} of 1000");
    assert!(expanded_tail(0.95, 5) < 0.002);
    assert!((expanded_tail(0.95, 100_000) - 0.025).abs() < 1e-4);
}

#[test]
fn long_series_are_drawn_in_blocks() {
    let mut rng = Rng::new(3);
    let v: Vec<f64> = (0..5_001).map(|_| noise(&mut rng)).collect();
    let plan = Resampler::new(v.len(), 1000, 1);
    assert_eq!(plan.units() as usize, MAX_UNITS);
    let e = resampled_mean(&v, &plan, 0.95).unwrap();
    let width = e.high - e.low;
    let ideal = 2.0 * 1.96 / (v.len() as f64).sqrt();
    assert!((width / ideal - 1.0).abs() < 0.25, "{width} against {ideal}");
    // A series that drifts: neighbours are alike, and the interval must be wider than for the same values shuffled.
    let drift: Vec<f64> = (0..5_000).map(|i| (f64::from(i) / 500.0).sin()).collect();
    let mut shuffled = drift.clone();
    (1..shuffled.len()).rev().for_each(|i| shuffled.swap(i, rng.below(i as u32 + 1) as usize));
    let width = |v: &[f64]| {
        let e = resampled_mean(v, &Resampler::new(v.len(), 1000, 1), 0.95).unwrap();
        e.high - e.low
    };
    assert!(width(&drift) > 3.0 * width(&shuffled));
    assert!(plan.means(&v[1..]).is_empty());
    let other = plan.of_length(v.len() - 1).expect("as many units");
    assert_eq!(other.means(&v[1..]), Resampler::new(v.len() - 1, 1000, 1).means(&v[1..]));
    assert!(plan.of_length(3).is_none());
}
