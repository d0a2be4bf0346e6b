//! Whether the generator can be believed.

use super::facts::ClientFacts;
use super::record::Record;
use super::report::{Check, Offered, Validity};
use crate::load::Limits;

/// The checks, and the verdict they give.
pub(super) fn validity(
    limits: &Limits,
    offered: &Offered,
    records: &[&Record],
    client: &ClientFacts,
) -> Validity {
    let late = offered.lateness_ms.p99;
    let off = offered.scheduled_rate.zip(offered.delivered_rate).map(|(s, d)| (d / s - 1.0).abs());
    // Over a short schedule one part in a hundred is less than the lateness that is allowed anyway.
    let within_lateness = offered.scheduled_rate.zip(offered.delivered_rate).is_some_and(|(s, d)| {
        let gaps = records.iter().filter(|r| r.turn == 0).count().saturating_sub(1) as f64;
        (gaps / s - gaps / d).abs() * 1e3 <= limits.lateness_p99_ms
    });
    let check = |name: &str, measured: Option<f64>, limit: f64, excused: bool| Check {
        name: name.to_owned(),
        measured,
        limit,
        ok: excused || measured.is_none_or(|m| m <= limit),
    };
    let checks = vec![
        check("lateness_p99_ms", late, limits.lateness_p99_ms, false),
        check("rate_off", off, limits.rate_off, within_lateness),
        check("busiest_core", Some(client.busiest_core), limits.core, false),
    ];
    let shown = |v: Option<f64>| v.map_or_else(|| "nothing".to_owned(), |v| format!("{v:.4}"));
    let mut reasons: Vec<String> = checks
        .iter()
        .filter(|c| !c.ok)
        .map(|c| match c.name.as_str() {
            "lateness_p99_ms" => format!(
                "the client started 1 % of the requests {} ms late or more; the limit is {} ms (1 % of the TTFT bound)",
                shown(c.measured),
                c.limit
            ),
            "rate_off" => format!(
                "the delivered rate is off the schedule by {}; the limit is {}",
                shown(c.measured),
                c.limit
            ),
            _ => format!(
                "a client thread used {} of a core; the limit is {} (--client-threads spreads the work)",
                shown(c.measured),
                c.limit
            ),
        })
        .collect();
    let succeeded = records.iter().any(|r| r.is_ok());
    let verdict = if client.interrupted {
        reasons.insert(0, "the run was stopped before its end".to_owned());
        "interrupted"
    } else if !reasons.is_empty() {
        "invalid_client"
    } else if !succeeded {
        reasons.push("no request succeeded".to_owned());
        "no_success"
    } else {
        "valid"
    };
    Validity { verdict: verdict.to_owned(), reasons, checks }
}
