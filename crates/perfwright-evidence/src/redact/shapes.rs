//! Secrets that show by their shape, found in one pass over bytes.

use std::borrow::Cow;

use super::REDACTED;
use super::names::{is_empty_value, is_header_name, is_secret_name};

/// How eager to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Our own texts: arguments, commands, events.
    Loose,
    /// Evidence text.
    Strict,
    /// Bytes that are not text: only key prefixes.
    Binary,
}

/// A prefix that issuers give their keys, the least length of what follows, and the other characters it may hold.
struct Prefix {
    text: &'static [u8],
    least: usize,
    extra: &'static [u8],
}

const fn prefix(text: &'static [u8], least: usize, extra: &'static [u8]) -> Prefix {
    Prefix { text, least, extra }
}

/// Formats as their issuers document them.
const PREFIXES: &[Prefix] = &[
    prefix(b"sk-", 16, b"-_"),
    prefix(b"hf_", 16, b""),
    prefix(b"ghp_", 20, b""),
    prefix(b"gho_", 20, b""),
    prefix(b"ghu_", 20, b""),
    prefix(b"ghs_", 20, b""),
    prefix(b"ghr_", 20, b""),
    prefix(b"github_pat_", 20, b"_"),
    prefix(b"glpat-", 16, b"-_"),
    prefix(b"AKIA", 16, b""),
    prefix(b"ASIA", 16, b""),
    prefix(b"AIza", 30, b"-_"),
    prefix(b"xoxb-", 10, b"-"),
    prefix(b"xoxp-", 10, b"-"),
    prefix(b"xoxa-", 10, b"-"),
    prefix(b"xoxs-", 10, b"-"),
    prefix(b"nvapi-", 20, b"-_"),
    prefix(b"gsk_", 20, b""),
    prefix(b"npm_", 30, b""),
    prefix(b"pypi-", 30, b"-_"),
    prefix(b"dckr_pat_", 20, b"-_"),
    prefix(b"r8_", 30, b""),
    prefix(b"eyJ", 30, b"-_."),
];

const KEY_BEGIN: &[u8] = b"-----BEGIN ";
const KEY_MARK: &[u8] = b"PRIVATE KEY-----";

/// Replaces what looks like a secret; `found` sees each secret that was replaced.
pub(crate) fn replace_shapes<'a>(
    bytes: &'a [u8],
    mode: Mode,
    found: &mut dyn FnMut(&[u8]),
) -> (Cow<'a, [u8]>, u64) {
    let mut out: Vec<u8> = Vec::new();
    let mut copied = 0;
    let mut count = 0;
    let mut at = 0;
    while at < bytes.len() {
        let hit = match bytes[at] {
            b':' | b'=' if mode != Mode::Binary => {
                url_userinfo(bytes, at).or_else(|| assignment(bytes, at, copied, mode))
            }
            b'B' | b'b' if mode != Mode::Binary => bearer(bytes, at, mode),
            b'-' => private_key(bytes, at),
            b's' | b'h' | b'g' | b'A' | b'x' | b'n' | b'p' | b'd' | b'r' | b'e' => key_prefix(bytes, at),
            _ => None,
        };
        let Some((start, end)) =
            hit.filter(|(start, end)| start < end && &bytes[*start..*end] != REDACTED.as_bytes())
        else {
            at += 1;
            continue;
        };
        found(&bytes[start..end]);
        out.extend_from_slice(&bytes[copied..start]);
        let quote = missing_quote(bytes, at, start);
        out.extend_from_slice(quote);
        out.extend_from_slice(REDACTED.as_bytes());
        out.extend_from_slice(quote);
        copied = end;
        at = end;
        count += 1;
    }
    if count == 0 {
        return (Cow::Borrowed(bytes), 0);
    }
    out.extend_from_slice(&bytes[copied..]);
    (Cow::Owned(out), count)
}

/// JSON must stay JSON: a bare value under a quoted name, such as a number, becomes a string.
fn missing_quote(bytes: &[u8], at: usize, start: usize) -> &'static [u8] {
    if start <= at || !has_json_name(bytes, at) || matches!(bytes[start - 1], b'"' | b'\'') {
        return b"";
    }
    if bytes[..at].ends_with(b"\\\"") { b"\\\"" } else { b"\"" }
}

fn has_json_name(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b':' && bytes[..at].ends_with(b"\"")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1]) || escape_letter(bytes, at - 1)
}

/// True where the byte is the letter of an escape such as `\n`, as in text inside JSON.
fn escape_letter(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1] == b'\\' && matches!(bytes[at], b'n' | b't' | b'r')
}

fn run_of(bytes: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    from + bytes[from..].iter().take_while(|&&b| keep(b)).count()
}

fn key_prefix(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &bytes[at..];
    let prefix = PREFIXES.iter().find(|p| rest.starts_with(p.text))?;
    if !starts_word(bytes, at) {
        return None;
    }
    let from = at + prefix.text.len();
    let end = run_of(bytes, from, |b| b.is_ascii_alphanumeric() || prefix.extra.contains(&b));
    // Words of a language are not random: a key holds a digit or a capital.
    (end - from >= prefix.least && is_mixed(&bytes[from..end])).then_some((at, end))
}

fn is_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn private_key(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes[at..].strip_prefix(KEY_BEGIN)?;
    let head = &rest[..rest.len().min(64)];
    memchr::memmem::find(head, KEY_MARK)?;
    let end = memchr::memmem::find(rest, b"-----END ").map_or(bytes.len(), |i| {
        let from = at + KEY_BEGIN.len() + i;
        memchr::memmem::find(&bytes[from..], KEY_MARK).map_or(bytes.len(), |j| from + j + KEY_MARK.len())
    });
    Some((at, end))
}

fn bearer(bytes: &[u8], at: usize, mode: Mode) -> Option<(usize, usize)> {
    let word = bytes.get(at..at + 7)?;
    if !word.eq_ignore_ascii_case(b"bearer ") || !starts_word(bytes, at) {
        return None;
    }
    let from = run_of(bytes, at + 7, |b| b == b' ');
    let end = run_of(bytes, from, |b| b.is_ascii_alphanumeric() || b"._~+/=-".contains(&b));
    let secret = match mode {
        Mode::Loose => end > from,
        _ => end - from >= 8 && (is_mixed(&bytes[from..end]) || end - from >= 20),
    };
    secret.then_some((from, end))
}

/// `scheme://user:password@host`, seen from its colon.
fn url_userinfo(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    if !bytes[at..].starts_with(b"://") {
        return None;
    }
    let from = at + 3;
    let limit = (from + 1024).min(bytes.len());
    let end = run_of(&bytes[..limit], from, |b| b > b' ' && !b"/?#\"'<>\\".contains(&b));
    let sign = from + bytes[from..end].iter().rposition(|&b| b == b'@')?;
    let web = bytes[..at].ends_with(b"http") || bytes[..at].ends_with(b"https");
    (web || bytes[from..sign].contains(&b':')).then_some((from, sign))
}

/// `name = value` or `"name": "value"`, seen from the sign between them. Bytes before `floor` are already replaced.
fn assignment(bytes: &[u8], at: usize, floor: usize, mode: Mode) -> Option<(usize, usize)> {
    let mut end = at;
    while end > floor && matches!(bytes[end - 1], b' ' | b'"' | b'\'' | b'\\') && at - end < 4 {
        end -= 1;
    }
    let mut start = end;
    while start > floor && (is_word(bytes[start - 1]) || bytes[start - 1] == b'.') && end - start < 128 {
        start -= 1;
    }
    if start < end && start > 0 && escape_letter(bytes, start) && bytes[start - 1] == b'\\' {
        start += 1;
    }
    let name = str::from_utf8(&bytes[start..end]).ok()?;
    if !may_be_secret(name) || !is_secret_name(name, mode) {
        return None;
    }
    let from = run_of(bytes, at + 1, |b| b == b' ' || b == b'\t');
    let escaped = bytes.get(from) == Some(&b'\\') && matches!(bytes.get(from + 1), Some(b'"' | b'\''));
    let from = if escaped { from + 1 } else { from };
    let (from, to) = match bytes.get(from) {
        Some(&quote @ (b'"' | b'\'')) => (from + 1, closing_quote(bytes, from + 1, quote, escaped)),
        Some(b'{' | b'[') => return None,
        Some(_) if is_header_name(name) && !has_json_name(bytes, at) => {
            (from, run_of(bytes, from, |b| !matches!(b, b'\n' | b'\r' | b'"' | b'\'' | b'\\')))
        }
        Some(_) => (from, run_of(bytes, from, |b| b > b' ' && !b",;&)}]>\"'\\".contains(&b))),
        None => return None,
    };
    let value = &bytes[from..to];
    let counted = value.iter().all(u8::is_ascii_digit) && name.to_ascii_lowercase().contains("token");
    let short = mode != Mode::Loose && value.len() < 4;
    (!is_empty_value(value) && !counted && !short).then_some((from, to))
}

/// A cheap look before the name is taken apart.
fn may_be_secret(name: &str) -> bool {
    const PARTS: &[&[u8]] = &[
        b"key",
        b"tok",
        b"pass",
        b"pwd",
        b"secret",
        b"cred",
        b"auth",
        b"cookie",
        b"jwt",
        b"bearer",
        b"signature",
    ];
    let mut lower = [0_u8; 128];
    let bytes = name.as_bytes();
    if bytes.len() < 3 || bytes.len() > lower.len() {
        return false;
    }
    for (to, from) in lower.iter_mut().zip(bytes) {
        *to = from.to_ascii_lowercase();
    }
    let lower = &lower[..bytes.len()];
    PARTS.iter().any(|part| lower.windows(part.len()).any(|w| w == *part))
}

/// Where the quoted value ends: at its own closing quote, or at the end of the line or of a string around it.
fn closing_quote(bytes: &[u8], from: usize, quote: u8, escaped: bool) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'\n' {
        let rest = &bytes[at..];
        if escaped && rest.starts_with(br#"\\\""#) {
            at += 4;
        } else if escaped && rest[0] == b'\\' && rest.get(1) == Some(&quote) {
            return at;
        } else if rest[0] == b'\\' {
            at += 2;
        } else if rest[0] == b'"' || (rest[0] == quote && !escaped) {
            return at;
        } else {
            at += 1;
        }
    }
    at.min(bytes.len())
}
