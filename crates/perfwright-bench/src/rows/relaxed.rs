//! JSON as Python's `json` module writes it: `NaN`, `Infinity` and `-Infinity` stand bare where JSON has no number.

use std::borrow::Cow;

/// Bare words that are no JSON, the longest first.
const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// The same text with each bare non-number as a string, so that a strict reader takes it and the reader of a field
/// decides what a non-number means there. Text inside strings is left alone.
#[must_use]
pub fn quoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.windows(3).any(|w| w == b"NaN" || w == b"Inf") {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let (mut at, mut inside) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        if inside {
            out.push(byte);
            at += 1;
            match byte {
                b'"' => inside = false,
                b'\\' => {
                    out.extend(bytes.get(at));
                    at += 1;
                }
                _ => {}
            }
            continue;
        }
        if let Some(word) = WORDS.iter().find(|w| bytes[at..].starts_with(w)) {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
            continue;
        }
        inside = byte == b'"';
        out.push(byte);
        at += 1;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_bare_words_change() {
        let text = |s: &str| String::from_utf8(quoted(s.as_bytes()).into_owned()).unwrap();
        assert_eq!(text(r#"{"a":NaN,"b":-Infinity}"#), r#"{"a":"NaN","b":"-Infinity"}"#);
        assert_eq!(text(r#"{"a":"NaN \" Infinity"}"#), r#"{"a":"NaN \" Infinity"}"#);
        assert_eq!(text(r#"{"a":1}"#), r#"{"a":1}"#);
        // A string that never ends is left for the strict reader to refuse.
        assert_eq!(text("\"NaN\\"), "\"NaN\\");
    }
}
