//! Small gates, for tests only, and a run to use them on.

use std::path::Path;

use serde_json::json;

use crate::{
    Basis, Clock, EvidenceMeta, EvidenceSet, Gate, GateResult, Gpus, Host, Registry, RunSpec, RunWriter,
};

pub(super) const RESULT: &str = "benchmark/result.json";
pub(super) const INPUT: &str = "inputs/server.log";

fn fast(evidence: &EvidenceSet) -> GateResult {
    let Ok(result) = evidence.json(RESULT) else { return GateResult::not_applicable("there is no result") };
    let Some(ms) = result["ms"].as_f64() else { return GateResult::hard_stop("the result holds no time") };
    let verdict =
        if ms < 10.0 { GateResult::pass("below the limit") } else { GateResult::fail("not below the limit") };
    verdict.measured(ms).threshold(10)
}

fn healthy(evidence: &EvidenceSet) -> GateResult {
    match evidence.bytes(INPUT) {
        Ok(log) if log.starts_with(b"ready") => GateResult::pass("the server came up"),
        Ok(_) => GateResult::hard_stop("the server did not come up"),
        Err(_) => GateResult::not_applicable("there is no log"),
    }
}

pub(super) const FAST: Gate = Gate { id: "demo.fast", version: 1, eval: fast };
pub(super) const HEALTHY: Gate = Gate { id: "demo.healthy", version: 2, eval: healthy };

pub(super) fn registry() -> Registry {
    Registry::new([FAST, HEALTHY]).expect("two gates")
}

pub(super) fn spec() -> RunSpec {
    let mut spec = RunSpec::new(
        "demo bench",
        "0.1.0",
        json!({"model": "demo-1b", "precision": "bf16", "threshold": 0.01}),
    );
    spec.argv = ["perfwright", "demo", "bench"].map(str::to_owned).to_vec();
    spec.env = vec![("CUDA_VISIBLE_DEVICES".into(), "0".into()), ("HOME".into(), "/users/somebody".into())];
    spec.host = Host {
        cpu: Some("Example CPU".into()),
        logical_cpus: Some(8),
        memory_bytes: Some(64 << 30),
        kernel: Some("6.1.0".into()),
        gpus: Gpus {
            devices: Vec::new(),
            versions: std::collections::BTreeMap::new(),
            reason: Some("GPUs are not probed by this version".into()),
        },
    };
    spec.clock = Clock::Stepping { next_ms: 1_767_323_045_678, step_ms: 250 };
    spec
}

pub(super) fn add_result(run: &mut RunWriter, ms: f64, basis: Basis) {
    let meta =
        EvidenceMeta::new("application/json", basis).schema("demo.result/v1").command("demo --rounds 3");
    run.add_bytes(RESULT, json!({ "ms": ms }).to_string().as_bytes(), &meta).expect("recorded");
}

pub(super) fn add_log(run: &mut RunWriter, text: &str) {
    let meta = EvidenceMeta::new("text/plain", Basis::Imported);
    run.add_bytes(INPUT, text.as_bytes(), &meta).expect("recorded");
}

/// Contract, note, log and result: everything but the end.
pub(super) fn started(dir: &Path) -> RunWriter {
    let mut run = RunWriter::create(dir, &spec()).expect("created");
    run.event("warmup", &json!({"rounds": 3, "share": 0.1})).expect("noted");
    add_log(&mut run, "ready\n");
    add_result(&mut run, 9.5, Basis::Measured);
    run
}
