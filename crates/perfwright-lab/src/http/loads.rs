//! `/v1/loads`: answered from the last snapshot, so it also answers while the scheduler hangs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::app::App;
use super::error::ApiError;
use super::wire::control::LoadsQuery;
use crate::log::now_ms;
use crate::metrics::text;

/// The sections there are.
const SECTIONS: [&str; 7] = ["core", "memory", "spec", "lora", "disagg", "queues", "all"];
const GB: f64 = (1_u64 << 30) as f64;

pub(crate) async fn loads(
    State(app): State<Arc<App>>,
    query: Result<Query<LoadsQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return ApiError::bad("query", error.body_text()).into_response(),
    };
    let began = Instant::now();
    let response = answer(&app, &query);
    app.engine.shared.metrics.loads_duration.observe(began.elapsed().as_secs_f64());
    response
}

fn answer(app: &App, query: &LoadsQuery) -> Response {
    let include: Vec<&str> = query.include.as_deref().unwrap_or("core").split(',').map(str::trim).collect();
    if let Some(wrong) = include.iter().find(|name| !SECTIONS.contains(*name)) {
        let shown = super::app::shown(wrong);
        let detail = format!("Invalid include section '{shown}'. Valid options: {}", SECTIONS.join(", "));
        return (StatusCode::BAD_REQUEST, Json(json!({"detail": detail}))).into_response();
    }
    let load = load(app, &include);
    let loads = if query.dp_rank.unwrap_or(0) == 0 { vec![load] } else { Vec::new() };
    if query.format.as_deref() == Some("prometheus") {
        return ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], prometheus(&loads)).into_response();
    }
    let now = perfwright_evidence::timestamp(now_ms());
    let body = json!({
        "timestamp": now,
        "version": app.facts.version,
        "accelerator": app.facts.device,
        "num_accelerators": 1,
        "loads": loads,
    });
    Json(body).into_response()
}

/// The load of the one rank, with the sections that were asked for.
fn load(app: &App, include: &[&str]) -> Value {
    let asked = |section: &str| include.contains(&section) || include.contains(&"all");
    let shared = &app.engine.shared;
    let (snapshot, queues) = shared.loads();
    let mut load = serde_json::to_value(&snapshot).unwrap_or_default();
    let Some(map) = load.as_object_mut() else { return load };
    let memory = &app.facts.memory;
    let mut put = |name: &str, value: Value| {
        if asked(name) {
            let key = if name == "spec" {
                "speculative"
            } else if name == "disagg" {
                "disaggregation"
            } else {
                name
            };
            map.insert(key.to_owned(), value);
        }
    };
    put(
        "memory",
        json!({
            "weight_gb": memory.weights as f64 / GB,
            "kv_cache_gb": memory.kv as f64 / GB,
            "graph_gb": 0.0,
            "token_capacity": app.facts.max_total_num_tokens,
        }),
    );
    put("queues", json!(queues));
    // Speculative decoding, LoRA and disaggregation do not exist here, and the engine leaves such sections out.
    if shared.ended.load(Ordering::Acquire) {
        put("queues", json!({"waiting": 0, "grammar": 0, "paused": 0, "retracted": 0, "prealloc_ready": 0}));
    }
    load
}

/// `sglang_<section>_<key>{dp_rank="0"} value`.
fn prometheus(loads: &[Value]) -> String {
    let mut out = String::new();
    let mut section = |prefix: &str, map: &Map<String, Value>| {
        for (key, value) in map {
            if let Some(value) = value.as_f64() {
                let _ = writeln!(out, "sglang_{prefix}_{key}{{dp_rank=\"0\"}} {value}");
            }
        }
    };
    for load in loads.iter().filter_map(Value::as_object) {
        section("core", load);
        for (name, inner) in load {
            if let Some(map) = inner.as_object() {
                section(name, map);
            }
        }
    }
    out
}
