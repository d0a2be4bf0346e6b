//! Writing, continuing, listing, showing and comparing runs through the public face.

use std::fs;
use std::path::Path;

use perfwright_evidence::{
    Basis, EvidenceChange, EvidenceMeta, EvidenceSet, Gate, GateResult, Limits, LockError, LockPlace,
    ReferenceState, Registry, Rule, RunError, RunSpec, RunState, RunWriter, Status, VerdictOutcome,
    VerifyOptions, diff, list_runs, show, verify,
};
use serde_json::json;

fn fast(evidence: &EvidenceSet) -> GateResult {
    match evidence.json("result.json").map(|v| v["ms"].as_f64()) {
        Ok(Some(ms)) if ms < 10.0 => GateResult::pass("below the limit").measured(ms).threshold(10),
        Ok(Some(ms)) => GateResult::fail("not below the limit").measured(ms).threshold(10),
        _ => GateResult::not_applicable("no result"),
    }
}

const FAST: Gate = Gate { id: "test.fast", version: 1, eval: fast };

fn spec(procedure: &str, model: &str) -> RunSpec {
    RunSpec::new(procedure, "0.1.0", json!({"model": model, "limits": {"ms": 10}}))
}

fn closed(dir: &Path, model: &str, ms: f64, basis: Basis) -> VerdictOutcome {
    let mut run = RunWriter::create(dir, &spec("demo", model)).expect("created");
    let meta = EvidenceMeta::new("application/json", basis);
    run.add_bytes("result.json", json!({"ms": ms}).to_string().as_bytes(), &meta).expect("recorded");
    run.finish(&[FAST], Rule::AllPassV1).expect("closed").verdict.outcome
}

#[test]
fn resume_refuses_what_is_not_its_own() {
    let root = tempfile::tempdir().expect("tempdir");
    let dir = root.path().join("run");
    let code = |result: Result<RunWriter, RunError>| result.expect_err("refused").exit_code();
    assert_eq!(code(RunWriter::resume(&dir, &spec("demo", "m"))), 2);
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join("notes.txt"), "mine").expect("written");
    assert_eq!(code(RunWriter::create_or_resume(&dir, &spec("demo", "m"))), 2);
    assert_eq!(code(RunWriter::create(&dir, &spec("demo", "m"))), 2);
    fs::remove_file(dir.join("notes.txt")).expect("removed");

    let mut run = RunWriter::create_or_resume(&dir, &spec("demo", "m")).expect("an empty folder will do");
    let held = RunWriter::resume(&dir, &spec("demo", "m")).expect_err("one writer at a time");
    assert!(matches!(held, RunError::Lock(LockError::Held { pid: Some(_) })), "{held}");
    let meta = EvidenceMeta::new("text/plain", Basis::Measured);
    run.add_bytes("a.txt", b"1", &meta).expect("recorded");
    assert_eq!(run.add_bytes("a.txt", b"2", &meta).expect_err("taken").exit_code(), 2);
    assert!(matches!(run.add_bytes("a.txt/b", b"2", &meta), Err(RunError::Taken(_))));
    assert!(matches!(run.add_bytes("../a", b"2", &meta), Err(RunError::Name { .. })));
    assert!(matches!(run.event("close", &json!(1)), Err(RunError::Kind(_))));
    drop(run);

    assert_eq!(code(RunWriter::create(&dir, &spec("demo", "m"))), 2);
    assert_eq!(code(RunWriter::resume(&dir, &spec("other", "m"))), 2);
    assert_eq!(code(RunWriter::resume(&dir, &spec("demo", "another"))), 3);
    fs::write(dir.join("a.txt"), "2").expect("written");
    let broken = RunWriter::resume(&dir, &spec("demo", "m")).expect_err("changed");
    assert_eq!(broken.exit_code(), 6);
    assert!(broken.to_string().contains("a.txt"), "{broken}");
    fs::write(dir.join("a.txt"), "1").expect("written");

    let run = RunWriter::resume(&dir, &spec("demo", "m")).expect("its own");
    assert_eq!(run.evidence().len(), 2);
    run.finish(&[], Rule::AnsweredV1).expect("closed");
    assert_eq!(code(RunWriter::resume(&dir, &spec("demo", "m"))), 2);
}

#[test]
fn a_stranger_in_the_folder_is_not_sealed_in() {
    let root = tempfile::tempdir().expect("tempdir");
    let dir = root.path().join("run");
    let run = RunWriter::create(&dir, &spec("demo", "m")).expect("created");
    fs::write(dir.join("stray.txt"), "?").expect("written");
    let error = run.finish(&[], Rule::AllPassV1).expect_err("a stranger");
    assert!(matches!(&error, RunError::Strangers(names) if names == &["stray.txt"]), "{error}");
}

#[test]
fn imported_evidence_alone_is_inconclusive() {
    let root = tempfile::tempdir().expect("tempdir");
    assert_eq!(closed(&root.path().join("a"), "m", 5.0, Basis::Measured), VerdictOutcome::Pass);
    assert_eq!(closed(&root.path().join("b"), "m", 5.0, Basis::Imported), VerdictOutcome::Inconclusive);
    assert_eq!(closed(&root.path().join("c"), "m", 5.0, Basis::Declared), VerdictOutcome::Inconclusive);
    assert_eq!(closed(&root.path().join("d"), "m", 50.0, Basis::Measured), VerdictOutcome::Fail);
}

#[test]
fn references_are_checked_without_making_a_run_unclean() {
    let root = tempfile::tempdir().expect("tempdir");
    let (dir, input) = (root.path().join("run"), root.path().join("big.json"));
    fs::write(&input, "{}").expect("written");
    let mut run = RunWriter::create(&dir, &spec("demo", "m")).expect("created");
    let meta = EvidenceMeta::new("application/json", Basis::Imported);
    run.add_reference("inputs/big.json", &input, &meta).expect("recorded");
    assert!(run.add_input("inputs/small.json", &input, &meta).expect("recorded"), "small inputs are copied");
    run.finish(&[], Rule::AnsweredV1).expect("closed");
    let state = || {
        let report = verify(&dir, &Registry::default(), &VerifyOptions::default()).expect("a run");
        assert_eq!(report.status, Status::Clean);
        report.references[0].state
    };
    assert_eq!(state(), ReferenceState::Present);
    fs::write(&input, "[]").expect("written");
    assert_eq!(state(), ReferenceState::Changed);
    fs::remove_file(&input).expect("removed");
    assert_eq!(state(), ReferenceState::Gone);
}

#[test]
fn listing_and_showing() {
    let root = tempfile::tempdir().expect("tempdir");
    closed(&root.path().join("a"), "m", 5.0, Basis::Measured);
    drop(RunWriter::create(&root.path().join("b"), &spec("demo", "m")).expect("created"));
    let running = RunWriter::create(&root.path().join("c"), &spec("demo", "m")).expect("created");
    closed(&root.path().join("d"), "m", 5.0, Basis::Measured);
    let ledger = fs::read_to_string(root.path().join("d/ledger.jsonl")).expect("a ledger");
    fs::write(root.path().join("d/ledger.jsonl"), ledger.replace("demo", "demi")).expect("written");
    fs::create_dir(root.path().join("no-run")).expect("made");
    let limits = Limits::default();
    let list = list_runs(root.path(), 10, &limits, &LockPlace::Beside).expect("listed");
    let states: Vec<_> = list.runs.iter().map(|r| (r.dir.as_str(), r.state)).collect();
    let expected = [
        ("a", RunState::Closed),
        ("b", RunState::Interrupted),
        ("c", RunState::Running),
        ("d", RunState::Damaged),
    ];
    assert_eq!(states, expected);
    assert_eq!(list.runs[0].verdict, Some(VerdictOutcome::Pass));
    assert_eq!(list.runs[2].writer_pid, Some(std::process::id()));
    assert_eq!(list_runs(root.path(), 1, &limits, &LockPlace::Beside).expect("listed").left_off, 3);
    drop(running);
    let shown = show(&root.path().join("a"), &limits, &LockPlace::Beside);
    assert_eq!(shown.manifest.expect("closed").evidence.len(), 2);
    assert_eq!((shown.events, shown.verified), (4, false));
}

#[test]
fn comparing() {
    let root = tempfile::tempdir().expect("tempdir");
    let at = |name: &str| root.path().join(name);
    closed(&at("a"), "m", 5.0, Basis::Measured);
    closed(&at("same"), "m", 5.0, Basis::Measured);
    closed(&at("slow"), "m", 50.0, Basis::Measured);
    closed(&at("other"), "n", 50.0, Basis::Measured);
    let limits = Limits::default();
    let same = diff(&at("a"), &at("same"), &limits).expect("two runs");
    assert_eq!((same.exit_code, same.equal_evidence), (0, 1));
    let slow = diff(&at("a"), &at("slow"), &limits).expect("two runs");
    assert_eq!((slow.exit_code, slow.evidence[0].change), (1, EvidenceChange::Differs));
    assert_eq!(slow.gates[0].gate, "test.fast/v1");
    assert!(slow.verdicts.is_some());
    let other = diff(&at("a"), &at("other"), &limits).expect("two runs");
    assert_eq!((other.exit_code, other.comparable), (3, false));
    assert_eq!(other.contract[0].field, "/model");
    assert!(
        other.gates.is_empty() && other.verdicts.is_none(),
        "results under two contracts are not compared"
    );
    fs::write(at("same/result.json"), "{\"ms\":4.0}").expect("written");
    assert_eq!(diff(&at("a"), &at("same"), &limits).expect_err("tampered").exit_code(), 6);
}
