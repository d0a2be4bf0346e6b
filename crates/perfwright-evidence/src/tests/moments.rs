//! Killed at any moment, or out of space at any operation: the folder stays explainable and can be continued.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::demo::{FAST, RESULT, add_result, registry, spec};
use super::vector::scratch;
use crate::disk::{Disk, OwnedOp};
use crate::{
    Basis, EvidenceMeta, Outcome, Rule, RunError, RunWriter, Status, VerdictOutcome, VerifyOptions, verify,
};

fn status(dir: &Path) -> Status {
    let report = verify(dir, &registry(), &VerifyOptions::default()).expect("a run folder");
    assert_ne!(report.status, Status::Tampered, "{:?}", report.differences);
    report.status
}

/// What a resumable procedure does: whatever is not recorded yet.
fn go_on(run: &mut RunWriter) -> Result<(), RunError> {
    let has = |run: &RunWriter, name: &str| run.evidence().iter().any(|e| e.name == name);
    if !has(run, "a/b/first.txt") {
        run.event("step", &json!({"n": 1}))?;
        run.add_bytes("a/b/first.txt", b"first\n", &EvidenceMeta::new("text/plain", Basis::Measured))?;
    }
    if !has(run, RESULT) {
        let meta = EvidenceMeta::new("application/json", Basis::Measured);
        run.add_bytes(RESULT, b"{\"ms\":9.5}", &meta)?;
    }
    Ok(())
}

fn whole_run(dir: &Path, disk: Disk) -> Result<(), RunError> {
    let mut run = RunWriter::create_with(dir, &spec(), disk)?;
    go_on(&mut run)?;
    run.finish(&[FAST], Rule::AllPassV1).map(drop)
}

/// Resumes, finishes and expects a clean run with the same verdict.
fn continue_and_close(dir: &Path) {
    let mut run = RunWriter::create_or_resume(dir, &spec()).expect("resumable");
    go_on(&mut run).expect("goes on");
    let finished = run.finish(&[FAST], Rule::AllPassV1).expect("closes");
    assert_eq!(finished.verdict.outcome, VerdictOutcome::Pass);
    assert_eq!(finished.gates[0].outcome, Outcome::Pass);
    assert_eq!(status(dir), Status::Clean);
}

/// Replays every prefix of `ops`, with the last write cut at several places, onto what `prepare` makes.
fn every_prefix(ops: &[OwnedOp], from: &Path, prepare: &dyn Fn(&Path)) -> usize {
    let mut states = 0;
    for end in 0..=ops.len() {
        let last = end.checked_sub(1).map(|i| &ops[i]);
        let length = last.map_or(0, OwnedOp::length);
        let mut cuts = vec![0, 1, length / 3, length / 2, length.saturating_sub(1), length];
        cuts.sort_unstable();
        cuts.dedup();
        for keep in cuts {
            let root = scratch();
            prepare(root.path());
            for (i, op) in ops[..end].iter().enumerate() {
                op.replay(from, root.path(), if i + 1 == end { keep } else { usize::MAX }).expect("replayed");
            }
            let dir = root.path().join("run");
            if dir.exists() && status(&dir) == Status::Clean {
                assert_eq!((end, keep), (ops.len(), length), "clean before the end");
            } else {
                continue_and_close(&dir);
            }
            states += 1;
        }
    }
    states
}

fn recorded(work: impl FnOnce(&Path, Disk)) -> (tempfile::TempDir, Vec<OwnedOp>) {
    let root = scratch();
    let disk = Disk::default();
    let log = disk.log.clone();
    work(&root.path().join("run"), disk);
    let ops = log.borrow().clone();
    (root, ops)
}

#[test]
fn a_kill_after_any_operation_is_explained_and_continued() {
    let (root, ops) = recorded(|dir, disk| whole_run(dir, disk).expect("written"));
    let states = every_prefix(&ops, root.path(), &|_| {});
    assert!(ops.len() >= 30, "only {} operations", ops.len());
    println!("{} operations, {states} states", ops.len());
}

#[test]
fn a_kill_while_resuming_is_explained_and_continued() {
    // A folder with everything a resume has to clean up: torn line, pending rename, leftovers, a stale manifest.
    let prepare = |root: &Path| {
        let dir = root.join("run");
        let mut run = RunWriter::create(&dir, &spec()).expect("created");
        add_result(&mut run, 9.5, Basis::Measured);
        drop(run);
        fs::rename(dir.join(RESULT), dir.join("benchmark/.result.json.pw-tmp")).expect("renamed");
        fs::write(dir.join(".x.pw-tmp"), "half").expect("written");
        fs::write(dir.join("manifest.json"), "stale").expect("written");
        fs::create_dir_all(dir.join("empty/inner")).expect("made");
        let mut ledger = fs::read(dir.join("ledger.jsonl")).expect("a ledger");
        ledger.extend_from_slice(b"{\"at\":\"2026-01-02T");
        fs::write(dir.join("ledger.jsonl"), ledger).expect("written");
        assert_eq!(status(&dir), Status::Interrupted);
    };
    let (root, ops) = recorded(|dir, disk| {
        prepare(dir.parent().expect("a parent"));
        let mut run = RunWriter::resume_with(dir, &spec(), disk).expect("resumable");
        go_on(&mut run).expect("goes on");
        run.finish(&[FAST], Rule::AllPassV1).expect("closes");
    });
    let states = every_prefix(&ops, root.path(), &prepare);
    println!("{} operations, {states} states", ops.len());
}

#[test]
fn a_full_disk_at_any_operation_is_explained_and_continued() {
    let (_, ops) = recorded(|dir, disk| whole_run(dir, disk).expect("written"));
    for (at, op) in ops.iter().enumerate() {
        for bytes in [0, 7, op.length()] {
            let root = scratch();
            let dir = root.path().join("run");
            let disk = Disk::default();
            disk.fail.set(Some((at, bytes)));
            let error = whole_run(&dir, disk).expect_err("the disk is full");
            assert_eq!(error.exit_code(), 5, "{error}");
            if dir.exists() {
                assert_eq!(status(&dir), Status::Interrupted, "operation {at}: {op:?}");
            }
            continue_and_close(&dir);
        }
    }
    println!("{} operations failed, each continued", ops.len());
}

/// The writer itself goes on once there is space again.
#[test]
fn a_writer_survives_a_full_disk() {
    let root = scratch();
    let dir = root.path().join("run");
    let mut run = RunWriter::create(&dir, &spec()).expect("created");
    for failing in 0..3 {
        run.disk.fail.set(Some((0, 20 + failing)));
        let error = run.event("note", &json!({"n": failing})).expect_err("full");
        assert!(matches!(error, RunError::Io { .. }), "{error}");
        run.event("note", &json!({"n": failing})).expect("space again");
    }
    go_on(&mut run).expect("goes on");
    run.finish(&[FAST], Rule::AllPassV1).expect("closes");
    assert_eq!(status(&dir), Status::Clean);
}
