//! The gates of a search that ran.

use std::collections::BTreeMap;

use perfwright_evidence::{EvidenceSet, Gate, GateResult};
use perfwright_logs::path::Side;
use serde_json::Value;

use super::figures::{PATH, metrics, recorded};
use super::path::{TrialPath, judge};

/// Folder of what rows rest on.
pub(super) const TRIAL_DIR: &str = "benchmark/trials/";

/// Every gate that this module exports.
pub const GATES: &[Gate] = &[TRIALS, PATHS];
/// The figures of each measured row are what its recorded requests give.
pub const TRIALS: Gate = Gate { id: "bench.trials", version: 1, eval: trials };
/// Each candidate ran on the path that its flags ask for, on every launch.
pub const PATHS: Gate = Gate { id: "bench.paths", version: 1, eval: paths };

/// Figures are stored in decimal; reading them back may differ in the last bit.
const LAST_BIT: f64 = 1e-12;
/// Reasons named in a result.
const SHOWN: usize = 3;

fn trials(evidence: &EvidenceSet) -> GateResult {
    let names: Vec<String> = evidence
        .entries()
        .iter()
        .map(|e| e.name.clone())
        .filter(|n| n.starts_with("benchmark/rows/"))
        .collect();
    let mut checked = 0_u64;
    for name in &names {
        let row: Value = match evidence.json(name) {
            Ok(row) => row,
            Err(e) => return GateResult::hard_stop(e.to_string()),
        };
        if row["status"] != "ok" {
            continue;
        }
        // A search whose executor keeps no requests is another kind of record.
        let Some(dir) = row.pointer("/artifacts/trial").and_then(Value::as_str) else { continue };
        let run = match recorded(evidence, dir) {
            Ok(run) => run,
            Err(e) => return GateResult::hard_stop(format!("{name}: {e}")),
        };
        let given = metrics(&run);
        let stored = row["metrics"].as_object().map_or(0, serde_json::Map::len);
        let same = |key: &String, value: f64| {
            let stored = row["metrics"][key].as_f64().unwrap_or(f64::NAN);
            (stored - value).abs() <= LAST_BIT * value.abs()
        };
        if run.validity.verdict != "valid" || stored != given.len() || !given.iter().all(|(k, v)| same(k, *v))
        {
            return GateResult::fail(format!("{name} says something else than its recorded requests"));
        }
        checked += 1;
    }
    if checked == 0 {
        return GateResult::not_applicable("no row rests on recorded requests");
    }
    GateResult::pass("the recorded requests give the figures of the rows").measured(checked)
}

fn paths(evidence: &EvidenceSet) -> GateResult {
    let named = |n: &String| n.starts_with(TRIAL_DIR) && n.ends_with(&format!("/{PATH}"));
    let names: Vec<String> = evidence.entries().iter().map(|e| e.name.clone()).filter(named).collect();
    let mut candidates: BTreeMap<(String, String), Vec<Side>> = BTreeMap::new();
    for name in &names {
        let one = evidence.json(name).map_err(|e| e.to_string());
        match one.and_then(|v| serde_json::from_value::<TrialPath>(v).map_err(|e| format!("{name}: {e}"))) {
            Ok(one) => candidates.entry((one.framework, one.candidate)).or_default().push(one.side),
            Err(e) => return GateResult::hard_stop(format!("a path cannot be read: {e}")),
        }
    }
    if candidates.is_empty() {
        return GateResult::not_applicable("no server was measured");
    }
    let (mut reasons, mut proven) = (Vec::new(), true);
    for ((framework, candidate), sides) in candidates {
        let (report, stops) = judge(sides);
        proven &= report.proven;
        reasons.extend(stops.into_iter().map(|s| format!("{framework} {candidate}: {s}")));
    }
    if !reasons.is_empty() {
        let n = reasons.len();
        reasons.truncate(SHOWN);
        return GateResult::hard_stop(reasons.join("; ")).measured(n).threshold(0);
    }
    if proven {
        return GateResult::pass("every candidate ran on the path it asked for").measured(0).threshold(0);
    }
    GateResult::not_applicable("nothing contradicts the flags, and not every part of the path is stated")
}
