//! What every handler sees, and how a body becomes a value.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::Tokenizer;
use crate::engine::handle::EngineHandle;
use crate::engine::startup::Facts;
use crate::log::Log;
use crate::settings::{HttpSettings, RequestLog};

/// The server's state.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: EngineHandle,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) facts: Facts,
    pub(crate) settings: HttpSettings,
    pub(crate) log: Log,
    pub(crate) request_log: Mutex<RequestLog>,
    /// Set at shutdown: new requests are refused.
    pub(crate) draining: AtomicBool,
    /// Seconds since 1970 of the start.
    pub(crate) created: i64,
}

impl App {
    /// What is logged of requests right now.
    pub(crate) fn request_log(&self) -> RequestLog {
        *self.request_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses new work while the server ends.
    pub(crate) fn open(&self) -> Result<(), ApiError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down."));
        }
        Ok(())
    }

    /// Whether a request may name this model: by its served name, its path, or `default`.
    pub(crate) fn model(&self, asked: Option<&str>) -> Result<(), ApiError> {
        match asked {
            None | Some("" | "default") => Ok(()),
            Some(name) if name == self.facts.served_model_name || name == self.facts.model_path => Ok(()),
            Some(name) => Err(ApiError {
                param: Some("model"),
                code: Some("model_not_found"),
                ..ApiError::new(
                    StatusCode::NOT_FOUND,
                    format!(
                        "The model `{}` does not exist; this server has `{}`.",
                        shown(name),
                        self.facts.served_model_name
                    ),
                )
            }),
        }
    }
}

/// A text from outside, cut for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A whole body within the limits of size and time.
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<Arc<App>> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limit = app.settings.max_body;
        let too_large = || {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {limit} bytes."))
        };
        let stated = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if stated.and_then(|text| text.parse::<u64>().ok()).is_some_and(|bytes| bytes > limit as u64) {
            drain(request.into_body(), limit).await;
            return Err(too_large());
        }
        let body = Limited::new(request.into_body(), limit).collect();
        match tokio::time::timeout(app.settings.read_timeout, body).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
            Ok(Err(_)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "The body could not be read.")),
            Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")),
        }
    }
}

/// Reads what is left of a refused body, within bounds: a client that is still sending would not see the answer.
async fn drain(mut body: axum::body::Body, limit: usize) {
    let all = async {
        let mut left = limit.saturating_mul(4);
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(bytes) else { return };
            left = rest;
        }
    };
    // Whoever sends slower than that has had his chance.
    let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
}

/// A body that is JSON of the wanted kind.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let Raw(bytes) = Raw::from_request(request, app).await?;
        parse(&bytes).map(Self)
    }
}

/// The same; an empty body stands for nothing set.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let Raw(bytes) = Raw::from_request(request, app).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

/// 400 for what is not JSON, 422 for JSON of another kind.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("The request has a wrong field: {error}"))
        }
        _ => ApiError::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}")),
    })
}
