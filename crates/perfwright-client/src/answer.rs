//! An answer that came in one piece: its text, why it ended, what it cost, and the likeliest first tokens.
//!
//! Shapes are those of the OpenAI API reference and of SGLang's `/generate`; llama.cpp states log-probabilities of
//! completions in the form of chat.

use serde_json::Value;

use crate::chunk::{Usage, error_text};
use crate::endpoint::Endpoint;
use crate::failure::{Class, Failure};

/// Longest text of an answer, in bytes.
pub const MAX_ANSWER: usize = 256 << 10;
/// Most likeliest tokens that are read.
const MAX_TOP: usize = 1000;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whole {
    /// The text; empty where the answer holds reasoning only.
    pub text: String,
    /// Finish reason.
    pub finish: Option<String>,
    /// Token counts, where stated.
    pub usage: Usage,
    /// The likeliest first tokens with their log-probabilities, where stated with texts.
    pub first: Vec<(String, f64)>,
}

/// Reads the answer of an endpoint.
///
/// # Errors
/// Another status than 200, no JSON of the endpoint's shape, an error in it, or a text over [`MAX_ANSWER`].
pub fn read_whole(endpoint: Endpoint, status: u16, body: &[u8]) -> Result<Whole, Failure> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    if status != 200 {
        let said = value.map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |v| error_text(&v));
        return Err(Failure::new(Class::Http(status), said));
    }
    let malformed = |what: &str| {
        let head: String = String::from_utf8_lossy(body).chars().take(80).collect();
        Failure::new(Class::Malformed, format!("{what}: {head}"))
    };
    let value = value.map_err(|e| malformed(&e.to_string()))?;
    if let Some(error) = value.get("error").filter(|e| !e.is_null()) {
        return Err(Failure::new(Class::ErrorEvent, error_text(error)));
    }
    let whole = match endpoint {
        Endpoint::Generate => generate(&value),
        Endpoint::Completions | Endpoint::Chat => openai(&value),
    };
    let whole = whole.ok_or_else(|| malformed("the answer has no text where this endpoint has one"))?;
    if whole.text.len() > MAX_ANSWER {
        return Err(Failure::new(Class::Malformed, format!("an answer of more than {MAX_ANSWER} bytes")));
    }
    Ok(whole)
}

fn openai(value: &Value) -> Option<Whole> {
    let choice = value.pointer("/choices/0")?;
    let text = match choice.get("text").or_else(|| choice.pointer("/message/content"))? {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        _ => return None,
    };
    let usage = value.get("usage");
    let count = |place: &str| usage.and_then(|u| u.pointer(place)).and_then(Value::as_u64);
    let logprobs = choice.get("logprobs");
    let old = logprobs.and_then(|l| l.pointer("/top_logprobs/0")).and_then(Value::as_object);
    let new = logprobs.and_then(|l| l.pointer("/content/0/top_logprobs")).and_then(Value::as_array);
    let first = match (old, new) {
        (Some(map), _) => {
            map.iter().take(MAX_TOP).filter_map(|(t, v)| Some((t.clone(), v.as_f64()?))).collect()
        }
        (None, Some(list)) => {
            let one = |v: &Value| Some((v.get("token")?.as_str()?.to_owned(), v.get("logprob")?.as_f64()?));
            list.iter().take(MAX_TOP).filter_map(one).collect()
        }
        (None, None) => Vec::new(),
    };
    Some(Whole {
        text,
        finish: finish(choice.get("finish_reason")),
        usage: Usage {
            prompt_tokens: count("/prompt_tokens"),
            completion_tokens: count("/completion_tokens"),
            cached_tokens: count("/prompt_tokens_details/cached_tokens"),
        },
        first,
    })
}

fn generate(value: &Value) -> Option<Whole> {
    let text = value.get("text")?.as_str()?.to_owned();
    let meta = value.get("meta_info");
    let count = |key: &str| meta.and_then(|m| m.get(key)).and_then(Value::as_u64);
    let top = meta.and_then(|m| m.pointer("/output_top_logprobs/0")).and_then(Value::as_array);
    let one = |v: &Value| Some((v.get(2)?.as_str()?.to_owned(), v.get(0)?.as_f64()?));
    Some(Whole {
        text,
        finish: finish(meta.and_then(|m| m.get("finish_reason"))),
        usage: Usage {
            prompt_tokens: count("prompt_tokens"),
            completion_tokens: count("completion_tokens"),
            cached_tokens: count("cached_tokens"),
        },
        first: top.into_iter().flatten().take(MAX_TOP).filter_map(one).collect(),
    })
}

/// Text in the OpenAI forms, an object with `type` in SGLang's.
fn finish(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let text = value.as_str().or_else(|| value.get("type").and_then(Value::as_str))?;
    Some(text.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_of_each_endpoint() {
        let a = read_whole(
            Endpoint::Completions,
            200,
            br#"{"choices":[{"text":" 42","finish_reason":"stop","logprobs":{"top_logprobs":[{" A":-0.1," B":-2}]}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
        )
        .unwrap();
        assert_eq!((a.text.as_str(), a.finish.as_deref()), (" 42", Some("stop")));
        assert_eq!(a.usage.completion_tokens, Some(2));
        assert_eq!(a.first, [(" A".to_owned(), -0.1), (" B".to_owned(), -2.0)]);
        let chat = br#"{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"length","logprobs":{"content":[{"token":"A","logprob":-0.5,"top_logprobs":[{"token":"A","logprob":-0.5}]}]}}]}"#;
        let a = read_whole(Endpoint::Chat, 200, chat).unwrap();
        assert_eq!((a.text.as_str(), a.first.as_slice()), ("", [("A".to_owned(), -0.5)].as_slice()));
        let a = read_whole(
            Endpoint::Generate,
            200,
            br#"{"text":"B","meta_info":{"finish_reason":{"type":"length"},"output_top_logprobs":[[[-0.2,66,"B"],[-3.0,65,null]]]}}"#,
        )
        .unwrap();
        assert_eq!(
            (a.finish.as_deref(), a.first.as_slice()),
            (Some("length"), [("B".to_owned(), -0.2)].as_slice())
        );
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (status, body, class) in [
            (500, "oops", Class::Http(500)),
            (400, r#"{"error":{"message":"too long"}}"#, Class::Http(400)),
            (200, "<html>", Class::Malformed),
            (200, "{}", Class::Malformed),
            (200, r#"{"choices":[{"text":7}]}"#, Class::Malformed),
            (200, r#"{"error":{"message":"boom"}}"#, Class::ErrorEvent),
        ] {
            let e = read_whole(Endpoint::Completions, status, body.as_bytes()).unwrap_err();
            assert_eq!(e.class, class, "{body}");
        }
        let long = format!(r#"{{"choices":[{{"text":"{}"}}]}}"#, "x".repeat(MAX_ANSWER + 1));
        assert!(read_whole(Endpoint::Completions, 200, long.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for endpoint in Endpoint::ALL {
                let _ = read_whole(endpoint, 200, &bytes);
            }
        }
    }
}
