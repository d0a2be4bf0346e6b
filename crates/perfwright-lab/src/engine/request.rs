//! A request as the engine sees it, and what it sends back.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Share of the probability kept, likeliest first.
    pub top_p: f32,
    /// Tokens kept, likeliest first; `None` keeps all.
    pub top_k: Option<usize>,
    /// Seed of the request's random numbers.
    pub seed: u64,
}

/// When an answer ends.
#[derive(Debug, Clone, PartialEq)]
pub struct StopRules {
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Texts that end the answer; they are not part of it.
    pub strings: Vec<String>,
    /// Tokens that end the answer.
    pub token_ids: Vec<u32>,
    /// The end-of-text token does not end the answer.
    pub ignore_eos: bool,
}

/// A request for the engine.
#[derive(Debug)]
pub struct Submission {
    /// The name by which `/abort_request` finds it; several may carry the same.
    pub rid: String,
    /// Its number in this server.
    pub id: u64,
    /// The prompt; not empty.
    pub input_ids: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// When it ends.
    pub stop: StopRules,
    /// Log-probabilities of this many alternatives, and of the chosen token.
    pub logprobs: Option<usize>,
    /// When the HTTP request came.
    pub arrived: Instant,
    /// Whether it counts in the metrics; health checks do not.
    pub counted: bool,
    /// Where its tokens go. What a request may send is bounded by its `max_new_tokens`.
    pub events: UnboundedSender<Chunk>,
}

/// The log-probability of a chosen token and of the likeliest ones.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// The likeliest tokens with theirs.
    pub top: Vec<(u32, f32)>,
}

/// A piece of an answer.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// Text to append. Characters whose bytes are not complete yet, and text that may begin a stop string, come later.
    pub text: String,
    /// New tokens; one, or none in an end without a token.
    pub ids: Vec<u32>,
    /// Their log-probabilities, where asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Set in the last piece.
    pub finish: Option<Finish>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// A stop token.
    StopToken(u32),
    /// A stop string.
    StopString(String),
    /// The number of tokens that was allowed.
    Length(usize),
    /// It was taken away.
    Abort {
        /// Why.
        message: String,
        /// The HTTP status for it.
        status: u16,
    },
}

impl Finish {
    /// SGLang's `meta_info.finish_reason`.
    pub fn native(&self) -> Value {
        match self {
            Self::StopToken(id) => json!({"type": "stop", "matched": id}),
            Self::StopString(text) => json!({"type": "stop", "matched": text}),
            Self::Length(length) => json!({"type": "length", "length": length}),
            Self::Abort { message, status } => {
                json!({"type": "abort", "message": message, "status_code": status, "err_type": null})
            }
        }
    }

    /// OpenAI's `finish_reason`.
    pub fn openai(&self) -> &'static str {
        match self {
            Self::StopToken(_) | Self::StopString(_) => "stop",
            Self::Length(_) => "length",
            Self::Abort { .. } => "abort",
        }
    }
}
