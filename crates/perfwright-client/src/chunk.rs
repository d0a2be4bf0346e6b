//! The meaning of one event: does it carry tokens, usage, an end, an error?
//!
//! Only the needed fields are read, borrowed from the event where JSON allows it. Shapes are those of the OpenAI API
//! reference, of SGLang's `/generate`, and of recorded answers of llama.cpp and `transformers serve`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, Visitor};
use serde_json::Value;

use crate::endpoint::Endpoint;

/// Token counts that a server stated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated.
    pub completion_tokens: Option<u64>,
    /// Tokens of the prompt that came from a prefix cache.
    pub cached_tokens: Option<u64>,
}

/// What engines say beside the tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Extras {
    /// Time in the server's queue, milliseconds.
    pub queue_ms: Option<f64>,
    /// Time of the prompt as the server saw it, milliseconds (llama.cpp `timings.prompt_ms`).
    pub server_prompt_ms: Option<f64>,
    /// Time of generation as the server saw it, milliseconds (llama.cpp `timings.predicted_ms`).
    pub server_decode_ms: Option<f64>,
    /// Steps in which drafted tokens were verified (SGLang `spec_verify_ct`).
    pub verify_steps: Option<u64>,
    /// Drafted tokens (llama.cpp `timings.draft_n`).
    pub drafted: Option<u64>,
    /// Drafted tokens that were accepted (llama.cpp `timings.draft_n_accepted`).
    pub accepted: Option<u64>,
}

/// Which kind of output an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// None: a role, an empty piece, usage only.
    Nothing,
    /// Reasoning only.
    Reasoning,
    /// Content.
    Content,
}

/// One event, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// `[DONE]`.
    Done,
    /// The server reports an error.
    Error(String),
    /// Anything else.
    Chunk(Chunk<'a>),
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk<'a> {
    /// The kind of output.
    pub output: Output,
    /// The text: a piece, or everything so far for `/generate`.
    pub text: Cow<'a, str>,
    /// Why generation ended, in the chunk where it did.
    pub finish: Option<String>,
    /// Token counts, where stated.
    pub usage: Option<Usage>,
    /// Other figures, where stated.
    pub extras: Extras,
}

/// Text that may be null or of another type; borrowed where it holds no escape.
#[derive(Debug, Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or null")
            }

            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A finish reason: text in the OpenAI forms, an object with `type` in SGLang's.
fn finish_of(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Object(map) => Some(map.get("type").and_then(Value::as_str).unwrap_or("other").to_owned()),
        _ => Some("other".to_owned()),
    }
}

#[derive(serde::Deserialize, Default)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(serde::Deserialize)]
struct UsageWire {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(serde::Deserialize)]
struct Timings {
    #[serde(default)]
    prompt_ms: Option<f64>,
    #[serde(default)]
    predicted_ms: Option<f64>,
    #[serde(default)]
    draft_n: Option<u64>,
    #[serde(default)]
    draft_n_accepted: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Delta<'a> {
    #[serde(default, borrow)]
    content: Text<'a>,
    #[serde(default, borrow)]
    reasoning_content: Text<'a>,
    #[serde(default, borrow)]
    reasoning: Text<'a>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    finish_reason: Option<Value>,
}

#[derive(serde::Deserialize)]
struct OpenAi<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<UsageWire>,
    #[serde(default)]
    timings: Option<Timings>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default, borrow)]
    object: Text<'a>,
    #[serde(default)]
    message: Option<Value>,
}

#[derive(serde::Deserialize, Default)]
struct MetaInfo {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    finish_reason: Option<Value>,
    #[serde(default)]
    spec_verify_ct: Option<u64>,
    #[serde(default)]
    queue_time: Option<f64>,
}

#[derive(serde::Deserialize)]
struct Generate<'a> {
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
    #[serde(default)]
    output_ids: Option<IgnoredAny>,
    #[serde(default)]
    meta_info: Option<MetaInfo>,
    #[serde(default)]
    error: Option<Value>,
}

/// An event that is not of the endpoint's shape.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    /// The data is not JSON, or a needed field has another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// JSON without any field of an answer.
    #[error("the event holds neither output nor usage")]
    Shape,
}

/// Reads the data of one event.
///
/// # Errors
/// It is not JSON of the endpoint's shape.
pub fn read(endpoint: Endpoint, data: &[u8]) -> Result<Event<'_>, NotAnEvent> {
    if data.trim_ascii() == b"[DONE]" {
        return Ok(Event::Done);
    }
    match endpoint {
        Endpoint::Completions | Endpoint::Chat => openai(data),
        Endpoint::Generate => generate(data),
    }
}

fn openai(data: &[u8]) -> Result<Event<'_>, NotAnEvent> {
    let wire: OpenAi<'_> = serde_json::from_slice(data)?;
    if let Some(error) = wire.error.filter(|e| !e.is_null()) {
        return Ok(Event::Error(error_text(&error)));
    }
    if wire.object.0 == "error" {
        return Ok(Event::Error(wire.message.as_ref().map_or_else(String::new, error_text)));
    }
    if wire.choices.is_none() && wire.usage.is_none() {
        return Err(NotAnEvent::Shape);
    }
    let usage = wire.usage.map(|u| Usage {
        prompt_tokens: u.prompt_tokens,
        completion_tokens: u.completion_tokens,
        cached_tokens: u.prompt_tokens_details.and_then(|d| d.cached_tokens),
    });
    let extras = wire.timings.map_or_else(Extras::default, |t| Extras {
        server_prompt_ms: t.prompt_ms.filter(|v| v.is_finite()),
        server_decode_ms: t.predicted_ms.filter(|v| v.is_finite()),
        drafted: t.draft_n,
        accepted: t.draft_n_accepted,
        ..Extras::default()
    });
    let mut chunk = Chunk { output: Output::Nothing, text: Cow::Borrowed(""), finish: None, usage, extras };
    if let Some(choice) = wire.choices.into_iter().flatten().next() {
        chunk.finish = finish_of(choice.finish_reason);
        let (mut text, mut reasoning, mut tool) = (choice.text.0, false, false);
        if let Some(delta) = choice.delta {
            text = delta.content.0;
            reasoning = !delta.reasoning_content.0.is_empty() || !delta.reasoning.0.is_empty();
            tool = delta.tool_calls.is_some();
        }
        chunk.output = match (text.is_empty() && !tool, reasoning) {
            (false, _) => Output::Content,
            (true, true) => Output::Reasoning,
            (true, false) => Output::Nothing,
        };
        chunk.text = text;
    }
    Ok(Event::Chunk(chunk))
}

fn generate(data: &[u8]) -> Result<Event<'_>, NotAnEvent> {
    let wire: Generate<'_> = serde_json::from_slice(data)?;
    if let Some(error) = wire.error.filter(|e| !e.is_null()) {
        return Ok(Event::Error(error_text(&error)));
    }
    if wire.text.is_none() && wire.output_ids.is_none() && wire.meta_info.is_none() {
        return Err(NotAnEvent::Shape);
    }
    let meta = wire.meta_info.unwrap_or_default();
    let usage = Usage {
        prompt_tokens: meta.prompt_tokens,
        completion_tokens: meta.completion_tokens,
        cached_tokens: meta.cached_tokens,
    };
    let extras = Extras {
        queue_ms: meta.queue_time.filter(|v| v.is_finite()).map(|s| s * 1e3),
        verify_steps: meta.spec_verify_ct.filter(|n| *n > 0),
        ..Extras::default()
    };
    let text = wire.text.unwrap_or_default().0;
    let output = if text.is_empty() { Output::Nothing } else { Output::Content };
    let usage = (usage != Usage::default()).then_some(usage);
    Ok(Event::Chunk(Chunk { output, text, finish: finish_of(meta.finish_reason), usage, extras }))
}

/// What an error value says.
pub fn error_text(error: &Value) -> String {
    let text = match error {
        Value::String(text) => text.clone(),
        Value::Object(map) => match map.get("message").or_else(|| map.get("error")) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(inner)) => {
                inner.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
            }
            _ => error.to_string(),
        },
        other => other.to_string(),
    };
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(endpoint: Endpoint, text: &str) -> Chunk<'_> {
        match read(endpoint, text.as_bytes()) {
            Ok(Event::Chunk(chunk)) => chunk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn roles_nulls_and_empty_pieces_carry_nothing() {
        for text in [
            r#"{"choices":[{"delta":{"role":"assistant"},"index":0}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":null}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#,
            r#"{"choices":[{"delta":{}}]}"#,
        ] {
            let chunk = chunk(Endpoint::Chat, text);
            assert_eq!((chunk.output, &chunk.finish), (Output::Nothing, &None), "{text}");
        }
    }

    #[test]
    fn pieces_and_ends() {
        let c =
            chunk(Endpoint::Chat, r#"{"choices":[{"delta":{"content":" a\n"},"finish_reason":"length"}]}"#);
        assert_eq!((c.output, &*c.text, c.finish.as_deref()), (Output::Content, " a\n", Some("length")));
        let c = chunk(Endpoint::Chat, r#"{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}"#);
        assert_eq!(c.output, Output::Reasoning);
        let c = chunk(Endpoint::Completions, r#"{"choices":[{"text":"plain","index":0}]}"#);
        assert!(matches!(c.text, Cow::Borrowed("plain")));
        let c = chunk(
            Endpoint::Completions,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}},"timings":{"prompt_ms":1.5,"predicted_ms":20}}"#,
        );
        let usage = c.usage.unwrap();
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
            (Some(9), Some(4), Some(2))
        );
        assert_eq!((c.extras.server_prompt_ms, c.extras.server_decode_ms), (Some(1.5), Some(20.0)));
        assert!(matches!(read(Endpoint::Chat, b" [DONE] "), Ok(Event::Done)));
    }

    #[test]
    fn sglang_generate() {
        let c = chunk(
            Endpoint::Generate,
            r#"{"text":"so far","meta_info":{"id":"x","finish_reason":{"type":"length","length":3},"prompt_tokens":4,"completion_tokens":3,"cached_tokens":1,"spec_verify_ct":2}}"#,
        );
        assert_eq!((c.output, c.finish.as_deref()), (Output::Content, Some("length")));
        assert_eq!((c.usage.unwrap().cached_tokens, c.extras.verify_steps), (Some(1), Some(2)));
        assert!(
            matches!(read(Endpoint::Generate, br#"{"error":{"message":"full"}}"#), Ok(Event::Error(e)) if e == "full")
        );
    }

    #[test]
    fn errors_and_other_shapes() {
        for text in [r#"{"error":{"message":"boom","code":500}}"#, r#"{"object":"error","message":"boom"}"#] {
            assert!(matches!(read(Endpoint::Chat, text.as_bytes()), Ok(Event::Error(e)) if e == "boom"));
        }
        for bad in [
            "{",
            "[]",
            "7",
            "{}",
            "null",
            "hello",
            "{\"choices\":7}",
            "{\"a\":\"\u{1}\"}",
            r#"{"choices":[{"delta":{"content":5}}]}"#,
            r#"{"choices":[],"usage":{"completion_tokens":-1}}"#,
            r#"{"choices":[],"usage":{"completion_tokens":1e99}}"#,
        ] {
            assert!(read(Endpoint::Chat, bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(Endpoint::Chat, b"{\"choices\":[{\"text\":\"\xff\"}]}").is_err());
        let deep = "[".repeat(100_000);
        assert!(read(Endpoint::Chat, deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for endpoint in Endpoint::ALL {
                let _ = read(endpoint, &bytes);
            }
        }
    }
}
