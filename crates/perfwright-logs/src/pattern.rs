//! The pattern form of the catalogue: literal text with typed holes, no backtracking.
//!
//! `Tried to allocate {tried:size}. GPU {device:int} has` - holes are `{name:kind}`; the name `_` is read and not kept.
//! Kinds: `int` (also with thousands separators), `num`, `size` (`1.5 GiB`, in bytes; `GB` is taken as GiB, as engines
//! write it), `word` (no space), `name` (letters, digits and `_.-/+:`), `quoted` (in quotes), `text` (up to the literal
//! that follows, or to the end).

use memchr::memmem;

use crate::hit::Value;

const LONGEST_TEXT: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Num,
    Size,
    Word,
    Name,
    Quoted,
    Text,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Hole(String, Kind),
}

/// A pattern that is found anywhere in a line.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

impl Pattern {
    /// Reads the written form.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                pieces.push(Piece::Literal(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}').ok_or("a hole is not closed")? + open;
            let (name, kind) = rest[open + 1..close].split_once(':').ok_or("a hole is `{name:kind}`")?;
            let kind = match kind {
                "int" => Kind::Int,
                "num" => Kind::Num,
                "size" => Kind::Size,
                "word" => Kind::Word,
                "name" => Kind::Name,
                "quoted" => Kind::Quoted,
                "text" => Kind::Text,
                _ => return Err(format!("{kind:?} is no kind of hole")),
            };
            if name.is_empty() || matches!(pieces.last(), Some(Piece::Hole(..))) {
                return Err("a hole needs a name and a literal before the next one".to_owned());
            }
            pieces.push(Piece::Hole(name.to_owned(), kind));
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        match pieces.first() {
            Some(Piece::Literal(_)) => Ok(Self { pieces }),
            _ => Err("a pattern starts with literal text".to_owned()),
        }
    }

    /// Names of the holes that are kept.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Hole(name, _) if name != "_" => Some(name.as_str()),
            _ => None,
        })
    }

    /// Reads the first place in `text` where everything fits.
    pub(crate) fn read<'p>(&'p self, text: &str, values: &mut Vec<(&'p str, Value)>) -> bool {
        let Some(Piece::Literal(first)) = self.pieces.first() else { return false };
        let finder = memmem::Finder::new(first.as_bytes());
        // A line that repeats the first literal endlessly must not cost quadratic time.
        for at in finder.find_iter(text.as_bytes()).take(16) {
            values.clear();
            if self.at(&text[at + first.len()..], values) {
                return true;
            }
        }
        values.clear();
        false
    }

    fn at<'p>(&'p self, mut text: &str, values: &mut Vec<(&'p str, Value)>) -> bool {
        for (i, piece) in self.pieces.iter().enumerate().skip(1) {
            match piece {
                Piece::Literal(literal) => {
                    let Some(rest) = text.strip_prefix(literal.as_str()) else { return false };
                    text = rest;
                }
                Piece::Hole(name, kind) => {
                    let until = match self.pieces.get(i + 1) {
                        Some(Piece::Literal(literal)) => Some(literal.as_str()),
                        _ => None,
                    };
                    let Some((value, rest)) = hole(*kind, text, until) else { return false };
                    if name != "_" {
                        values.push((name, value));
                    }
                    text = rest;
                }
            }
        }
        true
    }
}

fn hole<'t>(kind: Kind, text: &'t str, until: Option<&str>) -> Option<(Value, &'t str)> {
    let take = |n: usize| (n > 0).then(|| text.split_at(n));
    let own = |s: &str| Value::Text(s.to_owned());
    match kind {
        Kind::Int => {
            let (digits, rest) = take(number(text, false))?;
            Some((Value::Int(digits.replace(',', "").parse().ok()?), rest))
        }
        Kind::Num => {
            let (digits, rest) = take(number(text, true))?;
            Some((plain(digits)?, rest))
        }
        Kind::Size => size(text),
        Kind::Word => {
            let end = until.and_then(|u| text.find(u)).unwrap_or(text.len());
            let (word, rest) = take(text.find(char::is_whitespace).unwrap_or(text.len()).min(end))?;
            Some((own(word), rest))
        }
        Kind::Name => {
            let part = |c: char| c.is_alphanumeric() || "_.-/+:".contains(c);
            let end = text.find(|c| !part(c)).unwrap_or(text.len());
            let (name, rest) = take(end)?;
            let trimmed = name.trim_end_matches(['.', ':']);
            if trimmed.is_empty() {
                return None;
            }
            let _ = rest;
            Some((own(trimmed), &text[trimmed.len()..]))
        }
        Kind::Quoted => {
            let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (inner, rest) = text[1..].split_once(quote)?;
            Some((own(inner), rest))
        }
        Kind::Text => {
            let end = match until {
                Some(until) => text.find(until)?,
                None => text.len(),
            };
            let kept = text.floor_char_boundary(end.min(LONGEST_TEXT));
            Some((own(text[..kept].trim()), &text[end..]))
        }
    }
}

/// Length of a number: digits with separators, for `fraction` also a point and an exponent, with a sign.
fn number(text: &str, fraction: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let first = at;
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    while digit(at)
        || (bytes.get(at) == Some(&b',') && at > first && (1..=3).all(|i| digit(at + i)) && !digit(at + 4))
    {
        at += 1;
    }
    if at == first {
        return 0;
    }
    if fraction && bytes.get(at) == Some(&b'.') && digit(at + 1) {
        at += 1;
        while digit(at) {
            at += 1;
        }
    }
    if fraction && matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        if digit(at + 1 + sign) {
            at += 1 + sign;
            while digit(at) {
                at += 1;
            }
        }
    }
    at
}

fn plain(digits: &str) -> Option<Value> {
    let digits = digits.replace(',', "");
    match digits.parse::<i64>() {
        Ok(v) => Some(Value::Int(v)),
        Err(_) => digits.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::Num),
    }
}

/// `1.5 GiB`, `774.00MiB`, `80 bytes`: whole bytes. `GB`, `MB` and `KB` mean powers of 1024, as PyTorch and SGLang print.
fn size(text: &str) -> Option<(Value, &str)> {
    let n = number(text, true);
    let value: f64 = plain(text.get(..n).filter(|d| !d.is_empty())?)?.num()?;
    let rest = text[n..].strip_prefix(' ').unwrap_or(&text[n..]);
    let units: [(&str, f64); 12] = [
        ("GiB", 1073741824.0),
        ("MiB", 1048576.0),
        ("KiB", 1024.0),
        ("TiB", 1099511627776.0),
        ("GB", 1073741824.0),
        ("MB", 1048576.0),
        ("KB", 1024.0),
        ("bytes", 1.0),
        ("G", 1073741824.0),
        ("M", 1048576.0),
        ("K", 1024.0),
        ("B", 1.0),
    ];
    let (unit, factor) = units.iter().find(|(u, _)| rest.starts_with(u))?;
    let bytes = (value * factor).round();
    (bytes.abs() < 9.0e18).then(|| (Value::Int(bytes as i64), &rest[unit.len()..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pattern: &str, text: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let mut values = Vec::new();
        pattern
            .read(text, &mut values)
            .then(|| values.iter().map(|(n, v)| format!("{n}={}", v.text())).collect())
    }

    #[test]
    fn holes_read_what_they_say() {
        let some = |v: &[&str]| Some(v.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(read("size: {n:int} tokens", "KV size: 1,044,688 tokens"), some(&["n=1044688"]));
        assert_eq!(
            read("took {s:size} and {t:num} s", "took 1.5 GiB and -0.25 s"),
            some(&["s=1610612736", "t=-0.25"])
        );
        assert_eq!(read("'{k:text}'", "a 'b c' d"), some(&["k=b c"]));
        assert_eq!(read("v={v:quoted},", "v=x, v='y',"), some(&["v=y"]));
        assert_eq!(
            read("Using {b:name} backend", "Using x-ray. Using FLASH_ATTN backend."),
            some(&["b=FLASH_ATTN"])
        );
        assert_eq!(read("to {b:name}", "fall back to triton."), some(&["b=triton"]));
        assert_eq!(read("a {_:int} {b:word}", "a 5 c,d e"), some(&["b=c,d"]));
        assert_eq!(read("n {n:int}.", "n 1,2."), None, "a list is no number with separators");
        for wrong in ["{a:int}", "x {a}", "x {a:int}{b:int}", "x {a:float}", "x {a:int"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,80}", cut in "[-0-9.,eGiB '\"]{0,20}") {
            for kind in ["int", "num", "size", "word", "name", "quoted", "text"] {
                let _ = read(&format!("a {{v:{kind}}} b"), &format!("{text}a {cut}{text} b"));
            }
        }
    }
}
