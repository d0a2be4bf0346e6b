//! Requests on their way: handing them in, gathering their answers.

use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::Value;

use super::app::App;
use super::error::ApiError;
use super::request_log;
use super::wire::common::Usage;
use crate::engine::handle::{ActiveRequest, NewRequest};
use crate::engine::request::{Chunk, Finish, TokenLogprob};

/// What has come so far, and the request itself.
#[derive(Debug)]
pub(crate) struct Answer {
    app: Arc<App>,
    request: ActiveRequest,
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    pub(crate) finish: Option<Finish>,
}

impl Answer {
    /// Hands a request in and logs it where that is asked for.
    pub(crate) fn start(app: &Arc<App>, new: NewRequest) -> Result<Self, ApiError> {
        request_log::received(app, &new);
        let request = app.engine.submit(new)?;
        Ok(Self {
            app: Arc::clone(app),
            request,
            text: String::new(),
            ids: Vec::new(),
            logprobs: Vec::new(),
            finish: None,
        })
    }

    /// Hands in several; where one is refused, those before it are taken back.
    pub(crate) fn start_all(app: &Arc<App>, all: Vec<NewRequest>) -> Result<Vec<Self>, ApiError> {
        all.into_iter().map(|new| Self::start(app, new)).collect()
    }

    pub(crate) fn rid(&self) -> &str {
        &self.request.rid
    }

    pub(crate) fn prompt_tokens(&self) -> usize {
        self.request.prompt_tokens
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::new(self.request.prompt_tokens, self.ids.len())
    }

    pub(crate) fn elapsed(&self) -> f64 {
        self.request.arrived.elapsed().as_secs_f64()
    }

    /// The next piece, which is also added to what has come. A last piece always comes: an engine that ended is an
    /// abort.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.finish.is_some() {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.request.poll_next(context)).unwrap_or_else(|| Chunk {
            finish: Some(Finish::Abort { message: "The scheduler has ended.".to_owned(), status: 503 }),
            ..Chunk::default()
        });
        self.text.push_str(&chunk.text);
        self.ids.extend_from_slice(&chunk.ids);
        self.logprobs.extend_from_slice(&chunk.logprobs);
        self.finish.clone_from(&chunk.finish);
        if self.finish.is_some() {
            request_log::finished(&self.app, self);
        }
        Poll::Ready(Some(chunk))
    }

    /// Waits for the end. An abort is an error.
    pub(crate) async fn complete(mut self) -> Result<Self, ApiError> {
        while std::future::poll_fn(|context| self.poll_chunk(context)).await.is_some() {}
        match &self.finish {
            Some(Finish::Abort { message, status }) => Err(abort_error(message, *status)),
            _ => Ok(self),
        }
    }

    /// The name of a token in a list of log-probabilities.
    pub(crate) fn token_text(&self, id: u32) -> String {
        self.app.tokenizer.token_text(id)
    }

    /// The server it is on.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// `matched_stop` of SGLang's OpenAI answers.
    pub(crate) fn matched(finish: Option<&Finish>) -> Option<Value> {
        match finish? {
            Finish::StopToken(id) => Some(Value::from(*id)),
            Finish::StopString(text) => Some(Value::from(text.as_str())),
            _ => None,
        }
    }
}

/// An aborted request as an error.
pub(crate) fn abort_error(message: &str, status: u16) -> ApiError {
    let status =
        axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    ApiError::new(status, message)
}
