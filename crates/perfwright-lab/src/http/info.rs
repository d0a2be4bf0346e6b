//! `/v1/models`, `/model_info`, `/server_info`, and names for answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::app::App;
use super::error::ApiError;
use crate::log::now_ms;

const GB: f64 = (1_u64 << 30) as f64;

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    now_ms() / 1000
}

/// 32 hexadecimal digits that no other request of this server has: the time and a count, mixed.
pub(crate) fn new_id(app: &App) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = app.engine.shared.now() ^ app.created.cast_unsigned().rotate_left(32);
    // An odd multiplier and a shift are both one to one, so different counts stay different.
    let mixed = (count ^ (count >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{time:016x}{mixed:016x}")
}

fn card(app: &App) -> Value {
    json!({
        "id": app.facts.served_model_name,
        "object": "model",
        "created": app.created,
        "owned_by": "perfwright-lab",
        "root": app.facts.model_path,
        "parent": null,
        "max_model_len": app.facts.context_len,
    })
}

pub(crate) async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [card(&app)]}))
}

pub(crate) async fn model(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::bad("model", error.body_text()))?;
    app.model(Some(&name))?;
    Ok(Json(card(&app)))
}

pub(crate) async fn model_info(State(app): State<Arc<App>>) -> Json<Value> {
    let facts = &app.facts;
    Json(json!({
        "model_path": facts.model_path,
        "served_model_name": facts.served_model_name,
        "tokenizer_path": facts.model_path,
        "is_generation": true,
        "preferred_sampling_params": null,
        "weight_version": "default",
        "load_format": "auto",
        "reasoning_parser": null,
        "tool_call_parser": null,
        "disaggregation_mode": "null",
        "has_image_understanding": false,
        "has_audio_understanding": false,
        "model_type": "perfwright_lab",
        "architectures": [facts.architecture],
    }))
}

pub(crate) async fn server_info(State(app): State<Arc<App>>) -> Json<Value> {
    let (facts, settings) = (&app.facts, &app.settings);
    let mut args = facts.args.clone();
    let requests = app.request_log();
    for (key, value) in [
        ("port", json!(settings.port)),
        ("log_requests", json!(requests.on)),
        ("log_requests_level", json!(requests.level)),
        ("watchdog_timeout", json!(settings.watchdog.map(|d| d.as_secs()))),
    ] {
        args.insert(key.to_owned(), value);
    }
    let (snapshot, _) = app.engine.shared.loads();
    let gb = |bytes: u64| bytes as f64 / GB;
    let mut state = args.clone();
    for (key, value) in [
        ("world_size", json!(1)),
        ("startup_time", json!(facts.startup_seconds)),
        (
            "effective_max_running_requests_per_dp",
            args.get("max_running_requests").cloned().unwrap_or_default(),
        ),
        ("last_gen_throughput", json!(snapshot.gen_throughput)),
        (
            "memory_usage",
            json!({
                "weight": gb(facts.memory.weights),
                "kvcache": gb(facts.memory.kv),
                "activation": gb(facts.memory.workspace),
                "startup_available": gb(facts.memory.budget),
                "available": gb(facts.memory.free),
                "token_capacity": facts.max_total_num_tokens,
                "token_capacity_swa": null,
                "graph": {},
            }),
        ),
    ] {
        state.insert(key.to_owned(), value);
    }
    let mut body = args;
    for (key, value) in [
        (
            "scheduler_info",
            json!({
                "status": "ready",
                "max_total_num_tokens": facts.max_total_num_tokens,
                "max_req_input_len": facts.max_req_input_len,
            }),
        ),
        ("max_total_num_tokens", json!(facts.max_total_num_tokens)),
        ("max_req_input_len", json!(facts.max_req_input_len)),
        ("kv_events", Value::Null),
        ("startup_time", json!(facts.startup_seconds)),
        ("internal_states", json!([state])),
        ("version", json!(facts.version)),
        ("frontend", json!("perfwright-lab")),
    ] {
        body.insert(key.to_owned(), value);
    }
    Json(Value::Object(body))
}
