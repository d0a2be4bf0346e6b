//! The ledger as a procedure reads it back: its own events, and where the chain stands.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::disk::open_regular;
use crate::hash::sha256_hex;
use crate::ledger::{NO_PREVIOUS, scan};
use crate::ledger_line::Data;
use crate::limits::Limits;
use crate::name::LEDGER;
use crate::verify::report::Difference;

/// One event that a procedure wrote with [`crate::RunWriter::event`], or a file that it recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerEvent {
    /// Line in the ledger, from 1.
    pub line: u64,
    /// UTC time.
    pub at: String,
    /// The procedure's kind; `evidence` for a file, whose data is an [`crate::Evidence`].
    pub kind: String,
    /// The procedure's data.
    pub data: Data,
}

/// What a ledger holds.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerView {
    /// The procedure's own events and the recorded files, in order.
    pub events: Vec<LedgerEvent>,
    /// Complete lines, of any kind.
    pub lines: u64,
    /// SHA-256 of the last complete line.
    pub head: String,
    /// Whether the run was closed.
    pub closed: bool,
    /// SHA-256 of the manifest that the closing event names.
    pub manifest_sha256: Option<String>,
    /// Every break of the chain; empty where it is whole.
    pub differences: Vec<Difference>,
}

/// Reads and checks the ledger of the run folder `dir`, without looking at the evidence.
///
/// # Errors
/// The ledger cannot be read or is larger than the limit.
pub fn read_ledger(dir: &Path, limits: &Limits) -> io::Result<LedgerView> {
    let file = open_regular(&dir.join(LEDGER))?;
    let mut bytes = Vec::new();
    file.take(limits.max_ledger_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.max_ledger_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the ledger is larger than the limit"));
    }
    Ok(ledger_of(&bytes, limits))
}

/// What the bytes of a ledger say.
#[must_use]
pub fn ledger_of(bytes: &[u8], limits: &Limits) -> LedgerView {
    let found = scan(bytes, limits);
    let events = found
        .events
        .into_iter()
        .filter_map(|event| {
            let data = event.body.data()?;
            Some(LedgerEvent { line: event.line, at: event.at, kind: event.kind, data })
        })
        .collect();
    LedgerView {
        events,
        lines: found.lines,
        head: found.head,
        closed: found.closed.is_some(),
        manifest_sha256: found.closed,
        differences: found.differences,
    }
}

/// SHA-256 of the last complete line of the ledger in `dir`, reading no more than that line: a cheap look at whether a
/// ledger ends where it was left.
///
/// # Errors
/// There is no ledger, it cannot be read, or its last line is longer than the limit.
pub fn ledger_tail(dir: &Path, limits: &Limits) -> io::Result<String> {
    let mut file = open_regular(&dir.join(LEDGER))?;
    let mut block = 4096_u64;
    loop {
        let tail = read_tail(&mut file, block)?;
        let whole = tail.len() as u64 >= file.metadata()?.len();
        let Some(end) = memchr::memrchr(b'\n', &tail) else {
            if whole {
                return Ok(NO_PREVIOUS.to_owned());
            }
            block = grow(block, limits)?;
            continue;
        };
        match memchr::memrchr(b'\n', &tail[..end]) {
            Some(start) => return Ok(sha256_hex(&tail[start + 1..end])),
            None if whole => return Ok(sha256_hex(&tail[..end])),
            None => block = grow(block, limits)?,
        }
    }
}

fn grow(block: u64, limits: &Limits) -> io::Result<u64> {
    if block > 2 * limits.max_line_bytes as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a ledger line is longer than the limit"));
    }
    Ok(block * 8)
}

fn read_tail(file: &mut File, block: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(block)))?;
    let mut bytes = Vec::new();
    file.take(block).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RunSpec, RunWriter};
    use serde_json::json;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn the_view_the_tail_and_the_watcher_agree() {
        let folder = tempfile::tempdir().expect("tempdir");
        let dir = folder.path().join("run");
        let spec = RunSpec::new("demo", "0", json!({}));
        let mut run = RunWriter::create(&dir, &spec).expect("create");
        let heads = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&heads);
        run.watch(move |head| {
            told.borrow_mut().push(head.clone());
            Ok(())
        });
        for n in 0..40 {
            let text = "x".repeat(n * n * 7);
            run.event("step", &json!({ "n": n, "text": text })).expect("event");
            let told = heads.borrow().last().cloned().expect("told");
            assert_eq!(ledger_tail(&dir, &Limits::default()).expect("tail"), told.head);
            assert_eq!(run.head().head, told.head);
        }
        let view = read_ledger(&dir, &Limits::default()).expect("view");
        assert_eq!((view.differences.len(), view.closed), (0, false));
        // The contract is recorded first.
        let contract: crate::Evidence = view.events[0].data.read().expect("a record");
        assert_eq!((view.events[0].kind.as_str(), contract.name.as_str()), ("evidence", "contract.json"));
        let steps: Vec<_> = view.events.iter().filter(|e| e.kind == "step").collect();
        assert_eq!((view.events.len(), steps.len()), (41, 40));
        assert_eq!(steps[7].data.value()["n"], 7);
        assert_eq!(view.head, run.head().head);
        drop(run);
        // Attaching leaves no trace, and a watcher that fails keeps the event out.
        let mut again = RunWriter::attach(&dir, &spec).expect("attach");
        assert_eq!(again.head().head, view.head);
        again.watch(|_| Err(io::Error::other("full")));
        assert!(again.event("step", &json!({})).is_err());
        assert_eq!(ledger_tail(&dir, &Limits::default()).expect("tail"), view.head);
        again.watch(|_| Ok(()));
        again.event("step", &json!({})).expect("the writer goes on");
    }
}
