//! Results of guidellm: `benchmarks.json`. Seen: 0.8.1. Its `time_per_output_token_ms` is E2E over all tokens; what
//! is called TPOT here is its `inter_token_latency_ms`, (E2E - TTFT) / (tokens - 1). It has no gaps between chunks.

use serde_json::Value;

use super::detect::candidate;
use crate::rows::{Requests, Row, Source, Status};

/// One row per benchmark of the file.
pub(super) fn rows(value: &Value, source: &Source) -> Vec<Row> {
    let all = value.get("benchmarks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let single = all.len() == 1;
    all.iter()
        .take(crate::rows::read::MAX_ROWS)
        .enumerate()
        .map(|(i, benchmark)| {
            let line = (!single).then_some(i as u64 + 1);
            row(benchmark, &Source { line, ..source.clone() })
        })
        .collect()
}

fn row(value: &Value, source: &Source) -> Row {
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let float = |at: &str| value.pointer(at).and_then(Value::as_f64).filter(|x| x.is_finite() && *x >= 0.0);
    let count = |at: &str| value.pointer(at).and_then(Value::as_u64);
    let mut row = Row::new("unstated", &candidate(source), Status::Ok);
    row.source = source.clone();
    row.notes.push("the file does not name the server's framework; say NAME=FILE to state it".to_owned());
    row.model = text("/config/backend/model");
    row.workload.endpoint = text("/config/backend/request_format");
    row.workload.kind = Some("guidellm".to_owned());
    row.workload.max_concurrency = count("/config/strategy/streams");
    row.workload.request_rate = float("/config/strategy/rate").filter(|r| *r > 0.0);
    for (length, at) in [
        (&mut row.workload.input_len, "prompt_token_count"),
        (&mut row.workload.output_len, "output_token_count"),
    ] {
        let std = float(&format!("/metrics/{at}/successful/std_dev"));
        *length = float(&format!("/metrics/{at}/successful/mean")).filter(|_| std == Some(0.0));
    }
    let (good, bad) = (count("/metrics/request_totals/successful"), count("/metrics/request_totals/errored"));
    let open = count("/metrics/request_totals/incomplete").unwrap_or(0);
    if let (Some(good), Some(bad)) = (good, bad) {
        let sent = good.saturating_add(bad).saturating_add(open);
        row.requests = Some(Requests { sent, succeeded: good });
        row.workload.num_prompts = Some(sent);
        if sent > 0 {
            row.metrics.insert("success_rate".to_owned(), good as f64 / sent as f64);
        }
    }
    if good.unwrap_or(0) == 0 {
        row.problems.push("no request completed".to_owned());
    }
    for (ours, theirs) in [
        ("request_throughput", "requests_per_second"),
        ("output_token_throughput", "output_tokens_per_second"),
        ("total_token_throughput", "tokens_per_second"),
    ] {
        // These means weigh by time; the quotient of count and duration is the same figure without their smoothing.
        let at = format!("/metrics/{theirs}/successful");
        let of_duration = float(&format!("{at}/count")).zip(float("/duration").filter(|d| *d > 0.0));
        let value = of_duration.map(|(n, d)| n / d).or_else(|| float(&format!("{at}/mean")));
        if let Some(x) = value {
            row.metrics.insert(ours.to_owned(), x);
        }
    }
    for (ours, theirs, scale) in [
        ("ttft_ms", "time_to_first_token_ms", 1.0),
        ("tpot_ms", "inter_token_latency_ms", 1.0),
        ("e2e_ms", "request_latency", 1000.0),
    ] {
        let at = format!("/metrics/{theirs}/successful");
        for (stat, name) in [("mean", "mean"), ("min", "min"), ("max", "max"), ("std", "std_dev")] {
            if let Some(x) = float(&format!("{at}/{name}")) {
                row.metrics.insert(format!("{stat}_{ours}"), x * scale);
            }
        }
        for (stat, name) in [
            ("p1", "p01"),
            ("p5", "p05"),
            ("p10", "p10"),
            ("p25", "p25"),
            ("p50", "p50"),
            ("p75", "p75"),
            ("p90", "p90"),
            ("p95", "p95"),
            ("p99", "p99"),
            ("p999", "p999"),
        ] {
            if let Some(x) = float(&format!("{at}/percentiles/{name}")) {
                row.metrics.insert(format!("{stat}_{ours}"), x * scale);
            }
        }
    }
    row
}
