//! The gates of this crate.

use std::collections::BTreeMap;

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};
use serde_json::Value;

pub use crate::compare::gate::{COMPARE_EVIDENCE, COMPARED, LIMITS};

/// Where a run keeps the answer of `trace triage`.
pub const TRIAGE_EVIDENCE: &str = "analysis/triage.json";

/// Where a run keeps the answer of `trace pipeline`.
pub const PIPELINE_EVIDENCE: &str = "analysis/pipeline.json";

/// Where a run keeps the answer of `trace map`.
pub const MAP_EVIDENCE: &str = "analysis/map.json";

/// Every gate that this crate exports.
pub const GATES: &[Gate] = &[USABLE, TILED, MAPPED, COMPARED, LIMITS];
/// The gate of a recorded `trace triage`.
pub const USABLE: Gate = Gate { id: "trace.usable", version: 1, eval: usable };
/// The gate of a recorded `trace pipeline`.
pub const TILED: Gate = Gate { id: "trace.tiled", version: 1, eval: tiled };
/// The gate of a recorded `trace map`.
pub const MAPPED: Gate = Gate { id: "trace.mapped", version: 1, eval: mapped };

/// A map is believable when the rows of operators and of other work add up to the device time of each class, and no
/// share of a peak is above 1.
fn mapped(evidence: &EvidenceSet) -> GateResult {
    let answer = match evidence.json(MAP_EVIDENCE) {
        Ok(answer) => answer,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run holds no map"),
        Err(e) => return GateResult::hard_stop(format!("the map cannot be read: {e}")),
    };
    if let Some(code) = answer.pointer("/stop/code").and_then(Value::as_str) {
        return GateResult::hard_stop(format!("the map stopped with {code}")).measured(0).threshold(1);
    }
    match adds_up(&answer) {
        None => GateResult::hard_stop("the map has no classes, operators or times"),
        Some(Err(fault)) => GateResult::fail(fault),
        Some(Ok(ns)) => {
            GateResult::pass("operators and other work add up to the device time").measured(ns).threshold(1)
        }
    }
}

/// Device time of all classes, if the rows add up to it; the fault if not; none when a figure is missing.
fn adds_up(answer: &Value) -> Option<Result<i64, String>> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for table in ["operators", "unmapped"] {
        for row in answer.get(table)?.as_array()? {
            for share in ["/figures/mfu", "/figures/mbu"] {
                if let Some(over) = row.pointer(share).and_then(Value::as_f64).filter(|&s| s > 1.0) {
                    let name = row.get("name").and_then(Value::as_str).unwrap_or("");
                    return Some(Err(format!("{name}: {share} is {over}")));
                }
            }
            let sum = sums.entry(row.get("class")?.as_str()?).or_default();
            *sum = sum.checked_add(row.get("time_ns")?.as_i64()?)?;
        }
    }
    let mut all = 0i64;
    for class in answer.get("classes")?.as_array()? {
        let (name, ns) = (class.get("class")?.as_str()?, class.get("device_ns")?.as_i64()?);
        let sum = sums.remove(name).unwrap_or(0);
        if sum != ns {
            return Some(Err(format!("the rows of {name} add to {sum} ns, its passes to {ns} ns")));
        }
        all = all.checked_add(ns)?;
    }
    match sums.keys().next() {
        Some(name) => Some(Err(format!("rows name class {name}, which has no passes"))),
        None => Some(Ok(all)),
    }
}

/// Passes and layers are believable when they tile the device time: in every pass prologue, layers and epilogue add up
/// to the pass, and the passes with what is outside of them to all device time.
fn tiled(evidence: &EvidenceSet) -> GateResult {
    let answer = match evidence.json(PIPELINE_EVIDENCE) {
        Ok(answer) => answer,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run holds no pipeline"),
        Err(e) => return GateResult::hard_stop(format!("the pipeline cannot be read: {e}")),
    };
    if let Some(code) = answer.pointer("/stop/code").and_then(Value::as_str) {
        return GateResult::hard_stop(format!("the pipeline stopped with {code}")).measured(0).threshold(1);
    }
    match tiles(&answer) {
        None => GateResult::hard_stop("the pipeline has no passes, layers or totals"),
        Some(Err(fault)) => GateResult::fail(fault),
        Some(Ok(ns)) => {
            GateResult::pass("passes and layers add up to the device time").measured(ns).threshold(1)
        }
    }
}

/// All device time, if everything adds up to it; the fault if not; none when a figure is missing.
fn tiles(answer: &Value) -> Option<Result<i64, String>> {
    let number = |v: &Value, at: &str| v.pointer(at).and_then(Value::as_i64);
    let mut layers: BTreeMap<i64, i64> = BTreeMap::new();
    for layer in answer.get("layers")?.as_array()? {
        let sum = layers.entry(number(layer, "/pass")?).or_default();
        *sum = sum.checked_add(number(layer, "/sum_ns")?)?;
    }
    let mut all = number(answer, "/outside/total_ns")?;
    for pass in answer.get("passes")?.as_array()? {
        let index = number(pass, "/index")?;
        let (device, before, after) = (
            number(pass, "/device_ns")?,
            number(pass, "/prologue/sum_ns")?,
            number(pass, "/epilogue/sum_ns")?,
        );
        let parts = before.checked_add(after)?.checked_add(layers.remove(&index).unwrap_or(0))?;
        if parts != device {
            return Some(Err(format!(
                "the parts of pass {index} add to {parts} ns, the pass has {device} ns"
            )));
        }
        all = all.checked_add(device)?;
    }
    if let Some((pass, _)) = layers.first_key_value() {
        return Some(Err(format!("layers name pass {pass}, which is not there")));
    }
    let mut totals = 0i64;
    let traces = answer.get("inputs")?.as_array()?;
    for input in traces.iter().filter(|i| i.pointer("/role").and_then(Value::as_str) == Some("trace")) {
        for kind in ["kernel", "gpu_memcpy", "gpu_memset"] {
            totals = totals.checked_add(number(input, &format!("/totals/{kind}/total_ns"))?)?;
        }
    }
    if totals != all {
        return Some(Err(format!("passes and the rest add to {all} ns, the trace has {totals} ns")));
    }
    Some(Ok(all))
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{adds_up, tiles};

    #[test]
    fn a_map_must_add_up_and_stay_below_its_peaks() {
        let answer = |ns: i64, mfu: f64| {
            json!({
                "classes": [{"class": "decode", "device_ns": 100}],
                "operators": [{"class": "decode", "name": "o_proj", "time_ns": ns, "figures": {"mfu": mfu, "mbu": null}}],
                "unmapped": [{"class": "decode", "time_ns": 40}],
            })
        };
        assert_eq!(adds_up(&answer(60, 1.0)), Some(Ok(100)));
        assert!(matches!(adds_up(&answer(61, 0.5)), Some(Err(e)) if e.contains("101")));
        assert!(matches!(adds_up(&answer(60, 1.01)), Some(Err(e)) if e.contains("o_proj")));
        assert_eq!(adds_up(&json!({})), None);
    }

    #[test]
    fn every_sum_is_checked() {
        let answer = |layer: i64, outside: i64| {
            json!({
                "inputs": [{"role": "trace", "totals": {"kernel": {"total_ns": 95}, "gpu_memcpy": {"total_ns": 5}, "gpu_memset": {"total_ns": 0}}}],
                "passes": [{"index": 0, "device_ns": 90, "prologue": {"sum_ns": 10}, "epilogue": {"sum_ns": 20}}],
                "layers": [{"pass": 0, "sum_ns": 40}, {"pass": 0, "sum_ns": layer}],
                "outside": {"total_ns": outside},
            })
        };
        assert_eq!(tiles(&answer(20, 10)), Some(Ok(100)));
        assert!(matches!(tiles(&answer(21, 10)), Some(Err(e)) if e.contains("pass 0")));
        assert!(matches!(tiles(&answer(20, 11)), Some(Err(e)) if e.contains("101")));
        assert_eq!(tiles(&json!({})), None);
        let mut stray = answer(20, 10);
        stray["layers"][0]["pass"] = 7.into();
        assert!(matches!(tiles(&stray), Some(Err(_))));
    }
}
