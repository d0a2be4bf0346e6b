//! `/generate`, SGLang's own form.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{OneOrMany, Unsupported};

/// The request. One prompt or a list, as text or token ids.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GenerateRequest {
    pub(crate) text: Option<OneOrMany<String>>,
    pub(crate) input_ids: Option<InputIds>,
    pub(crate) sampling_params: Option<OneOrMany<SamplingParams>>,
    pub(crate) rid: Option<OneOrMany<String>>,
    pub(crate) stream: Option<bool>,
    pub(crate) return_logprob: Option<bool>,
    pub(crate) top_logprobs_num: Option<usize>,
}

/// `[1, 2]` or `[[1, 2], [3]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum InputIds {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

/// `sampling_params`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct SamplingParams {
    pub(crate) max_new_tokens: Option<u64>,
    pub(crate) temperature: Option<f32>,
    pub(crate) top_p: Option<f32>,
    pub(crate) top_k: Option<i64>,
    pub(crate) sampling_seed: Option<i64>,
    pub(crate) n: Option<u64>,
    pub(crate) stop: Option<OneOrMany<String>>,
    pub(crate) stop_token_ids: Option<Vec<u32>>,
    pub(crate) ignore_eos: Option<bool>,
    #[serde(flatten)]
    pub(crate) unsupported: Unsupported,
}

/// The answer; in a stream each piece holds all text and tokens so far.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GenerateResponse<'a> {
    pub(crate) text: &'a str,
    pub(crate) output_ids: &'a [u32],
    pub(crate) meta_info: MetaInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
}

/// Log-probability, token, its text (which is left out).
pub(crate) type Triple = (f32, u32, Option<String>);

/// `meta_info`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MetaInfo<'a> {
    pub(crate) id: &'a str,
    pub(crate) finish_reason: Option<Value>,
    pub(crate) prompt_tokens: usize,
    pub(crate) weight_version: &'static str,
    pub(crate) completion_tokens: usize,
    pub(crate) cached_tokens: usize,
    pub(crate) e2e_latency: f64,
    /// (log-probability, token, its text) of each token so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_token_logprobs: Option<Vec<Triple>>,
    /// The likeliest tokens at each place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_top_logprobs: Option<Vec<Vec<Triple>>>,
}
