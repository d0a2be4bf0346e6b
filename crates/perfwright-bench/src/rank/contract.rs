//! The conditions of a row. Rows under different conditions are never compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::rows::Row;

/// What two rows must have in common, by name. A condition that a row does not state is absent, and an absent one is
/// not the same as a stated one.
pub type Conditions = BTreeMap<String, Value>;

/// The conditions of a row. The number of GPUs is none of them: figures are taken per GPU. Where the row is the answer
/// of a search, the load is what was searched for and no condition.
#[must_use]
pub fn conditions(row: &Row) -> Conditions {
    let w = &row.workload;
    let mut out = Conditions::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    };
    put("model", json!(row.model));
    put("gpu_model", json!(row.hardware.gpu_model));
    put("kind", json!(w.kind));
    put("dataset", json!(w.sha256.as_ref().or(w.dataset_path.as_ref())));
    put("input_len", json!(w.input_len));
    put("output_len", json!(w.output_len));
    put("num_prompts", json!(w.num_prompts));
    put("endpoint", json!(w.endpoint));
    match &row.objective {
        Some(objective) => put("objective", json!(objective.kind)),
        None => {
            put("request_rate", json!(w.request_rate));
            put("max_concurrency", json!(w.max_concurrency));
        }
    }
    for bound in &row.sla.bounds {
        put(&bound.key(), json!(bound.limit));
    }
    out
}
