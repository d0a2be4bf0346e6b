//! Fields of a JSON object, read by name and type, with a record of what was read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::ModelError;

/// Most layers a config may describe.
pub(crate) const MAX_LAYERS: u64 = 100_000;
/// Largest width: hidden size, intermediate size, vocabulary.
pub(crate) const MAX_WIDTH: u64 = 1 << 26;
/// Most heads.
pub(crate) const MAX_HEADS: u64 = 1 << 14;
/// Largest head dimension, kernel or low rank.
pub(crate) const MAX_DIM: u64 = 1 << 16;
/// Most experts.
pub(crate) const MAX_EXPERTS: u64 = 1 << 16;
/// Largest context, window or other count of tokens.
pub(crate) const MAX_TOKENS: u64 = 1 << 34;

/// A field that is an object: its name and value.
pub(crate) type Named<'a> = (&'a str, &'a Map<String, Value>);

/// One object of a config.
pub(crate) struct Fields<'a> {
    file: &'a Path,
    prefix: &'a str,
    object: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Fields<'a> {
    /// The object at `prefix` (empty, or ending with a dot) of `file`.
    pub(crate) fn new(file: &'a Path, prefix: &'a str, object: &'a Map<String, Value>) -> Self {
        Self { file, prefix, object, read: RefCell::default() }
    }

    /// The value of the first name that is there and not null. Every name counts as read, because whoever asked knows
    /// all of them.
    pub(crate) fn get(&self, names: &[&str]) -> Option<(&'a str, &'a Value)> {
        let mut found = None;
        for name in names {
            if let Some((key, value)) = self.object.get_key_value(*name) {
                self.read.borrow_mut().insert(key);
                if found.is_none() && !value.is_null() {
                    found = Some((key.as_str(), value));
                }
            }
        }
        found
    }

    /// Whether any of the names is there and not null.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.get(names).is_some()
    }

    /// A whole number up to `max`.
    pub(crate) fn count(&self, names: &[&str], max: u64) -> Result<Option<u64>, ModelError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        self.to_count(name, value, max).map(Some)
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn positive(&self, names: &[&str], max: u64) -> Result<Option<u64>, ModelError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        match self.to_count(name, value, max)? {
            0 => Err(self.wrong(name, value, "a whole number above 0")),
            count => Ok(Some(count)),
        }
    }

    /// As [`Self::positive`], and the field must be there.
    pub(crate) fn required(&self, names: &[&str], max: u64) -> Result<u64, ModelError> {
        self.positive(names, max)?.ok_or_else(|| self.missing(names, "a whole number above 0"))
    }

    fn to_count(&self, name: &str, value: &Value, max: u64) -> Result<u64, ModelError> {
        // Some writers put 4096.0 for 4096.
        let whole = |f: f64| (f >= 0.0 && f.fract() == 0.0 && f <= 9e15).then_some(f as u64);
        let count = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        count
            .filter(|count| *count <= max)
            .ok_or_else(|| self.wrong(name, value, &format!("a whole number of at most {max}")))
    }

    /// A number.
    pub(crate) fn number(&self, names: &[&str]) -> Option<f64> {
        self.get(names)?.1.as_f64()
    }

    /// True or false; 0 and 1 are taken as such.
    pub(crate) fn flag(&self, names: &[&str]) -> Result<Option<bool>, ModelError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        match (value.as_bool(), value.as_u64()) {
            (Some(flag), _) => Ok(Some(flag)),
            (None, Some(0)) => Ok(Some(false)),
            (None, Some(1)) => Ok(Some(true)),
            _ => Err(self.wrong(name, value, "true or false")),
        }
    }

    /// A string.
    pub(crate) fn text(&self, names: &[&str]) -> Result<Option<&'a str>, ModelError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, value, "a string"))
    }

    /// A list.
    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, ModelError> {
        let Some((name, value)) = self.get(&[name]) else { return Ok(None) };
        match value.as_array() {
            Some(list) if list.len() as u64 <= 4 * MAX_LAYERS => Ok(Some(list)),
            _ => Err(self.wrong(name, value, "a list, not longer than a model has layers")),
        }
    }

    /// A list of strings.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, ModelError> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let item = |(i, value): (usize, &'a Value)| {
            value.as_str().ok_or_else(|| self.wrong(&format!("{name}[{i}]"), value, "a string"))
        };
        list.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// A list of whole numbers.
    pub(crate) fn counts(&self, name: &str, max: u64) -> Result<Option<Vec<u64>>, ModelError> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let item = |(i, value): (usize, &'a Value)| match value {
            // Lists of 0 and 1 are sometimes written as booleans.
            Value::Bool(flag) => Ok(u64::from(*flag)),
            _ => self.to_count(&format!("{name}[{i}]"), value, max),
        };
        list.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// An object.
    pub(crate) fn object(&self, names: &[&str]) -> Result<Option<Named<'a>>, ModelError> {
        let Some((name, value)) = self.get(names) else { return Ok(None) };
        match value.as_object() {
            Some(object) => Ok(Some((name, object))),
            None => Err(self.wrong(name, value, "an object")),
        }
    }

    /// The error for a field that holds something else than it must.
    pub(crate) fn wrong(&self, name: &str, value: &Value, expected: &str) -> ModelError {
        let mut found = value.to_string();
        if let Some((end, _)) = found.char_indices().nth(60) {
            found.truncate(end);
            found.push_str("...");
        }
        ModelError::Field {
            path: self.file.to_owned(),
            field: format!("{}{name}", self.prefix),
            expected: expected.to_owned(),
            found,
        }
    }

    /// The error for a field that must be there.
    pub(crate) fn missing(&self, names: &[&str], expected: &str) -> ModelError {
        let all: Vec<String> = names.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        ModelError::Missing {
            path: self.file.to_owned(),
            field: all.join("` or `"),
            expected: expected.to_owned(),
        }
    }

    /// Fields nobody asked for that hold a number above 1 or a list of numbers, so they may be dimensions.
    pub(crate) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let dimension = |value: &Value| value.as_u64().is_some_and(|count| count > 1);
        self.object
            .iter()
            .filter(|(name, value)| {
                !read.contains(name.as_str())
                    && match value {
                        Value::Array(list) => !list.is_empty() && list.iter().all(Value::is_u64),
                        value => dimension(value),
                    }
            })
            .map(|(name, _)| format!("{}{name}", self.prefix))
            .collect()
    }
}
