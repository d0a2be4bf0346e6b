//! The hash-chained event log: writing one line, and reading a whole ledger with every break named.

use memchr::memchr;
use serde_json::{Map, Value, json};

use crate::hash::{is_sha256_hex, sha256_hex};
use crate::json::{CanonicalError, canonical, read, read_prefix};
use crate::ledger_line::{Body, Proven, prove};
use crate::limits::Limits;
use crate::name::LEDGER;
use crate::time::is_timestamp;
use crate::verify::faults::{Fault, planted};
use crate::verify::report::{Difference, DifferenceKind};

/// `prev` of the first event.
pub(crate) const NO_PREVIOUS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Every canonical event line begins with these bytes, because `at` sorts first.
const LINE_START: &[u8] = b"{\"at\":\"";

/// One canonical line without its line feed.
///
/// # Errors
/// The event has no canonical form.
pub(crate) fn line(seq: u64, at: &str, prev: &str, event: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut object = json!({ "seq": seq, "at": at, "prev": prev, "event": event });
    let hash = sha256_hex(&canonical(&object)?);
    object["hash"] = Value::String(hash);
    canonical(&object)
}

/// One event that was read.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) line: u64,
    pub(crate) at: String,
    pub(crate) kind: String,
    pub(crate) body: Body,
}

/// What a ledger's bytes hold.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Events of well-formed lines.
    pub(crate) events: Vec<Event>,
    /// Complete lines, well-formed or not.
    pub(crate) lines: u64,
    /// Length of the complete lines.
    pub(crate) complete_bytes: u64,
    /// Length of an unfinished last line, where that is what it is.
    pub(crate) torn_bytes: u64,
    /// SHA-256 of the last complete line, [`NO_PREVIOUS`] without one.
    pub(crate) head: String,
    /// The manifest's hash, where the closing event is there.
    pub(crate) closed: Option<String>,
    /// Every break.
    pub(crate) differences: Vec<Difference>,
}

/// Reads a ledger. Nothing outside `bytes` is looked at.
pub(crate) fn scan(bytes: &[u8], limits: &Limits) -> Scan {
    scan_with(bytes, limits, prove)
}

/// How a line is proven before it is read; tests leave it out and compare.
type Prove = fn(&[u8], u64, &str, &Limits) -> Option<Proven>;

fn scan_with(bytes: &[u8], limits: &Limits, prove: Prove) -> Scan {
    let mut scan = Scan {
        events: Vec::new(),
        lines: 0,
        complete_bytes: 0,
        torn_bytes: 0,
        head: NO_PREVIOUS.to_owned(),
        closed: None,
        differences: Vec::new(),
    };
    let mut rest = bytes;
    while let Some(end) = memchr(b'\n', rest) {
        let (raw, after) = (&rest[..end], &rest[end + 1..]);
        if scan.lines >= limits.max_events as u64 && !planted(Fault::SkipLedgerLimits) {
            let detail = format!("more than {} events", limits.max_events);
            scan.differ(DifferenceKind::LimitExceeded, detail);
            return scan;
        }
        if planted(Fault::TornForHashBroken) && after.is_empty() && hash_is_broken(raw, limits) {
            scan.torn_bytes = rest.len() as u64;
            return scan;
        }
        let (found, head) = match prove(raw, scan.lines, &scan.head, limits) {
            Some(Proven { event, head }) => (Some(event), head),
            None => (scan.check_line(raw, limits), sha256_hex(raw)),
        };
        if scan.closed.is_some() && !planted(Fault::AcceptEventsAfterClose) {
            scan.differ(DifferenceKind::EventAfterClose, "the run was already closed");
        }
        if let Some(event) = found {
            scan.accept(event);
        }
        scan.lines += 1;
        scan.head = head;
        scan.complete_bytes += end as u64 + 1;
        rest = after;
    }
    if !rest.is_empty() {
        scan.check_tail(rest, limits);
    }
    scan
}

fn hash_is_broken(raw: &[u8], limits: &Limits) -> bool {
    read(raw, &limits.line_json())
        .ok()
        .and_then(|value| event_hash(value.as_object()?))
        .is_some_and(|(a, b)| a != b)
}

/// The stored and the computed hash of an event object.
fn event_hash(object: &Map<String, Value>) -> Option<(String, String)> {
    let stored = object.get("hash")?.as_str()?.to_owned();
    let mut bare = object.clone();
    bare.remove("hash");
    Some((stored, sha256_hex(&canonical(&Value::Object(bare)).ok()?)))
}

impl Scan {
    fn differ(&mut self, kind: DifferenceKind, detail: impl Into<String>) {
        self.differences.push(Difference::new(kind, format!("{LEDGER}:{}", self.lines + 1), detail));
    }

    /// Every check on one line; the event, where the line has the shape of one.
    fn check_line(&mut self, raw: &[u8], limits: &Limits) -> Option<Event> {
        if raw.len() > limits.max_line_bytes && !planted(Fault::SkipLedgerLimits) {
            self.differ(
                DifferenceKind::LimitExceeded,
                format!("longer than {} bytes", limits.max_line_bytes),
            );
            return None;
        }
        let value = match read(raw, &limits.line_json()) {
            Ok(value) => value,
            Err(error) => {
                self.differ(DifferenceKind::EventUnparsable, error.to_string());
                return None;
            }
        };
        if !planted(Fault::AcceptNonCanonicalLine) && canonical(&value).ok().as_deref() != Some(raw) {
            self.differ(DifferenceKind::EventNotCanonical, "the line is not canonical JSON");
        }
        self.check_event(&value)
    }

    fn check_event(&mut self, value: &Value) -> Option<Event> {
        let Some(event) = shape(value, self.lines + 1) else {
            self.differ(DifferenceKind::EventMalformed, "not {at, event: {kind}, hash, prev, seq}");
            return None;
        };
        match value.as_object().and_then(event_hash) {
            Some((stored, computed)) if stored == computed || planted(Fault::SkipEventHash) => {}
            Some((stored, computed)) => {
                self.differ(
                    DifferenceKind::EventHash,
                    format!("hash is {stored}, the line gives {computed}"),
                );
            }
            None => self.differ(DifferenceKind::EventHash, "the line has no canonical form to hash"),
        }
        if value["prev"] != Value::String(self.head.clone()) && !planted(Fault::SkipChain) {
            let detail = format!("prev is {}, the line before gives {}", value["prev"], self.head);
            self.differ(DifferenceKind::EventChain, detail);
        }
        if value["seq"].as_u64() != Some(self.lines) && !planted(Fault::SkipSeq) {
            let detail = format!("seq is {}, the position is {}", value["seq"], self.lines);
            self.differ(DifferenceKind::EventSeq, detail);
        }
        if (event.kind == "open") != (self.lines == 0) {
            self.differ(DifferenceKind::EventMalformed, "exactly the first event is of kind open");
        }
        Some(event)
    }

    fn accept(&mut self, event: Event) {
        if event.kind == "close" {
            match event.body.value()["manifest_sha256"].as_str().filter(|h| is_sha256_hex(h)) {
                Some(hash) => self.closed = Some(hash.to_owned()),
                None => self.differ(DifferenceKind::EventMalformed, "close without manifest_sha256"),
            }
        }
        self.events.push(event);
    }

    /// Bytes after the last line feed: a write that was cut off, or an edit.
    fn check_tail(&mut self, tail: &[u8], limits: &Limits) {
        if self.closed.is_some() {
            if !planted(Fault::AcceptTornAfterClose) {
                self.differ(DifferenceKind::EventAfterClose, "bytes after the closing event");
            }
            return;
        }
        if tail.len() > limits.max_line_bytes {
            self.differ(
                DifferenceKind::LimitExceeded,
                format!("longer than {} bytes", limits.max_line_bytes),
            );
            return;
        }
        match read_prefix(tail, &limits.line_json()) {
            // A whole event without its line feed was never acknowledged, but it must still be an event: a line that
            // parses and does not hash was edited, not torn.
            Ok((_, end)) if end == tail.len() => {
                let breaks = self.differences.len();
                let _ = self.check_line(tail, limits);
                if self.differences.len() == breaks {
                    self.torn_bytes = tail.len() as u64;
                }
            }
            Ok(_) => {
                self.differ(DifferenceKind::EventUnparsable, "text after the event instead of a line feed");
            }
            Err(_) if is_line_beginning(tail) => self.torn_bytes = tail.len() as u64,
            Err(error) => self.differ(DifferenceKind::EventUnparsable, error.to_string()),
        }
    }
}

fn is_line_beginning(tail: &[u8]) -> bool {
    (tail.starts_with(LINE_START) || LINE_START.starts_with(tail)) && tail.iter().all(|&b| b >= 0x20)
}

fn shape(value: &Value, line: u64) -> Option<Event> {
    let object = value.as_object()?;
    if object.len() != 5 || !object.get("seq")?.is_u64() {
        return None;
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let at = text("at").filter(|at| is_timestamp(at))?;
    text("hash").filter(|h| is_sha256_hex(h))?;
    text("prev").filter(|h| is_sha256_hex(h))?;
    let body = object.get("event")?;
    let kind = body.as_object()?.get("kind")?.as_str()?;
    Some(Event { line, at: at.to_owned(), kind: kind.to_owned(), body: Body::Value(body.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(events: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut prev = NO_PREVIOUS.to_owned();
        for (seq, event) in events.iter().enumerate() {
            let raw = line(seq as u64, "2026-01-02T03:04:05.678Z", &prev, event).expect("canonical");
            prev = sha256_hex(&raw);
            bytes.extend_from_slice(&raw);
            bytes.push(b'\n');
        }
        bytes
    }

    fn sample() -> Vec<u8> {
        ledger(&[
            json!({"kind": "open", "schema": "perfwright.ledger/v1"}),
            json!({"kind": "note", "data": {"x": 0.1}}),
            json!({"kind": "close", "manifest_sha256": NO_PREVIOUS}),
        ])
    }

    #[test]
    fn a_whole_ledger_has_no_differences() {
        let scan = scan(&sample(), &Limits::default());
        assert_eq!(scan.differences, []);
        assert_eq!((scan.lines, scan.torn_bytes), (3, 0));
        assert_eq!(scan.closed.as_deref(), Some(NO_PREVIOUS));
    }

    #[test]
    fn every_cut_is_torn_or_at_a_line_end() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let scan = scan(&bytes[..cut], &Limits::default());
            assert_eq!(scan.differences, [], "cut at {cut}");
            assert_eq!(scan.complete_bytes + scan.torn_bytes, cut as u64);
            assert_eq!(scan.closed, None);
        }
    }

    #[test]
    fn every_changed_byte_of_a_closed_ledger_is_named() {
        let bytes = sample();
        for at in 0..bytes.len() {
            for flip in [1_u8, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let scan = scan(&changed, &Limits::default());
                assert!(!scan.differences.is_empty(), "byte {at} ^ {flip} went unseen");
            }
        }
    }

    /// Everything that a scan says, with the bodies as values.
    fn told(scan: Scan) -> String {
        let events: Vec<_> = scan
            .events
            .into_iter()
            .map(|e| (e.line, e.at, e.kind, e.body.value(), e.body.data().map(|d| d.value())))
            .collect();
        format!(
            "{events:?} {} {} {} {} {:?} {:?}",
            scan.lines, scan.complete_bytes, scan.torn_bytes, scan.head, scan.closed, scan.differences
        )
    }

    /// Proving lines and reading them gives the same.
    fn both_ways(bytes: &[u8]) {
        let limits = Limits::default();
        assert_eq!(told(scan(bytes, &limits)), told(scan_with(bytes, &limits, |_, _, _, _| None)));
    }

    #[test]
    fn a_proven_line_says_what_a_read_one_says() {
        let bytes = sample();
        both_ways(&bytes);
        for at in 0..bytes.len() {
            both_ways(&bytes[..at]);
            for flip in [1_u8, 2, 0x10, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                both_ways(&changed);
            }
        }
        // Numbers of every sort, escapes in names, members that only look like those that are looked for.
        let odd = ledger(&[
            json!({"kind": "open", "data": {"kind": "close", "data": 1.5e-7}}),
            json!({"kind": "note", "data": [0.1, 1e300, 1_u64 << 53, 1_152_921_504_606_847_000_u64, -(1_i64 << 53), -1, "\u{1f600}\n\"", null]}),
            json!({"kind": "a\nb", "k\"ind": 1, "kind\u{e9}": 2}),
            json!({"kind": "note", "data": {}, "data2": {"a": []}}),
        ]);
        both_ways(&odd);
        let mut swapped = odd.clone();
        swapped.rotate_left(40);
        both_ways(&swapped);
    }

    proptest! {
        #[test]
        fn edits_are_named_the_same_both_ways(at in any::<prop::sample::Index>(), with in "[\\x00-\\x7f]{0,8}", cut in 0_usize..12) {
            let mut bytes = sample();
            let at = at.index(bytes.len());
            bytes.splice(at..(at + cut).min(bytes.len()), with.bytes());
            both_ways(&bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = scan(&bytes, &Limits::default());
        }

        #[test]
        fn arbitrary_edits_never_panic(at in any::<prop::sample::Index>(), with in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut bytes = sample();
            let at = at.index(bytes.len());
            bytes.splice(at..(at + with.len() / 2).min(bytes.len()), with);
            let _ = scan(&bytes, &Limits::default());
        }
    }
}
