//! Escape sequences of terminals out of a line.

use memchr::memchr;

const ESC: u8 = 0x1b;

/// Puts `line` without escape sequences into `clean`; false, with `clean` untouched, when there are none.
pub(crate) fn strip(line: &[u8], clean: &mut Vec<u8>) -> bool {
    let Some(mut at) = memchr(ESC, line) else { return false };
    clean.clear();
    let mut from = 0;
    loop {
        clean.extend_from_slice(&line[from..at]);
        from = at + sequence(&line[at..]);
        match memchr(ESC, &line[from..]) {
            Some(next) => at = from + next,
            None => break,
        }
    }
    clean.extend_from_slice(&line[from..]);
    true
}

/// Length of the escape sequence that starts here (ECMA-48: CSI, OSC and two-byte forms).
fn sequence(bytes: &[u8]) -> usize {
    let end = match bytes.get(1) {
        Some(b'[') => bytes.iter().skip(2).position(|b| (0x40..=0x7e).contains(b)).map(|n| n + 3),
        Some(b']') => bytes.iter().skip(2).position(|b| matches!(*b, 0x07 | ESC)).map(|n| {
            let at = n + 2;
            if bytes[at] == ESC && bytes.get(at + 1) == Some(&b'\\') { at + 2 } else { at + 1 }
        }),
        Some(_) => Some(2),
        None => Some(1),
    };
    end.unwrap_or(bytes.len()).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_torn_sequences_go() {
        let clean = |text: &[u8]| {
            let mut out = b"old".to_vec();
            let any = strip(text, &mut out);
            (any, String::from_utf8_lossy(&out).into_owned())
        };
        assert_eq!(clean(b"plain"), (false, "old".to_owned()));
        assert_eq!(clean(b"\x1b[0;36m(A pid=1)\x1b[0;0m INFO"), (true, "(A pid=1) INFO".to_owned()));
        assert_eq!(clean(b"a\x1b]0;title\x07b\x1b]8;;u\x1b\\c\x1b(d"), (true, "abcd".to_owned()));
        assert_eq!(clean(b"a\x1b"), (true, "a".to_owned()));
        assert_eq!(clean(b"a\x1b[3"), (true, "a".to_owned()));
    }
}
