//! Which path leads to which handler.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri, Version, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::app::App;
use super::error::ApiError;
use super::{chat, completions, control, generate, health, info, loads, profile};

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/health_generate", get(health::health_generate))
        .route("/ready", get(health::ready))
        .route("/v1/models", get(info::models))
        .route("/v1/models/{model}", get(info::model))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/loads", get(loads::loads))
        .route("/generate", post(generate::generate))
        .route("/model_info", get(info::model_info))
        .route("/get_model_info", get(info::model_info))
        .route("/server_info", get(info::server_info))
        .route("/get_server_info", get(info::server_info))
        .route("/metrics", get(control::metrics))
        .route("/abort_request", post(control::abort))
        .route("/flush_cache", post(control::flush).get(control::flush))
        .route("/configure_logging", post(control::configure_logging).get(control::configure_logging))
        .route("/start_profile", post(profile::start).get(profile::start))
        .route("/stop_profile", post(profile::stop).get(profile::stop))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn(one_host))
        .with_state(app)
}

/// RFC 9112, 3.2: a request of HTTP/1.1 without a Host field, or with several, is answered with 400.
async fn one_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        let message = format!("A request of HTTP/1.1 has one Host field, this one has {hosts}.");
        return ApiError::new(StatusCode::BAD_REQUEST, message).into_response();
    }
    next.run(request).await
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("There is no {}.", super::app::shown(uri.path())))
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let path = super::app::shown(uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}."))
}
