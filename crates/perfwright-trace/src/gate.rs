//! The gates of this crate.

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};
use serde_json::Value;

/// Where a run keeps the answer of `trace triage`.
pub const TRIAGE_EVIDENCE: &str = "analysis/triage.json";

/// Every gate that this crate exports.
pub const GATES: &[Gate] = &[Gate { id: "trace.usable", version: 1, eval: usable }];

/// A trace is usable when it holds device time that adds up: the totals say some, the kernel rows say the same, and
/// nothing made the triage stop.
fn usable(evidence: &EvidenceSet) -> GateResult {
    let triage = match evidence.json(TRIAGE_EVIDENCE) {
        Ok(triage) => triage,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run holds no triage"),
        Err(e) => return GateResult::hard_stop(format!("the triage cannot be read: {e}")),
    };
    if let Some(code) = triage.pointer("/stop/code").and_then(Value::as_str) {
        return GateResult::hard_stop(format!("the triage stopped with {code}")).measured(0).threshold(1);
    }
    let device_ns: Option<i64> = ["kernel", "gpu_memcpy", "gpu_memset"]
        .iter()
        .map(|kind| triage.pointer(&format!("/totals/{kind}/total_ns")).and_then(Value::as_i64))
        .sum();
    let rows_ns: Option<i64> = triage
        .pointer("/tables/kernels")
        .and_then(Value::as_array)
        .and_then(|rows| rows.iter().map(|r| r.get("total_ns").and_then(Value::as_i64)).sum());
    let (Some(device_ns), Some(rows_ns)) = (device_ns, rows_ns) else {
        return GateResult::hard_stop("the triage has no totals or no kernel rows");
    };
    let result = if device_ns <= 0 {
        GateResult::hard_stop("there is no device time")
    } else if device_ns != rows_ns {
        GateResult::fail(format!("the kernel rows add to {rows_ns} ns, the totals to {device_ns} ns"))
    } else if triage.get("partial").is_some_and(|p| !p.is_null()) {
        GateResult::pass("there is device time and its rows add up; only a part of the trace was read")
    } else {
        GateResult::pass("there is device time and its rows add up")
    };
    result.measured(device_ns).threshold(1)
}
