//! A strict JSON reader for bytes from outside.
//!
//! It refuses what verifiers disagree about: repeated keys, lone surrogates, numbers that overflow a double, trailing
//! text. Size and nesting are bounded before anything is built. `serde_json`'s own reader keeps the last of repeated
//! keys silently and, without an extra feature, may be one bit off on floats; both would make two verifiers differ.

use serde_json::{Map, Number, Value};

use crate::verify::faults::{Fault, planted};

/// What the reader accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Largest input, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of arrays and objects; a bare number has depth 0, `[]` has depth 1.
    pub max_depth: usize,
}

/// Why a text was refused, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// The reason.
    pub kind: JsonErrorKind,
}

/// The reasons for which a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// The input is longer than the limit, in bytes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// Arrays and objects nest deeper than the limit.
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// The same key occurs twice in one object.
    #[error("repeated key {0:?}")]
    DuplicateKey(String),
    /// The text ends inside a value.
    #[error("unexpected end")]
    End,
    /// Something else was required here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A string is not valid Unicode.
    #[error("invalid Unicode in a string")]
    Unicode,
    /// A number does not fit a double.
    #[error("number out of range")]
    NumberRange,
    /// Text after the value.
    #[error("text after the value")]
    Trailing,
}

/// Reads one JSON value that is the whole of `bytes`.
///
/// ```
/// use perfwright_evidence::json::{read, JsonLimits};
/// let limits = JsonLimits { max_bytes: 1024, max_depth: 8 };
/// assert!(read(br#"{"a":1}"#, &limits).is_ok());
/// assert!(read(br#"{"a":1,"a":2}"#, &limits).is_err());
/// ```
///
/// # Errors
/// The first thing that is not strict JSON, or a limit that was passed.
pub fn read(bytes: &[u8], limits: &JsonLimits) -> Result<Value, JsonError> {
    let (value, end) = read_prefix(bytes, limits)?;
    let mut reader = Reader { bytes, at: end, max_depth: limits.max_depth };
    reader.space();
    if reader.at < bytes.len() {
        return Err(reader.error(JsonErrorKind::Trailing));
    }
    Ok(value)
}

/// Reads one JSON value at the start of `bytes` and says where it ends.
///
/// # Errors
/// As [`read`], but text after the value is allowed.
pub fn read_prefix(bytes: &[u8], limits: &JsonLimits) -> Result<(Value, usize), JsonError> {
    if bytes.len() > limits.max_bytes && !planted(Fault::SkipJsonLimits) && !planted(Fault::SkipLedgerLimits)
    {
        return Err(JsonError { offset: limits.max_bytes, kind: JsonErrorKind::TooLarge(limits.max_bytes) });
    }
    let max_depth = if planted(Fault::SkipJsonLimits) { 4096 } else { limits.max_depth };
    let mut reader = Reader { bytes, at: 0, max_depth };
    reader.space();
    let value = reader.value(0)?;
    Ok((value, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
}

impl Reader<'_> {
    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { offset: self.at, kind }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn require(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(JsonErrorKind::Expected(what))),
            None => Err(self.error(JsonErrorKind::End)),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        match self.peek() {
            None => Err(self.error(JsonErrorKind::End)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(_) => Err(self.error(JsonErrorKind::Expected("a value"))),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, JsonError> {
        for &byte in word {
            self.require(byte, "true, false or null")?;
        }
        Ok(value)
    }

    fn enter(&self, depth: usize) -> Result<(), JsonError> {
        if depth > self.max_depth {
            return Err(self.error(JsonErrorKind::TooDeep(self.max_depth)));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.enter(depth)?;
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            let key_at = self.at;
            let key = self.string()?;
            self.space();
            self.require(b':', "':'")?;
            self.space();
            let value = self.value(depth)?;
            if map.contains_key(&key) && !planted(Fault::AcceptDuplicateKeys) {
                return Err(JsonError { offset: key_at, kind: JsonErrorKind::DuplicateKey(key) });
            }
            map.insert(key, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                Some(_) => return Err(self.error(JsonErrorKind::Expected("',' or '}'"))),
                None => return Err(self.error(JsonErrorKind::End)),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.enter(depth)?;
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                Some(_) => return Err(self.error(JsonErrorKind::Expected("',' or ']'"))),
                None => return Err(self.error(JsonErrorKind::End)),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.require(b'"', "a string")?;
        let mut out: Vec<u8> = Vec::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(b) if b != b'"' && b != b'\\' && b >= 0x20) {
                self.at += 1;
            }
            out.extend_from_slice(&self.bytes[start..self.at]);
            match self.peek() {
                None => return Err(self.error(JsonErrorKind::End)),
                Some(b'"') => {
                    self.at += 1;
                    return String::from_utf8(out).map_err(|_| self.error(JsonErrorKind::Unicode));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(_) => return Err(self.error(JsonErrorKind::Expected("no control character"))),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let Some(byte) = self.peek() else { return Err(self.error(JsonErrorKind::End)) };
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let c = self.unicode_escape()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error(JsonErrorKind::Expected("an escape"))),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            self.require(b'\\', "a second surrogate")?;
            self.require(b'u', "a second surrogate")?;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.error(JsonErrorKind::Unicode));
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.error(JsonErrorKind::Unicode))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.error(JsonErrorKind::End)) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.error(JsonErrorKind::Expected("a hex digit")));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match (self.at > start, self.peek()) {
            (true, _) => Ok(()),
            (false, None) => Err(self.error(JsonErrorKind::End)),
            (false, Some(_)) => Err(self.error(JsonErrorKind::Expected("a digit"))),
        }
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // The bytes are ASCII by construction.
        let text = str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        if whole {
            if let Ok(n) = text.parse::<u64>() {
                return Ok(Number::from(n));
            }
            if let Ok(n) = text.parse::<i64>() {
                return Ok(Number::from(n));
            }
        }
        text.parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .ok_or(JsonError { offset: start, kind: JsonErrorKind::NumberRange })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: JsonLimits = JsonLimits { max_bytes: 4096, max_depth: 4 };

    fn kind(text: &str) -> JsonErrorKind {
        read(text.as_bytes(), &LIMITS).expect_err(text).kind
    }

    #[test]
    fn refuses_what_two_readers_would_see_differently() {
        assert_eq!(kind(r#"{"a":1,"\u0061":2}"#), JsonErrorKind::DuplicateKey("a".into()));
        assert_eq!(kind("[[[[[1]]]]]"), JsonErrorKind::TooDeep(4));
        assert_eq!(kind("1e999"), JsonErrorKind::NumberRange);
        assert_eq!(kind("1 2"), JsonErrorKind::Trailing);
        assert_eq!(kind(r#""\ud800""#), JsonErrorKind::Expected("a second surrogate"));
        assert_eq!(kind(r#""\udc00""#), JsonErrorKind::Unicode);
        assert_eq!(kind("{\"a\":"), JsonErrorKind::End);
        for bad in
            ["NaN", "Infinity", "01", "+1", "1.", ".5", "[1,]", "{,}", "'a'", "\u{feff}1", "\"\t\"", "-"]
        {
            assert!(read(bad.as_bytes(), &LIMITS).is_err(), "{bad}");
        }
        assert!(read(&vec![b' '; 5000], &LIMITS).is_err());
        assert!(read(b"\"\xff\"", &LIMITS).is_err());
    }

    #[test]
    fn reads_what_is_json() {
        let value = read(
            br#" {"a":[1,-2,0.1,1e3,true,null],"s":"\ud83d\ude00\n","big":18446744073709551615} "#,
            &LIMITS,
        )
        .expect("valid");
        assert_eq!(value["a"][2].as_f64(), Some(0.1));
        assert_eq!(value["s"], "\u{1f600}\n");
        assert_eq!(value["big"].as_u64(), Some(u64::MAX));
        assert_eq!(read_prefix(b"{} rest", &LIMITS).expect("prefix").1, 2);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, &LIMITS);
        }

        #[test]
        fn agrees_with_serde_json_on_jsonish_text(text in r#"[\[\]{}",:0-9eE.+\-a-f\\u tn]{0,40}"#) {
            let ours = read(text.as_bytes(), &JsonLimits { max_bytes: 4096, max_depth: 100 });
            let theirs = serde_json::from_str::<Value>(&text);
            if let Ok(value) = &ours {
                // They may differ in the last bit of a float; the shape and the acceptance must agree.
                let theirs = theirs.expect("we accepted what serde_json refuses");
                prop_assert_eq!(value.is_object(), theirs.is_object());
            } else if theirs.is_ok() {
                let kind = ours.expect_err("refused").kind;
                prop_assert!(matches!(kind, JsonErrorKind::DuplicateKey(_)), "{} refused: {:?}", text, kind);
            }
        }
    }
}
