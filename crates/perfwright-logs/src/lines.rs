//! Bytes in any pieces to lines.

use memchr::memchr2;

/// Longest line kept, in bytes; of a longer one the head is kept and the rest counted.
pub const MAX_LINE: usize = 256 * 1024;

/// One line, or one piece of a line that carriage returns cut (progress bars).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// Number of the line, from 1; line feeds count, carriage returns do not.
    pub number: u64,
    /// Where it starts in the input, in bytes.
    pub offset: u64,
    /// Its bytes without the line end.
    pub bytes: &'a [u8],
    /// Bytes after [`MAX_LINE`] that were left out.
    pub dropped: u64,
}

/// Cuts a stream of bytes into lines. Holds at most one unfinished line of [`MAX_LINE`] bytes; the lines do not depend
/// on how the input is cut into pieces.
#[derive(Debug)]
pub struct Lines {
    number: u64,
    /// Offset of the next byte that comes.
    position: u64,
    /// Start of the unfinished line.
    start: u64,
    torn: Vec<u8>,
    dropped: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { number: 1, position: 0, start: 0, torn: Vec::new(), dropped: 0 }
    }
}

impl Lines {
    /// Bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.position
    }

    /// Lines finished so far.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.number - 1
    }

    /// Takes the next bytes and gives every line that they finish. Empty lines count but are not given.
    pub fn push(&mut self, mut chunk: &[u8], sink: &mut impl FnMut(RawLine<'_>)) {
        while let Some(at) = memchr2(b'\n', b'\r', chunk) {
            let (piece, rest) = chunk.split_at(at);
            if self.torn.is_empty() {
                self.emit(piece, sink);
            } else {
                self.keep(piece);
                let torn = std::mem::take(&mut self.torn);
                self.emit(&torn, sink);
                self.torn = torn;
                self.torn.clear();
            }
            let end = rest[0];
            chunk = &rest[1..];
            self.position += at as u64 + 1;
            self.start = self.position;
            self.dropped = 0;
            if end == b'\n' {
                self.number += 1;
            }
        }
        self.keep(chunk);
        self.position += chunk.len() as u64;
    }

    /// Gives the last line where no line end closes it.
    pub fn finish(&mut self, sink: &mut impl FnMut(RawLine<'_>)) {
        let torn = std::mem::take(&mut self.torn);
        if !torn.is_empty() {
            self.emit(&torn, sink);
            self.number += 1;
        }
        self.dropped = 0;
        self.start = self.position;
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.torn.len());
        let kept = piece.len().min(room);
        self.torn.extend_from_slice(&piece[..kept]);
        self.dropped += (piece.len() - kept) as u64;
    }

    fn emit(&self, line: &[u8], sink: &mut impl FnMut(RawLine<'_>)) {
        let kept = line.len().min(MAX_LINE);
        if kept > 0 {
            sink(RawLine {
                number: self.number,
                offset: self.start,
                bytes: &line[..kept],
                dropped: self.dropped + (line.len() - kept) as u64,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<(u64, u64, Vec<u8>, u64)> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut sink = |l: RawLine<'_>| found.push((l.number, l.offset, l.bytes.to_vec(), l.dropped));
        for piece in pieces {
            lines.push(piece, &mut sink);
        }
        lines.finish(&mut sink);
        found
    }

    #[test]
    fn carriage_returns_cut_but_do_not_count() {
        let found = all(&[b"a\r\n\n 10%\r 20", b"%\rdone\nlast"]);
        let short: Vec<_> = found.iter().map(|(n, o, b, _)| (*n, *o, b.as_slice())).collect();
        assert_eq!(
            short,
            [(1, 0, &b"a"[..]), (3, 4, b" 10%"), (3, 9, b" 20%"), (3, 14, b"done"), (4, 19, b"last"),]
        );
    }

    #[test]
    fn a_long_line_keeps_its_head_and_counts_the_rest() {
        let long = vec![b'x'; MAX_LINE + 7];
        let mut input = long.clone();
        input.extend_from_slice(b"\nnext\n");
        for pieces in [vec![&input[..]], vec![&input[..9], &input[9..MAX_LINE + 3], &input[MAX_LINE + 3..]]] {
            let found = all(&pieces);
            assert_eq!((found[0].2.len(), found[0].3), (MAX_LINE, 7));
            assert_eq!((found[1].0, found[1].2.as_slice(), found[1].3), (2, &b"next"[..], 0));
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(all(&pieces), all(&[&bytes]));
        }
    }
}
