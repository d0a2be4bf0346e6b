//! A row in the flat form that existing summary scripts read: the same fields, with the SLA's own names and a
//! `passed` that was computed here.

use serde_json::{Map, Value, json};

use super::row::Row;
use crate::sla::State;

/// The row as one JSON object. Figures keep their names; what those scripts do not know is left as further keys.
#[must_use]
pub fn export(row: &Row) -> Value {
    let answer = row.sla.evaluate(row);
    let mut sla: Map<String, Value> = row.sla.bounds.iter().map(|b| (b.key(), json!(b.limit))).collect();
    sla.insert("passed".to_owned(), json!(matches!(answer.state, State::Passed)));
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("framework", json!(row.framework));
    put("framework_version", json!(row.framework_version));
    put("framework_commit", json!(row.framework_commit));
    put("candidate_id", json!(row.candidate_id));
    put("model", json!(row.model));
    put("status", json!(row.status.name()));
    put("failure_reason", json!(row.failure_reason.clone().or_else(|| row.problems.first().cloned())));
    put("hardware", json!(row.hardware));
    put("workload", json!(row.workload));
    put("sla", Value::Object(sla));
    put("metrics", json!(row.metrics));
    put("spec_decode", json!(row.spec_decode));
    put("server_command", json!(row.server_command));
    put("benchmark_command", json!(row.benchmark_command));
    put("basis", json!(row.basis));
    if let Some(requests) = row.requests {
        put("requests", json!(requests));
    }
    if let Some(objective) = &row.objective {
        put("objective", json!(objective));
    }
    put("trial", json!(row.trial));
    if !row.notes.is_empty() {
        put("notes", json!(row.notes));
    }
    for (key, value) in &row.carried {
        put(key, value.clone());
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Basis, read_rows};

    #[test]
    fn what_is_written_reads_back() {
        let text = r#"{"framework":"vllm","candidate_id":"c","model":"m","status":"ok","hardware":{"gpu_model":"H100","gpu_count":4},"workload":{"scenario":"chat","input_len":1000,"request_rate":4.5},"sla":{"max_p50_ttft_ms":100,"min_success_rate":0.99,"passed":false},"metrics":{"p50_ttft_ms":50,"request_throughput":4.4,"success_rate":1.0},"requests":{"sent":80,"succeeded":80},"cache":{"prefix_cache_hit_rate":0.5}}"#;
        let row = read_rows(text.as_bytes(), "f", Basis::Imported).unwrap().remove(0);
        let written = export(&row);
        assert_eq!(written["sla"]["passed"], true, "the claim of the row is replaced");
        let mut again = read_rows(written.to_string().as_bytes(), "f", Basis::Imported).unwrap().remove(0);
        again.sla.claimed = row.sla.claimed;
        assert_eq!(again, row);
    }
}
