//! From bytes to findings.

use crate::ansi;
use crate::catalog::{Catalog, Class};
use crate::hit::{Event, Hit, Sink, Value};
use crate::lines::{Lines, RawLine};
use crate::prefix::{Prefix, strip};

/// Reads a log in pieces of any size. Memory is bounded by the longest line; findings go to the sink as they are found.
pub struct Reader<'c> {
    catalog: &'c Catalog,
    lines: Lines,
    state: State<'c>,
}

struct State<'c> {
    clean: Vec<u8>,
    found: Vec<u32>,
    values: Vec<(&'c str, Value)>,
    follow: u8,
    memory_looking: u64,
    memory_known: u64,
    dropped: u64,
    invalid: u64,
}

impl<'c> Reader<'c> {
    /// A reader at the start of a log.
    #[must_use]
    pub fn new(catalog: &'c Catalog) -> Self {
        let state = State {
            clean: Vec::new(),
            found: Vec::new(),
            values: Vec::new(),
            follow: 0,
            memory_looking: 0,
            memory_known: 0,
            dropped: 0,
            invalid: 0,
        };
        Self { catalog, lines: Lines::default(), state }
    }

    /// The catalogue it reads by.
    #[must_use]
    pub fn catalog(&self) -> &'c Catalog {
        self.catalog
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        let (state, catalog) = (&mut self.state, self.catalog);
        self.lines.push(bytes, &mut |line| state.line(catalog, line, sink));
    }

    /// Takes the last line where no line end closes it. More may follow later.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        let (state, catalog) = (&mut self.state, self.catalog);
        self.lines.finish(&mut |line| state.line(catalog, line, sink));
    }

    /// Bytes taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// Lines read.
    #[must_use]
    pub fn line_count(&self) -> u64 {
        self.lines.finished()
    }

    /// Lines that look as if they were about memory, and how many of them a signature knows.
    #[must_use]
    pub fn memory_coverage(&self) -> (u64, u64) {
        (self.state.memory_looking, self.state.memory_known)
    }

    /// Bytes left out of lines that were too long.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.dropped
    }

    /// Lines with findings that are not valid UTF-8.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.state.invalid
    }
}

impl<'c> State<'c> {
    fn line(&mut self, catalog: &'c Catalog, raw: RawLine<'_>, sink: &mut impl Sink) {
        self.dropped += raw.dropped;
        let mut clean = std::mem::take(&mut self.clean);
        let bytes = if ansi::strip(raw.bytes, &mut clean) { &clean } else { raw.bytes };
        let looking = memory_looking(bytes);
        self.memory_looking += u64::from(looking);
        let mut found = std::mem::take(&mut self.found);
        catalog.candidates(bytes, &mut found);
        let mut known = false;
        if !found.is_empty() {
            for record in records(bytes) {
                known |= self.record(catalog, &raw, record, &found, sink);
            }
        } else if self.follow > 0 {
            self.follow -= 1;
            let (_, at) = strip(bytes);
            let text = String::from_utf8_lossy(&bytes[at..]);
            sink.event(&Event::Follow { line: raw.number, text: &text });
        }
        self.memory_known += u64::from(looking && known);
        self.found = found;
        self.clean = clean;
    }

    /// One record of a line; whether a signature knows it.
    fn record(
        &mut self,
        catalog: &'c Catalog,
        raw: &RawLine<'_>,
        record: &[u8],
        found: &[u32],
        sink: &mut impl Sink,
    ) -> bool {
        let (prefix, at) = strip(record);
        let text = String::from_utf8_lossy(&record[at..]);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            self.invalid += 1;
        }
        self.report(catalog, raw, &prefix, &text, found, sink)
    }

    fn report(
        &mut self,
        catalog: &'c Catalog,
        raw: &RawLine<'_>,
        prefix: &Prefix,
        text: &str,
        found: &[u32],
        sink: &mut impl Sink,
    ) -> bool {
        let mut known = false;
        for index in found {
            let Some(signature) = catalog.knows(*index, text, &mut self.values) else { continue };
            // The needle may be in another record of this line.
            let low = || text.to_ascii_lowercase();
            let here = signature.any.iter().any(|n| text.contains(n.as_str())) || {
                let low = low();
                signature.any.iter().any(|n| low.contains(&n.to_ascii_lowercase()))
            };
            if !here {
                continue;
            }
            known |= !matches!(signature.class, Class::Args);
            self.follow = self.follow.max(signature.follow);
            let hit =
                Hit { signature, line: raw.number, offset: raw.offset, prefix, text, values: &self.values };
            sink.event(&Event::Hit(hit));
        }
        known
    }
}

/// Whether a line mentions an amount of memory or tokens.
fn memory_looking(line: &[u8]) -> bool {
    for at in memchr::memchr_iter(b'B', line) {
        let before = |n: usize| at.checked_sub(n).and_then(|i| line.get(i)).copied();
        let amount = match before(1) {
            Some(b'i') => matches!(before(2), Some(b'G' | b'M')),
            Some(b'G') => !matches!(before(2), Some(b'A'..=b'Z' | b'a'..=b'z')),
            _ => false,
        };
        // `5.2GB/s` and `2.0 MB 10.8 MB/s` of downloads are rates.
        if amount
            && line.get(at + 1) != Some(&b'/')
            && !line.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
        {
            return true;
        }
    }
    false
}

/// Records that writers without a line end between them left in one line (progress bars, several processes).
fn records(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = memchr::memchr2_iter(b'(', b'[', rest).find(|at| *at > 0 && starts_record(&rest[*at..]));
        let (record, tail) = rest.split_at(cut.unwrap_or(rest.len()));
        rest = tail;
        Some(record)
    })
}

fn starts_record(bytes: &[u8]) -> bool {
    if let Some(inner) = bytes.strip_prefix(b"(") {
        let process =
            [&b"EngineCore"[..], b"Worker", b"APIServer", b"VllmWorker", b"RayWorker", b"ApiServer"];
        return process.iter().any(|p| inner.starts_with(p)) && {
            let head = &inner[..inner.len().min(64)];
            memchr::memmem::find(head, b" pid=").is_some_and(|p| !head[..p].contains(&b')'))
        };
    }
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    // `[2026-11-20 10:00:01` but not a bracket that follows a level: `INFO 04-22 01:36:59 [core.py:3]`.
    bytes.starts_with(b"[20")
        && digit(3)
        && digit(4)
        && bytes.get(5) == Some(&b'-')
        && bytes.get(8) == Some(&b'-')
        && bytes.get(11) == Some(&b' ')
        && bytes.get(14) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_in_one_line() {
        let cut = |line: &str| {
            records(line.as_bytes()).map(|r| String::from_utf8_lossy(r).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            cut("Capturing: 10%|x| 1/2 [00:00](EngineCore pid=245) DEBUG 04-22 01:36:59 [a.py:1] text"),
            ["Capturing: 10%|x| 1/2 [00:00]", "(EngineCore pid=245) DEBUG 04-22 01:36:59 [a.py:1] text"]
        );
        assert_eq!(
            cut("a-1 | [2026-11-20 10:00:01 TP0] a[2026-11-20 10:00:01 TP1] b"),
            ["a-1 | ", "[2026-11-20 10:00:01 TP0] a", "[2026-11-20 10:00:01 TP1] b"]
        );
        assert_eq!(cut("plain (EngineCore) text"), ["plain (EngineCore) text"]);
    }

    #[test]
    fn amounts_of_memory() {
        for (line, expected) in [
            ("took 4.5 GiB", true),
            ("avail mem=15.60 GB", true),
            ("774.00MiB free", true),
            ("2.0/2.0 MB 10.8 MB/s", false),
            ("5.2GB/s", false),
            ("RGB image", false),
            ("tokens", false),
        ] {
            assert_eq!(memory_looking(line.as_bytes()), expected, "{line}");
        }
    }
}
