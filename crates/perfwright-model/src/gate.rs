//! The gates of this crate: pure checks over recorded answers.

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};
use serde_json::Value;

/// Where a run keeps the answer of `model memory`.
pub const MEMORY_EVIDENCE: &str = "analysis/model-memory.json";
/// Where a run keeps the answer of `model ops`.
pub const OPS_EVIDENCE: &str = "analysis/model-ops.json";
/// Where a run keeps the answer of `model whatif`.
pub const WHATIF_EVIDENCE: &str = "analysis/model-whatif.json";

/// Every gate that this crate exports.
pub const GATES: &[Gate] = &[DIVIDED, SUMMED, POSSIBLE, FITS];
/// A recorded `model memory`: what is said to fit follows from the sizes.
pub const DIVIDED: Gate = Gate { id: "model.divided", version: 1, eval: divided };
/// A recorded `model ops`: operators add up to the totals and to the time.
pub const SUMMED: Gate = Gate { id: "model.summed", version: 1, eval: summed };
/// A recorded `model ops` with a measured time: the hardware can do it.
pub const POSSIBLE: Gate = Gate { id: "model.possible", version: 1, eval: possible };
/// A recorded `model whatif`: each row's `fits` and rates follow from its sizes and its time.
pub const FITS: Gate = Gate { id: "model.fits", version: 1, eval: fits };

/// Relative difference of two sums of the same floats in another order.
const SLACK: f64 = 1e-9;

fn with(evidence: &EvidenceSet, name: &str, check: impl FnOnce(&Value) -> Option<GateResult>) -> GateResult {
    match evidence.json(name) {
        Ok(answer) => check(&answer)
            .unwrap_or_else(|| GateResult::hard_stop("the answer lacks a figure, or has one below zero")),
        Err(EvidenceError::Missing(_)) => GateResult::not_applicable(format!("the run holds no {name}")),
        Err(e) => GateResult::hard_stop(format!("the answer cannot be read: {e}")),
    }
}

/// A figure that is there, finite and not negative.
fn figure(value: &Value, at: &str) -> Option<f64> {
    value.pointer(at)?.as_f64().filter(|f| f.is_finite() && *f >= 0.0)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= SLACK * a.abs().max(b.abs())
}

fn summed(evidence: &EvidenceSet) -> GateResult {
    with(evidence, OPS_EVIDENCE, operators)
}

fn operators(answer: &Value) -> Option<GateResult> {
    const FIGURES: [&str; 7] =
        ["flops", "vector_flops", "bytes", "weight_bytes", "cache_bytes", "activation_bytes", "comm_bytes"];
    let ops = answer.get("ops")?.as_array()?;
    for name in FIGURES {
        let total = figure(answer, &format!("/totals/{name}"))?;
        let sum = ops.iter().map(|op| figure(op, &format!("/{name}"))).sum::<Option<f64>>()?;
        if !near(sum, total) {
            let text = format!("the operators add to {sum} {name}, the totals say {total}");
            return Some(GateResult::fail(text));
        }
    }
    let time = figure(answer, "/roofline/time_us")?;
    let sum = ops.iter().map(|op| figure(op, "/time_us")).sum::<Option<f64>>()?;
    if !near(sum, time) {
        return Some(GateResult::fail(format!(
            "the operators take {sum} us, the step is said to take {time}"
        )));
    }
    if figure(answer, "/roofline/overlapped_us")? > time * (1.0 + SLACK) {
        return Some(GateResult::fail("the busiest resource takes longer than all operators together"));
    }
    Some(GateResult::pass("the operators add up to the totals and to the time").measured(ops.len() as u64))
}

fn possible(evidence: &EvidenceSet) -> GateResult {
    with(evidence, OPS_EVIDENCE, measured)
}

fn measured(answer: &Value) -> Option<GateResult> {
    let Some(measured) = answer.get("measured").filter(|m| !m.is_null()) else {
        return Some(GateResult::not_applicable("no measured time was given"));
    };
    let least = figure(answer, "/roofline/overlapped_us")?;
    let time = measured.get("time_us")?.as_f64()?;
    let share = |at: &str| figure(measured, at).filter(|share| *share <= 1.0);
    let result = match (share("/mfu"), share("/mbu")) {
        (Some(_), Some(_)) if time > 0.0 => GateResult::pass("neither MFU nor MBU is above 100 %"),
        _ => GateResult::hard_stop("the measured time is shorter than the hardware allows"),
    };
    Some(result.measured(time).threshold(least))
}

fn divided(evidence: &EvidenceSet) -> GateResult {
    with(evidence, MEMORY_EVIDENCE, memory)
}

fn memory(answer: &Value) -> Option<GateResult> {
    let weights = figure(answer, "/weights_per_rank/total")?;
    let token = figure(answer, "/kv_bytes_per_token_per_rank")?;
    figure(answer, "/kv_bytes_per_token")?;
    if figure(answer, "/params/active")? > figure(answer, "/params/total")? {
        return Some(GateResult::fail("more parameters are active than there are"));
    }
    if figure(answer, "/kv_bytes_per_token_unbounded_per_rank")? > token {
        return Some(GateResult::fail("the layers that keep every token keep more than all layers"));
    }
    let Some(gpu) = answer.get("gpu").filter(|g| !g.is_null()) else {
        return Some(GateResult::pass("parameters and cache are consistent; no GPU was asked for"));
    };
    let left = figure(gpu, "/memory_bytes")? * figure(gpu, "/fraction")? - weights;
    let kv = figure(gpu, "/kv_bytes")?;
    if (kv - left.max(0.0)).abs() > 1.0 {
        let text = format!("{left:.0} bytes are left beside the weights, the cache is said to have {kv:.0}");
        return Some(GateResult::fail(text));
    }
    if gpu.get("weights_fit")?.as_bool()? != (left >= 0.0) {
        return Some(GateResult::fail("whether the weights fit does not follow from the sizes"));
    }
    Some(GateResult::pass("what fits follows from the sizes").measured(kv))
}

fn fits(evidence: &EvidenceSet) -> GateResult {
    with(evidence, WHATIF_EVIDENCE, rows)
}

fn rows(answer: &Value) -> Option<GateResult> {
    let allowed = figure(answer, "/memory_bytes")? * figure(answer, "/fraction")?;
    let rows = answer.get("rows")?.as_array()?;
    for (i, row) in rows.iter().enumerate() {
        let left = (allowed - figure(row, "/weights_per_rank")?).max(0.0);
        if row.get("fits")?.as_bool()? != (left > 0.0 && figure(row, "/kv_bytes_needed")? <= left) {
            return Some(GateResult::fail(format!(
                "row {i}: whether it fits does not follow from the sizes"
            )));
        }
        let gpus = figure(row, "/parallel/tp")? * figure(row, "/parallel/dp")?;
        let rate = figure(row, "/batch")? / (figure(row, "/tpot_us")? * 1e-6) / gpus;
        if !near(rate, figure(row, "/tokens_per_second_per_gpu")?) {
            return Some(GateResult::fail(format!("row {i}: the rate does not follow from the time")));
        }
    }
    if rows.is_empty() {
        let reason = "the model cannot be cut in any of the ways asked for";
        return Some(match answer.get("refused")?.as_array()?.is_empty() {
            true => GateResult::fail("there are no rows and nothing was refused"),
            false => GateResult::pass(reason).measured(0),
        });
    }
    Some(GateResult::pass("what fits and the rates follow from sizes and times").measured(rows.len() as u64))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use perfwright_evidence::Outcome;
    use serde_json::json;

    use super::*;
    use crate::format::KvDtype;
    use crate::memory::{MemoryOptions, memory as ask_memory};
    use crate::ops::{Phase, Step};
    use crate::parallel::Parallel;
    use crate::report::{OpsOptions, ops};
    use crate::whatif::{WhatIfOptions, whatif};

    fn model() -> crate::arch::Architecture {
        let config = json!({
            "hidden_size": 256, "num_hidden_layers": 2, "vocab_size": 1000, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 512, "hidden_act": "silu", "model_type": "llama",
        });
        crate::config::from_value(Path::new("config.json"), &config, None).unwrap()
    }

    const ONE: Parallel = Parallel { tp: 1, ep: 1, dp: 1, pp: 1 };

    fn outcome(check: fn(&Value) -> Option<GateResult>, answer: &Value) -> Option<Outcome> {
        check(answer).map(|result| result.outcome)
    }

    #[test]
    fn every_sum_of_operators_is_checked() {
        let gpu = crate::hardware::find("h100").unwrap();
        let step = Step {
            phase: Phase::Prefill,
            batch: 2,
            tokens: 64,
            context: 0,
            parallel: ONE,
            kv_dtype: KvDtype::Bf16,
        };
        let ask = |measured_us| {
            let options = OpsOptions { step, weights: None, gpu: &gpu, launch_us: 0.0, measured_us };
            serde_json::to_value(ops(&model(), &options).unwrap()).unwrap()
        };
        let good = ask(None);
        assert_eq!(outcome(operators, &good), Some(Outcome::Pass));
        assert_eq!(outcome(measured, &good), Some(Outcome::NotApplicable));
        for (at, value) in
            [("/totals/bytes", json!(1)), ("/ops/0/flops", json!(7)), ("/ops/1/time_us", json!(9.5))]
        {
            let mut bad = good.clone();
            *bad.pointer_mut(at).unwrap() = value;
            assert_eq!(outcome(operators, &bad), Some(Outcome::Fail), "{at}");
        }
        let mut bad = good;
        bad["ops"][0]["flops"] = json!(-1);
        assert_eq!(outcome(operators, &bad), None);
        assert_eq!(outcome(measured, &ask(Some(1e6))), Some(Outcome::Pass));
        assert_eq!(outcome(measured, &ask(Some(1e-6))), Some(Outcome::HardStop));
    }

    #[test]
    fn what_fits_is_divided_again() {
        let gpu = crate::hardware::find("h100").unwrap();
        let options = MemoryOptions {
            parallel: ONE,
            kv_dtype: KvDtype::Bf16,
            weights: None,
            gpu: Some(&gpu),
            fraction: 0.9,
            context: Some(4096),
        };
        let good = serde_json::to_value(ask_memory(&model(), &options).unwrap()).unwrap();
        assert_eq!(outcome(memory, &good), Some(Outcome::Pass));
        for (at, value) in [
            ("/gpu/kv_bytes", json!(1_000_000)),
            ("/gpu/weights_fit", json!(false)),
            ("/params/active", json!(1u64 << 60)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(at).unwrap() = value;
            assert_eq!(outcome(memory, &bad), Some(Outcome::Fail), "{at}");
        }
    }

    #[test]
    fn rows_are_computed_again() {
        let gpu = crate::hardware::find("h100").unwrap();
        let options = WhatIfOptions {
            parallel: vec![ONE, Parallel { tp: 2, ..ONE }],
            weights: vec![None],
            kv_dtypes: vec![KvDtype::Fp8],
            batches: vec![1, 8],
            contexts: vec![1024],
            gpu: &gpu,
            fraction: 0.9,
        };
        let good = serde_json::to_value(whatif(&model(), &options).unwrap()).unwrap();
        assert_eq!(outcome(rows, &good), Some(Outcome::Pass));
        for (at, value) in [("/rows/1/fits", json!(false)), ("/rows/3/tpot_us", json!(1.0))] {
            let mut bad = good.clone();
            *bad.pointer_mut(at).unwrap() = value;
            assert_eq!(outcome(rows, &bad), Some(Outcome::Fail), "{at}");
        }
        let mut empty = good;
        empty["rows"] = json!([]);
        assert_eq!(outcome(rows, &empty), Some(Outcome::Fail));
    }
}
