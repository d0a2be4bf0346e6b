//! From the fields of a request to what the engine takes, with every limit checked.

use std::time::Instant;

use super::app::App;
use super::error::ApiError;
use super::wire::common::OneOrMany;
use super::wire::common::SamplingFields;
use crate::engine::handle::NewRequest;
use crate::engine::request::{Sampling, StopRules};

/// Bounds on what a request may ask for.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 256;
const MAX_STOP_TOKENS: usize = 64;
/// Log-probabilities of alternatives, as OpenAI bounds them.
pub(crate) const MAX_LOGPROBS: usize = 20;
/// Prompts in one request.
pub(crate) const MAX_PROMPTS: usize = 256;
/// Bytes of a request's name.
const MAX_RID: usize = 128;

/// A request's wishes before its prompt is known.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub(crate) sampling: SamplingFields,
    /// Tokens asked for and the name of the field.
    pub(crate) max_tokens: (&'static str, Option<u64>),
    /// Tokens where none are asked for; `None` takes what the context leaves.
    pub(crate) default_tokens: Option<usize>,
    pub(crate) logprobs: Option<usize>,
    pub(crate) rid: Option<String>,
}

/// The engine's form of a request.
pub(crate) fn prepare(
    app: &App,
    input_ids: Vec<u32>,
    wishes: Wishes,
    arrived: Instant,
) -> Result<NewRequest, ApiError> {
    check_prompt(app, &input_ids)?;
    let fields = wishes.sampling;
    let sampling = sampling(&fields, arrived, app)?;
    let stop = StopRules {
        max_new_tokens: new_tokens(app, input_ids.len(), wishes.max_tokens, wishes.default_tokens)?,
        strings: stop_strings(fields.stop)?,
        token_ids: stop_tokens(fields.stop_token_ids)?,
        ignore_eos: fields.ignore_eos.unwrap_or(false),
    };
    if wishes.logprobs.is_some_and(|n| n > MAX_LOGPROBS) {
        return Err(ApiError::bad(
            "logprobs",
            format!("At most {MAX_LOGPROBS} log-probabilities are given."),
        ));
    }
    if wishes.rid.as_ref().is_some_and(|rid| rid.len() > MAX_RID) {
        return Err(ApiError::bad("rid", format!("A rid has at most {MAX_RID} bytes.")));
    }
    let rid = wishes.rid.unwrap_or_else(|| super::info::new_id(app));
    Ok(NewRequest { rid, input_ids, sampling, stop, logprobs: wishes.logprobs, arrived, counted: true })
}

fn check_prompt(app: &App, input_ids: &[u32]) -> Result<(), ApiError> {
    let vocabulary = app.facts.vocab_size;
    if input_ids.is_empty() {
        return Err(ApiError::bad("prompt", "The prompt is empty."));
    }
    if let Some(id) = input_ids.iter().find(|id| usize::try_from(**id).is_ok_and(|id| id >= vocabulary)) {
        return Err(ApiError::bad(
            "prompt",
            format!("The token {id} is not in the vocabulary of {vocabulary}."),
        ));
    }
    let limit = app.facts.max_req_input_len;
    if input_ids.len() > limit {
        return Err(ApiError::bad(
            "prompt",
            format!(
                "Input length ({} tokens) exceeds the maximum allowed length ({limit} tokens).",
                input_ids.len()
            ),
        ));
    }
    Ok(())
}

/// Tokens to generate at most. A wish beyond the context is refused, no wish takes what is left.
fn new_tokens(
    app: &App,
    prompt: usize,
    (param, asked): (&'static str, Option<u64>),
    default: Option<usize>,
) -> Result<usize, ApiError> {
    let room = app.facts.max_req_len.saturating_sub(prompt);
    let Some(asked) = asked else { return Ok(default.unwrap_or(room).min(room).max(1)) };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    if asked == 0 {
        return Err(ApiError::bad(param, format!("{param} must be at least 1.")));
    }
    let context = app.facts.max_req_len;
    if asked > room {
        return Err(ApiError::bad(
            param,
            format!(
                "Requested token count exceeds the model's maximum context length of {context} tokens. You requested \
                 a total of {} tokens: {prompt} tokens from the input messages and {asked} tokens for the completion.",
                prompt.saturating_add(asked)
            ),
        ));
    }
    Ok(asked)
}

fn sampling(fields: &SamplingFields, arrived: Instant, app: &App) -> Result<Sampling, ApiError> {
    let temperature = fields.temperature.unwrap_or(1.0);
    if !(0.0..=100.0).contains(&temperature) {
        return Err(ApiError::bad(
            "temperature",
            format!("temperature must be in [0, 100], got {temperature}."),
        ));
    }
    let top_p = fields.top_p.unwrap_or(1.0);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(ApiError::bad("top_p", format!("top_p must be in (0, 1], got {top_p}.")));
    }
    let top_k = match fields.top_k.unwrap_or(-1) {
        -1 => None,
        k if k >= 1 => Some(usize::try_from(k).unwrap_or(usize::MAX)),
        k => return Err(ApiError::bad("top_k", format!("top_k must be -1 or at least 1, got {k}."))),
    };
    if fields.n.is_some_and(|n| n != 1) {
        return Err(ApiError::bad("n", "Only n = 1 is supported."));
    }
    if let Some(field) = fields.unsupported.first() {
        return Err(ApiError::bad(field, format!("{field} is not supported.")));
    }
    // Without a seed each request draws its own numbers; the time it came is as good as any.
    let own = || {
        app.engine.shared.started.elapsed().as_nanos() as u64 ^ u64::from(arrived.elapsed().subsec_nanos())
    };
    let seed = fields.seed.map_or_else(own, i64::cast_unsigned);
    Ok(Sampling { temperature, top_p, top_k, seed })
}

fn stop_strings(stop: Option<OneOrMany<String>>) -> Result<Vec<String>, ApiError> {
    let strings = stop.map(OneOrMany::into_vec).unwrap_or_default();
    if strings.len() > MAX_STOPS || strings.iter().any(|text| text.len() > MAX_STOP_BYTES) {
        let message = format!("stop takes at most {MAX_STOPS} strings of {MAX_STOP_BYTES} bytes.");
        return Err(ApiError::bad("stop", message));
    }
    Ok(strings.into_iter().filter(|text| !text.is_empty()).collect())
}

fn stop_tokens(tokens: Option<Vec<u32>>) -> Result<Vec<u32>, ApiError> {
    let tokens = tokens.unwrap_or_default();
    if tokens.len() > MAX_STOP_TOKENS {
        let message = format!("stop_token_ids takes at most {MAX_STOP_TOKENS} tokens.");
        return Err(ApiError::bad("stop_token_ids", message));
    }
    Ok(tokens)
}
