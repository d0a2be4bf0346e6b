//! `/v1/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::active::Answer;
use super::app::{App, Body};
use super::error::ApiError;
use super::info::{self, now};
use super::prepare::{MAX_PROMPTS, Wishes, prepare};
use super::sse::{self, Format, data};
use super::wire::common::{Prompt, Usage};
use super::wire::completions::{CompletionChoice, CompletionLogprobs, CompletionRequest, CompletionResponse};
use crate::engine::handle::NewRequest;
use crate::engine::request::{Chunk, Finish, TokenLogprob};

/// Tokens of a completion that names no number, as OpenAI has it.
const DEFAULT_TOKENS: usize = 16;

pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    Body(request): Body<CompletionRequest>,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    app.open()?;
    app.model(request.model.as_deref())?;
    let requests = prepare_all(&app, &request, arrived)?;
    let answers = Answer::start_all(&app, requests)?;
    let id = format!("cmpl-{}", info::new_id(&app));
    let head = Head { id, created: now(), model: app.facts.served_model_name.clone() };
    let with_logprobs = request.logprobs.is_some();
    if request.stream.unwrap_or(false) {
        let include_usage = request.stream_options.and_then(|o| o.include_usage).unwrap_or(false);
        let lengths = vec![0; answers.len()];
        return Ok(sse::response(answers, Stream { head, include_usage, with_logprobs, lengths }));
    }
    let (mut choices, mut usage) = (Vec::new(), Usage::default());
    for (index, answer) in answers.into_iter().enumerate() {
        let answer = answer.complete().await?;
        usage.add(answer.usage());
        let logprobs = with_logprobs.then(|| logprobs(&answer, &answer.logprobs, 0));
        choices.push(choice(index, answer.text.clone(), answer.finish.as_ref(), logprobs));
    }
    Ok(Json(head.response(choices, Some(usage))).into_response())
}

fn prepare_all(
    app: &App,
    request: &CompletionRequest,
    arrived: Instant,
) -> Result<Vec<NewRequest>, ApiError> {
    if request.echo.unwrap_or(false) {
        return Err(ApiError::bad("echo", "echo is not supported: the prompt is not given back."));
    }
    if request.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::bad("suffix", "suffix is not supported."));
    }
    if request.best_of.is_some_and(|n| n != 1) {
        return Err(ApiError::bad("best_of", "Only best_of = 1 is supported."));
    }
    let encode = |text: &String| app.tokenizer.encode_prompt(text);
    let prompts = match &request.prompt {
        Prompt::Text(text) => vec![encode(text)],
        Prompt::Ids(ids) => vec![ids.clone()],
        Prompt::Texts(texts) => texts.iter().take(MAX_PROMPTS + 1).map(encode).collect(),
        Prompt::IdLists(lists) => lists.clone(),
    };
    if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
        return Err(ApiError::bad("prompt", format!("Between 1 and {MAX_PROMPTS} prompts are taken.")));
    }
    app.engine.shared.metrics.stages.tokenize.observe(arrived.elapsed().as_secs_f64());
    let wishes = Wishes {
        sampling: request.sampling.clone(),
        max_tokens: ("max_tokens", request.max_tokens),
        default_tokens: Some(DEFAULT_TOKENS),
        logprobs: request.logprobs,
        rid: request.rid.clone(),
    };
    prompts.into_iter().map(|ids| prepare(app, ids, wishes.clone(), arrived)).collect()
}

struct Head {
    id: String,
    created: i64,
    model: String,
}

impl Head {
    fn response(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> CompletionResponse<'_> {
        CompletionResponse {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        }
    }
}

fn choice(
    index: usize,
    text: String,
    finish: Option<&Finish>,
    logprobs: Option<CompletionLogprobs>,
) -> CompletionChoice {
    CompletionChoice {
        index,
        text,
        logprobs,
        finish_reason: finish.map(Finish::openai),
        matched_stop: Answer::matched(finish),
    }
}

/// Log-probabilities of tokens whose text begins at `offset` characters.
fn logprobs(answer: &Answer, tokens: &[TokenLogprob], mut offset: usize) -> CompletionLogprobs {
    let mut out = CompletionLogprobs::default();
    for token in tokens {
        let text = answer.token_text(token.id);
        out.text_offset.push(offset);
        offset += text.chars().count();
        out.tokens.push(text);
        out.token_logprobs.push(token.logprob);
        let top = token.top.iter().map(|(id, logprob)| (answer.token_text(*id), *logprob));
        out.top_logprobs.push(top.collect());
    }
    out
}

struct Stream {
    head: Head,
    include_usage: bool,
    with_logprobs: bool,
    /// Characters of each answer so far.
    lengths: Vec<usize>,
}

impl Format for Stream {
    fn piece(&mut self, index: usize, answer: &Answer, chunk: &Chunk) -> Vec<String> {
        if chunk.text.is_empty() && chunk.finish.is_none() && !self.with_logprobs {
            return Vec::new();
        }
        let length = self.lengths.get_mut(index);
        let offset = length.map_or(0, |length| {
            let before = *length;
            *length += chunk.text.chars().count();
            before
        });
        let logprobs = self.with_logprobs.then(|| logprobs(answer, &chunk.logprobs, offset));
        let choice = choice(index, chunk.text.clone(), chunk.finish.as_ref(), logprobs);
        vec![data(&self.head.response(vec![choice], None))]
    }

    fn closing(&mut self, answers: &[Answer]) -> Vec<String> {
        if !self.include_usage {
            return Vec::new();
        }
        let mut usage = Usage::default();
        answers.iter().for_each(|answer| usage.add(answer.usage()));
        vec![data(&self.head.response(Vec::new(), Some(usage)))]
    }
}
