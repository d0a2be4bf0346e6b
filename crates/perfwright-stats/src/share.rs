//! Intervals for shares that were counted, and for the difference of two.

use crate::binomial::cdf;
use crate::tail::normal_cdf;

/// A share, or a difference of two, with its interval. All are parts of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareEstimate {
    /// The estimate.
    pub value: f64,
    /// Low end of the interval.
    pub low: f64,
    /// High end of the interval.
    pub high: f64,
}

/// How two sides answered the same questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Right on both sides.
    pub both: u64,
    /// Right on the first side only.
    pub first_only: u64,
    /// Right on the second side only.
    pub second_only: u64,
    /// Wrong on both sides.
    pub neither: u64,
}

impl Pairs {
    /// Questions.
    pub fn n(&self) -> u64 {
        self.both + self.first_only + self.second_only + self.neither
    }
}

/// The value that `confidence` of a standard normal variable lies within, on both sides of zero.
fn normal_quantile(confidence: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if 2.0 * normal_cdf(middle) - 1.0 < confidence { low = middle } else { high = middle }
    }
    low
}

/// The share `k / n` with Wilson's score interval (Journal of the American Statistical Association 22, 1927). `None`
/// without a trial.
pub fn wilson(k: u64, n: u64, confidence: f64) -> Option<ShareEstimate> {
    if n == 0 || k > n {
        return None;
    }
    let (z, p, n) = (normal_quantile(confidence), k as f64 / n as f64, n as f64);
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    let (low, high) = ((centre - half) / scale, (centre + half) / scale);
    // At both ends the exact bound is the share itself; rounding must not move it inside.
    let low = if p == 0.0 { 0.0 } else { low.clamp(0.0, p) };
    let high = if p == 1.0 { 1.0 } else { high.clamp(p, 1.0) };
    Some(ShareEstimate { value: p, low, high })
}

/// Second share minus first, of independent trials, with Newcombe's hybrid score interval (Statistics in Medicine 17,
/// 1998, method 10 of the first paper). Each side is `(successes, trials)`. `None` where a side has no trial.
pub fn unpaired(first: (u64, u64), second: (u64, u64), confidence: f64) -> Option<ShareEstimate> {
    let (a, b) = (wilson(first.0, first.1, confidence)?, wilson(second.0, second.1, confidence)?);
    let value = b.value - a.value;
    let low = value - (b.value - b.low).hypot(a.high - a.value);
    let high = value + (b.high - b.value).hypot(a.value - a.low);
    Some(ShareEstimate { value, low: low.max(-1.0), high: high.min(1.0) })
}

/// Second share minus first over the same questions, with Tango's score interval (Statistics in Medicine 17, 1998): the
/// differences that a score test of the paired counts does not refuse. It has a width even where both sides answered
/// alike. `None` without a question.
pub fn paired(pairs: &Pairs, confidence: f64) -> Option<ShareEstimate> {
    let n = pairs.n();
    if n == 0 {
        return None;
    }
    let z = normal_quantile(confidence);
    let (gain, loss, n) = (pairs.second_only as f64, pairs.first_only as f64, n as f64);
    let value = (gain - loss) / n;
    // The statistic falls as the assumed difference rises.
    let edge = |inside: f64, outside: f64| {
        let (mut near, mut far) = (inside, outside);
        for _ in 0..100 {
            let middle = f64::midpoint(near, far);
            if score(gain, loss, n, middle).abs() < z { near = middle } else { far = middle }
        }
        near
    };
    Some(ShareEstimate { value, low: edge(value, -1.0), high: edge(value, 1.0) })
}

/// Tango's statistic for an assumed difference `delta`. With the loss probability q the gain probability is q + delta;
/// q is its most likely value under that, the root of a quadratic.
fn score(gain: f64, loss: f64, n: f64, delta: f64) -> f64 {
    let b = -gain - loss + (2.0 * n - gain + loss) * delta;
    let c = -loss * delta * (1.0 - delta);
    let root = (b * b - 8.0 * n * c).max(0.0).sqrt();
    let q = ((root - b) / (4.0 * n)).max(-delta).max(0.0);
    let spread = n * (2.0 * q + delta * (1.0 - delta));
    let off = gain - loss - n * delta;
    if spread > 0.0 {
        off / spread.sqrt()
    } else if off == 0.0 {
        0.0
    } else {
        f64::INFINITY.copysign(off)
    }
}

/// The exact two-sided test of McNemar: how likely a split of the differing answers at least this uneven is where
/// neither side is better (binomial with probability 1/2, doubled, at most 1).
pub fn mcnemar(pairs: &Pairs) -> f64 {
    let (few, all) = (pairs.first_only.min(pairs.second_only), pairs.first_only + pairs.second_only);
    if all == 0 { 1.0 } else { (2.0 * cdf(few, all, 0.5)).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() < within, "{a} is not {b}");
    }

    #[test]
    fn wilson_of_published_examples() {
        // Newcombe 1998 (Statistics in Medicine 17, 857-872), table I: 81/263 and 15/148.
        let a = wilson(81, 263, 0.95).unwrap();
        near(a.low, 0.2553, 1e-4);
        near(a.high, 0.3662, 1e-4);
        let b = wilson(15, 148, 0.95).unwrap();
        near(b.low, 0.0624, 1e-4);
        near(b.high, 0.1605, 1e-4);
        // And 0/20, 1/29 there.
        near(wilson(0, 20, 0.95).unwrap().high, 0.1611, 1e-4);
        near(wilson(1, 29, 0.95).unwrap().low, 0.0061, 1e-4);
        assert_eq!(wilson(0, 20, 0.95).unwrap().low, 0.0);
        assert_eq!(wilson(20, 20, 0.95).unwrap().high, 1.0);
        assert_eq!(wilson(0, 0, 0.95), None);
        assert_eq!(wilson(2, 1, 0.95), None);
    }

    #[test]
    fn unpaired_of_a_published_example() {
        // Newcombe 1998 (Statistics in Medicine 17, 873-890), table II: 56/70 - 48/80, method 10: 0.0524 to 0.3339.
        let d = unpaired((48, 80), (56, 70), 0.95).unwrap();
        near(d.value, 0.2, 1e-12);
        near(d.low, 0.0524, 1e-4);
        near(d.high, 0.3339, 1e-4);
    }

    #[test]
    fn paired_solves_its_own_equation() {
        // Without a differing answer the bounds are z^2 / (n + z^2), which the quadratic gives in closed form.
        let z2 = normal_quantile(0.95).powi(2);
        let same = paired(&Pairs { both: 90, neither: 10, ..Pairs::default() }, 0.95).unwrap();
        near(same.high, z2 / (100.0 + z2), 1e-9);
        near(same.low, -z2 / (100.0 + z2), 1e-9);
        for (gain, loss, rest) in [(6, 0, 1313), (12, 5, 83), (1, 40, 100), (3, 3, 0), (0, 1, 0)] {
            let p = Pairs { second_only: gain, first_only: loss, both: rest, neither: 0 };
            let d = paired(&p, 0.95).unwrap();
            assert!(
                -1.0 <= d.low && d.low < d.value.max(-0.999) && d.value <= d.high && d.high <= 1.0,
                "{d:?}"
            );
            let turned =
                paired(&Pairs { second_only: loss, first_only: gain, both: rest, neither: 0 }, 0.95).unwrap();
            near(turned.low, -d.high, 1e-9);
            near(turned.high, -d.low, 1e-9);
            for edge in [d.low, d.high] {
                if edge.abs() < 0.999 {
                    near(score(gain as f64, loss as f64, p.n() as f64, edge).abs(), z2.sqrt(), 1e-6);
                }
            }
        }
        // For many counts it is close to Wald's interval.
        let p = Pairs { second_only: 400, first_only: 300, both: 5000, neither: 4300 };
        let d = paired(&p, 0.95).unwrap();
        let wald = 1.96 * ((700.0 - 100.0_f64.powi(2) / 10_000.0) / 10_000.0_f64.powi(2)).sqrt();
        near(d.low, 0.01 - wald, 1e-4);
        near(d.high, 0.01 + wald, 1e-4);
        assert_eq!(paired(&Pairs::default(), 0.95), None);
    }

    #[test]
    fn mcnemar_is_the_sign_test() {
        let p = |gain, loss| mcnemar(&Pairs { second_only: gain, first_only: loss, both: 1000, neither: 0 });
        near(p(6, 0), 2.0 / 64.0, 1e-12);
        near(p(5, 5), 1.0, 1e-12);
        near(p(9, 1), 22.0 / 1024.0, 1e-12);
        near(p(0, 0), 1.0, 1e-12);
    }
}
