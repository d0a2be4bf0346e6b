//! The document around the events: an object with `traceEvents`, or a bare array of events.
//!
//! A [`Document`] is fed blocks of text. A whole file in memory is one block, and its events are scanned in
//! parallel; an inflating stream is many blocks, each scanned up to the last event that is complete in it.

use rayon::prelude::*;

use super::cursor::{Cursor, MAX_DEPTH, Stop};
use super::event::{Builder, plain};
use crate::store::{META_LIMIT, Partial, Store};

/// Below this many bytes a block is scanned on one thread.
const PARALLEL_FROM: usize = 4 << 20;
/// Smallest and largest piece of a parallel scan, bytes.
const PIECE: std::ops::RangeInclusive<usize> = (2 << 20)..=(64 << 20);

/// Why a document is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not JSON: offset and what was expected.
    NotJson(u64, &'static str),
    /// JSON of another shape.
    NotTrace(&'static str),
    /// Nested too deeply, at this offset.
    Deep(u64),
    /// No byte but white space.
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Object,
    Events { in_object: bool },
    Done,
}

/// How a run over events ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The position passed the limit; an event starts there, or the array ends.
    Limit,
    /// `]` was passed.
    Array,
    /// The block ends inside or before an event.
    Block,
    /// Nested too deeply at this offset.
    Deep(usize),
}

/// A piece of an event array, scanned.
struct Piece {
    builder: Builder,
    /// Where scanning began and where it stopped.
    span: std::ops::Range<usize>,
    end: End,
    /// End of the last complete event.
    good: usize,
    /// First malformed event.
    malformed_at: Option<usize>,
}

/// A trace document being read.
pub(crate) struct Document {
    store: Store,
    state: State,
    /// Text offset of the current block.
    base: u64,
    /// Text offset of the end of the last complete event.
    good: u64,
    malformed_at: Option<u64>,
    saw_events: bool,
    /// Where the text goes on after the end of the document.
    trailing_from: Option<u64>,
    /// Where and how the text stops being JSON, after the events.
    broken: Option<(u64, &'static str)>,
}

impl Document {
    pub(crate) fn new() -> Self {
        Self {
            store: Store::default(),
            state: State::Start,
            base: 0,
            good: 0,
            malformed_at: None,
            saw_events: false,
            trailing_from: None,
            broken: None,
        }
    }

    /// Reads a block; `last` says that no text follows. Returns how many bytes are done with: the caller gives
    /// the rest again in front of the next block.
    pub(crate) fn feed(&mut self, block: &[u8], last: bool) -> Result<usize, Refused> {
        let mut c = Cursor::new(block, 0);
        if self.state == State::Start && self.base == 0 && block.starts_with(b"\xEF\xBB\xBF") {
            c.pos = 3;
        }
        loop {
            let safe = c.pos;
            match self.step(&mut c, last) {
                Ok(true) => {}
                Ok(false) => {
                    self.base += c.pos as u64;
                    return Ok(c.pos);
                }
                Err(Stop::End) => {
                    self.base += safe as u64;
                    return Ok(safe);
                }
                Err(Stop::Deep(at)) => return Err(Refused::Deep(self.base + at as u64)),
                Err(Stop::Bad(at, what)) if self.saw_events => {
                    // The events are whole; what is wrong came after them.
                    self.state = State::Done;
                    self.broken = Some((self.base + at as u64, what));
                    c.pos = at;
                }
                Err(Stop::Bad(at, what)) => return Err(Refused::NotJson(self.base + at as u64, what)),
            }
        }
    }

    /// One move of the machine; `false` when the block is used up.
    fn step(&mut self, c: &mut Cursor<'_>, last: bool) -> Result<bool, Stop> {
        c.space();
        if c.pos >= c.buf.len() {
            return Ok(false);
        }
        match self.state {
            State::Start => match c.peek()? {
                0xFE | 0xFF => {
                    return Err(Stop::Bad(c.pos, "this looks like UTF-16; convert it to UTF-8 first"));
                }
                b'{' => {
                    c.pos += 1;
                    self.state = State::Object;
                }
                b'[' => {
                    c.pos += 1;
                    self.saw_events = true;
                    self.state = State::Events { in_object: false };
                }
                _ => return Err(Stop::Bad(c.pos, "an object or an array was expected")),
            },
            State::Object => self.member(c)?,
            State::Events { in_object } => return self.events(c, in_object, last),
            State::Done => {
                self.trailing_from.get_or_insert(self.base + c.pos as u64);
                c.pos = c.buf.len();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn member(&mut self, c: &mut Cursor<'_>) -> Result<(), Stop> {
        match c.peek()? {
            b'}' => {
                c.pos += 1;
                self.state = State::Done;
                return Ok(());
            }
            b',' => {
                c.pos += 1;
                return Ok(());
            }
            _ => {}
        }
        let key = c.string()?;
        let plain = plain(key);
        let key = plain.as_deref().unwrap_or(key);
        c.expect(b':', "a colon was expected")?;
        let first = c.next_token()?;
        if key == b"traceEvents" && first == b'[' {
            c.pos += 1;
            self.saw_events = true;
            self.state = State::Events { in_object: true };
            return Ok(());
        }
        let value = c.skip()?;
        if value.len() <= META_LIMIT && key.len() <= 256 && self.store.meta.len() < 4096 {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            self.store.meta.insert(text(key), text(value));
        }
        Ok(())
    }

    fn events(&mut self, c: &mut Cursor<'_>, in_object: bool, last: bool) -> Result<bool, Stop> {
        let buf = c.buf;
        let from = c.pos;
        let pieces = if last && buf.len() - from >= PARALLEL_FROM {
            parallel(buf, from)
        } else {
            vec![scan(buf, from, buf.len())]
        };
        let mut end = End::Block;
        for piece in pieces {
            if piece.good > piece.span.start {
                self.good = self.base + piece.good as u64;
            }
            if self.malformed_at.is_none() {
                self.malformed_at = piece.malformed_at.map(|at| self.base + at as u64);
            }
            c.pos = piece.span.end;
            end = piece.end;
            let store = piece.builder.finish();
            if self.store.events == 0 && self.store.strings.is_empty() {
                let meta = std::mem::take(&mut self.store.meta);
                self.store = store;
                self.store.meta.extend(meta);
            } else {
                self.store.absorb(store);
            }
        }
        match end {
            End::Array => {
                self.state = if in_object { State::Object } else { State::Done };
                Ok(true)
            }
            End::Deep(at) => Err(Stop::Deep(at)),
            End::Block | End::Limit => Ok(false),
        }
    }

    /// Ends the document: what was read, with a note where it is only a part.
    pub(crate) fn finish(mut self, text_bytes: u64, cut_by: Option<String>) -> Result<Store, Refused> {
        self.store.text_bytes = text_bytes;
        if self.state == State::Start {
            return Err(Refused::Empty);
        }
        if !self.saw_events {
            return Err(match self.state {
                State::Done => Refused::NotTrace("it has no \"traceEvents\" array"),
                _ => Refused::NotTrace("it ends before any \"traceEvents\" array"),
            });
        }
        if self.store.events == 0 && self.malformed() > 0 {
            return Err(Refused::NotTrace("its array does not hold trace events"));
        }
        // Every sum of the analysis is a part of this one.
        let sum: i128 = self.store.devices.dur.iter().map(|&d| i128::from(d)).sum();
        if sum > i128::from(i64::MAX / 8) {
            return Err(Refused::NotTrace("the durations of its device events add to more than 36 years"));
        }
        let reason = if let Some(cut) = cut_by.as_ref().filter(|_| self.state == State::Done) {
            Some(format!("all events were read, but what follows them in the file is not sound: {cut}"))
        } else if let Some(cut) = cut_by {
            Some(format!("{cut}; {} events up to there were read", self.store.events))
        } else if self.state != State::Done {
            Some(format!("the text ends inside the document at byte {text_bytes}: it was cut off"))
        } else if let Some(at) = self.malformed_at {
            Some(format!(
                "{} entries are not trace events and were passed over, the first at byte {at}",
                self.malformed()
            ))
        } else if let Some((at, what)) = self.broken {
            Some(format!("the events are whole, but the text after them is not JSON at byte {at}: {what}"))
        } else {
            None
        };
        if let Some(from) = self.trailing_from.filter(|_| self.broken.is_none()) {
            self.store.anomalies.trailing_bytes = text_bytes.saturating_sub(from);
        }
        self.store.partial = reason.map(|reason| Partial { reason, bytes_read: self.good });
        self.store.order();
        if !self.store.drop_far_devices() {
            return Err(Refused::NotTrace("its device events add to more than 36 years"));
        }
        Ok(self.store)
    }

    fn malformed(&self) -> u64 {
        self.store.anomalies.malformed_events
    }
}

/// Scans events from `from` until one starts at or after `limit`, or the array or the buffer ends.
fn scan(buf: &[u8], from: usize, limit: usize) -> Piece {
    let mut p = Piece {
        builder: Builder::default(),
        span: from..from,
        end: End::Block,
        good: from,
        malformed_at: None,
    };
    let mut c = Cursor::new(buf, from);
    loop {
        c.space();
        p.span.end = c.pos;
        let Some(&byte) = buf.get(c.pos) else {
            return p;
        };
        match byte {
            b',' => c.pos += 1,
            b']' => {
                p.span.end = c.pos + 1;
                p.end = End::Array;
                return p;
            }
            _ if c.pos >= limit => {
                p.end = End::Limit;
                return p;
            }
            byte => {
                let start = c.pos;
                let event = byte == b'{';
                let read = if event { p.builder.event(&mut c) } else { c.skip().map(|_| ()) };
                match read {
                    Ok(()) if event => p.good = c.pos,
                    Ok(()) => p.malformed(start), // passed over, but counted
                    Err(Stop::End) => return p,
                    Err(Stop::Deep(at)) => {
                        p.end = End::Deep(at);
                        return p;
                    }
                    Err(Stop::Bad(at, _)) => {
                        p.malformed(start);
                        // From where it went wrong, never from the start again: a file of broken events stays linear.
                        match boundary(buf, at.max(start + 1), buf.len()) {
                            Some(at) => c.pos = at,
                            None => return p,
                        }
                    }
                }
            }
        }
    }
}

impl Piece {
    fn malformed(&mut self, at: usize) {
        self.malformed_at.get_or_insert(at);
        self.builder.store.anomalies.malformed_events += 1;
    }
}

/// Scans the array's events in pieces at once. A piece begins at a guess of where an event starts; it counts only
/// if the piece before it stopped exactly there, else its range is scanned again from where that one stopped.
fn parallel(buf: &[u8], from: usize) -> Vec<Piece> {
    let rest = buf.len() - from;
    let size = (rest / (rayon::current_num_threads().max(1) * 4)).clamp(*PIECE.start(), *PIECE.end());
    let starts: Vec<usize> = (from..buf.len()).step_by(size).collect();
    let guesses: Vec<Piece> = starts
        .par_iter()
        .map(|&start| {
            let limit = (start + size).min(buf.len());
            let begin = if start == from { Some(from) } else { boundary(buf, start, limit) };
            match begin {
                Some(begin) => scan(buf, begin, limit),
                None => scan(&buf[..limit], limit, limit),
            }
        })
        .collect();
    let mut pieces: Vec<Piece> = Vec::with_capacity(guesses.len());
    let mut at = from;
    for (guess, start) in guesses.into_iter().zip(starts) {
        let limit = (start + size).min(buf.len());
        let last_done = pieces.last().is_some_and(|p| p.end != End::Limit);
        if last_done {
            break;
        }
        if at >= limit {
            continue; // an event reaches over the whole piece
        }
        let piece = if guess.span.start == at { guess } else { scan(buf, at, limit) };
        at = piece.span.end;
        pieces.push(piece);
    }
    pieces
}

/// Where, in `from..until`, an event seems to start: a `{` after `,` whose first key is one that events have.
fn boundary(buf: &[u8], from: usize, until: usize) -> Option<usize> {
    const KEYS: [&[u8]; 10] =
        [b"ph\"", b"cat\"", b"name\"", b"pid\"", b"tid\"", b"ts\"", b"dur\"", b"args\"", b"id\"", b"s\""];
    let mut at = from;
    while at < until {
        at += memchr::memchr(b'{', &buf[at..until])?;
        let before = buf[..at].iter().rev().take(256).find(|b| !b.is_ascii_whitespace());
        if before == Some(&b',') {
            let mut c = Cursor::new(buf, at + 1);
            c.space();
            if buf.get(c.pos) == Some(&b'"') && KEYS.iter().any(|k| buf[c.pos + 1..].starts_with(k)) {
                return Some(at);
            }
        }
        at += 1;
    }
    None
}

const _: () = assert!(MAX_DEPTH >= 64 && MAX_DEPTH.is_multiple_of(64));

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Result<Store, Refused> {
        let mut d = Document::new();
        d.feed(text, true)?;
        d.finish(text.len() as u64, None)
    }

    fn blocks(text: &[u8], size: usize) -> Result<Store, Refused> {
        let mut d = Document::new();
        let mut carry: Vec<u8> = Vec::new();
        for (i, part) in text.chunks(size).enumerate() {
            carry.extend_from_slice(part);
            let used = d.feed(&carry, (i + 1) * size >= text.len())?;
            carry.drain(..used);
        }
        d.finish(text.len() as u64, None)
    }

    fn kernels(n: usize) -> String {
        let events: Vec<String> = (0..n)
            .map(|i| {
                format!(
                    "{{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"k{}\",\"pid\":0,\"tid\":7,\"ts\":{}.5,\"dur\":1.25,\
                     \"args\":{{\"stream\":7,\"correlation\":{i},\"x\":[{{\"ph\":1}}, {{\"ph\":2}}]}}}}",
                    i % 7,
                    1000 + i
                )
            })
            .collect();
        format!("{{\"schemaVersion\":1,\n\"traceEvents\":[{}],\"after\":{{\"a\":1}}}}", events.join(",\n "))
    }

    #[test]
    fn blocks_of_any_size_read_the_same() {
        let text = kernels(50);
        let one = whole(text.as_bytes()).unwrap();
        assert_eq!(one.devices.len(), 50);
        assert_eq!(one.devices.ts[0], 1_000_500);
        assert_eq!(one.devices.dur.iter().sum::<i64>(), 50 * 1250);
        assert_eq!(one.meta["after"], "{\"a\":1}");
        assert_eq!(one.partial, None);
        for size in [1, 2, 3, 7, 64, 1000, 1 << 20] {
            let many = blocks(text.as_bytes(), size).unwrap();
            assert_eq!(many.devices.ts, one.devices.ts, "{size}");
            assert_eq!(many.meta, one.meta, "{size}");
            assert_eq!(many.partial, None, "{size}");
        }
    }

    #[test]
    fn pieces_at_once_read_the_same() {
        let text = kernels(60_000);
        assert!(text.len() > PARALLEL_FROM);
        let one = whole(text.as_bytes()).unwrap();
        let many = blocks(text.as_bytes(), 1 << 20).unwrap();
        assert_eq!(one.devices.len(), 60_000);
        assert_eq!(one.devices.corr, many.devices.corr);
        let names =
            |s: &Store| s.devices.name.iter().map(|&n| s.strings.text(n).into_owned()).collect::<Vec<_>>();
        assert_eq!(names(&one), names(&many));
    }

    #[test]
    fn a_cut_text_is_read_up_to_the_cut() {
        let text = kernels(20);
        for cut in 0..text.len() {
            match whole(&text.as_bytes()[..cut]) {
                Ok(store) => {
                    let partial = store.partial.expect("a cut is stated");
                    assert!(partial.bytes_read <= cut as u64);
                }
                Err(Refused::Empty | Refused::NotTrace(_)) => assert!(cut < 40),
                Err(other) => panic!("{other:?} at {cut}"),
            }
        }
    }

    #[test]
    fn odd_documents() {
        assert_eq!(whole(b"  \n").err(), Some(Refused::Empty));
        assert!(matches!(whole(b"hello"), Err(Refused::NotJson(0, _))));
        assert!(matches!(whole(b"{\"a\":1}"), Err(Refused::NotTrace(_))));
        assert!(matches!(whole(b"[1,2]"), Err(Refused::NotTrace(_))));
        assert!(matches!(whole(b"{\"traceEvents\":null}"), Err(Refused::NotTrace(_))));
        assert!(matches!(whole(b"[{\"a\":1}]"), Err(Refused::NotTrace(_))));
        assert_eq!(whole(b"[]").map(|s| s.events), Ok(0));
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(matches!(whole(deep.as_bytes()), Err(Refused::Deep(_))));
        let odd = br#"[{"ph":"X","cat":"kernel","name":"a","ts":1,"dur":1},{"ph":oops"},{"ph":"X","cat":"kernel","name":"b","ts":2,"dur":NaN},{"ph":"X","cat":"kernel","name":"c","ts":3,"dur":2}] trailing"#;
        let s = whole(odd).unwrap();
        assert_eq!(s.devices.len(), 2);
        assert_eq!((s.anomalies.malformed_events, s.anomalies.bad_time), (1, 1));
        assert!(s.partial.unwrap().reason.starts_with("1 entries are not trace events"));
    }
}
