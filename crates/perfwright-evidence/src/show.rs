//! What runs there are, and what one of them says of itself. Nothing is verified here.

use std::fs;
use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::disk::open_regular;
use crate::json::read;
use crate::ledger::scan;
use crate::limits::Limits;
use crate::lock::{LockPlace, writer_of};
use crate::model::{Manifest, VerdictOutcome};
use crate::name::{LEDGER, MANIFEST};
use crate::run::Opening;
use crate::verify::check::read_limited;

/// The `schema` field of a [`ListReport`].
pub const LIST_SCHEMA: &str = "perfwright.run-list/v1";
/// The `schema` field of a [`ShowReport`].
pub const SHOW_SCHEMA: &str = "perfwright.run-show/v1";

/// The answer of `run list`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ListReport {
    /// [`LIST_SCHEMA`].
    pub schema: String,
    /// The folder that was looked into.
    pub root: String,
    /// Its runs, by folder name.
    pub runs: Vec<RunSummary>,
    /// Runs beyond the limit, counted only.
    pub left_off: u64,
}

/// One run in a few words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunSummary {
    /// Folder name in a list, the path as given otherwise.
    pub dir: String,
    /// Whether it has ended.
    pub state: RunState,
    /// Pid of the process that writes it now, where it is known.
    pub writer_pid: Option<u32>,
    /// The procedure.
    pub procedure: Option<String>,
    /// UTC time of the first event.
    pub started: Option<String>,
    /// UTC time of the end.
    pub ended: Option<String>,
    /// The contract's hash.
    pub contract_sha256: Option<String>,
    /// The stored verdict, not recomputed.
    pub verdict: Option<VerdictOutcome>,
    /// Why nothing more is known.
    pub problem: Option<String>,
}

/// Whether a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It has a closing event.
    Closed,
    /// A process writes it.
    Running,
    /// It has no closing event, and nobody writes it.
    Interrupted,
    /// Its ledger or manifest cannot be read; `run verify` says more.
    Damaged,
}

/// The answer of `run show`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ShowReport {
    /// [`SHOW_SCHEMA`].
    pub schema: String,
    /// The run in a few words.
    pub summary: RunSummary,
    /// The manifest, where the run is closed.
    pub manifest: Option<Manifest>,
    /// Ledger events.
    pub events: u64,
    /// SHA-256 of the last complete ledger line.
    pub head: Option<String>,
    /// Always false: showing checks nothing, verifying does.
    pub verified: bool,
}

/// The runs in `root`, at most `limit` of them.
///
/// # Errors
/// `root` cannot be read.
pub fn list_runs(root: &Path, limit: usize, limits: &Limits, lock: &LockPlace) -> io::Result<ListReport> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ledger = entry.path().join(LEDGER);
        if entry.file_type()?.is_dir() && !name.starts_with('.') && fs::symlink_metadata(ledger).is_ok() {
            names.push(name);
        }
    }
    names.sort();
    let left_off = names.len().saturating_sub(limit) as u64;
    let runs = names
        .into_iter()
        .take(limit)
        .map(|name| {
            let (mut summary, _, _) = look(&root.join(&name), limits, lock);
            summary.dir = name;
            summary
        })
        .collect();
    Ok(ListReport {
        schema: LIST_SCHEMA.to_owned(),
        root: root.to_string_lossy().into_owned(),
        runs,
        left_off,
    })
}

/// What the run in `dir` says of itself. A damaged run is shown as far as it can be read.
#[must_use]
pub fn show(dir: &Path, limits: &Limits, lock: &LockPlace) -> ShowReport {
    let (summary, manifest, tail) = look(dir, limits, lock);
    let (events, head) = tail.map_or((0, None), |(events, head)| (events, Some(head)));
    ShowReport { schema: SHOW_SCHEMA.to_owned(), summary, manifest, events, head, verified: false }
}

type Look = (RunSummary, Option<Manifest>, Option<(u64, String)>);

fn look(dir: &Path, limits: &Limits, lock: &LockPlace) -> Look {
    let mut summary = RunSummary {
        dir: dir.to_string_lossy().into_owned(),
        state: RunState::Damaged,
        writer_pid: None,
        procedure: None,
        started: None,
        ended: None,
        contract_sha256: None,
        verdict: None,
        problem: None,
    };
    let bytes = match open_regular(&dir.join(LEDGER)).and_then(|f| read_limited(f, limits.max_ledger_bytes)) {
        Ok(bytes) => bytes,
        Err(error) => {
            summary.problem = Some(format!("{LEDGER}: {error}"));
            return (summary, None, None);
        }
    };
    let ledger = scan(&bytes, limits);
    let tail = Some((ledger.lines, ledger.head.clone())).filter(|(lines, _)| *lines > 0);
    if let Some(first) = ledger.events.first() {
        summary.started = Some(first.at.clone());
        if let Ok(opening) = serde_json::from_value::<Opening>(first.body.value()) {
            summary.procedure = Some(opening.procedure);
            summary.contract_sha256 = Some(opening.contract_sha256);
        }
    }
    if let Some(first) = ledger.differences.first() {
        summary.problem = Some(format!("{}: {}", first.place, first.detail));
        return (summary, None, tail);
    }
    if ledger.closed.is_none() {
        let writer = writer_of(dir, lock);
        summary.state = if writer.is_some() { RunState::Running } else { RunState::Interrupted };
        summary.writer_pid = writer.flatten();
        return (summary, None, tail);
    }
    match manifest(dir, limits) {
        Ok(manifest) => {
            summary.state = RunState::Closed;
            summary.ended = Some(manifest.ended.clone());
            summary.verdict = Some(manifest.verdict.outcome);
            (summary, Some(manifest), tail)
        }
        Err(problem) => {
            summary.problem = Some(format!("{MANIFEST}: {problem}"));
            (summary, None, tail)
        }
    }
}

fn manifest(dir: &Path, limits: &Limits) -> Result<Manifest, String> {
    let file = open_regular(&dir.join(MANIFEST)).map_err(|e| e.to_string())?;
    let bytes = read_limited(file, limits.max_manifest_bytes as u64).map_err(|e| e.to_string())?;
    let value = read(&bytes, &limits.manifest_json()).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|e| e.to_string())
}
