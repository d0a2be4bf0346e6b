//! `/health`, `/health_generate`, `/ready`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;

use super::app::App;
use super::info;
use crate::engine::handle::NewRequest;
use crate::engine::request::{Sampling, StopRules};
use crate::log::{now_ms, stamp};

/// How often a check looks for a sign.
const POLL: Duration = Duration::from_millis(10);

/// As `/health_generate`, or passive where it is set so.
pub(crate) async fn health(State(app): State<Arc<App>>) -> StatusCode {
    if app.settings.health_generation { check(&app).await } else { passive(&app) }
}

/// Whether the engine produces: any output since the question is the answer.
pub(crate) async fn health_generate(State(app): State<Arc<App>>) -> StatusCode {
    check(&app).await
}

/// Whether requests would be taken; asks the engine nothing.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> StatusCode {
    passive(&app)
}

fn passive(app: &App) -> StatusCode {
    let shared = &app.engine.shared;
    let gone = app.open().is_err() || shared.ended.load(Ordering::Acquire);
    if gone || shared.unhealthy.load(Ordering::Acquire) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

async fn check(app: &App) -> StatusCode {
    let shared = &app.engine.shared;
    if app.open().is_err() || shared.ended.load(Ordering::Acquire) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let (began, wall) = (shared.now(), now_ms());
    // One token of its own. Under load it waits its turn; the output of any request is as good a sign.
    let probe = NewRequest {
        rid: format!("HEALTH_CHECK_{}", info::new_id(app)),
        input_ids: vec![0],
        sampling: Sampling { temperature: 0.0, top_p: 1.0, top_k: None, seed: 0 },
        stop: StopRules { max_new_tokens: 1, strings: Vec::new(), token_ids: Vec::new(), ignore_eos: true },
        logprobs: None,
        arrived: Instant::now(),
        counted: false,
    };
    // With a full queue there is no place for a probe, and no need of one.
    let _probe = app.engine.submit(probe);
    let deadline = Instant::now() + app.settings.health_timeout;
    while shared.last_output() <= began {
        if Instant::now() >= deadline || shared.ended.load(Ordering::Acquire) {
            failed(app, wall);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        tokio::time::sleep(POLL).await;
    }
    shared.unhealthy.store(false, Ordering::Release);
    StatusCode::OK
}

fn failed(app: &App, began: i64) {
    let shared = &app.engine.shared;
    shared.unhealthy.store(true, Ordering::Release);
    let ago = Duration::from_nanos(shared.now().saturating_sub(shared.last_output()));
    let last = now_ms() - i64::try_from(ago.as_millis()).unwrap_or(0);
    let clock = |ms: i64| stamp(ms).split_once(' ').map_or_else(String::new, |(_, time)| time.to_owned());
    app.log.error(&format!(
        "Health check failed. Server couldn't get a response from detokenizer for last {} seconds. tic start time: {}. \
         last_heartbeat time: {}",
        app.settings.health_timeout.as_secs(),
        clock(began),
        clock(last)
    ));
}
