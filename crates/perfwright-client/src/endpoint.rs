//! The endpoints that generate, and the bodies of requests to them.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// An endpoint that streams generated text. vLLM, TensorRT-LLM, TokenSpeed, llama.cpp and most others speak the
/// OpenAI forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// OpenAI `/v1/completions`.
    Completions,
    /// OpenAI `/v1/chat/completions`.
    Chat,
    /// SGLang's own `/generate`.
    Generate,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 3] = [Self::Completions, Self::Chat, Self::Generate];

    /// The path of the endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
            Self::Generate => "/generate",
        }
    }

    /// The short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Chat => "chat",
            Self::Generate => "generate",
        }
    }

    /// The endpoint of that short name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.name() == name)
    }
}

/// Who says something in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A text.
    Text(String),
    /// A conversation.
    Messages(Vec<Message>),
}

impl Prompt {
    /// The prompt as one text, for endpoints without conversations.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => {
                let lines: Vec<String> =
                    messages.iter().map(|m| format!("{}: {}", m.role, m.content)).collect();
                lines.join("\n\n")
            }
        }
    }

    /// The prompt as a conversation.
    pub fn messages(&self) -> Vec<Message> {
        match self {
            Self::Text(text) => vec![Message { role: "user".to_owned(), content: text.clone() }],
            Self::Messages(messages) => messages.clone(),
        }
    }
}

/// What all requests of a run have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The model's name in requests.
    pub model: String,
    /// Ask for exactly the output length (`ignore_eos`, which SGLang, vLLM and llama.cpp know).
    pub ignore_eos: bool,
    /// Fields added to every body; they win over ours.
    pub extra: Map<String, Value>,
}

/// The body of one request for `output` tokens. Fields of `extra` win over all others.
pub fn body(form: &Form, prompt: &Prompt, output: u32, extra: Option<&Map<String, Value>>) -> Bytes {
    let mut body = Map::new();
    match form.endpoint {
        Endpoint::Generate => {
            body.insert("text".to_owned(), prompt.text().into());
            body.insert(
                "sampling_params".to_owned(),
                json!({"max_new_tokens": output, "temperature": 0.0, "ignore_eos": form.ignore_eos}),
            );
        }
        Endpoint::Completions | Endpoint::Chat => {
            body.insert("model".to_owned(), form.model.clone().into());
            if form.endpoint == Endpoint::Chat {
                let messages: Vec<Value> = prompt
                    .messages()
                    .into_iter()
                    .map(|m| json!({"role": m.role, "content": m.content}))
                    .collect();
                body.insert("messages".to_owned(), messages.into());
            } else {
                body.insert("prompt".to_owned(), prompt.text().into());
            }
            body.insert("max_tokens".to_owned(), output.into());
            body.insert("temperature".to_owned(), 0.0.into());
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            if form.ignore_eos {
                body.insert("ignore_eos".to_owned(), true.into());
            }
        }
    }
    body.insert("stream".to_owned(), true.into());
    for (key, value) in form.extra.iter().chain(extra.into_iter().flatten()) {
        body.insert(key.clone(), value.clone());
    }
    Bytes::from(Value::Object(body).to_string())
}

/// What one request asks for whose answer comes in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Tokens at most.
    pub output: u32,
    /// Texts that end the answer.
    pub stop: &'a [String],
    /// How many of the likeliest tokens are wanted at each place, with their log-probabilities.
    pub top_logprobs: Option<u32>,
    /// Seed of sampling, for the endpoints that take one.
    pub seed: u64,
}

/// The body of a request whose answer comes in one piece. Fields of the form win over all others.
pub fn whole_body(form: &Form, prompt: &Prompt, wish: &Wish<'_>) -> Bytes {
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    if form.endpoint == Endpoint::Generate {
        put("text", prompt.text().into());
        put(
            "sampling_params",
            json!({"max_new_tokens": wish.output, "temperature": 0.0, "ignore_eos": form.ignore_eos, "stop": wish.stop}),
        );
        if let Some(n) = wish.top_logprobs {
            put("return_logprob", true.into());
            put("top_logprobs_num", n.into());
            // Letters are told apart by their texts.
            put("return_text_in_logprobs", true.into());
        }
    } else {
        put("model", form.model.clone().into());
        put("max_tokens", wish.output.into());
        put("temperature", 0.0.into());
        put("seed", wish.seed.into());
        if !wish.stop.is_empty() {
            put("stop", wish.stop.into());
        }
        if form.ignore_eos {
            put("ignore_eos", true.into());
        }
        if form.endpoint == Endpoint::Chat {
            let said = |m: Message| json!({"role": m.role, "content": m.content});
            put("messages", prompt.messages().into_iter().map(said).collect());
            if let Some(n) = wish.top_logprobs {
                put("logprobs", true.into());
                put("top_logprobs", n.into());
            }
        } else {
            put("prompt", prompt.text().into());
            if let Some(n) = wish.top_logprobs {
                put("logprobs", n.into());
            }
        }
    }
    put("stream", false.into());
    for (key, value) in &form.extra {
        put(key, value.clone());
    }
    Bytes::from(Value::Object(body).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(endpoint: Endpoint) -> Form {
        Form { endpoint, model: "m".to_owned(), ignore_eos: true, extra: Map::new() }
    }

    #[test]
    fn bodies_have_the_fields_of_their_endpoint() {
        let prompt = Prompt::Text("hi \"you\"".to_owned());
        let read = |e| -> Value { serde_json::from_slice(&body(&form(e), &prompt, 7, None)).unwrap() };
        let v = read(Endpoint::Completions);
        assert_eq!((&v["prompt"], &v["max_tokens"]), (&json!("hi \"you\""), &json!(7)));
        assert_eq!((&v["stream"], &v["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
        let v = read(Endpoint::Chat);
        assert_eq!(v["messages"], json!([{"role": "user", "content": "hi \"you\""}]));
        let v = read(Endpoint::Generate);
        assert_eq!(v["sampling_params"]["max_new_tokens"], 7);
        assert_eq!(v["text"], "hi \"you\"");
        let mut extra = Map::new();
        extra.insert("temperature".to_owned(), json!(0.5));
        let v: Value =
            serde_json::from_slice(&body(&form(Endpoint::Chat), &prompt, 7, Some(&extra))).unwrap();
        assert_eq!(v["temperature"], 0.5);
    }
}
