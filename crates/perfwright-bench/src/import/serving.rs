//! Results of SGLang's `bench_serving` (Python and Rust) and of `vllm bench serve`: flat JSON objects. Figures and
//! their meaning: TTFT is the first content chunk, TPOT is (E2E - TTFT) / (output tokens - 1), ITL is the gap between
//! chunks, percentiles interpolate linearly. Seen: sglang 0.5.23; vLLM's names from its documentation.

use serde_json::Value;

use super::detect::{Format, candidate};
use crate::rows::read::{Number, number};
use crate::rows::{Requests, Row, Source, Status};

/// The note on a framework that only the client's backend name suggests.
pub const FROM_BACKEND: &str = "framework taken from the client's backend name; say NAME=FILE to state it";

/// One result.
pub(super) fn row(value: &Value, source: &Source, format: Format) -> Row {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let float = |key: &str| match number(value.get(key)) {
        Number::Finite(x) if x >= 0.0 => Some(x),
        _ => None,
    };
    let count = |key: &str| float(key).map(|x| x as u64);
    let backend = text("backend").unwrap_or_default();
    let framework = match backend.split(['-', '_']).next() {
        Some("") | None | Some("openai") => format.name(),
        Some(name) => name,
    };
    let mut row = Row::new(framework, &candidate(source), Status::Ok);
    row.source = source.clone();
    row.notes.push(FROM_BACKEND.to_owned());
    row.model = text("model_id");
    row.workload.kind = text("dataset_name");
    row.workload.scenario.clone_from(&row.workload.kind);
    row.workload.request_rate = float("request_rate").filter(|r| *r > 0.0);
    row.workload.max_concurrency = count("max_concurrency").filter(|c| *c > 0);
    row.workload.input_len = float("random_input_len");
    row.workload.output_len = float("random_output_len");
    let completed = count("completed").unwrap_or(0);
    row.workload.num_prompts = count("num_prompts").or(Some(completed));
    match (count("num_prompts"), count("failed")) {
        (Some(sent), _) | (None, Some(sent)) if count("num_prompts").is_some() && completed <= sent => {
            row.requests = Some(Requests { sent, succeeded: completed });
        }
        (None, Some(failed)) => {
            row.requests = Some(Requests { sent: completed + failed, succeeded: completed });
        }
        _ => row.notes.push("the file does not say how many requests were sent".to_owned()),
    }
    if completed == 0 {
        row.problems.push("no request completed".to_owned());
    }
    for (ours, theirs) in [
        ("request_throughput", "request_throughput"),
        ("output_token_throughput", "output_throughput"),
        ("total_token_throughput", "total_throughput"),
        ("total_token_throughput", "total_token_throughput"),
        ("request_goodput", "request_goodput"),
    ] {
        take(&mut row, ours, value.get(theirs));
    }
    for (metric, names) in [
        ("ttft", ["ttft", "ttft"]),
        ("tpot", ["tpot", "tpot"]),
        ("itl", ["itl", "itl"]),
        ("e2e", ["e2e_latency", "e2el"]),
    ] {
        for (ours, theirs) in [("mean", "mean"), ("p50", "median"), ("std", "std")] {
            for name in names {
                take(&mut row, &format!("{ours}_{metric}_ms"), value.get(format!("{theirs}_{name}_ms")));
            }
        }
        for p in ["p25", "p50", "p75", "p90", "p95", "p99", "p999", "p99.9"] {
            for name in names {
                let ours = format!("{}_{metric}_ms", p.replace('.', ""));
                take(&mut row, &ours, value.get(format!("{p}_{name}_ms")));
            }
        }
    }
    row.spec_decode.mean_accept_length =
        float("accept_length").or_else(|| float("spec_decode_acceptance_length")).filter(|x| *x > 0.0);
    row.spec_decode.enabled = row.spec_decode.mean_accept_length.map(|_| true);
    row
}

fn take(row: &mut Row, name: &str, value: Option<&Value>) {
    match number(value) {
        Number::Finite(x) if x >= 0.0 => {
            row.metrics.entry(name.to_owned()).or_insert(x);
        }
        Number::Missing => {}
        other => row.problems.push(format!("{name} is {other:?}")),
    }
}
