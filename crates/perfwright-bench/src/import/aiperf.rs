//! Results of AIPerf: `profile_export_aiperf.json` and its CSV. Seen: 0.13.0. AIPerf counts tokens by encoding the
//! text again unless told otherwise; where its own counters say that the server counted differently, the server's
//! counts are used for throughput, and figures per token are left out because they rest on the other counts.

use serde_json::Value;

use super::detect::candidate;
use crate::rows::{Requests, Row, Source, Status};

const STATISTICS: [(&str, &str); 12] = [
    ("mean", "avg"),
    ("min", "min"),
    ("max", "max"),
    ("p1", "p1"),
    ("p5", "p5"),
    ("p10", "p10"),
    ("p25", "p25"),
    ("p50", "p50"),
    ("p75", "p75"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
];

/// True for the CSV's header.
pub(super) fn is_csv(bytes: &[u8]) -> bool {
    bytes.starts_with(b"Metric,avg,")
}

/// What both forms tell: a figure by AIPerf's tag and statistic.
struct Figures<'a> {
    get: &'a dyn Fn(&str, &str) -> Option<f64>,
}

impl Figures<'_> {
    fn one(&self, tag: &str) -> Option<f64> {
        (self.get)(tag, "avg").filter(|x| x.is_finite() && *x >= 0.0)
    }

    fn fill(&self, row: &mut Row) {
        for (ours, tag) in [
            ("ttft_ms", "time_to_first_token"),
            ("tpot_ms", "inter_token_latency"),
            ("e2e_ms", "request_latency"),
            ("itl_ms", "inter_chunk_latency"),
        ] {
            for (stat, theirs) in STATISTICS {
                if let Some(x) = (self.get)(tag, theirs).filter(|x| x.is_finite() && *x >= 0.0) {
                    row.metrics.insert(format!("{stat}_{ours}"), x);
                }
            }
        }
        for (ours, tag) in [
            ("request_throughput", "request_throughput"),
            ("output_token_throughput", "output_token_throughput"),
            ("total_token_throughput", "total_token_throughput"),
        ] {
            if let Some(x) = self.one(tag) {
                row.metrics.insert(ours.to_owned(), x);
            }
        }
        let good = self.one("request_count").unwrap_or(0.0) as u64;
        let all = self.one("completed_request_count").map_or(good, |x| x as u64);
        if good == 0 {
            row.problems.push("no request completed".to_owned());
        }
        if good <= all && all > 0 {
            row.requests = Some(Requests { sent: all, succeeded: good });
            row.metrics.insert("success_rate".to_owned(), good as f64 / all as f64);
        }
        row.workload.num_prompts = Some(all);
        self.token_counts(row);
        if let Some(mean) = (self.get)("credit_to_start_latency", "avg")
            && row.metric("p50_ttft_ms").is_some_and(|ttft| mean > 0.1 * ttft)
        {
            row.notes.push(format!(
                "the client started requests {mean:.0} ms late on average; its latencies do not count that"
            ));
        }
    }

    fn token_counts(&self, row: &mut Row) {
        let (Some(usage), Some(own), Some(seconds)) = (
            self.one("total_usage_completion_tokens"),
            self.one("total_output_tokens"),
            self.one("benchmark_duration"),
        ) else {
            return;
        };
        if seconds <= 0.0 || (usage - own).abs() <= 0.01 * usage {
            return;
        }
        row.metrics.insert("output_token_throughput".to_owned(), usage / seconds);
        if let Some(prompt) = self.one("total_usage_prompt_tokens") {
            row.metrics.insert("total_token_throughput".to_owned(), (usage + prompt) / seconds);
        }
        row.metrics.retain(|name, _| !name.ends_with("_tpot_ms"));
        row.notes.push(format!(
            "AIPerf counted {own} output tokens, the server {usage}: throughput is from the server's count, time per token is left out"
        ));
    }
}

/// The JSON form.
pub(super) fn json(value: &Value, source: &Source) -> Row {
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let mut row = blank(source);
    row.model = text("/input_config/models/items/0/name");
    row.workload.endpoint = text("/input_config/endpoint/type");
    row.workload.kind = text("/input_config/datasets/0/type");
    row.workload.scenario.clone_from(&row.workload.kind);
    row.benchmark_command = text("/run_info/cli_command");
    let float = |at: &str| value.pointer(at).and_then(Value::as_f64).filter(|x| *x > 0.0);
    row.workload.input_len = float("/input_config/datasets/0/prompts/isl/mean");
    row.workload.output_len = float("/input_config/datasets/0/prompts/osl/mean");
    let phases = value.pointer("/input_config/phases").and_then(Value::as_array);
    let phase =
        phases.into_iter().flatten().find(|p| p.get("kind").and_then(Value::as_str) == Some("profiling"));
    if let Some(phase) = phase {
        row.workload.max_concurrency = phase.get("concurrency").and_then(Value::as_u64);
        row.workload.request_rate =
            ["rate", "request_rate"].iter().find_map(|k| phase.get(*k)?.as_f64()).filter(|r| *r > 0.0);
    }
    if value.get("was_cancelled").and_then(Value::as_bool) == Some(true)
        || value.get("is_complete").and_then(Value::as_bool) == Some(false)
    {
        row.problems.push("AIPerf says that it was cancelled or is not complete".to_owned());
    }
    let get = |tag: &str, stat: &str| value.get(tag)?.get(stat)?.as_f64();
    Figures { get: &get }.fill(&mut row);
    row
}

/// The CSV form: a table of metrics with statistics, an empty line, and a table of single values.
pub(super) fn csv(bytes: &[u8], source: &Source) -> Row {
    let text = String::from_utf8_lossy(bytes);
    let mut header: Vec<&str> = Vec::new();
    let mut cells: Vec<(String, &str, f64)> = Vec::new();
    for line in text.lines().take(10_000) {
        let parts: Vec<&str> = line.split(',').collect();
        match parts.first() {
            Some(&"Metric") => header = parts,
            Some(name) if parts.len() > 1 => {
                let tag = tag(name);
                for (column, cell) in header.iter().zip(&parts).skip(1) {
                    if let Ok(x) = cell.trim().parse::<f64>() {
                        let column = if *column == "Value" { "avg" } else { column };
                        cells.push((tag.clone(), column, x));
                    }
                }
            }
            _ => {}
        }
    }
    let mut row = blank(source);
    let get =
        |tag: &str, stat: &str| cells.iter().find(|(t, s, _)| t == tag && *s == stat).map(|(_, _, x)| *x);
    Figures { get: &get }.fill(&mut row);
    row.notes.push("the CSV does not say which model, rate or concurrency was measured".to_owned());
    row
}

/// `Time to First Token (ms)` as the JSON names it.
fn tag(name: &str) -> String {
    let name = name.split_once(" (").map_or(name, |(name, _)| name);
    let plain = name.to_ascii_lowercase().replace(' ', "_");
    match plain.as_str() {
        "completed_requests" => "completed_request_count".to_owned(),
        _ => plain,
    }
}

fn blank(source: &Source) -> Row {
    let mut row = Row::new("unstated", &candidate(source), Status::Ok);
    row.source = source.clone();
    row.notes.push("the file does not name the server's framework; say NAME=FILE to state it".to_owned());
    row
}
