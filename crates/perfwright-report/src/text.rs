//! Text from outside: made harmless, measured and shortened.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// What stands for the part of a text that was cut out.
pub const ELLIPSIS: &str = "…";

/// Whether a character may steer a terminal, break a line, or make text read differently from what it is: C0 and C1
/// controls, line and paragraph separators, bidirectional controls, and characters without a glyph.
pub(crate) fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every steering character written out: `\n`, `\x1b`, `\u{202e}`. Other text is returned unchanged,
/// and the result is always one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    let Some((first, _)) = text.char_indices().find(|(_, c)| is_steering(*c)) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !is_steering(c) => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// Terminal columns one character takes. Counted per character rather than per grapheme, so a joined emoji counts
/// too wide, never too narrow; the selector that makes the character before it an emoji counts the column it may add.
fn char_width(c: char) -> usize {
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// Terminal columns the text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text in at most `max` columns: where it is longer its middle becomes an ellipsis, so that both the start (the
/// namespace, the folder) and the end (template arguments, the file and line) stay readable.
pub fn shorten_middle(text: &str, max: usize) -> Cow<'_, str> {
    // A long name needs to be measured only until it is known to be too long.
    let mut measured = 0;
    if text.chars().all(|c| {
        measured += char_width(c);
        measured <= max
    }) {
        return Cow::Borrowed(text);
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    let room = max - 1;
    let tail_room = room / 2;
    let head = &text[..prefix_len(text.chars(), room - tail_room)];
    let tail_len = prefix_len(text.chars().rev(), tail_room);
    Cow::Owned(format!("{head}{ELLIPSIS}{}", &text[text.len() - tail_len..]))
}

/// Bytes of the longest run of `chars` that fits into `room` columns.
fn prefix_len(chars: impl Iterator<Item = char>, room: usize) -> usize {
    let mut used = 0;
    let mut len = 0;
    for c in chars {
        used += char_width(c);
        if used > room {
            break;
        }
        len += c.len_utf8();
    }
    len
}

/// Breaks text at spaces into lines of at most `max` columns; a single longer word loses its middle.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shorten_middle(word, max);
        let word_width = width(&word);
        if used > 0 && used + 1 + word_width > max {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += word_width;
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_become_visible() {
        assert_eq!(visible("plain <int>"), "plain <int>");
        assert_eq!(visible("a\x1b[31mred\x1b[0m"), "a\\x1b[31mred\\x1b[0m");
        assert_eq!(visible("two\nlines\r\tand\0nul"), "two\\nlines\\r\\tand\\x00nul");
        assert_eq!(visible("c1 \u{9b}31m bidi \u{202e}"), "c1 \\u{9b}31m bidi \\u{202e}");
    }

    #[test]
    fn shortening_keeps_both_ends() {
        assert_eq!(shorten_middle("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten_middle("abcdefghij", 7), "abc…hij");
        assert_eq!(shorten_middle("abcdefghij", 6), "abc…ij");
        assert_eq!(shorten_middle("abcdefghij", 1), "…");
        assert_eq!(shorten_middle("abcdefghij", 0), "");
        assert_eq!(width("漢e\u{301}\u{263a}\u{fe0f}"), 5);
        // Wide characters never overflow: two of them do not fit into three columns beside the ellipsis.
        assert_eq!(shorten_middle("漢字漢字", 4), "漢…");
    }

    #[test]
    fn wrapping_breaks_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("incomprehensible", 5), ["in…le"]);
    }
}
