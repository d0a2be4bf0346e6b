//! A workload as stated, and what it becomes.

use perfwright_client::endpoint::Prompt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::files::InputFile;

/// A workload. Lengths are in words of the built-in vocabulary, which most tokenizers turn into one token each: they
/// are nominal, and the server's usage counts. With a tokenizer they are exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Spec {
    /// Random words.
    Random {
        /// Words of a prompt.
        input_len: u32,
        /// Tokens asked for.
        output_len: u32,
        /// Lengths are even between this part of the stated length and all of it; 1 fixes them.
        range_ratio: f64,
    },
    /// Random words of exactly as many tokens as stated.
    Exact {
        /// A Hugging Face `tokenizer.json`, which counts the tokens, special ones around the prompt included.
        tokenizer: InputFile,
        /// Tokens of a prompt.
        input_len: u32,
        /// Tokens asked for.
        output_len: u32,
        /// Lengths are even between this part of the stated length and all of it; 1 fixes them.
        range_ratio: f64,
    },
    /// Groups of requests with a common start.
    SharedPrefix {
        /// Groups.
        groups: u32,
        /// Words of the common start.
        prefix_len: u32,
        /// Words after it.
        input_len: u32,
        /// Tokens asked for.
        output_len: u32,
    },
    /// Conversations that grow by what was answered.
    MultiTurn {
        /// Turns of a conversation.
        turns: u32,
        /// Words said in each turn.
        input_len: u32,
        /// Tokens asked for in each turn.
        output_len: u32,
        /// Time between an answer and the next turn, milliseconds.
        think_ms: u64,
    },
    /// Conversations of a ShareGPT file: the first question and the length of its answer, or all turns.
    ShareGpt {
        /// The file.
        file: InputFile,
        /// Tokens asked for; without it as many as the recorded answer has words.
        output_len: Option<u32>,
        /// Ask all questions of a conversation.
        all_turns: bool,
    },
    /// Lines of `{prompt, output_len, extra_request_body?, metadata?}`.
    Jsonl {
        /// The file.
        file: InputFile,
        /// Tokens asked for where the line does not say.
        output_len: Option<u32>,
    },
    /// Mooncake's trace: lines of `{timestamp, input_length, output_length, hash_ids}`, milliseconds, blocks of 512
    /// tokens.
    Mooncake {
        /// The file.
        file: InputFile,
    },
    /// BurstGPT's CSV: `Timestamp` (seconds), `Request tokens`, `Response tokens`.
    BurstGpt {
        /// The file.
        file: InputFile,
    },
    /// Azure's LLM inference trace as CSV: `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`.
    Azure {
        /// The file.
        file: InputFile,
    },
}

impl Spec {
    /// The name that `--workload` takes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Random { .. } | Self::Exact { .. } => "random",
            Self::SharedPrefix { .. } => "shared-prefix",
            Self::MultiTurn { .. } => "multi-turn",
            Self::ShareGpt { .. } => "sharegpt",
            Self::Jsonl { .. } => "jsonl",
            Self::Mooncake { .. } => "mooncake",
            Self::BurstGpt { .. } => "burstgpt",
            Self::Azure { .. } => "azure",
        }
    }

    /// The file that it reads.
    pub fn file(&self) -> Option<&InputFile> {
        match self {
            Self::Random { .. } | Self::SharedPrefix { .. } | Self::MultiTurn { .. } => None,
            Self::Exact { tokenizer: file, .. }
            | Self::ShareGpt { file, .. }
            | Self::Jsonl { file, .. }
            | Self::Mooncake { file }
            | Self::BurstGpt { file }
            | Self::Azure { file } => Some(file),
        }
    }
}

/// One request of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What is said; what came before in the session is put in front when it is sent.
    pub prompt: Prompt,
    /// Words of the prompt, where we made or counted them.
    pub input_nominal: u32,
    /// Tokens asked for.
    pub output: u32,
    /// Fields added to the body.
    pub extra: Option<Map<String, Value>>,
}

/// Requests that follow one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Time in the trace, nanoseconds.
    pub at_ns: Option<u64>,
    /// The requests.
    pub turns: Vec<Turn>,
}
