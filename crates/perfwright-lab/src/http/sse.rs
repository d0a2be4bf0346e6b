//! Server-sent events made of one or more answers as they grow. Dropping the body drops the requests.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;

use super::active::{Answer, abort_error};
use crate::engine::request::{Chunk, Finish};

/// Turns pieces into the data of events.
pub(crate) trait Format: Send + Unpin + 'static {
    /// Events before the first piece.
    fn opening(&mut self, _answers: &[Answer]) -> Vec<String> {
        Vec::new()
    }

    /// Events for a piece of the answer `index`, which already holds it.
    fn piece(&mut self, index: usize, answer: &Answer, chunk: &Chunk) -> Vec<String>;

    /// Events after the last piece, before `[DONE]`.
    fn closing(&mut self, _answers: &[Answer]) -> Vec<String> {
        Vec::new()
    }
}

/// The JSON of an event.
pub(crate) fn data(value: &impl Serialize) -> String {
    // Wire types hold nothing that JSON cannot.
    serde_json::to_string(value).unwrap_or_default()
}

/// The response that streams `answers`.
pub(crate) fn response(answers: Vec<Answer>, mut format: impl Format) -> Response {
    let ready = format.opening(&answers).into_iter().map(|event| frame(&event)).collect();
    let open = answers.len();
    let body = Events { answers, format, ready, open, first: 0, ended: false };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::new(body)).into_response()
}

fn frame(event: &str) -> Bytes {
    Bytes::from(format!("data: {event}\n\n"))
}

struct Events<F> {
    answers: Vec<Answer>,
    format: F,
    ready: VecDeque<Bytes>,
    /// Answers that have not ended.
    open: usize,
    /// The answer to ask first, so that none is always last.
    first: usize,
    ended: bool,
}

impl<F: Format> HttpBody for Events<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            if this.open == 0 {
                this.ready.extend(this.format.closing(&this.answers).iter().map(|event| frame(event)));
                this.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
                this.ended = true;
                continue;
            }
            if !this.take_one(context) {
                return Poll::Pending;
            }
        }
    }
}

impl<F: Format> Events<F> {
    /// Takes a piece of any answer; false when none has one.
    fn take_one(&mut self, context: &mut Context<'_>) -> bool {
        let count = self.answers.len();
        for step in 0..count {
            let index = (self.first + step) % count;
            let Some(answer) = self.answers.get_mut(index) else { continue };
            if let Poll::Ready(Some(chunk)) = answer.poll_chunk(context) {
                self.first = index + 1;
                if chunk.finish.is_some() {
                    self.open -= 1;
                }
                let events = match &chunk.finish {
                    Some(Finish::Abort { message, status }) => {
                        vec![data(&abort_error(message, *status).body())]
                    }
                    _ => self.format.piece(index, answer, &chunk),
                };
                self.ready.extend(events.iter().map(|event| frame(event)));
                return true;
            }
        }
        false
    }
}
