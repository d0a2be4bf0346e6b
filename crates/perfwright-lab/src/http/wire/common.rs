//! Fields that several endpoints share. Unknown fields are ignored, as the engines do; known ones that would change the
//! answer and are not supported are refused ([`Unsupported`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// A prompt, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Texts(Vec<String>),
    IdLists(Vec<Vec<u32>>),
}

/// How tokens are chosen and when an answer ends, in OpenAI's names with SGLang's additions.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct SamplingFields {
    pub(crate) temperature: Option<f32>,
    pub(crate) top_p: Option<f32>,
    pub(crate) top_k: Option<i64>,
    pub(crate) seed: Option<i64>,
    pub(crate) n: Option<u64>,
    pub(crate) stop: Option<OneOrMany<String>>,
    pub(crate) stop_token_ids: Option<Vec<u32>>,
    pub(crate) ignore_eos: Option<bool>,
    #[serde(flatten)]
    pub(crate) unsupported: Unsupported,
}

/// Fields that would change which tokens come and that this server does not follow: an answer without them would be
/// taken for one with them. Values that change nothing are fine.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Unsupported {
    min_p: Option<Value>,
    min_tokens: Option<Value>,
    min_new_tokens: Option<Value>,
    presence_penalty: Option<Value>,
    frequency_penalty: Option<Value>,
    repetition_penalty: Option<Value>,
    logit_bias: Option<Value>,
    response_format: Option<Value>,
    json_schema: Option<Value>,
    regex: Option<Value>,
    ebnf: Option<Value>,
    stop_regex: Option<Value>,
}

/// Whether a value asks for nothing.
type Neutral<'a> = &'a dyn Fn(&Value) -> bool;

impl Unsupported {
    /// The first field that asks for something.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let number = |value: &Value, neutral: f64| value.as_f64() == Some(neutral);
        let zero = |value: &Value| number(value, 0.0);
        let one = |value: &Value| number(value, 1.0);
        let empty = |value: &Value| match value {
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        let text = |value: &Value| value["type"] == "text";
        let fields: [(_, _, Neutral); 12] = [
            ("min_p", &self.min_p, &zero),
            ("min_tokens", &self.min_tokens, &zero),
            ("min_new_tokens", &self.min_new_tokens, &zero),
            ("presence_penalty", &self.presence_penalty, &zero),
            ("frequency_penalty", &self.frequency_penalty, &zero),
            ("repetition_penalty", &self.repetition_penalty, &one),
            ("logit_bias", &self.logit_bias, &empty),
            ("response_format", &self.response_format, &text),
            ("json_schema", &self.json_schema, &empty),
            ("regex", &self.regex, &empty),
            ("ebnf", &self.ebnf, &empty),
            ("stop_regex", &self.stop_regex, &empty),
        ];
        fields.into_iter().find_map(|(name, value, neutral): (_, &Option<Value>, _)| {
            value.as_ref().is_some_and(|value| !neutral(value)).then_some(name)
        })
    }
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: Option<bool>,
}

/// `usage`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) total_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
}

/// Where prompt tokens came from.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct PromptDetails {
    pub(crate) cached_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self {
            prompt_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: Some(PromptDetails { cached_tokens: 0 }),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        *self = Self::new(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        );
    }
}
