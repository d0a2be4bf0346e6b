//! Server-sent events out of bytes, wherever the network cut them (WHATWG HTML standard, section 9.2.6, "Interpreting
//! an event stream"). Only `data` matters to the engines spoken to; other fields and comments are passed over.

use memchr::memchr2;

/// Longest line in bytes. SGLang's `/generate` repeats the whole text in each event, so lines are long.
pub const MAX_LINE: usize = 4 << 20;
/// Longest data of one event in bytes, line breaks included.
pub const MAX_EVENT: usize = 8 << 20;

/// A line or an event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent {what} is longer than {limit} bytes")]
pub struct TooLong {
    /// `line` or `event`.
    pub what: &'static str,
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a stream of bytes into events.
#[derive(Debug)]
pub struct Splitter {
    /// The line that the last push ended in.
    line: Vec<u8>,
    /// Data of the event that the last push ended in.
    data: Vec<u8>,
    has_data: bool,
    /// The last push ended with a carriage return; a line feed that follows belongs to it.
    after_cr: bool,
    /// Bytes of the byte order mark seen, or `None` when the start is over.
    mark: Option<usize>,
    max_line: usize,
    max_event: usize,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Default for Splitter {
    fn default() -> Self {
        Self::with_limits(MAX_LINE, MAX_EVENT)
    }
}

impl Splitter {
    /// A splitter with other limits than [`MAX_LINE`] and [`MAX_EVENT`].
    pub fn with_limits(max_line: usize, max_event: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            mark: Some(0),
            max_line,
            max_event,
        }
    }

    /// Takes the next bytes and calls `on_event` with the data of each event that they complete.
    ///
    /// # Errors
    /// A line or an event is too long. The stream cannot be followed beyond that.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = self.without_mark(bytes);
        // Data of an event of one line, which needs no copy as long as the event ends within these bytes.
        let mut single: Option<&[u8]> = None;
        loop {
            if self.after_cr {
                if rest.is_empty() {
                    break;
                }
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else { break };
            let (line, ended_by) = (&rest[..end], rest[end]);
            rest = &rest[end + 1..];
            self.after_cr = ended_by == b'\r';
            if self.line.is_empty() {
                within("line", line.len(), self.max_line)?;
                if line.is_empty() {
                    match single.take() {
                        Some(data) => on_event(data),
                        None if self.has_data => on_event(&self.data),
                        None => {}
                    }
                    self.forget();
                } else if let Some(value) = data_of(line) {
                    if self.has_data || single.is_some() {
                        self.keep(single.take())?;
                        self.keep(Some(value))?;
                    } else {
                        within("event", value.len(), self.max_event)?;
                        single = Some(value);
                    }
                }
            } else {
                within("line", self.line.len() + line.len(), self.max_line)?;
                self.line.extend_from_slice(line);
                self.keep(single.take())?;
                let line = std::mem::take(&mut self.line);
                self.keep(data_of(&line))?;
                // Its room is used again.
                self.line = line;
                self.line.clear();
            }
        }
        self.keep(single)?;
        within("line", self.line.len() + rest.len(), self.max_line)?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// True when the stream stopped inside of an event, which is then lost (as the standard says).
    pub fn is_inside_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn forget(&mut self) {
        self.data.clear();
        self.has_data = false;
    }

    /// Adds a line to the data of the event.
    fn keep(&mut self, value: Option<&[u8]>) -> Result<(), TooLong> {
        let Some(value) = value else { return Ok(()) };
        within("event", self.data.len() + value.len() + 1, self.max_event)?;
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    /// The bytes without a byte order mark at the start of the stream. The mark may come in pieces.
    fn without_mark<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(mut seen) = self.mark else { return bytes };
        for (i, byte) in bytes.iter().enumerate() {
            if *byte != MARK[seen] {
                self.mark = None;
                // What looked like a mark was text.
                self.line.extend_from_slice(&MARK[..seen]);
                return &bytes[i..];
            }
            seen += 1;
            if seen == MARK.len() {
                self.mark = None;
                return &bytes[i + 1..];
            }
        }
        self.mark = Some(seen);
        &[]
    }
}

/// The value of a `data` line.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

fn within(what: &'static str, len: usize, limit: usize) -> Result<(), TooLong> {
    if len > limit { Err(TooLong { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for piece in pieces {
            splitter.push(piece, |e| out.push(e.to_vec())).unwrap();
        }
        out
    }

    /// The standard's algorithm on the whole text at once.
    fn slow(bytes: &[u8]) -> Vec<Vec<u8>> {
        let bytes = bytes.strip_prefix(&MARK).unwrap_or(bytes);
        let mut lines = Vec::new();
        let mut line = Vec::new();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                b'\r' => {
                    lines.push(std::mem::take(&mut line));
                    if bytes.get(i + 1) == Some(&b'\n') {
                        i += 1;
                    }
                }
                b'\n' => lines.push(std::mem::take(&mut line)),
                other => line.push(other),
            }
            i += 1;
        }
        let (mut out, mut data): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    out.push(data.join(&b'\n'));
                }
                data.clear();
                continue;
            }
            let mut parts = line.splitn(2, |b| *b == b':');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if name == b"data" {
                data.push(value.strip_prefix(b" ").unwrap_or(value).to_vec());
            }
        }
        out
    }

    #[test]
    fn worked_examples() {
        for (text, expected) in [
            ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
            ("data:a\r\n\r\ndata:  b\r\rdata\n\n", vec!["a", " b", ""]),
            (": comment\nevent: x\nid: 1\nretry: 5\ndata: a\ndata: b\n\n", vec!["a\nb"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("data: a\n", vec![]),
            ("database: a\n\n\n\n: ping\n\n", vec![]),
            ("data: {\"t\":\"\u{e9}\u{1f600}\"}\n\n", vec!["{\"t\":\"\u{e9}\u{1f600}\"}"]),
        ] {
            let expected: Vec<Vec<u8>> = expected.iter().map(|s| s.as_bytes().to_vec()).collect();
            assert_eq!(events(&[text.as_bytes()]), expected, "{text:?}");
            assert_eq!(slow(text.as_bytes()), expected, "{text:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(events(&bytes), expected, "{text:?} byte by byte");
        }
    }

    #[test]
    fn an_event_cut_off_is_seen() {
        let mut splitter = Splitter::default();
        splitter.push(b"data: a\n\n", |_| {}).unwrap();
        assert!(!splitter.is_inside_event());
        splitter.push(b"data: b", |_| {}).unwrap();
        assert!(splitter.is_inside_event());
    }

    #[test]
    fn lengths_are_bounded() {
        let mut splitter = Splitter::with_limits(100, 150);
        let long = [b'x'; 60];
        splitter.push(&long, |_| {}).unwrap();
        assert!(splitter.push(&long, |_| {}).is_err());
        let mut splitter = Splitter::with_limits(100, 150);
        let line = [b"data: ".as_slice(), &[b'x'; 80], b"\n"].concat();
        splitter.push(&line, |_| {}).unwrap();
        assert_eq!(splitter.push(&line, |_| {}).unwrap_err().what, "event");
        let mut splitter = Splitter::with_limits(100, 150);
        assert!(splitter.push(&[&[b'y'; 101], b"\n".as_slice()].concat(), |_| {}).is_err());
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: x".to_vec()),
            Just(b"data".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(MARK.to_vec()),
            Just(vec![0xef, 0xbb]),
            Just(b":c".to_vec()),
            Just("data:\u{1f600}".as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..30).prop_map(|p| p.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(bytes in soup(), cuts in prop::collection::vec(0usize..200, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(events(&pieces), slow(&bytes));
        }
    }
}
