//! Exact statements about a share that was counted: how many of `n` independent trials succeeded.

/// `ln(n!)`, by summing up to 255 and by Stirling's series (Abramowitz and Stegun 6.1.41) above, where its error is
/// below 1e-15.
fn ln_factorial(n: u64) -> f64 {
    if n < 256 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    let square = x * x;
    (x - 0.5) * x.ln() - x
        + 0.5 * (2.0 * std::f64::consts::PI).ln()
        + (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * square)) / square) / x
}

/// Probability of at most `k` successes in `n` trials that succeed with probability `p` each. `p` is clamped to 0..=1;
/// the answer is not a number where `p` is none.
pub fn cdf(k: u64, n: u64, p: f64) -> f64 {
    if p.is_nan() {
        return p;
    }
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    // The shorter tail is summed, from its largest term outwards, so that small answers keep their digits.
    if (k as f64) < n as f64 * p { tail(k, n, p) } else { (1.0 - tail(n - k - 1, n, 1.0 - p)).max(0.0) }
}

/// Probability of at most `k` successes, for `k` at or below the mean: terms shrink from `k` downwards.
fn tail(k: u64, n: u64, p: f64) -> f64 {
    let ln_first = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
        + k as f64 * p.ln()
        + (n - k) as f64 * (-p).ln_1p();
    let (mut term, mut sum) = (1.0, 1.0);
    let odds = (1.0 - p) / p;
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64 * odds;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    (ln_first.exp() * sum).min(1.0)
}

/// The share below which the true probability lies only with a chance of `1 - confidence`, when `k` of `n` trials
/// succeeded: the one-sided bound of Clopper and Pearson (Biometrika 26, 1934). 0 without a trial.
pub fn lower_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if n == 0 || k == 0 {
        return 0.0;
    }
    1.0 - upper_bound(n - k.min(n), n, confidence)
}

/// The share above which the true probability lies only with a chance of `1 - confidence`; see [`lower_bound`]. 1
/// without a trial.
pub fn upper_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if n == 0 || k >= n {
        return 1.0;
    }
    let (mut low, mut high) = (k as f64 / n as f64, 1.0);
    for _ in 0..100 {
        let middle = low + (high - low) / 2.0;
        if cdf(k, n, middle) > 1.0 - confidence { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(k: u64, n: u64, p: f64) -> f64 {
        let choose = |k: u64| (1..=k).fold(1.0, |c, i| c * (n - k + i) as f64 / i as f64);
        (0..=k).map(|i| choose(i) * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32)).sum()
    }

    #[test]
    fn cdf_is_the_sum_of_its_terms() {
        for n in [1, 2, 7, 30, 100] {
            for k in 0..=n {
                for p in [0.01, 0.3, 0.5, 0.92, 0.999] {
                    let (ours, theirs) = (cdf(k, n, p), slow(k, n, p));
                    assert!((ours - theirs).abs() < 1e-11, "{k} {n} {p}: {ours} {theirs}");
                }
            }
        }
        assert_eq!((cdf(0, 5, 0.0), cdf(4, 5, 1.0), cdf(5, 5, 1.0)), (1.0, 0.0, 1.0));
        assert!(cdf(1, 2, f64::NAN).is_nan());
        // Both sides of the switch to Stirling's series.
        assert!((ln_factorial(256) - ln_factorial(255) - 256f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn bounds_of_published_tables() {
        // No failure in 80: the rate is below 3.7 % at 95 % (the rule of three).
        assert!((upper_bound(0, 80, 0.95) - (1.0 - 0.05f64.powf(1.0 / 80.0))).abs() < 1e-12);
        // Clopper-Pearson two-sided 95 % for 8 of 10: 0.4439 to 0.9748.
        assert!((lower_bound(8, 10, 0.975) - 0.4439).abs() < 1e-4);
        assert!((upper_bound(8, 10, 0.975) - 0.9748).abs() < 1e-4);
        assert_eq!((lower_bound(0, 9, 0.99), upper_bound(9, 9, 0.99)), (0.0, 1.0));
        assert_eq!((lower_bound(0, 0, 0.99), upper_bound(0, 0, 0.99)), (0.0, 1.0));
        assert!(upper_bound(500, 100_000, 0.99) > 0.005 && upper_bound(500, 100_000, 0.99) < 0.0056);
    }
}
