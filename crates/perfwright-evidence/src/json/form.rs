//! Proof that bytes are canonical JSON, in one pass over them and without building a value.
//!
//! [`is_canonical`] says what [`super::read`] followed by [`super::canonical()`] and a comparison would say; a property
//! test holds the two to each other. It only answers yes or no: whoever needs the place of a fault reads the bytes.

use serde_json::Value;

use super::{JsonLimits, canonical, read};

/// Whether the whole of `bytes` is one value within `limits`, written as [`super::canonical()`] writes it.
///
/// ```
/// use perfwright_evidence::json::{is_canonical, JsonLimits};
/// let limits = JsonLimits { max_bytes: 1024, max_depth: 8 };
/// assert!(is_canonical(br#"{"a":1,"b":[0.5,null]}"#, &limits));
/// assert!(!is_canonical(br#"{"b":1,"a":1}"#, &limits));
/// ```
#[must_use]
pub fn is_canonical(bytes: &[u8], limits: &JsonLimits) -> bool {
    if bytes.len() > limits.max_bytes || str::from_utf8(bytes).is_err() {
        return false;
    }
    let mut prover = Prover::new(bytes, limits.max_depth);
    prover.value(0).is_some() && prover.at == bytes.len()
}

/// A cursor over bytes that are known to be UTF-8. Every step returns `None` where the bytes are not canonical.
pub(crate) struct Prover<'a> {
    bytes: &'a [u8],
    /// Where it stands.
    pub(crate) at: usize,
    max_depth: usize,
    /// Every number so far is an integer of at most fifteen digits, which all readers take for the same.
    pub(crate) plain_numbers: bool,
}

/// The text between the quotation marks of a string, as it is written.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) raw: &'a [u8],
    /// ASCII without an escape: the bytes are the text, and their order is that of UTF-16 units.
    pub(crate) plain: bool,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(bytes: &'a [u8], max_depth: usize) -> Self {
        Self { bytes, at: 0, max_depth, plain_numbers: true }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over these very bytes.
    pub(crate) fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(text).then(|| self.at += text.len())
    }

    /// Steps over a value; `depth` is that of what it stands in.
    pub(crate) fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(depth + 1, |_, _, _| {}),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    /// Steps over an object of nesting `depth` and tells of each member: its key, and where its value begins and ends.
    pub(crate) fn object(
        &mut self,
        depth: usize,
        mut member: impl FnMut(Written<'a>, usize, usize),
    ) -> Option<()> {
        if depth > self.max_depth {
            return None;
        }
        self.literal(b"{")?;
        if self.literal(b"}").is_some() {
            return Some(());
        }
        let mut before: Option<Written<'a>> = None;
        loop {
            let key = self.string()?;
            if before.is_some_and(|before| !ascends(before, key)) {
                return None;
            }
            before = Some(key);
            self.literal(b":")?;
            let start = self.at;
            self.value(depth)?;
            member(key, start, self.at);
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        if depth > self.max_depth {
            return None;
        }
        self.at += 1;
        if self.literal(b"]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Steps over a string.
    pub(crate) fn string(&mut self) -> Option<Written<'a>> {
        self.literal(b"\"")?;
        let start = self.at;
        let mut plain = true;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(Written { raw: &self.bytes[start..self.at - 1], plain });
                }
                b'\\' => {
                    plain = false;
                    self.escape()?;
                }
                0..0x20 => return None,
                byte => {
                    plain &= byte < 0x80;
                    self.at += 1;
                }
            }
        }
    }

    /// The one escape that each character has which needs one.
    fn escape(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at + 1..];
        match rest.first()? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = rest.get(1..5)?;
                let value = match digits {
                    [b'0', b'0', high @ b'0'..=b'1', low @ (b'0'..=b'9' | b'a'..=b'f')] => {
                        (high - b'0') * 16 + if *low < b'a' { low - b'0' } else { low - b'a' + 10 }
                    }
                    _ => return None,
                };
                if matches!(value, 0x08 | b'\t' | b'\n' | 0x0c | b'\r') {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let token = &rest[..length];
        let canonical = match token {
            [b'0'] => true,
            [b'1'..=b'9', digits @ ..] | [b'-', b'1'..=b'9', digits @ ..]
                if digits.len() < 15 && digits.iter().all(u8::is_ascii_digit) =>
            {
                true
            }
            _ => {
                self.plain_numbers = false;
                let limits = JsonLimits { max_bytes: token.len(), max_depth: 0 };
                let written = read(token, &limits).ok().and_then(|number| canonical(&number).ok());
                written.as_deref() == Some(token)
            }
        };
        self.at += length;
        canonical.then_some(())
    }
}

/// Whether `b` comes after `a` in the order of UTF-16 units.
fn ascends(a: Written, b: Written) -> bool {
    if a.plain && b.plain {
        return a.raw < b.raw;
    }
    let text = |written: Written| {
        let quoted = [b"\"", written.raw, b"\""].concat();
        match read(&quoted, &JsonLimits { max_bytes: quoted.len(), max_depth: 0 }) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        }
    };
    match (text(a), text(b)) {
        (Some(a), Some(b)) => a.encode_utf16().lt(b.encode_utf16()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Number, json};

    const LIMITS: JsonLimits = JsonLimits { max_bytes: 4096, max_depth: 6 };

    /// The definition.
    fn by_writing_again(bytes: &[u8]) -> bool {
        let written = read(bytes, &LIMITS).ok().and_then(|value| canonical(&value).ok());
        written.as_deref() == Some(bytes)
    }

    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        let text = String::from_utf8_lossy(bytes);
        prop_assert_eq!(is_canonical(bytes, &LIMITS), by_writing_again(bytes), "{}", text);
        Ok(())
    }

    #[test]
    fn every_rule_of_the_form_is_kept() {
        for good in [
            "null",
            "0",
            "-1",
            "999999999999999",
            "9007199254740992",
            "0.1",
            "1e+21",
            "\"\"",
            "[]",
            "{}",
            "\"\\u001f\\b\\\\\"",
            "\"\u{7f}\u{e9}\u{1f600}/\"",
            "{\"\":1,\"a\":[true,false,{}],\"\u{20ac}\":0,\"\u{1f600}\":2,\"\u{fb33}\":1}",
            "[[[[[[]]]]]]",
            "{\"\\n\":1,\"\\r\":2,\" \":3}",
        ] {
            assert!(is_canonical(good.as_bytes(), &LIMITS) && by_writing_again(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            " 0",
            "0 ",
            "00",
            "-0",
            "01",
            "1.0",
            "1e3",
            "1E+21",
            "1e21",
            "0.10",
            "9007199254740993",
            "-",
            "+1",
            ".5",
            "1e999",
            "\"\\/\"",
            "\"\\u0041\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            "\"\\u001F\"",
            "\"\\ud83d\\ude00\"",
            "\"\\x\"",
            "\"",
            "\"\t\"",
            "{\"b\":1,\"a\":1}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,}",
            "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
            "{\"a\" :1}",
            "[1, 2]",
            "[1,]",
            "[",
            "tru",
            "[[[[[[[]]]]]]]",
            "{}{}",
            "{\"\\r\":2,\"\\n\":1}",
            "12\u{0}",
            "nul",
        ] {
            assert!(!is_canonical(bad.as_bytes(), &LIMITS) && !by_writing_again(bad.as_bytes()), "{bad}");
        }
        assert!(!is_canonical(b"\"\xff\"", &LIMITS) && !is_canonical(&[b'1'; 5000], &LIMITS));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1000_i64..1000).prop_map(Value::from),
            any::<f64>().prop_map(|x| Number::from_f64(x).map_or(Value::Null, Value::Number)),
            "\\PC{0,6}|[\\x00-\\x7f]{0,6}|[\u{fb33}\u{1f600}\u{20ac}a]{0,3}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = "[a-c]{0,2}|[\\x00-\\x7f]{0,3}|[\u{fb33}\u{1f600}\u{20ac}]{1,2}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::vec((key, inner), 0..5)
                    .prop_map(|all| Value::Object(all.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn says_what_writing_again_says(value in values(), at in any::<prop::sample::Index>(), with in "[\\x00-\\x7f]{0,3}|\\PC", cut in 0_usize..3) {
            let Ok(good) = canonical(&value) else { return Ok(()) };
            agree(&good)?;
            // As serde_json writes it: other order of keys, other numbers.
            agree(value.to_string().as_bytes())?;
            // Bytes put in, put in place of others, and taken out.
            let at = at.index(good.len() + 1);
            let mut other = good;
            other.splice(at..(at + cut).min(other.len()), with.bytes());
            agree(&other)?;
        }

        #[test]
        fn says_so_of_jsonish_text(text in r#"[\[\]{}",:0-9eE.+\-a-b\\u tn]{0,24}"#) {
            agree(text.as_bytes())?;
        }

        #[test]
        fn says_so_of_numbers(x in any::<f64>(), n in any::<u64>(), text in "-?[0-9]{1,20}(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?") {
            for number in [x.to_string(), n.to_string(), format!("{x:e}"), json!(x).to_string(), text] {
                agree(number.as_bytes())?;
            }
        }

        #[test]
        fn says_so_of_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            agree(&bytes)?;
        }
    }
}
