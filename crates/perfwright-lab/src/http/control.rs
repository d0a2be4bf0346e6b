//! `/abort_request`, `/flush_cache`, `/configure_logging`, `/metrics`.

use std::sync::Arc;
use std::sync::PoisonError;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::{App, Body, OptionalBody};
use super::error::ApiError;
use super::wire::control::{AbortRequest, LoggingBody};
use crate::engine::handle::AbortSelection;
use crate::metrics::text;

/// Ends requests by the start of their name, or all.
pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    Body(request): Body<AbortRequest>,
) -> Result<StatusCode, ApiError> {
    if request.abort_all {
        app.engine.abort(AbortSelection::All);
    } else if request.rid.is_empty() {
        return Err(ApiError::bad("rid", "Name a rid, or set abort_all."));
    } else {
        app.engine.abort(AbortSelection::Rid(request.rid));
    }
    Ok(StatusCode::OK)
}

/// Empties the cache, which needs an idle engine.
pub(crate) async fn flush(State(app): State<Arc<App>>) -> Response {
    // A scheduler that hangs must not hold the client for ever.
    let asked = tokio::time::timeout(app.settings.health_timeout, app.engine.flush()).await;
    match asked {
        Ok(Some(true)) => (StatusCode::OK, "Cache flushed.\n").into_response(),
        Ok(Some(false)) => {
            (StatusCode::BAD_REQUEST, "The cache was not flushed: requests are running or waiting.\n")
                .into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "The scheduler does not answer.\n").into_response(),
    }
}

/// Changes what is logged of requests.
pub(crate) async fn configure_logging(
    State(app): State<Arc<App>>,
    OptionalBody(body): OptionalBody<LoggingBody>,
) -> StatusCode {
    let mut wanted = app.request_log.lock().unwrap_or_else(PoisonError::into_inner);
    wanted.on = body.log_requests.unwrap_or(wanted.on);
    wanted.level = body.log_requests_level.unwrap_or(wanted.level).min(3);
    StatusCode::OK
}

/// The Prometheus text.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let families = app.engine.shared.metrics.families(&app.facts.served_model_name);
    ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text::render(&families)).into_response()
}
