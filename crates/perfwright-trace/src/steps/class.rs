//! What an engine pass was for.

use serde::Serialize;

/// Class of a step. Tables are made per class; a mixed step is never counted as prefill or decode.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Prompt tokens only (SGLang: extend), also chunked.
    Prefill,
    /// One new token a request.
    Decode,
    /// Prompt chunks and decodes in one pass.
    Mixed,
    /// The target model checks draft tokens.
    Verify,
    /// The draft model proposes tokens.
    Draft,
    /// A CUDA/HIP graph is captured.
    Capture,
    /// Nothing in the trace tells.
    Unknown,
}

impl Class {
    /// Every class in table order.
    pub const ALL: [Class; 7] = [
        Class::Prefill,
        Class::Decode,
        Class::Mixed,
        Class::Verify,
        Class::Draft,
        Class::Capture,
        Class::Unknown,
    ];

    /// The word used in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Prefill => "prefill",
            Class::Decode => "decode",
            Class::Mixed => "mixed",
            Class::Verify => "verify",
            Class::Draft => "draft",
            Class::Capture => "capture",
            Class::Unknown => "unknown",
        }
    }

    /// Position in [`Class::ALL`].
    pub fn index(self) -> usize {
        Class::ALL.iter().position(|&c| c == self).unwrap_or(Class::ALL.len() - 1)
    }

    /// How much a label says: of two labels of one pass the more telling one counts.
    pub(super) fn weight(self) -> u8 {
        match self {
            Class::Unknown => 0,
            Class::Prefill | Class::Decode => 1,
            Class::Mixed => 2,
            Class::Verify => 3,
            Class::Draft => 4,
            Class::Capture => 5,
        }
    }
}
