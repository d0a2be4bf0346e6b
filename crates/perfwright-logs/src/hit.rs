//! What the reader gives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Signature;
use crate::prefix::Prefix;

/// A value read from a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A whole number; sizes are in bytes.
    Int(i64),
    /// Another number.
    Num(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// The number, if it is a whole one.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(v) => Some(*v),
            Self::Num(_) | Self::Text(_) => None,
        }
    }

    /// The number.
    #[must_use]
    pub fn num(&self) -> Option<f64> {
        match self {
            Self::Int(v) => Some(*v as f64),
            Self::Num(v) => Some(*v),
            Self::Text(_) => None,
        }
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Int(v) => v.to_string(),
            Self::Num(v) => v.to_string(),
            Self::Text(v) => v.clone(),
        }
    }
}

/// A line that a signature knows.
#[derive(Debug)]
pub struct Hit<'a> {
    /// The signature.
    pub signature: &'a Signature,
    /// Number of the line, from 1.
    pub line: u64,
    /// Offset of the line in bytes.
    pub offset: u64,
    /// What stood before the text.
    pub prefix: &'a Prefix,
    /// The text without prefix and escape sequences.
    pub text: &'a str,
    /// What the signature's pattern read, by name.
    pub values: &'a [(&'a str, Value)],
}

impl Hit<'_> {
    /// The value of that name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The whole number of that name.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(Value::int)
    }
}

/// What the reader finds, in the order of the log.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line that a signature knows; one line may be known to several.
    Hit(Hit<'a>),
    /// A line after a hit whose signature asks for those that follow.
    Follow {
        /// Number of the line, from 1.
        line: u64,
        /// The text.
        text: &'a str,
    },
}

/// Takes what the reader finds.
pub trait Sink {
    /// One finding.
    fn event(&mut self, event: &Event<'_>);
}

impl<F: FnMut(&Event<'_>)> Sink for F {
    fn event(&mut self, event: &Event<'_>) {
        self(event);
    }
}
