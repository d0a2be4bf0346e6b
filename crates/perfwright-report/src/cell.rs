//! One value of a table, with the meaning that decides how it is written.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::number;

/// One value of a table. Readers see a rounded form; CSV and JSON get the exact value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Any text, possibly from outside.
    Text(String),
    /// A plain integer.
    Int(i64),
    /// A duration in nanoseconds, shown in us, ms or s with four significant digits.
    DurationNs(i64),
    /// A part of a whole, 0 to 1, shown in percent.
    Share(f64),
    /// A quotient such as a speed-up, shown as `1.134x`.
    Ratio(f64),
    /// A size in bytes, shown in B, KiB, MiB, ...
    Bytes(u64),
    /// Nothing is known here: an empty cell, `null` in JSON. Not the same as zero.
    Empty,
}

impl Cell {
    /// A text cell.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// A value of an enumeration as the word that it is stored as; other values as JSON.
    pub fn word(value: &impl Serialize) -> Self {
        serde_json::to_value(value).map_or(Self::Empty, |value| Self::json(Some(&value)))
    }

    /// A JSON value: text without its quotation marks, everything else as it is written.
    pub fn json(value: Option<&serde_json::Value>) -> Self {
        match value {
            None => Self::Empty,
            Some(serde_json::Value::String(text)) => Self::text(text),
            Some(other) => Self::text(other.to_string()),
        }
    }

    /// A count. A count beyond `i64::MAX` keeps its digits as text rather than being clamped.
    pub fn count(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Text(value.to_string()), Self::Int)
    }

    /// A duration in nanoseconds; as [`Cell::count`], beyond `i64::MAX` (292 years) it keeps its digits as text.
    pub fn duration_ns(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Text(format!("{value} ns")), Self::DurationNs)
    }

    /// The form for people: adaptive units, fixed significant digits. Text is returned as it is, so it still has
    /// to go through [`crate::text::visible`].
    pub fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::DurationNs(ns) => Cow::Owned(number::duration_ns(*ns)),
            Self::Share(share) => Cow::Owned(number::share(*share)),
            Self::Ratio(ratio) => Cow::Owned(number::ratio(*ratio)),
            Self::Bytes(bytes) => Cow::Owned(number::bytes(*bytes)),
            Self::Empty => Cow::Borrowed(""),
        }
    }

    /// The exact form for machines: integers in full, floats in the shortest form that reads back equal. A float
    /// that is not finite has no exact form and is empty.
    pub fn exact(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(value) | Self::DurationNs(value) => Cow::Owned(value.to_string()),
            Self::Share(value) | Self::Ratio(value) if value.is_finite() => Cow::Owned(value.to_string()),
            Self::Bytes(bytes) => Cow::Owned(bytes.to_string()),
            Self::Share(_) | Self::Ratio(_) | Self::Empty => Cow::Borrowed(""),
        }
    }

    /// How much this cell weighs when rows are left off; text and empty cells weigh nothing.
    pub(crate) fn weight(&self) -> f64 {
        match self {
            Self::Int(value) | Self::DurationNs(value) => *value as f64,
            Self::Share(value) | Self::Ratio(value) if value.is_finite() => *value,
            Self::Bytes(bytes) => *bytes as f64,
            Self::Share(_) | Self::Ratio(_) | Self::Text(_) | Self::Empty => 0.0,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Written as the bare exact value: a string, a number or `null`. The column says what the number means.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Int(value) | Self::DurationNs(value) => serializer.serialize_i64(*value),
            Self::Share(value) | Self::Ratio(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Bytes(bytes) => serializer.serialize_u64(*bytes),
            Self::Share(_) | Self::Ratio(_) | Self::Empty => serializer.serialize_unit(),
        }
    }
}
