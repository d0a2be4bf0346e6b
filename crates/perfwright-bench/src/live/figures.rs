//! The figures of a row out of the records of its trial.

use std::collections::BTreeMap;

use perfwright_evidence::EvidenceSet;

use crate::load::Conditions;
use crate::measure::{BenchRun, Dist, Evidence, figures, read_records};

/// Files of a trial, below its folder.
pub(super) const CONDITIONS: &str = "conditions.json";
pub(super) const CLIENT: &str = "client.json";
pub(super) const SERVER: &str = "server.json";
pub(super) const RECORDS: &str = "requests.jsonl";
pub(super) const PATH: &str = "path.json";
pub(super) const BEFORE: &str = "metrics-before.txt";
pub(super) const AFTER: &str = "metrics-after.txt";

/// The answer that the recorded files of a trial give; `read` gives the bytes of a name.
pub(super) fn recompute(
    dir: &str,
    read: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<BenchRun, String> {
    fn json<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("{name}: {e}"))
    }
    let get = |file: &str| {
        let name = format!("{dir}/{file}");
        read(&name).map(|bytes| (name, bytes))
    };
    let (name, bytes) = get(CONDITIONS)?;
    let conditions: Conditions = json(&name, &bytes)?;
    let (name, bytes) = get(CLIENT)?;
    let client = json(&name, &bytes)?;
    let (name, bytes) = get(SERVER)?;
    let server = json(&name, &bytes)?;
    let (name, bytes) = get(RECORDS)?;
    let records = read_records(&bytes).map_err(|(line, e)| format!("{name}: line {line}: {e}"))?;
    let text = |file| get(file).ok().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
    let counters = text(BEFORE).zip(text(AFTER));
    Ok(figures(&Evidence { conditions, records, client, server, counters, path: None }))
}

/// The same through the evidence that gates see.
pub(super) fn recorded(evidence: &EvidenceSet, dir: &str) -> Result<BenchRun, String> {
    recompute(dir, |name| evidence.bytes(name).map_err(|e| e.to_string()))
}

/// Figures by the names that rows use.
pub(super) fn metrics(run: &BenchRun) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    let m = &run.metrics;
    let all: [(&str, &Dist); 6] = [
        ("ttft_ms", &m.ttft_ms),
        ("tpot_ms", &m.tpot_ms),
        ("itl_ms", &m.itl_ms),
        ("e2e_ms", &m.e2e_ms),
        ("queue_ms", &m.queue_ms),
        ("ttfo_ms", &m.ttfo_ms),
    ];
    for (name, d) in all {
        let statistics = [
            ("mean", d.mean),
            ("p50", d.p50),
            ("p75", d.p75),
            ("p90", d.p90),
            ("p95", d.p95),
            ("p99", d.p99),
            ("p999", d.p999),
            ("min", d.min),
            ("max", d.max),
        ];
        out.extend(statistics.into_iter().filter_map(|(s, v)| Some((format!("{s}_{name}"), v?))));
    }
    let t = &run.throughput;
    out.insert("success_rate".to_owned(), run.success_rate);
    out.insert("request_throughput".to_owned(), t.requests);
    out.insert("output_token_throughput".to_owned(), t.output_tokens);
    out.insert("total_token_throughput".to_owned(), t.total_tokens);
    if let Some(goodput) = &run.goodput {
        out.insert("request_goodput".to_owned(), goodput.requests);
    }
    out
}
