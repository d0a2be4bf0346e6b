//! `/generate`: SGLang's own form, one prompt or a list.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::active::Answer;
use super::app::{App, Body};
use super::error::ApiError;
use super::prepare::{MAX_PROMPTS, Wishes, prepare};
use super::sse::{self, Format, data};
use super::wire::common::{OneOrMany, SamplingFields};
use super::wire::generate::{GenerateRequest, GenerateResponse, InputIds, MetaInfo, SamplingParams};
use crate::engine::handle::NewRequest;
use crate::engine::request::{Chunk, Finish};

/// Tokens where none are named, as SGLang has it.
const DEFAULT_TOKENS: usize = 128;

pub(crate) async fn generate(
    State(app): State<Arc<App>>,
    Body(request): Body<GenerateRequest>,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    app.open()?;
    let stream = request.stream.unwrap_or(false);
    let with_logprobs = request.return_logprob.unwrap_or(false);
    let (batch, requests) = prepare_all(&app, request, arrived)?;
    let answers = Answer::start_all(&app, requests)?;
    let shape = Shape { batch, with_logprobs };
    if stream {
        return Ok(sse::response(answers, shape));
    }
    let mut all = Vec::new();
    for (index, answer) in answers.into_iter().enumerate() {
        let answer = answer.complete().await?;
        all.push(serde_json::to_value(shape.response(index, &answer)).unwrap_or_default());
    }
    let body = if batch { Value::from(all) } else { all.pop().unwrap_or_default() };
    Ok(Json(body).into_response())
}

/// The requests, and whether they came as a list.
fn prepare_all(
    app: &App,
    request: GenerateRequest,
    arrived: Instant,
) -> Result<(bool, Vec<NewRequest>), ApiError> {
    let (batch, prompts) = match (request.text, request.input_ids) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad("text", "Either text or input_ids should be provided, not both."));
        }
        (None, None) => return Err(ApiError::bad("text", "Either text or input_ids should be provided.")),
        (Some(OneOrMany::One(text)), None) => (false, vec![app.tokenizer.encode_prompt(&text)]),
        (Some(OneOrMany::Many(texts)), None) => {
            (true, texts.iter().take(MAX_PROMPTS + 1).map(|text| app.tokenizer.encode_prompt(text)).collect())
        }
        (None, Some(InputIds::One(ids))) => (false, vec![ids]),
        (None, Some(InputIds::Many(lists))) => (true, lists),
    };
    let count = prompts.len();
    if count == 0 || count > MAX_PROMPTS {
        return Err(ApiError::bad("text", format!("Between 1 and {MAX_PROMPTS} prompts are taken.")));
    }
    app.engine.shared.metrics.stages.tokenize.observe(arrived.elapsed().as_secs_f64());
    let params = spread(request.sampling_params, count, "sampling_params")?;
    let rids = match request.rid {
        // One name for a list names each of its requests by number.
        Some(OneOrMany::One(rid)) if batch => (0..count).map(|n| Some(format!("{rid}_{n}"))).collect(),
        other => spread(other, count, "rid")?,
    };
    let logprobs = request.return_logprob.unwrap_or(false).then(|| request.top_logprobs_num.unwrap_or(0));
    let requests = prompts.into_iter().zip(params).zip(rids).map(|((ids, params), rid)| {
        let params: SamplingParams = params.unwrap_or_default();
        let wishes = Wishes {
            max_tokens: ("max_new_tokens", params.max_new_tokens),
            default_tokens: Some(DEFAULT_TOKENS),
            logprobs,
            rid,
            sampling: SamplingFields {
                temperature: params.temperature,
                top_p: params.top_p,
                top_k: params.top_k,
                seed: params.sampling_seed,
                n: params.n,
                stop: params.stop,
                stop_token_ids: params.stop_token_ids,
                ignore_eos: params.ignore_eos,
                unsupported: params.unsupported,
            },
        };
        prepare(app, ids, wishes, arrived)
    });
    Ok((batch, requests.collect::<Result<_, _>>()?))
}

/// One value for all, or one for each.
fn spread<T: Clone>(
    given: Option<OneOrMany<T>>,
    count: usize,
    param: &'static str,
) -> Result<Vec<Option<T>>, ApiError> {
    match given {
        None => Ok(vec![None; count]),
        Some(OneOrMany::One(one)) => Ok(vec![Some(one); count]),
        Some(OneOrMany::Many(many)) if many.len() == count => Ok(many.into_iter().map(Some).collect()),
        Some(OneOrMany::Many(many)) => {
            Err(ApiError::bad(param, format!("{param} has {} entries for {count} prompts.", many.len())))
        }
    }
}

struct Shape {
    batch: bool,
    with_logprobs: bool,
}

impl Shape {
    fn response<'a>(&self, index: usize, answer: &'a Answer) -> GenerateResponse<'a> {
        let triple = |(id, logprob): (u32, f32)| (logprob, id, None);
        let chosen = || answer.logprobs.iter().map(|token| triple((token.id, token.logprob))).collect();
        let top = || {
            let of = |top: &[(u32, f32)]| top.iter().map(|pair| triple(*pair)).collect();
            answer.logprobs.iter().map(|token| of(&token.top)).collect()
        };
        GenerateResponse {
            text: &answer.text,
            output_ids: &answer.ids,
            meta_info: MetaInfo {
                id: answer.rid(),
                finish_reason: answer.finish.as_ref().map(Finish::native),
                prompt_tokens: answer.prompt_tokens(),
                weight_version: "default",
                completion_tokens: answer.ids.len(),
                cached_tokens: 0,
                e2e_latency: answer.elapsed(),
                output_token_logprobs: self.with_logprobs.then(chosen),
                output_top_logprobs: self.with_logprobs.then(top),
            },
            index: self.batch.then_some(index),
        }
    }
}

impl Format for Shape {
    fn piece(&mut self, index: usize, answer: &Answer, _chunk: &Chunk) -> Vec<String> {
        vec![data(&self.response(index, answer))]
    }
}
