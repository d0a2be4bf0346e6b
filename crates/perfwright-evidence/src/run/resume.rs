//! Continuing a run that was killed, and setting one aside.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::writer::{Head, Watcher, parent_of, unstarted};
use super::{Opening, RunError, RunSpec, RunWriter};
use crate::disk::{Disk, Op};
use crate::lock::Lock;
use crate::name::{CONTRACT, LEDGER, temp_name};
use crate::verify::check::{Integrity, integrity};
use crate::verify::report::Status;

impl RunWriter {
    /// Continues an interrupted run: cuts a torn ledger line, finishes a pending rename, removes leftovers, and appends
    /// a `resume` event. Nothing is changed before the whole run has been checked.
    ///
    /// # Errors
    /// Exit code 2: no run, another procedure's, or closed. 3: another contract. 6: not intact. 5: cannot be written.
    pub fn resume(dir: &Path, spec: &RunSpec) -> Result<Self, RunError> {
        Self::resume_with(dir, spec, Disk::default())
    }

    pub(crate) fn resume_with(dir: &Path, spec: &RunSpec, disk: Disk) -> Result<Self, RunError> {
        Self::continue_with(dir, spec, disk, true)
    }

    /// As [`RunWriter::resume`], for a procedure that is many short processes one after another: a `resume` event is
    /// written only where something had to be repaired.
    ///
    /// # Errors
    /// As [`RunWriter::resume`].
    pub fn attach(dir: &Path, spec: &RunSpec) -> Result<Self, RunError> {
        Self::continue_with(dir, spec, Disk::default(), false)
    }

    fn continue_with(dir: &Path, spec: &RunSpec, disk: Disk, always_say: bool) -> Result<Self, RunError> {
        let io = |source| RunError::Io { path: dir.to_owned(), source };
        if !dir.is_dir() {
            return Err(RunError::NotARun(dir.to_owned()));
        }
        let lock = Lock::take(dir, &spec.lock)?;
        let Integrity { mut report, ledger, evidence, .. } =
            integrity(dir, &spec.limits).map_err(|_| RunError::NotARun(dir.to_owned()))?;
        let first = ledger.events.first().filter(|e| e.kind == "open");
        let opening = first.and_then(|e| serde_json::from_value::<Opening>(e.body.value()).ok());
        if report.status == Status::Tampered {
            report.left_off += report.differences.len().saturating_sub(spec.limits.max_differences) as u64;
            report.differences.truncate(spec.limits.max_differences);
            return Err(RunError::Broken { report: Box::new(report) });
        }
        let (Some(first), Some(opening)) = (first, opening) else {
            return Err(RunError::NotARun(dir.to_owned()));
        };
        let redactor = spec.redactor();
        if opening.procedure != redactor.text(&spec.procedure) {
            let (recorded, given) = (opening.procedure, spec.procedure.clone());
            return Err(RunError::OtherProcedure { recorded, given });
        }
        if ledger.closed.is_some() {
            return Err(RunError::Closed(dir.to_owned()));
        }
        let (contract, given) = spec.contract_bytes(&redactor)?;
        if opening.contract_sha256 != given {
            return Err(RunError::ContractDiffers { recorded: opening.contract_sha256, given });
        }
        let mut run = Self {
            dir: dir.to_owned(),
            disk,
            redactor,
            clock: spec.clock.clone(),
            limits: spec.limits,
            opening,
            started: first.at.clone(),
            seq: ledger.lines,
            head: ledger.head.clone(),
            ledger_bytes: ledger.complete_bytes,
            evidence,
            poisoned: false,
            watcher: Watcher::default(),
            found: Head { events: ledger.lines, head: ledger.head.clone(), previous: ledger.head.clone() },
            lock,
        };
        if ledger.torn_bytes > 0 {
            run.disk.run(Op::Cut(&dir.join(LEDGER), ledger.complete_bytes)).map_err(io)?;
        }
        if let Some(name) = report.interrupted.as_ref().and_then(|i| i.pending.as_ref()) {
            run.disk.run(Op::Rename(&dir.join(temp_name(name)), &dir.join(name))).map_err(io)?;
            run.sync_dir(&parent_of(&dir.join(name)))?;
        }
        let removed = run.sweep()?;
        run.sync_dir(dir)?;
        let repaired = ledger.torn_bytes > 0
            || !removed.is_empty()
            || report.interrupted.as_ref().is_some_and(|i| i.pending.is_some());
        let has_contract = run.evidence.iter().any(|e| e.name == CONTRACT);
        if !always_say && !repaired && has_contract {
            return Ok(run);
        }
        let again = Opening::new(spec, &run.redactor, &given);
        run.append(&json!({
            "kind": "resume",
            "perfwright": again.perfwright,
            "argv": again.argv,
            "env": again.env,
            "host": again.host,
            "repos": again.repos,
            "cut_bytes": ledger.torn_bytes,
            "removed": removed,
        }))?;
        if !has_contract {
            run.put_contract(&contract)?;
        }
        Ok(run)
    }

    /// Starts a run in `dir`, or continues the one that is there.
    ///
    /// # Errors
    /// As [`RunWriter::create`] and [`RunWriter::resume`].
    pub fn create_or_resume(dir: &Path, spec: &RunSpec) -> Result<Self, RunError> {
        let io = |source| RunError::Io { path: dir.to_owned(), source };
        match unstarted(dir, &spec.limits).map_err(io)? {
            None | Some(true) => Self::create(dir, spec),
            Some(false) => Self::resume(dir, spec),
        }
    }
}

/// Renames a run folder to `NAME.aside-N`, so that its name is free, and returns the new path.
///
/// # Errors
/// A writer is at work, or renaming failed.
pub fn set_aside(dir: &Path, spec: &RunSpec) -> Result<PathBuf, RunError> {
    let io = |source| RunError::Io { path: dir.to_owned(), source };
    let _lock = Lock::take(dir, &spec.lock)?;
    let name =
        dir.file_name().ok_or_else(|| RunError::NotARun(dir.to_owned()))?.to_string_lossy().into_owned();
    let parent = parent_of(dir);
    let free = (1..10_000)
        .map(|n| parent.join(format!("{name}.aside-{n}")))
        .find(|p| fs::symlink_metadata(p).is_err());
    let target = free.ok_or_else(|| RunError::Exists(dir.to_owned()))?;
    fs::rename(dir, &target).map_err(io)?;
    fs::File::open(&parent).and_then(|f| f.sync_all()).map_err(io)?;
    Ok(target)
}
