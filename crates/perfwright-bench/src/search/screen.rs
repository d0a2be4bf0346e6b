//! Screening rounds: who goes on, decided once, with the scores that decided it, and recorded before anything is measured
//! because of it. Whoever continues the search finds the decision and does not make another one.

use std::collections::BTreeMap;

use perfwright_evidence::{EvidenceSet, Gate, GateResult};
use serde::{Deserialize, Serialize};

use super::journal::{ROWS, keyed};
use super::steps::{Done, FINALISTS};
use crate::rows::Row;
use crate::sla::Sla;

/// Folder of the decisions in a run.
pub(crate) const SCREENINGS: &str = "benchmark/screening/";
/// The candidates that a round kept are those that its rows give.
pub const SCREENED: Gate = Gate { id: "bench.screened", version: 1, eval: screened };

/// Scores are stored in decimal; reading them back may differ in the last bit.
const LAST_BIT: f64 = 1e-9;

/// A candidate in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The candidate.
    pub candidate: String,
    /// It is the baseline, which everything is compared with and which is always measured to the end.
    pub baseline: bool,
    /// Keys of its rows, one a scenario.
    pub keys: Vec<String>,
    /// Scenarios whose bounds it met.
    pub passed: usize,
    /// Sum over scenarios of the logarithm of requests per second, less that of the worst ratio of a figure to its bound.
    pub score: f64,
}

/// What a round decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Screening {
    /// The framework.
    pub framework: String,
    /// The round, from 0.
    pub rung: usize,
    /// Everybody who ended well, best first.
    pub scored: Vec<Scored>,
    /// Who goes on, in the order of the plan's candidates within equal scores.
    pub kept: Vec<String>,
}

/// The decisions so far by framework and round.
pub type Screenings = BTreeMap<(String, usize), Screening>;

/// Scenarios passed and score of a candidate's rows.
pub(super) fn score(sla: &Sla, rows: &[&Row]) -> (usize, f64) {
    let (mut passed, mut sum) = (0, 0.0);
    for row in rows {
        let pressure = sla.pressure(row);
        passed += usize::from(pressure <= 1.0);
        let throughput = row.metric("request_throughput").unwrap_or(0.0).max(1e-9);
        sum += throughput.ln() - pressure.clamp(1.0, 1e6).ln();
    }
    // So few digits are the same after being written and read.
    (passed, (sum * 1e9).round() / 1e9)
}

/// The decision of a round: the better half, at least [`FINALISTS`], and the baseline.
pub(super) fn screen(framework: &str, rung: usize, mut scored: Vec<Scored>) -> Screening {
    // Sorting is stable: of equals the earlier candidate stays.
    scored.sort_by(|a, b| b.passed.cmp(&a.passed).then(b.score.total_cmp(&a.score)));
    let keep = scored.len().div_ceil(2).max(FINALISTS);
    let on = scored.iter().enumerate().filter(|(i, c)| *i < keep || c.baseline);
    let kept = on.map(|(_, c)| c.candidate.clone()).collect();
    Screening { framework: framework.to_owned(), rung, scored, kept }
}

fn screened(evidence: &EvidenceSet) -> GateResult {
    let named = |prefix: &'static str| evidence.entries().iter().filter(move |e| e.name.starts_with(prefix));
    if named(SCREENINGS).next().is_none() {
        return GateResult::not_applicable("nothing was screened out");
    }
    let mut done = Done::new();
    for entry in named(ROWS) {
        let text = evidence.bytes(&entry.name).map_err(|e| e.to_string());
        let text = text.and_then(|b| String::from_utf8(b).map_err(|e| e.to_string()));
        match text.and_then(|t| keyed(&t, &entry.name, entry.basis)) {
            Ok((key, row)) => drop(done.insert(key, row)),
            Err(e) => return GateResult::hard_stop(format!("{}: {e}", entry.name)),
        }
    }
    let mut rounds = 0_u64;
    for entry in named(SCREENINGS) {
        let stored = evidence.json(&entry.name).map_err(|e| e.to_string());
        let stored = stored.and_then(|v| serde_json::from_value::<Screening>(v).map_err(|e| e.to_string()));
        let stored = match stored {
            Ok(stored) => stored,
            Err(e) => return GateResult::hard_stop(format!("{}: {e}", entry.name)),
        };
        for one in &stored.scored {
            let rows: Option<Vec<&Row>> = one.keys.iter().map(|k| done.get(k)).collect();
            let Some(rows) = rows.filter(|r| !r.is_empty()) else {
                return GateResult::fail(format!("{}: {} rests on no row", entry.name, one.candidate));
            };
            let (passed, sum) = score(&rows[0].sla, &rows);
            if passed != one.passed || (sum - one.score).abs() > LAST_BIT * sum.abs().max(1.0) {
                return GateResult::fail(format!(
                    "{}: the rows score {} otherwise",
                    entry.name, one.candidate
                ));
            }
        }
        if screen(&stored.framework, stored.rung, stored.scored.clone()).kept != stored.kept {
            return GateResult::fail(format!("{}: the scores keep others", entry.name));
        }
        rounds += 1;
    }
    GateResult::pass("the recorded rows keep the candidates that went on").measured(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_half_and_the_baseline_go_on() {
        let one = |name: &str, passed, score| Scored {
            candidate: name.into(),
            baseline: name == "baseline",
            keys: vec![],
            passed,
            score,
        };
        let all = vec![
            one("baseline", 1, -3.0),
            one("a", 2, 1.0),
            one("b", 2, 1.0),
            one("c", 2, 2.0),
            one("d", 1, 9.0),
            one("e", 0, 9.9),
        ];
        let decided = screen("lab", 0, all);
        assert_eq!(decided.kept, ["c", "a", "b", "baseline"]);
        assert_eq!(decided.scored.last().map(|c| c.candidate.as_str()), Some("e"));
    }
}
