//! The gates of a recorded `trace compare`.

use std::collections::BTreeMap;

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};
use serde_json::Value;

use super::limit::{Limit, Subject};
use super::report::LimitResult;

/// Where a run keeps the answer of `trace compare`.
pub const COMPARE_EVIDENCE: &str = "analysis/compare.json";
/// The rows of a comparison add up: kernels, categories and gaps to the steps of their class.
pub const COMPARED: Gate = Gate { id: "trace.compared", version: 1, eval: compared };
/// The limits that were asked for, held against the recorded rows once more.
pub const LIMITS: Gate = Gate { id: "trace.limits", version: 1, eval: limits };

/// Part of a step by which two sums of the same floats may differ.
const SLACK: f64 = 1e-6;

fn read(evidence: &EvidenceSet) -> Result<Value, GateResult> {
    match evidence.json(COMPARE_EVIDENCE) {
        Ok(answer) => match answer.pointer("/stop/code").and_then(Value::as_str) {
            Some(code) => Err(GateResult::hard_stop(format!("the comparison stopped with {code}"))),
            None => Ok(answer),
        },
        Err(EvidenceError::Missing(_)) => Err(GateResult::not_applicable("the run holds no comparison")),
        Err(e) => Err(GateResult::hard_stop(format!("the comparison cannot be read: {e}"))),
    }
}

fn compared(evidence: &EvidenceSet) -> GateResult {
    let answer = match read(evidence) {
        Ok(answer) => answer,
        Err(result) => return result,
    };
    match adds_up(&answer) {
        None => GateResult::hard_stop("the comparison lacks classes, rows or figures"),
        Some(Err(fault)) => GateResult::fail(fault),
        Some(Ok(0)) => GateResult::hard_stop("no steps were compared").measured(0).threshold(1),
        Some(Ok(steps)) => GateResult::pass("kernels, categories and gaps add up to the compared steps")
            .measured(steps)
            .threshold(1),
    }
}

/// Sums of two figures by class.
fn sums<'a>(answer: &'a Value, list: &str, figures: [&str; 2]) -> Option<BTreeMap<&'a str, [f64; 2]>> {
    let mut out: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for row in answer.get(list)?.as_array()? {
        let sum = out.entry(row.get("class")?.as_str()?).or_default();
        for (sum, figure) in sum.iter_mut().zip(figures) {
            *sum += row.get(figure)?.as_f64()?;
        }
    }
    Some(out)
}

/// Steps compared, if everything adds up; the fault if not; none when a figure is missing.
fn adds_up(answer: &Value) -> Option<Result<u64, String>> {
    const SIDES: [&str; 2] = ["a_ns_per_step", "b_ns_per_step"];
    let rows = sums(answer, "rows", SIDES)?;
    let categories = sums(answer, "categories", SIDES)?;
    let gaps = sums(answer, "gaps", SIDES)?;
    let mut steps = 0;
    for class in answer.get("classes")?.as_array()? {
        let name = class.get("class")?.as_str()?;
        steps += class.get("matched")?.as_u64()?;
        let device =
            [class.get("a_device_ns_per_step")?.as_f64()?, class.get("b_device_ns_per_step")?.as_f64()?];
        let wall = [class.get(SIDES[0])?.as_f64()?, class.get(SIDES[1])?.as_f64()?];
        let checks = [("kernels", &rows, device), ("categories", &categories, device), ("gaps", &gaps, wall)];
        for (what, of, wanted) in checks {
            let sum = of.get(name).copied().unwrap_or_default();
            for (side, (sum, wanted)) in ["A", "B"].into_iter().zip(sum.into_iter().zip(wanted)) {
                if (sum - wanted).abs() > 1.0 + SLACK * wanted.abs() {
                    return Some(Err(format!(
                        "{name}: the {what} of {side} add to {sum:.0} ns a step, the class has {wanted:.0} ns"
                    )));
                }
            }
        }
    }
    for row in answer.get("rows")?.as_array()? {
        let Some(positions) = row.get("positions").and_then(Value::as_array).filter(|p| !p.is_empty()) else {
            continue;
        };
        for side in SIDES {
            let sum: f64 = positions.iter().map(|p| p.get(side)?.as_f64()).sum::<Option<f64>>()?;
            let whole = row.get(side)?.as_f64()?;
            if (sum - whole).abs() > 1.0 + SLACK * whole.abs() {
                let kernel = row.get("kernel")?.as_str()?;
                return Some(Err(format!(
                    "{kernel}: its positions add to {sum:.0} ns, the row has {whole:.0} ns"
                )));
            }
        }
    }
    Some(Ok(steps))
}

fn limits(evidence: &EvidenceSet) -> GateResult {
    let answer = match read(evidence) {
        Ok(answer) => answer,
        Err(result) => return result,
    };
    let Some(asked) = answer.get("limits").and_then(Value::as_array) else {
        return GateResult::hard_stop("the comparison lacks its limits");
    };
    if asked.is_empty() {
        return GateResult::not_applicable("no limits were asked for");
    }
    let (mut over, mut unproven) = (Vec::new(), Vec::new());
    for row in asked {
        let Some(limit) = row.get("limit").and_then(Value::as_str).and_then(|t| t.parse::<Limit>().ok())
        else {
            return GateResult::hard_stop("a recorded limit cannot be read");
        };
        let Some(subjects) = subjects(&answer, &limit) else {
            return GateResult::hard_stop("the comparison lacks figures that a limit needs");
        };
        match limit.judge(&subjects).result {
            LimitResult::Within => {}
            LimitResult::Exceeded => over.push(limit.text),
            LimitResult::Unproven => unproven.push(limit.text),
        }
    }
    let result = match (over.as_slice(), unproven.as_slice()) {
        ([], []) => GateResult::pass("no difference is surely above a limit"),
        ([], some) => GateResult::hard_stop(format!("unproven: {}", some.join(", "))),
        (some, _) => GateResult::fail(format!("above the limit: {}", some.join(", "))),
    };
    result.measured(over.len() as u64).threshold(0)
}

/// What the limit is about, from the recorded rows.
fn subjects(answer: &Value, limit: &Limit) -> Option<Vec<Subject>> {
    let (list, named) = limit.source();
    let mut out = Vec::new();
    for row in answer.get(list)?.as_array()? {
        let class = row.get("class")?.as_str()?;
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        if limit.class.is_some_and(|want| want.as_str() != class)
            || named.is_some_and(|name| text("category") != Some(name))
        {
            continue;
        }
        out.push(Subject {
            name: text("kernel").unwrap_or(class).to_owned(),
            a_ns: row.get("a_ns_per_step")?.as_f64()?,
            ratio: row.get("ratio")?.as_f64(),
            delta_ns: row.get("delta_ns_per_step")?.as_f64()?,
            low_ns: row.get("ci_low")?.as_f64(),
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(kernel_b: f64, gap_b: f64) -> Value {
        let row = |a: f64, b: f64| {
            json!({"class": "decode", "category": "gemm", "kernel": "k", "a_ns_per_step": a, "b_ns_per_step": b,
                   "ratio": b / a, "delta_ns_per_step": b - a, "ci_low": b - a - 1.0,
                   "positions": [{"a_ns_per_step": a, "b_ns_per_step": b}]})
        };
        let mut class = row(200.0, 240.0);
        class["matched"] = json!(6);
        class["a_device_ns_per_step"] = json!(100.0);
        class["b_device_ns_per_step"] = json!(130.0);
        json!({"classes": [class], "rows": [row(100.0, kernel_b)], "categories": [row(100.0, 130.0)],
               "gaps": [row(200.0, gap_b)]})
    }

    #[test]
    fn every_sum_is_checked() {
        assert_eq!(adds_up(&answer(130.0, 240.0)), Some(Ok(6)));
        assert!(matches!(adds_up(&answer(135.0, 240.0)), Some(Err(e)) if e.contains("kernels")));
        assert!(matches!(adds_up(&answer(130.0, 250.0)), Some(Err(e)) if e.contains("gaps")));
        let mut moved = answer(130.0, 240.0);
        moved["rows"][0]["positions"][0]["b_ns_per_step"] = json!(90.0);
        assert!(matches!(adds_up(&moved), Some(Err(e)) if e.contains("positions")));
        assert_eq!(adds_up(&json!({})), None);
    }

    #[test]
    fn limits_are_judged_from_rows_not_from_the_stored_word() {
        let of = |text: &str| {
            let limit: Limit = text.parse().unwrap();
            limit.judge(&subjects(&answer(130.0, 240.0), &limit).unwrap()).result
        };
        assert_eq!(of("kernel.decode>28%"), LimitResult::Exceeded);
        assert_eq!(of("kernel>29.5%"), LimitResult::Within);
        assert_eq!(of("step>38ns"), LimitResult::Exceeded);
        assert_eq!(of("category.gemm>1us"), LimitResult::Within);
        assert_eq!(of("category.norm>1us"), LimitResult::Unproven);
        assert_eq!(of("step.prefill>1%"), LimitResult::Unproven);
    }
}
