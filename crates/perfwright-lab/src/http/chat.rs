//! `/v1/chat/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::active::Answer;
use super::app::{App, Body, shown};
use super::error::ApiError;
use super::info::{self, now};
use super::prepare::{Wishes, prepare};
use super::sse::{self, Format, data};
use super::wire::chat::{
    AnswerMessage, ChatChoice, ChatChunk, ChatLogprobs, ChatRequest, ChatResponse, ChatTokenLogprob,
    ChunkChoice, Content, Delta, Message, TopLogprob,
};
use super::wire::common::Usage;
use crate::ChatMessage;
use crate::engine::request::{Chunk, Finish, TokenLogprob};

/// Messages in one request.
const MAX_MESSAGES: usize = 1024;
/// Roles the template knows.
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

pub(crate) async fn chat(
    State(app): State<Arc<App>>,
    Body(request): Body<ChatRequest>,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    app.open()?;
    app.model(request.model.as_deref())?;
    if request.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(ApiError::bad("tools", "tools are not supported."));
    }
    let messages = messages(request.messages)?;
    let borrowed: Vec<_> = messages.iter().map(|(role, content)| ChatMessage { role, content }).collect();
    let input_ids = app.tokenizer.encode_chat(&borrowed);
    app.engine.shared.metrics.stages.tokenize.observe(arrived.elapsed().as_secs_f64());
    let with_logprobs = request.logprobs.unwrap_or(false);
    let max_tokens = match request.max_completion_tokens {
        Some(n) => ("max_completion_tokens", Some(n)),
        None => ("max_tokens", request.max_tokens),
    };
    let wishes = Wishes {
        sampling: request.sampling,
        max_tokens,
        default_tokens: None,
        logprobs: with_logprobs.then(|| request.top_logprobs.unwrap_or(0)),
        rid: request.rid,
    };
    let answer = Answer::start(&app, prepare(&app, input_ids, wishes, arrived)?)?;
    let id = format!("chatcmpl-{}", info::new_id(&app));
    let (created, model) = (now(), app.facts.served_model_name.clone());
    if request.stream.unwrap_or(false) {
        let include_usage = request.stream_options.and_then(|o| o.include_usage).unwrap_or(false);
        let stream = Stream { id, created, model, include_usage, with_logprobs };
        return Ok(sse::response(vec![answer], stream));
    }
    let answer = answer.complete().await?;
    let finish = answer.finish.as_ref();
    let choice = ChatChoice {
        index: 0,
        logprobs: with_logprobs.then(|| logprobs(&answer, &answer.logprobs)),
        finish_reason: finish.map(Finish::openai),
        matched_stop: Answer::matched(finish),
        message: AnswerMessage {
            role: "assistant",
            content: answer.text.clone(),
            reasoning_content: None,
            tool_calls: None,
        },
    };
    let response = ChatResponse {
        id: &id,
        object: "chat.completion",
        created,
        model: &model,
        choices: vec![choice],
        usage: answer.usage(),
    };
    Ok(Json(response).into_response())
}

/// Roles and texts of the messages; other parts than text are refused.
fn messages(messages: Vec<Message>) -> Result<Vec<(String, String)>, ApiError> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return Err(ApiError::bad("messages", format!("Between 1 and {MAX_MESSAGES} messages are taken.")));
    }
    let text = |content: Option<Content>| match content {
        None => Ok(String::new()),
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => {
            let mut all = String::new();
            for part in parts {
                if part.kind != "text" {
                    let message =
                        format!("A part of type `{}` is not supported, only text.", shown(&part.kind));
                    return Err(ApiError::bad("messages", message));
                }
                all.push_str(&part.text.unwrap_or_default());
            }
            Ok(all)
        }
    };
    messages
        .into_iter()
        .map(|message| {
            if !ROLES.contains(&message.role.as_str()) {
                let known = ROLES.join(", ");
                let message = format!("No role `{}`; known: {known}.", shown(&message.role));
                return Err(ApiError::bad("messages", message));
            }
            Ok((message.role, text(message.content)?))
        })
        .collect()
}

fn logprobs(answer: &Answer, tokens: &[TokenLogprob]) -> ChatLogprobs {
    let tokenizer = answer.app().tokenizer;
    let content = tokens.iter().map(|token| ChatTokenLogprob {
        token: answer.token_text(token.id),
        logprob: token.logprob,
        bytes: tokenizer.decode_bytes(&[token.id]),
        top_logprobs: token
            .top
            .iter()
            .map(|(id, logprob)| TopLogprob {
                token: answer.token_text(*id),
                logprob: *logprob,
                bytes: tokenizer.decode_bytes(&[*id]),
            })
            .collect(),
    });
    ChatLogprobs { content: content.collect() }
}

struct Stream {
    id: String,
    created: i64,
    model: String,
    include_usage: bool,
    with_logprobs: bool,
}

impl Stream {
    fn chunk(&self, choices: Vec<ChunkChoice>, usage: Option<Usage>) -> String {
        data(&ChatChunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        })
    }

    fn delta(delta: Delta) -> ChunkChoice {
        ChunkChoice { index: 0, delta, logprobs: None, finish_reason: None, matched_stop: None }
    }
}

impl Format for Stream {
    fn opening(&mut self, _answers: &[Answer]) -> Vec<String> {
        // The role comes alone and first, without content, as the engines send it.
        let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
        vec![self.chunk(vec![Self::delta(delta)], None)]
    }

    fn piece(&mut self, _index: usize, answer: &Answer, chunk: &Chunk) -> Vec<String> {
        let mut events = Vec::new();
        if !chunk.text.is_empty() || (self.with_logprobs && !chunk.logprobs.is_empty()) {
            let mut choice = Self::delta(Delta { role: None, content: Some(chunk.text.clone()) });
            choice.logprobs = self.with_logprobs.then(|| logprobs(answer, &chunk.logprobs));
            events.push(self.chunk(vec![choice], None));
        }
        if let Some(finish) = &chunk.finish {
            let mut choice = Self::delta(Delta::default());
            choice.finish_reason = Some(finish.openai());
            choice.matched_stop = Answer::matched(Some(finish));
            events.push(self.chunk(vec![choice], None));
        }
        events
    }

    fn closing(&mut self, answers: &[Answer]) -> Vec<String> {
        let usage = answers.first().map(Answer::usage).filter(|_| self.include_usage);
        usage.map(|usage| self.chunk(Vec::new(), Some(usage))).into_iter().collect()
    }
}
