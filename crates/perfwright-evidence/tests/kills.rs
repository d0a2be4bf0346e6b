//! A writing process killed with SIGKILL, and one whose files may not grow: real processes, real signals.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use perfwright_evidence::{
    Basis, EvidenceMeta, EvidenceSet, Gate, GateResult, Registry, Rule, RunError, RunSpec, RunWriter, Status,
    VerifyOptions, set_aside, verify,
};
use serde_json::json;

const TARGET: &str = "PERFWRIGHT_TEST_WRITE_TO";
const STEPS: usize = 12;

fn complete(evidence: &EvidenceSet) -> GateResult {
    let steps = (0..STEPS).filter(|i| evidence.bytes(&name(*i)).is_ok()).count();
    if steps == STEPS {
        GateResult::pass("every step is there")
    } else {
        GateResult::fail("steps are missing").measured(steps)
    }
}

const GATE: Gate = Gate { id: "test.complete", version: 1, eval: complete };

fn name(step: usize) -> String {
    format!("steps/{}/result.json", step % 4 * 100 + step)
}

fn spec() -> RunSpec {
    let mut spec = RunSpec::new("test write", "0.1.0", json!({"steps": STEPS}));
    spec.argv = vec!["test".into(), "--token".into(), "not-for-the-disk".into()];
    spec
}

/// Writes what is missing and closes the run.
fn work(dir: &Path) -> Result<(), RunError> {
    let mut run = RunWriter::create_or_resume(dir, &spec())?;
    for step in 0..STEPS {
        let name = name(step);
        if run.evidence().iter().any(|e| e.name == name) {
            continue;
        }
        run.event("step", &json!({"step": step, "note": "x".repeat(3000)}))?;
        let body = json!({"step": step, "filler": "y".repeat(20_000)}).to_string();
        run.add_bytes(&name, body.as_bytes(), &EvidenceMeta::new("application/json", Basis::Measured))?;
    }
    run.finish(&[GATE], Rule::AllPassV1).map(drop)
}

fn status(dir: &Path) -> Status {
    let registry = Registry::new([GATE]).expect("one gate");
    let report = verify(dir, &registry, &VerifyOptions::default()).expect("a run folder");
    assert_ne!(report.status, Status::Tampered, "{:?}", report.differences);
    report.status
}

/// The writing process: with the variable set it writes there; as a test of its own it writes one run and checks it.
#[test]
#[expect(clippy::exit, reason = "the code is what the parent process looks at")]
fn writer_process() {
    if let Some(dir) = std::env::var_os(TARGET) {
        if let Err(error) = work(Path::new(&dir)) {
            eprintln!("{error}");
            std::process::exit(i32::from(error.exit_code()));
        }
        return;
    }
    let root = tempfile::tempdir().expect("tempdir");
    let dir = root.path().join("run");
    work(&dir).expect("written");
    assert_eq!(status(&dir), Status::Clean);
}

/// This test binary again, running only [`writer_process`]; the shell sets limits and then becomes it.
fn writer(dir: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{before} exec \"$0\" --exact writer_process --nocapture"))
        .arg(std::env::current_exe().expect("this binary"))
        .env(TARGET, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// A small generator, so that a failure can be repeated.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn killed_at_random_moments() {
    let root = tempfile::tempdir().expect("tempdir");
    let begin = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let (mut kills, mut runs, mut aside) = (0, 0, 0);
    while begin.elapsed() < Duration::from_secs(8) {
        let dir = root.path().join(format!("run-{runs}"));
        loop {
            let mut child = writer(&dir, "").spawn().expect("started");
            sleep(Duration::from_micros(next(&mut state) % 40_000));
            child.kill().expect("killed");
            child.wait().expect("ended");
            kills += 1;
            if dir.exists() && status(&dir) == Status::Clean {
                break;
            }
            if dir.exists() && next(&mut state).is_multiple_of(16) {
                let moved = set_aside(&dir, &spec()).expect("set aside");
                assert_eq!(status(&moved), Status::Interrupted);
                aside += 1;
                break;
            }
            if begin.elapsed() > Duration::from_secs(12) {
                work(&dir).expect("the next command continues");
                assert_eq!(status(&dir), Status::Clean);
                break;
            }
        }
        runs += 1;
    }
    println!("{kills} kills over {runs} runs, {aside} set aside");
    assert!(kills > 10, "only {kills} kills");
}

#[test]
fn files_that_may_not_grow() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut limited = 0;
    // Blocks of 512 bytes: from less than the first event to all but the last.
    for blocks in [0, 1, 2, 5, 9, 17, 30, 38, 39, 40, 41, 60, 90] {
        let dir = root.path().join(format!("run-{blocks}"));
        let output = writer(&dir, &format!("trap '' XFSZ; ulimit -f {blocks};")).output().expect("ran");
        if output.status.success() {
            assert_eq!(status(&dir), Status::Clean);
            continue;
        }
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{blocks} blocks: {message}");
        limited += 1;
        if fs::metadata(&dir).is_ok() {
            assert_eq!(status(&dir), Status::Interrupted, "{blocks} blocks");
        }
        work(&dir).expect("continued with space");
        assert_eq!(status(&dir), Status::Clean);
    }
    println!("{limited} runs ended by the limit");
    assert!(limited >= 8, "only {limited} runs met the limit");
}
