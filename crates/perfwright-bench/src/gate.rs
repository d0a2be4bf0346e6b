//! The gates of this crate.

use perfwright_evidence::{Basis as Recorded, CONTRACT, EvidenceError, EvidenceSet, Gate, GateResult};
use serde_json::Value;

use crate::decide::paired::{Answer, Done, Terms, judge};
use crate::decide::report::Input;
use crate::decide::{CompareOptions, compare};
use crate::import;
use crate::live::{PATHS, TRIALS};
use crate::measure::gate::differs;
use crate::rows::Basis;
use crate::search::journal::{ROWS, keyed};
use crate::search::screen::SCREENED;
use crate::sla::{Bound, Sla};

/// Where a run keeps the answer of `bench compare`.
pub const COMPARISON: &str = "benchmark/comparison.json";
/// Where a run keeps the answer of a live `bench ab`.
pub const AB_ANSWER: &str = "benchmark/ab.json";

/// Every gate that this crate exports.
pub const GATES: &[Gate] = &[COMPARED, AB, TRIALS, PATHS, SCREENED];
/// The gate of a live `bench ab`.
pub const AB: Gate = Gate { id: "bench.ab", version: 1, eval: live_ab };
/// The gate of a recorded `bench compare`.
pub const COMPARED: Gate = Gate { id: "bench.compared", version: 1, eval: compared };

/// A comparison is believable when its rows, read again from the recorded inputs, give the same ranking.
fn compared(evidence: &EvidenceSet) -> GateResult {
    let stored = match evidence.json(COMPARISON) {
        Ok(stored) => stored,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run holds no comparison"),
        Err(e) => return GateResult::hard_stop(format!("the comparison cannot be read: {e}")),
    };
    let again = match recompute(evidence, &stored) {
        Ok(again) => again,
        Err(e) => return GateResult::hard_stop(e),
    };
    for part in ["scenarios", "verdict"] {
        if again.get(part) != stored.get(part) {
            return GateResult::fail(format!("the recorded inputs give other {part} than the recorded ones"));
        }
    }
    let outcome = stored.pointer("/verdict/outcome").and_then(Value::as_str).unwrap_or_default();
    if outcome == "refused" {
        return GateResult::hard_stop("the rows may not be compared").measured(outcome);
    }
    GateResult::pass("the recorded inputs give the recorded ranking").measured(outcome)
}

/// The answer of an A/B is believable when its rows, judged again by the terms of the contract, give it.
fn live_ab(evidence: &EvidenceSet) -> GateResult {
    let stored = match evidence.json(AB_ANSWER) {
        Ok(stored) => stored,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run holds no A/B"),
        Err(e) => return GateResult::hard_stop(format!("the answer cannot be read: {e}")),
    };
    let answer = match judged_again(evidence) {
        Ok(answer) => answer,
        Err(e) => return GateResult::hard_stop(e),
    };
    if let Some(place) = differs(&stored, &answer.json(), "") {
        return GateResult::fail(format!(
            "the recorded rows give another answer than the recorded one at {place}"
        ));
    }
    match answer {
        Answer::Refused(faults) => {
            GateResult::hard_stop(format!("the sides may not be compared: {}", faults.join("; ")))
        }
        Answer::Compared(report) => GateResult::pass("the recorded rows give the recorded answer")
            .measured(serde_json::to_value(report.verdict).unwrap_or_default()),
    }
}

/// The answer that the recorded rows of a live A/B give by the terms of its contract.
///
/// # Errors
/// The contract or a row cannot be read.
pub fn judged_again(evidence: &EvidenceSet) -> Result<Answer, String> {
    let contract = evidence.bytes(CONTRACT).map_err(|e| e.to_string())?;
    let contract: Value = serde_json::from_slice(&contract).map_err(|e| e.to_string())?;
    let terms: Terms = serde_json::from_value(contract["terms"].clone())
        .map_err(|e| format!("the contract has no terms of an A/B: {e}"))?;
    let mut done = Done::new();
    let rows: Vec<_> = evidence.entries().iter().filter(|e| e.name.starts_with(ROWS)).collect();
    for entry in rows {
        let text = String::from_utf8(evidence.bytes(&entry.name).map_err(|e| e.to_string())?)
            .map_err(|e| format!("{}: {e}", entry.name))?;
        let (key, row) =
            keyed(&text, &entry.name, entry.basis).map_err(|e| format!("{}: {e}", entry.name))?;
        done.insert(key, row);
    }
    Ok(judge(&terms, &done))
}

fn recompute(evidence: &EvidenceSet, stored: &Value) -> Result<Value, String> {
    let inputs = stored.get("inputs").and_then(Value::as_array).ok_or("the comparison names no inputs")?;
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for (i, input) in inputs.iter().enumerate() {
        let path = input.get("path").and_then(Value::as_str).ok_or("an input has no path")?;
        let label = input.get("label").and_then(Value::as_str);
        // A search ranks its own rows; a comparison the copies of its inputs.
        let own = evidence.entries().iter().find(|e| e.name == path);
        let name = own.map_or_else(|| input_name(i), |e| e.name.clone());
        let bytes = evidence.bytes(&name).map_err(|e| e.to_string())?;
        let claimed = input.get("basis").and_then(Value::as_str).unwrap_or_default();
        let basis = match (own.map(|e| e.basis), claimed) {
            (Some(Recorded::Measured), _) => Basis::Measured,
            (Some(Recorded::Imported), _) => Basis::Imported,
            (Some(Recorded::Declared), _) | (None, "declared") => Basis::Declared,
            // What a recorded comparison calls measured was measured by another run, whose record is not in this one:
            // the ranking is computed again with it, and the copy stays imported evidence.
            (None, "measured") => Basis::Measured,
            (None, _) => Basis::Imported,
        };
        rows.extend(import::load(&bytes, path, label, basis).map_err(|e| e.to_string())?);
        let label = label.map(str::to_owned);
        kept.push(Input { path: path.to_owned(), label, format: String::new(), rows: 0, basis });
    }
    let threshold =
        stored.get("threshold").and_then(Value::as_f64).ok_or("the comparison has no threshold")?;
    let sla = stored.get("sla_override").and_then(Value::as_array).map(|b| sla_of(b)).transpose()?;
    let answer = compare(kept, &rows, &CompareOptions { threshold, sla });
    serde_json::to_value(&answer).map_err(|e| e.to_string())
}

fn sla_of(bounds: &[Value]) -> Result<Sla, String> {
    let each = bounds.iter().map(|b| {
        let text = |key: &str| b.get(key).and_then(Value::as_str).unwrap_or_default();
        let limit = b.get("limit").and_then(Value::as_f64).unwrap_or(f64::NAN);
        Bound::parse(&format!("{}_{}", text("side"), text("metric")), limit)
    });
    Sla::new(each.collect::<Result<_, _>>()?)
}

/// Whether two values are the same but for how numbers are written and their last digit.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    differs(a, b, "").is_none()
}

/// Name of the recorded copy of an input.
#[must_use]
pub fn input_name(index: usize) -> String {
    format!("inputs/{index}.data")
}
