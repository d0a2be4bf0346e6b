//! Requirements, recomputed, each with what can be said at 99 % confidence.

use perfwright_stats::binomial::{lower_bound, upper_bound};
use perfwright_stats::difference::student_mean;
use perfwright_stats::order::{lower_rank, needed, upper_rank};
use perfwright_stats::percentile::linear;

use super::report::{Share, SlaResult};
use super::sla::Sla;

/// Confidence of every one-sided statement.
pub(super) const CONFIDENCE: f64 = 0.99;

/// A counted share with its bounds.
pub(super) fn share(count: u64, of: u64) -> Share {
    Share {
        count,
        of,
        at_least: lower_bound(count, of, CONFIDENCE),
        at_most: upper_bound(count, of, CONFIDENCE),
    }
}

/// A requirement on a latency. `values` are those of successful requests; each of the `failed` is worse than any value.
pub(super) fn latency(sla: &Sla, values: &[f64], failed: u64) -> SlaResult {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sla.percentile() {
        Some(p) => percentile(sla, p, &sorted, failed),
        None => mean(sla, &sorted, failed),
    }
}

fn percentile(sla: &Sla, p: f64, sorted: &[f64], failed: u64) -> SlaResult {
    let n = sorted.len() as u64 + failed;
    // A rank among the failures has no finite value.
    let at = |rank: Option<u64>| sorted.get(usize::try_from(rank? - 1).ok()?).copied();
    let high = at(upper_rank(n, p, CONFIDENCE));
    let low_rank = lower_rank(n, p, CONFIDENCE);
    let low = at(low_rank);
    let below_failures = low_rank.is_some_and(|rank| rank > sorted.len() as u64);
    let observed = observed_percentile(p, sorted, failed);
    let above = sorted.iter().filter(|v| **v > sla.bound).count() as u64 + failed;
    let outcome = if high.is_some_and(|h| h <= sla.bound) {
        "certified"
    } else if below_failures || low.is_some_and(|l| l > sla.bound) {
        "refused"
    } else {
        "inconclusive"
    };
    let needed = (outcome == "inconclusive").then(|| more(p, n, above)).flatten();
    result(sla, outcome, observed, (low, high), n, needed)
}

/// The percentile over all requests, failures being beyond everything.
fn observed_percentile(p: f64, sorted: &[f64], failed: u64) -> Option<f64> {
    if failed == 0 {
        return linear(sorted, p);
    }
    let mut all = sorted.to_vec();
    all.resize(sorted.len() + failed as usize, f64::INFINITY);
    linear(&all, p).filter(|v| v.is_finite())
}

/// Requests that would certify the percentile if as large a part of them were above the bound as now.
fn more(p: f64, n: u64, above: u64) -> Option<u64> {
    let mut want = needed(p, above, CONFIDENCE)?;
    for _ in 0..200 {
        let expected = (above as f64 / n.max(1) as f64 * want as f64).ceil() as u64;
        let next = needed(p, expected.max(above), CONFIDENCE)?;
        if next <= want {
            return Some(want.max(n + 1));
        }
        // The part above the bound is not below what the percentile allows: no number decides it.
        if next > 10_000_000 {
            return None;
        }
        want = next;
    }
    None
}

fn mean(sla: &Sla, sorted: &[f64], failed: u64) -> SlaResult {
    let n = sorted.len() as u64 + failed;
    // Two-sided 98 % is one-sided 99 % at each end. Failures have no value, so with any the mean is not bounded.
    let estimate = student_mean(sorted, 2.0 * CONFIDENCE - 1.0);
    let observed = perfwright_stats::spread::mean(sorted);
    let (low, high) = (estimate.map(|e| e.low), estimate.map(|e| e.high).filter(|_| failed == 0));
    let outcome = match (low, high) {
        (_, Some(high)) if high <= sla.bound => "certified",
        (Some(low), _) if low > sla.bound => "refused",
        _ => "inconclusive",
    };
    let needed =
        observed.zip(estimate).filter(|(m, _)| outcome == "inconclusive" && *m < sla.bound && failed == 0);
    let needed = needed.map(|(m, e)| {
        // The half-width shrinks with the root of n.
        let times = ((e.high - m) / (sla.bound - m)).powi(2);
        ((n as f64 * times).ceil() as u64).max(n + 1)
    });
    result(sla, outcome, observed, (low, high), n, needed)
}

/// A requirement on the part that succeeds.
pub(super) fn success(sla: &Sla, ok: u64, of: u64) -> SlaResult {
    let bounds = share(ok, of);
    let outcome = if bounds.at_least >= sla.bound {
        "certified"
    } else if bounds.at_most < sla.bound {
        "refused"
    } else {
        "inconclusive"
    };
    let needed = (outcome == "inconclusive").then(|| more(sla.bound * 100.0, of, of - ok)).flatten();
    let observed = (of > 0).then(|| ok as f64 / of as f64);
    let mut r = result(sla, outcome, observed, (Some(bounds.at_least), Some(bounds.at_most)), of, needed);
    r.observed_within = observed.is_some_and(|o| o >= sla.bound);
    r
}

fn result(
    sla: &Sla,
    outcome: &str,
    observed: Option<f64>,
    (low, high): (Option<f64>, Option<f64>),
    n: u64,
    needed: Option<u64>,
) -> SlaResult {
    SlaResult {
        sla: sla.clone(),
        text: sla.to_string(),
        outcome: outcome.to_owned(),
        observed,
        observed_within: observed.is_some_and(|o| o <= sla.bound),
        low,
        high,
        n,
        needed,
    }
}

/// Requests that a run needs so that each requirement can be certified with one request above its bound.
pub fn plan_requests(slas: &[Sla]) -> Option<u64> {
    slas.iter()
        .filter_map(|s| match s.percentile() {
            Some(p) => needed(p, 1, CONFIDENCE),
            None if s.metric == "success_rate" => needed(s.bound * 100.0, 1, CONFIDENCE),
            None => None,
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sla(text: &str) -> Sla {
        text.parse().unwrap()
    }

    #[test]
    fn eighty_requests_certify_no_p99() {
        let values: Vec<f64> = (0..80).map(f64::from).collect();
        let r = latency(&sla("ttft.p99<=1000"), &values, 0);
        assert_eq!((r.outcome.as_str(), r.observed_within, r.needed), ("inconclusive", true, Some(459)));
        let r = latency(&sla("ttft.p94<=1000"), &values, 0);
        assert_eq!((r.outcome.as_str(), r.high), ("certified", Some(79.0)));
        let r = latency(&sla("ttft.p50<=20"), &values, 0);
        assert_eq!(r.outcome, "refused");
        assert!(r.low.unwrap() > 20.0 && r.low.unwrap() < r.observed.unwrap());
    }

    #[test]
    fn failures_are_worse_than_any_value() {
        let values = vec![1.0; 90];
        assert_eq!(latency(&sla("ttft.p90<=5"), &values, 0).outcome, "certified");
        assert_eq!(latency(&sla("ttft.p90<=5"), &values, 10).outcome, "inconclusive");
        assert_eq!(latency(&sla("ttft.p50<=5"), &[1.0; 10], 90).outcome, "refused");
        assert_eq!(latency(&sla("ttft.mean<=5"), &values, 1).outcome, "inconclusive");
        assert_eq!(latency(&sla("ttft.p50<=5"), &[], 0).outcome, "inconclusive");
    }

    #[test]
    fn a_rate_that_sits_on_the_bound_needs_no_number() {
        // Ten percent above a p90: more of the same never decides it.
        let values: Vec<f64> = (0..100).map(|i| if i < 90 { 1.0 } else { 9.0 }).collect();
        let r = latency(&sla("ttft.p90<=5"), &values, 0);
        assert_eq!((r.outcome.as_str(), r.needed), ("inconclusive", None));
    }

    #[test]
    fn success_and_mean() {
        assert_eq!(success(&sla("success>=0.99"), 80, 80).outcome, "inconclusive");
        assert_eq!(success(&sla("success>=0.99"), 500, 500).outcome, "certified");
        assert_eq!(success(&sla("success>=0.99"), 40, 80).outcome, "refused");
        let values: Vec<f64> = (0..50).map(|i| 10.0 + f64::from(i % 5)).collect();
        assert_eq!(latency(&sla("tpot.mean<=13"), &values, 0).outcome, "certified");
        let r = latency(&sla("tpot.mean<=12.1"), &values, 0);
        assert_eq!(r.outcome, "inconclusive");
        assert!(r.needed.unwrap() > 50);
        assert_eq!(plan_requests(&[sla("ttft.p90<=1"), sla("ttft.p99<=1")]), Some(662));
    }
}
