//! The redactor of one run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem;
use serde_json::Value;

use super::names::{self, is_header, is_secret_name};
use super::shapes::{Mode, replace_shapes};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// True for a value that can be replaced wherever it turns up. `--api-key sglang` is a secret in its own place, but
/// replacing every `sglang` in a log, or every `123456` in a table, would eat what the evidence says.
fn is_distinctive(value: &str) -> bool {
    let letters = value.bytes().any(|b| !b.is_ascii_digit());
    let digits = value.bytes().any(|b| b.is_ascii_digit());
    let least = match (letters, digits) {
        (true, true) => 6,
        (true, false) => 12,
        (false, _) => 10,
    };
    value.len() >= least
}

/// Knows one run's secrets and replaces them.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret that contains another is replaced whole.
    known: Vec<Vec<u8>>,
}

/// Never prints what it knows.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("known", &self.known.len()).finish()
    }
}

/// Bytes that are not text hold a secret; replacing it would break them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("binary content holds a secret")]
pub struct SecretInBinary;

impl Redactor {
    /// Learns the secrets of a command line and of an environment, allow-listed or not.
    #[must_use]
    pub fn new(argv: &[String], env: &[(String, String)]) -> Self {
        let mut redactor = Self::default();
        for (name, value) in env {
            if is_secret_name(name, Mode::Loose) {
                redactor.remember(value);
            }
        }
        for (flag, value) in flag_values(argv) {
            if is_secret_flag(flag, value) {
                redactor.remember(value);
            }
        }
        for text in argv.iter().chain(env.iter().map(|(_, value)| value)) {
            let mut found = Vec::new();
            let _ = replace_shapes(text.as_bytes(), Mode::Loose, &mut |secret| found.push(secret.to_vec()));
            for secret in found {
                redactor.remember(&String::from_utf8_lossy(&secret));
            }
        }
        redactor.known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        redactor.known.dedup();
        redactor
    }

    /// Keeps a value and those of its parts that are long enough to be the secret itself (`Bearer X`, `a=X; b=Y`, `user:X`).
    fn remember(&mut self, value: &str) {
        let password = value.split_once(':').map(|(_, password)| password);
        let parts =
            value.split(|c: char| c.is_whitespace() || matches!(c, ';' | '=' | ',')).filter(|p| p.len() >= 8);
        for text in std::iter::once(value).chain(password).chain(parts) {
            if !is_distinctive(text) || names::is_empty_value(text.as_bytes()) {
                continue;
            }
            self.known.push(text.as_bytes().to_vec());
            let escaped = Value::from(text).to_string();
            let inner = &escaped[1..escaped.len() - 1];
            if inner != text {
                self.known.push(inner.as_bytes().to_vec());
            }
        }
    }

    /// The command line without its secrets.
    #[must_use]
    pub fn argv(&self, argv: &[String]) -> Vec<String> {
        let mut out: Vec<String> = argv.iter().map(|arg| self.text(arg)).collect();
        for i in 0..argv.len() {
            let arg = &argv[i];
            if let Some((flag, value)) = arg.split_once('=') {
                if is_secret_flag(flag, value) && !value.is_empty() {
                    out[i] = format!("{}={REDACTED}", self.text(flag));
                }
            } else if let Some(value) = argv.get(i + 1)
                && arg.starts_with('-')
                && is_secret_flag(arg, value)
            {
                out[i + 1] = REDACTED.to_owned();
            }
        }
        out
    }

    /// The allow-listed part of an environment, without its secrets.
    #[must_use]
    pub fn env(&self, env: &[(String, String)]) -> BTreeMap<String, String> {
        env.iter()
            .filter(|(name, _)| names::is_allowed_variable(name))
            .map(|(name, value)| {
                let secret = is_secret_name(name, Mode::Loose) && !value.is_empty();
                (name.clone(), if secret { REDACTED.to_owned() } else { self.text(value) })
            })
            .collect()
    }

    /// A text of ours: an argument, a command, an event's string.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let (known, _) = self.replace_known(text.as_bytes());
        let (out, _) = replace_shapes(&known, Mode::Loose, &mut |_| {});
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Every string in a JSON value, and every value under a secret's name.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.iter().map(|v| self.value(v)).collect()),
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(key, item)| {
                        let secret = matches!(item, Value::String(s) if !names::is_empty_value(s.as_bytes()))
                            && is_secret_name(key, Mode::Strict);
                        (self.text(key), if secret { REDACTED.into() } else { self.value(item) })
                    })
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// Evidence bytes and how many secrets were replaced in them.
    ///
    /// Only names and shapes that are hardly ever anything else count here: evidence about language models is full of
    /// harmless tokens.
    ///
    /// # Errors
    /// The bytes are not UTF-8 and hold a secret.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Result<(Cow<'a, [u8]>, u64), SecretInBinary> {
        let text = str::from_utf8(bytes).is_ok();
        let (known, first) = self.replace_known(bytes);
        let mode = if text { Mode::Strict } else { Mode::Binary };
        let (out, second) = replace_shapes(&known, mode, &mut |_| {});
        if first + second == 0 {
            return Ok((Cow::Borrowed(bytes), 0));
        }
        if !text {
            return Err(SecretInBinary);
        }
        Ok((Cow::Owned(out.into_owned()), first + second))
    }

    fn replace_known<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, u64) {
        let mut current = Cow::Borrowed(bytes);
        let mut count = 0;
        for secret in &self.known {
            let finder = memmem::Finder::new(secret);
            if finder.find(&current).is_none() {
                continue;
            }
            let mut out = Vec::with_capacity(current.len());
            let mut from = 0;
            while let Some(at) = finder.find(&current[from..]) {
                out.extend_from_slice(&current[from..from + at]);
                out.extend_from_slice(REDACTED.as_bytes());
                from += at + secret.len();
                count += 1;
            }
            out.extend_from_slice(&current[from..]);
            current = Cow::Owned(out);
        }
        (current, count)
    }
}

/// `--flag value`, `--flag=value` and `NAME=value` of a command line.
fn flag_values(argv: &[String]) -> impl Iterator<Item = (&str, &str)> {
    argv.iter().enumerate().filter_map(|(i, arg)| match arg.split_once('=') {
        Some(pair) => Some(pair),
        None if arg.starts_with('-') => argv.get(i + 1).map(|value| (arg.as_str(), value.as_str())),
        None => None,
    })
}

fn is_secret_flag(flag: &str, value: &str) -> bool {
    // What stands before a `=` may also be the beginning of a header or of JSON; the shapes see to those.
    if !flag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return false;
    }
    let credentials = matches!(flag, "-u" | "--user") && value.contains(':');
    let numeric = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let counted = numeric && flag.to_ascii_lowercase().contains("token");
    credentials || (is_secret_name(flag, Mode::Loose) && !counted && !is_header(flag, value))
}
