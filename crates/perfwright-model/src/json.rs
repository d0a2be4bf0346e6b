//! Reading JSON files that were written by Python.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::error::ModelError;

/// The largest file that is read, in bytes. The largest config known (a list of every quantised expert) has 3 MB; an
/// index of a very large checkpoint about 20 MB.
pub(crate) const LIMIT: u64 = 64 << 20;

/// The JSON value in a file.
///
/// Python writes `Infinity` and `NaN`, which JSON does not have (Nemotron's `time_step_limit` does); they are read as
/// `null`. Depth is bounded by the JSON reader (128 levels).
///
/// # Errors
/// Where the file cannot be read, is over [`LIMIT`], or is not JSON.
pub(crate) fn read(path: &Path) -> Result<Value, ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    if bytes > LIMIT {
        return Err(ModelError::TooLarge { path: path.to_owned(), bytes, limit: LIMIT });
    }
    let mut text = Vec::new();
    // A pipe or a growing file has no honest size, so the reading itself is bounded too.
    file.take(LIMIT + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > LIMIT {
        return Err(ModelError::TooLarge { path: path.to_owned(), bytes: text.len() as u64, limit: LIMIT });
    }
    parse(path, text)
}

/// The JSON value in `text`; `path` is for messages.
///
/// # Errors
/// Where the text is not JSON.
pub(crate) fn parse(path: &Path, mut text: Vec<u8>) -> Result<Value, ModelError> {
    without_python_numbers(&mut text);
    serde_json::from_slice(&text).map_err(|e| ModelError::NotJson {
        path: path.to_owned(),
        line: e.line(),
        column: e.column(),
        cause: match e.classify() {
            serde_json::error::Category::Eof => "the text ends early".to_owned(),
            _ => without_place(&e.to_string()),
        },
    })
}

fn without_place(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |end| &message[..end]).to_owned()
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside strings by `null` and blanks of the same length, so that the
/// places in error messages stay true.
fn without_python_numbers(text: &mut [u8]) {
    let mut at = 0;
    let mut in_string = false;
    while at < text.len() {
        match text[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                for word in [&b"NaN"[..], b"Infinity", b"-Infinity"] {
                    if text[at..].starts_with(word) {
                        at = replace(text, at, word.len());
                        break;
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Writes a null of `len` bytes at `at` and returns the place of its last byte. `NaN` is too short for `null`; 0 is as
/// good, because no dimension is read from a field that Python could fill with NaN.
fn replace(text: &mut [u8], at: usize, len: usize) -> usize {
    let word: &[u8] = if len < 4 { b"0" } else { b"null" };
    for (i, byte) in text[at..at + len].iter_mut().enumerate() {
        *byte = word.get(i).copied().unwrap_or(b' ');
    }
    at + len - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, ModelError> {
        parse(Path::new("config.json"), text.as_bytes().to_vec())
    }

    #[test]
    fn python_numbers_are_null_and_strings_stay() {
        let read = value(r#"{"a": [0.0, Infinity, -Infinity], "b": "NaN \" Infinity", "c": NaN}"#).unwrap();
        assert_eq!(read, serde_json::json!({"a": [0.0, null, null], "b": "NaN \" Infinity", "c": 0}));
    }

    #[test]
    fn errors_say_where() {
        let error = value("{\n \"a\": Infinity,\n \"b\": tru }").unwrap_err();
        assert_eq!(error.to_string(), "config.json is not JSON: expected ident (line 3, column 10)");
        assert!(value(&"[".repeat(100_000)).unwrap_err().to_string().contains("recursion limit"));
        assert!(value("{\"a\": 1").unwrap_err().to_string().contains("the text ends early"));
        assert!(value("{\"a\": \"\\").is_err());
    }
}
