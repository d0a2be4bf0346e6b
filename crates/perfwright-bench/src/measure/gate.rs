//! The gates of a recorded `bench run`. Each recomputes the figures from the records.

use perfwright_evidence::{CONTRACT, EvidenceSet, Gate, GateResult};
use serde_json::Value;

use super::figures::{Evidence, figures};
use super::report::BenchRun;

/// Where a run keeps what.
pub mod names {
    /// Per-request records.
    pub const RECORDS: &str = "benchmark/requests.jsonl";
    /// The same as CSV.
    pub const RECORDS_CSV: &str = "benchmark/requests.csv";
    /// What the client used.
    pub const CLIENT: &str = "benchmark/client.json";
    /// The answer.
    pub const RESULT: &str = "benchmark/result.json";
    /// The answer for people.
    pub const REPORT: &str = "benchmark/report.md";
    /// What the server told of itself.
    pub const SERVER: &str = "server/facts.json";
    /// Its counters before.
    pub const BEFORE: &str = "server/metrics-before.txt";
    /// And after.
    pub const AFTER: &str = "server/metrics-after.txt";
}

/// Every gate that `bench run` uses.
pub const GATES: &[Gate] = &[CLIENT, ANSWERED, FIGURES, SLA_CERTIFIED];
/// The generator was not itself the bottleneck.
pub const CLIENT: Gate = Gate { id: "bench.client", version: 1, eval: client };
/// Something was answered well.
pub const ANSWERED: Gate = Gate { id: "bench.answered", version: 1, eval: answered };
/// The stored answer is what the records give.
pub const FIGURES: Gate = Gate { id: "bench.figures", version: 1, eval: stored };
/// Every requirement is certified.
pub const SLA_CERTIFIED: Gate = Gate { id: "bench.sla", version: 1, eval: sla };

/// The figures that the evidence gives, or the result of a gate that cannot have them.
fn recompute(evidence: &EvidenceSet) -> Result<BenchRun, GateResult> {
    if !evidence.entries().iter().any(|e| e.name == names::RECORDS) {
        return Err(GateResult::not_applicable("the run holds no requests"));
    }
    let read = |name: &str| evidence.bytes(name).ok();
    Evidence::load(CONTRACT, read)
        .map(|e| figures(&e))
        .map_err(|e| GateResult::hard_stop(format!("the figures cannot be recomputed: {e}")))
}

fn client(evidence: &EvidenceSet) -> GateResult {
    let run = match recompute(evidence) {
        Ok(run) => run,
        Err(result) => return result,
    };
    let v = run.validity;
    let checks = serde_json::to_value(&v.checks).unwrap_or(Value::Null);
    let result = match v.verdict.as_str() {
        "invalid_client" | "interrupted" => GateResult::hard_stop(v.reasons.join("; ")),
        _ => GateResult::pass("the client kept the schedule and had processor time to spare"),
    };
    result.measured(checks)
}

fn answered(evidence: &EvidenceSet) -> GateResult {
    let run = match recompute(evidence) {
        Ok(run) => run,
        Err(result) => return result,
    };
    let result = if run.success.count > 0 {
        GateResult::pass("requests were answered well")
    } else {
        let classes: Vec<String> = run.failures.iter().map(|f| format!("{} {}", f.count, f.class)).collect();
        GateResult::fail(format!("no request was answered well: {}", classes.join(", ")))
    };
    result.measured(run.success.count).threshold(1)
}

fn stored(evidence: &EvidenceSet) -> GateResult {
    let run = match recompute(evidence) {
        Ok(run) => run,
        Err(result) => return result,
    };
    let stored = match evidence.json(names::RESULT) {
        Ok(stored) => stored,
        Err(e) => return GateResult::hard_stop(format!("the answer cannot be read: {e}")),
    };
    let Ok(again) = serde_json::to_value(&run) else {
        return GateResult::hard_stop("the figures have no JSON form");
    };
    match differs(&stored, &again, "") {
        None => GateResult::pass("the answer follows from the records"),
        Some(place) => GateResult::fail(format!("the answer does not follow from the records at {place}")),
    }
}

/// The first place where two values differ. Readers of JSON may differ in the last digit of a number.
pub(crate) fn differs(a: &Value, b: &Value, place: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            if let Some(key) =
                x.keys().find(|k| !y.contains_key(*k)).or_else(|| y.keys().find(|k| !x.contains_key(*k)))
            {
                return Some(format!("{place}/{key}"));
            }
            x.iter().find_map(|(key, v)| differs(v, &y[key], &format!("{place}/{key}")))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(i, (x, y))| differs(x, y, &format!("{place}/{i}")))
        }
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64()?, y.as_f64()?);
            ((x - y).abs() > 1e-9 * x.abs().max(y.abs())).then(|| place.to_owned())
        }
        _ => (a != b).then(|| place.to_owned()),
    }
}

fn sla(evidence: &EvidenceSet) -> GateResult {
    let run = match recompute(evidence) {
        Ok(run) => run,
        Err(result) => return result,
    };
    if run.sla.is_empty() {
        return GateResult::not_applicable("nothing was required");
    }
    let outcomes: Vec<String> = run.sla.iter().map(|s| format!("{} {}", s.text, s.outcome)).collect();
    let said = outcomes.join(", ");
    let result = if run.sla.iter().all(|s| s.outcome == "certified") {
        GateResult::pass(format!("certified with 99 % confidence: {said}"))
    } else {
        GateResult::fail(format!("not certified: {said}"))
    };
    result
        .measured(run.sla.iter().filter(|s| s.outcome == "certified").count() as u64)
        .threshold(run.sla.len() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differs;

    #[test]
    fn differences_are_named() {
        let a = json!({"x": [1, {"y": 2.0}], "z": null});
        assert_eq!(differs(&a, &json!({"x": [1, {"y": 2.000_000_000_000_1}], "z": null}), ""), None);
        assert_eq!(differs(&a, &json!({"x": [1, {"y": 2.1}], "z": null}), "").as_deref(), Some("/x/1/y"));
        assert_eq!(differs(&a, &json!({"x": [1, {"y": 2.0}]}), "").as_deref(), Some("/z"));
        assert_eq!(differs(&a, &json!({"x": [1], "z": null}), "").as_deref(), Some("/x"));
    }
}
