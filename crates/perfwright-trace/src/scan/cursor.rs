//! A byte cursor over JSON text that knows where it stands and never reads past the end.
//!
//! It is lenient where real traces are: raw control characters in strings, `NaN` and `Infinity` as values.

/// Why a cursor stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The buffer ended inside a value: cut off, or the next block holds the rest.
    End,
    /// Something that is not JSON stands at this offset of the buffer.
    Bad(usize, &'static str),
    /// More than [`MAX_DEPTH`] levels of nesting at this offset.
    Deep(usize),
}

pub(crate) type Scan<T> = Result<T, Stop>;

/// Deepest nesting accepted anywhere. Real traces stay under 10.
pub(crate) const MAX_DEPTH: usize = 512;

/// Position in a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) buf: &'a [u8],
    pub(crate) pos: usize,
}

const LO: u64 = 0x0101_0101_0101_0101;
const HI: u64 = 0x8080_8080_8080_8080;

/// Marks (in the high bits) the bytes of `word` that equal `byte`; exact for the lowest marked byte.
#[inline(always)]
fn eq_mask(word: u64, byte: u8) -> u64 {
    let x = word ^ (LO * byte as u64);
    x.wrapping_sub(LO) & !x & HI
}

#[inline(always)]
fn word_at(buf: &[u8], pos: usize) -> Option<u64> {
    let bytes = buf.get(pos..pos + 8)?;
    Some(u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]))
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(buf: &'a [u8], pos: usize) -> Self {
        Self { buf, pos }
    }

    /// The byte here, or [`Stop::End`].
    #[inline(always)]
    pub(crate) fn peek(&self) -> Scan<u8> {
        match self.buf.get(self.pos) {
            Some(&b) => Ok(b),
            None => Err(Stop::End),
        }
    }

    /// Passes white space.
    #[inline(always)]
    pub(crate) fn space(&mut self) {
        // Mostly nothing, one space, or a newline and an indent of 2 to 6.
        while let Some(&b) = self.buf.get(self.pos) {
            if b > b' ' {
                return;
            }
            if !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return;
            }
            self.pos += 1;
            if self.pos.is_multiple_of(64) {
                self.long_space();
            }
        }
    }

    /// Eight bytes at a time: some writers pad, and hostile files hold gigabytes of spaces.
    fn long_space(&mut self) {
        while word_at(self.buf, self.pos) == Some(LO * b' ' as u64) {
            self.pos += 8;
        }
    }

    /// Passes white space and returns the next byte without passing it.
    #[inline(always)]
    pub(crate) fn next_token(&mut self) -> Scan<u8> {
        self.space();
        self.peek()
    }

    /// Passes `byte` after white space.
    #[inline(always)]
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Scan<()> {
        if self.next_token()? != byte {
            return Err(Stop::Bad(self.pos, what));
        }
        self.pos += 1;
        Ok(())
    }

    /// The raw content of the string that starts here (at its opening quote); escapes are left as they are.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Scan<&'a [u8]> {
        if self.peek()? != b'"' {
            return Err(Stop::Bad(self.pos, "a string was expected"));
        }
        let start = self.pos + 1;
        let mut at = start;
        // Short strings are the rule; the vector search pays only from a few dozen bytes on.
        for _ in 0..4 {
            let Some(word) = word_at(self.buf, at) else { break };
            let hit = eq_mask(word, b'"') | eq_mask(word, b'\\');
            if hit != 0 {
                at += (hit.trailing_zeros() / 8) as usize;
                if self.buf[at] == b'"' {
                    self.pos = at + 1;
                    return Ok(&self.buf[start..at]);
                }
                break;
            }
            at += 8;
        }
        self.string_rest(start, at)
    }

    fn string_rest(&mut self, start: usize, mut at: usize) -> Scan<&'a [u8]> {
        loop {
            let Some(off) = memchr::memchr2(b'"', b'\\', self.buf.get(at..).ok_or(Stop::End)?) else {
                return Err(Stop::End);
            };
            at += off;
            if self.buf[at] == b'"' {
                self.pos = at + 1;
                return Ok(&self.buf[start..at]);
            }
            at += 2; // the escaped byte is never a terminator
        }
    }

    /// The token of a number, literal or bare word that starts here.
    #[inline(always)]
    pub(crate) fn bare(&mut self) -> Scan<&'a [u8]> {
        let start = self.pos;
        let mut at = start;
        loop {
            match self.buf.get(at) {
                None => return Err(Stop::End),
                Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') => break,
                Some(b'"' | b'{' | b'[' | b':') => return Err(Stop::Bad(at, "a value was expected")),
                Some(_) => at += 1,
            }
        }
        if at == start {
            return Err(Stop::Bad(start, "a value was expected"));
        }
        self.pos = at;
        Ok(&self.buf[start..at])
    }

    /// A scalar token: the content of a string, or a bare token. The flag tells a string.
    #[inline(always)]
    pub(crate) fn scalar(&mut self) -> Scan<(&'a [u8], bool)> {
        if self.peek()? == b'"' { Ok((self.string()?, true)) } else { Ok((self.bare()?, false)) }
    }

    /// Passes one value of any kind and returns its text; refuses more than [`MAX_DEPTH`] levels.
    #[inline(always)]
    pub(crate) fn skip(&mut self) -> Scan<&'a [u8]> {
        self.pass::<true>()
    }

    /// [`Self::skip`] without a limit: for arguments of an event, whose absurdity is no reason to give up the trace.
    /// Nothing recurses, so depth costs nothing but the count.
    #[inline(always)]
    pub(crate) fn skip_deep(&mut self) -> Scan<&'a [u8]> {
        self.pass::<false>()
    }

    #[inline(always)]
    fn pass<const BOUNDED: bool>(&mut self) -> Scan<&'a [u8]> {
        let start = self.pos;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.skip_nested::<BOUNDED>()?,
            _ => {
                self.bare()?;
            }
        }
        Ok(&self.buf[start..self.pos])
    }

    /// Passes an object or array by counting brackets outside of strings. The kinds of brackets must match, down to
    /// [`MAX_DEPTH`] levels.
    fn skip_nested<const BOUNDED: bool>(&mut self) -> Scan<()> {
        let mut kinds = [0u64; MAX_DEPTH / 64]; // one bit a level: 1 = object
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                open @ (b'{' | b'[') => {
                    if BOUNDED && depth == MAX_DEPTH {
                        return Err(Stop::Deep(self.pos));
                    }
                    let bit = 1u64 << (depth % 64);
                    if let Some(word) = kinds.get_mut(depth / 64) {
                        *word = if open == b'{' { *word | bit } else { *word & !bit };
                    }
                    depth += 1;
                }
                close @ (b'}' | b']') => {
                    depth -= 1; // at least one was opened before any close is seen
                    let object = kinds.get(depth / 64).map(|word| word >> (depth % 64) & 1 == 1);
                    if object.is_some_and(|object| object != (close == b'}')) {
                        return Err(Stop::Bad(self.pos, "a bracket of the other kind was expected"));
                    }
                    if depth == 0 {
                        self.pos += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.pos += 1;
        }
    }
}

/// Decodes the escapes of a raw JSON string; bad escapes are kept as they stand.
pub(crate) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0;
    while i < raw.len() {
        if raw[i] != b'\\' || i + 1 >= raw.len() {
            out.push(raw[i]);
            i += 1;
            continue;
        }
        let simple = match raw[i + 1] {
            b'n' => Some(b'\n'),
            b't' => Some(b'\t'),
            b'r' => Some(b'\r'),
            b'b' => Some(8),
            b'f' => Some(12),
            c @ (b'"' | b'\\' | b'/') => Some(c),
            _ => None,
        };
        if let Some(c) = simple {
            out.push(c);
            i += 2;
        } else if let Some((c, used)) = unicode_escape(&raw[i..]) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            i += used;
        } else {
            out.push(b'\\');
            i += 1;
        }
    }
    out
}

fn unicode_escape(raw: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        if raw.get(at..at + 2)? != b"\\u" {
            return None;
        }
        let hex = raw.get(at + 2..at + 6)?;
        hex.iter().try_fold(0u32, |v, &c| Some(v * 16 + (c as char).to_digit(16)?))
    };
    let first = unit(0)?;
    if (0xD800..0xDC00).contains(&first)
        && let Some(second) = unit(6)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Some((char::from_u32(code)?, 12));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_of_every_length() {
        for n in 0..100 {
            let body = "x".repeat(n);
            let text = format!("\"{body}\",");
            let mut c = Cursor::new(text.as_bytes(), 0);
            assert_eq!(c.string(), Ok(body.as_bytes()));
            assert_eq!(c.peek(), Ok(b','));
            let escaped = format!("\"{body}\\\"{body}\\\\\" ");
            let mut c = Cursor::new(escaped.as_bytes(), 0);
            assert_eq!(c.string().map(<[u8]>::len), Ok(2 * n + 4));
            let cut = &escaped.as_bytes()[..escaped.len() - 2];
            assert_eq!(Cursor::new(cut, 0).string(), Err(Stop::End));
        }
    }

    #[test]
    fn skips_nested_values_and_bounds_depth() {
        let text = br#"{"a":[1,{"b":"]}"},NaN],"c":-Infinity} tail"#;
        let mut c = Cursor::new(text, 0);
        assert_eq!(c.skip().map(<[u8]>::len), Ok(text.len() - 5));
        let deep = vec![b'['; 100_000];
        assert_eq!(Cursor::new(&deep, 0).skip(), Err(Stop::Deep(MAX_DEPTH)));
        assert_eq!(Cursor::new(&deep, 0).skip_deep(), Err(Stop::End));
        let closed = [deep, vec![b']'; 100_000]].concat();
        assert_eq!(Cursor::new(&closed, 0).skip_deep().map(<[u8]>::len), Ok(200_000));
        assert!(matches!(Cursor::new(b"[}", 0).skip(), Err(Stop::Bad(1, _))));
    }

    #[test]
    fn unescapes() {
        assert_eq!(unescape(br#"a\"b\\c\nd"#), b"a\"b\\c\nd");
        assert_eq!(unescape(br"\u003cx\u003e \ud83d\ude00 \q"), "<x> \u{1F600} \\q".as_bytes());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut c = Cursor::new(&bytes, 0);
            let _ = c.skip();
            prop_assert!(c.pos <= bytes.len());
            let _ = unescape(&bytes);
        }

        #[test]
        fn agrees_with_serde_json_on_valid_text(v in json_value()) {
            let text = format!("{v} ");
            let mut c = Cursor::new(text.as_bytes(), 0);
            prop_assert_eq!(c.skip().map(<[u8]>::len), Ok(text.len() - 1));
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }
}
