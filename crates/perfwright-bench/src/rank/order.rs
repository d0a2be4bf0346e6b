//! The order of entries, where what differs by no more than noise shares a rank.

use perfwright_stats::difference::{Estimate, welch};

use super::entry::{Entry, RankedBy};

/// Confidence of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// How two entries relate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relation {
    /// Within noise or the threshold.
    pub tie: bool,
    /// Relative difference of the first over the second, with its interval; none without repeats on both sides.
    pub difference: Option<Estimate>,
}

/// Compares two entries; `threshold` is a relative difference that matters to nobody.
#[must_use]
pub fn relate(a: &Entry<'_>, b: &Entry<'_>, threshold: f64) -> Relation {
    if let (Some(a), Some(b)) = (a.interval, b.interval) {
        let overlap = a.0 <= b.1 * (1.0 + threshold) && b.0 <= a.1 * (1.0 + threshold);
        return Relation { tie: overlap, difference: None };
    }
    let logs = |e: &Entry<'_>| e.values.iter().map(|v| v.max(f64::MIN_POSITIVE).ln()).collect::<Vec<_>>();
    if a.values.len() > 1 && b.values.len() > 1 {
        let difference = welch(&logs(b), &logs(a), CONFIDENCE).map(|d| Estimate {
            value: d.value.exp_m1(),
            low: d.low.exp_m1(),
            high: d.high.exp_m1(),
            n: d.n,
        });
        let tie = difference.is_none_or(|d| d.low <= threshold && d.high >= -threshold);
        return Relation { tie, difference };
    }
    let (x, y) = (centre(a), centre(b));
    let tie = (x - y).abs() <= threshold * x.abs().max(y.abs());
    Relation { tie, difference: None }
}

/// The value that an entry is placed by: the geometric mean of its repeats.
#[must_use]
pub fn centre(entry: &Entry<'_>) -> f64 {
    let n = entry.values.len().max(1) as f64;
    if entry.values.iter().any(|v| *v <= 0.0) {
        return entry.values.iter().sum::<f64>() / n;
    }
    (entry.values.iter().map(|v| v.ln()).sum::<f64>() / n).exp()
}

/// Sorts the entries and gives each its rank. The best of the rest opens a rank; all that tie with it share it. Within
/// a rank lower TTFT, then lower TPOT, then fewer GPUs stand first.
#[must_use]
pub fn ranked<'a>(mut entries: Vec<Entry<'a>>, by: RankedBy, threshold: f64) -> Vec<(usize, Entry<'a>)> {
    let gpus = |e: &Entry<'_>| match by {
        RankedBy::LatencyAtRate => e.gpus.unwrap_or(u32::MAX),
        _ => 0,
    };
    let name = |e: &Entry<'_>| (e.rows[0].framework.clone(), e.rows[0].candidate_id.clone());
    entries.sort_by(|a, b| {
        gpus(a).cmp(&gpus(b)).then(centre(b).total_cmp(&centre(a))).then_with(|| name(a).cmp(&name(b)))
    });
    let latency = |e: &Entry<'_>, names: [&str; 2]| {
        names.iter().find_map(|n| e.rows[0].metric(n)).unwrap_or(f64::INFINITY)
    };
    let mut out: Vec<(usize, Entry<'a>)> = Vec::new();
    while !entries.is_empty() {
        let rank = out.len() + 1;
        let first = entries.remove(0);
        let same = |e: &Entry<'_>| gpus(e) == gpus(&first) && relate(&first, e, threshold).tie;
        let (mut class, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| same(e));
        class.insert(0, first);
        class.sort_by(|a, b| {
            latency(a, ["p50_ttft_ms", "mean_ttft_ms"])
                .total_cmp(&latency(b, ["p50_ttft_ms", "mean_ttft_ms"]))
                .then(
                    latency(a, ["p50_tpot_ms", "mean_tpot_ms"])
                        .total_cmp(&latency(b, ["p50_tpot_ms", "mean_tpot_ms"])),
                )
                .then(a.gpus.cmp(&b.gpus))
                .then_with(|| name(a).cmp(&name(b)))
        });
        out.extend(class.into_iter().map(|e| (rank, e)));
        entries = rest;
    }
    out
}
