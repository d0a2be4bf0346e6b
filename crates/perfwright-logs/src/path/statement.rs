//! What somebody says about a field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::Field;
use crate::report::Seen;

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The launch command.
    Flags,
    /// The engine's log.
    Log,
    /// The engine's answer about its state.
    ServerInfo,
    /// A profile of the engine.
    Profile,
}

/// What it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Somebody asked for it; no proof.
    Asked,
    /// The engine resolved its settings to it.
    Resolved,
    /// The engine says that it happened.
    Observed,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// The field.
    pub field: Field,
    /// The value in the one spelling, see [`Field::normal`].
    pub value: String,
    /// Its worth.
    pub standing: Standing,
    /// Who says it.
    pub origin: Origin,
    /// Line of the log, argument of the command, or key of the answer.
    pub place: String,
    /// Number of the line in a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// It was said after the engine was ready.
    #[serde(default)]
    pub after_ready: bool,
}

impl Statement {
    /// A statement with the value as it was written; an open value gives an empty one, which [`Statements`] drops.
    #[must_use]
    pub(crate) fn new(
        field: Field,
        value: &str,
        standing: Standing,
        origin: Origin,
        after_ready: bool,
        seen: Option<&Seen>,
    ) -> Self {
        Self {
            field,
            value: field.normal(value).unwrap_or_default(),
            standing,
            origin,
            place: seen.map_or_else(String::new, |s| format!("line {}", s.line)),
            line: seen.map(|s| s.line),
            after_ready,
        }
    }

    /// A statement of a caller, e.g. what a profile shows; none when the value leaves the choice open.
    #[must_use]
    pub fn told(field: Field, value: &str, standing: Standing, origin: Origin, place: &str) -> Option<Self> {
        let value = field.normal(value)?;
        Some(Self { field, value, standing, origin, place: place.to_owned(), line: None, after_ready: false })
    }
}

/// Statements without repetitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Statements(Vec<Statement>);

/// More statements than any engine makes.
const MAX: usize = 1024;

impl Statements {
    /// Adds a statement; one that was made before stays with its first place.
    pub fn add(&mut self, new: Statement) {
        let same = |s: &Statement| {
            (s.field, s.standing, s.origin, s.after_ready)
                == (new.field, new.standing, new.origin, new.after_ready)
                && s.value == new.value
        };
        if new.value.is_empty() || self.0.len() >= MAX || self.0.iter().any(same) {
            return;
        }
        self.0.push(new);
    }

    /// Adds all of them.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Statement>) {
        for one in others {
            self.add(one);
        }
    }

    /// Every statement, in the order in which they were made.
    #[must_use]
    pub fn all(&self) -> &[Statement] {
        &self.0
    }

    /// The statements themselves.
    #[must_use]
    pub fn into_vec(self) -> Vec<Statement> {
        self.0
    }
}
