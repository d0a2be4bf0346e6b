//! Gates that run something: tests, benchmarks, accuracy. What counts is what we saw, never what was reported.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perfwright_evidence::json::{JsonLimits, read};
use perfwright_evidence::{GateResult, is_sha256_hex};
use serde_json::Value;

use super::catalogue::Resolved;
use super::evaluate::{Kept, Scene};
use crate::child::{Job, MARKER, Ran, run};
use crate::error::LoopError;
use crate::event::{ChildTime, Ended};
use crate::git;
use crate::plan::Where;

/// How much of a command's output is kept.
const KEPT: u64 = 4 << 20;

/// A copy of the commit that goes away with its value.
pub(crate) struct Copy {
    path: PathBuf,
}

impl Copy {
    pub(crate) fn make(root: &Path, commit: &str, scratch: &Path, name: &str) -> Result<Self, LoopError> {
        let path = scratch.join(name);
        let copy = Self { path };
        copy.remove();
        fs::create_dir_all(scratch).map_err(|e| LoopError::io(scratch, e))?;
        git::copy(root, commit, &copy.path)?;
        Ok(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) {
        if self.path.exists() {
            make_writable(&self.path);
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if meta.is_dir() {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            make_writable(&entry.path());
        }
    }
}

/// Takes the write permission from everything in a copy.
pub(crate) fn make_read_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if meta.is_symlink() {
        return;
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            make_read_only(&entry.path());
        }
    }
    let mode = meta.permissions().mode() & !0o222;
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
}

fn go(scene: &Scene, gate: &Resolved, kept: &mut Kept) -> Result<Ran, LoopError> {
    let scratch = scene.scratch.join(format!("gate-{}", gate.id));
    let copy = match gate.place {
        Where::Clean => Some(Copy::make(scene.root, &scene.mark.commit, &scratch, "tree")?),
        Where::Tree => None,
    };
    let job = Job {
        command: gate.run.as_deref().unwrap_or("false"),
        dir: copy.as_ref().map_or(scene.root, Copy::path),
        input: b"",
        env: vec![
            (MARKER.to_owned(), scene.spec.campaign.clone()),
            ("PERFWRIGHT_LOOP_COMMIT".to_owned(), scene.mark.commit.clone()),
            ("PERFWRIGHT_LOOP_CONTRACT".to_owned(), contract_hash(scene, gate)),
        ],
        timeout: Duration::from_secs(gate.timeout_s),
        scratch: &scratch.join("streams"),
    };
    let start_ms = scene.now_ms();
    let ran = run(&job, KEPT)?;
    kept.child = Some(ChildTime { start_ms, wall_ms: ran.wall_ms, ended: ran.ended });
    kept.files.push((format!("{}.out", gate.id), ran.out.clone()));
    kept.files.push((format!("{}.err", gate.id), ran.err.clone()));
    drop(copy);
    let _ = fs::remove_dir_all(&scratch);
    Ok(ran)
}

/// Hash of the file that a benchmark's contract is locked in.
fn contract_hash(scene: &Scene, gate: &Resolved) -> String {
    gate.contract.as_ref().and_then(|name| scene.spec.protected.get(name)).cloned().unwrap_or_default()
}

fn how(ended: Ended) -> String {
    match ended {
        Ended::Exit(code) => format!("exit code {code}"),
        Ended::Signal(signal) => format!("ended by signal {signal}"),
        Ended::Timeout => "not done in its time, or flooding its output".to_owned(),
        Ended::NotStarted | Ended::Interrupted | Ended::Turn => "not run to its end".to_owned(),
    }
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default().chars().take(200).collect()
}

/// The command exits 0.
pub(super) fn command(scene: &Scene, gate: &Resolved, kept: &mut Kept) -> Result<GateResult, LoopError> {
    let ran = go(scene, gate, kept)?;
    if ran.ended == Ended::Exit(0) {
        return Ok(GateResult::pass(format!("exit code 0 after {} ms", ran.wall_ms)).measured(0));
    }
    let said = last_line(if ran.err.is_empty() { &ran.out } else { &ran.err });
    let reason = if said.is_empty() { how(ran.ended) } else { format!("{}: {said}", how(ran.ended)) };
    Ok(GateResult::fail(reason).threshold(0))
}

/// The JSON answer on standard output: the whole of it, or its last line.
fn answer(bytes: &[u8]) -> Option<Value> {
    let limits = JsonLimits { max_bytes: KEPT as usize, max_depth: 64 };
    read(bytes, &limits).ok().or_else(|| {
        let line = bytes.split(|&b| b == b'\n').rfind(|l| !l.iter().all(u8::is_ascii_whitespace))?;
        read(line, &limits).ok()
    })
}

/// The command's verdict is a pass, and it states the locked contract.
///
/// The answer is an object with `verdict` (a word, or an object with `outcome`), `contract_sha256`, and where a number
/// came of it `measured` (alone, or an object with `estimate`, `low` and `high`) and `threshold`. Exit code 0 is a pass, 1
/// the answer no, 3 a measurement that cannot be trusted.
pub(super) fn benchmark(scene: &Scene, gate: &Resolved, kept: &mut Kept) -> Result<GateResult, LoopError> {
    let ran = go(scene, gate, kept)?;
    let Some(value) = answer(&ran.out).filter(Value::is_object) else {
        return Ok(GateResult::fail(format!("{}, and no JSON answer", how(ran.ended))));
    };
    let verdict =
        value["verdict"].as_str().or_else(|| value["verdict"]["outcome"].as_str()).unwrap_or("none");
    let stated = value["contract_sha256"].as_str().unwrap_or("none").to_owned();
    if gate.contract.is_some() {
        let locked = contract_hash(scene, gate);
        if !is_sha256_hex(&locked) {
            return Ok(GateResult::hard_stop(
                "the contract of the benchmark is not among the protected files",
            ));
        }
        if stated != locked {
            return Ok(GateResult::hard_stop("measured under another contract than the locked one")
                .measured(stated)
                .threshold(locked));
        }
    }
    let result = match (ran.ended, verdict) {
        (Ended::Exit(0), "pass" | "better" | "proven") => GateResult::pass(format!("verdict {verdict}")),
        (Ended::Exit(3), _) => GateResult::hard_stop(format!("verdict {verdict}: not trustworthy")),
        (ended, verdict) => GateResult::fail(format!("verdict {verdict}, {}", how(ended))),
    };
    // A gap that was not closed is measured as well as one that was.
    let result = result.measured(value["measured"].clone());
    let Some(threshold) = value["threshold"].as_f64() else { return Ok(result) };
    Ok(result.threshold(threshold))
}

/// A number in the command's JSON answer, or in a file, reaches its threshold.
pub(super) fn accuracy(scene: &Scene, gate: &Resolved, kept: &mut Kept) -> Result<GateResult, LoopError> {
    let ran = go(scene, gate, kept)?;
    if ran.ended != Ended::Exit(0) {
        return Ok(GateResult::fail(how(ran.ended)));
    }
    let (Some(pointer), Some(op), Some(threshold)) = (&gate.pointer, gate.op, gate.value) else {
        return Ok(GateResult::hard_stop("the gate states no pointer, op and value"));
    };
    let Some(value) = answer(&ran.out) else { return Ok(GateResult::fail("no JSON answer")) };
    Ok(match value.pointer(pointer).and_then(Value::as_f64) {
        None => GateResult::fail(format!("no number at {pointer}")).threshold(threshold),
        Some(measured) if op.holds(measured, threshold) => {
            GateResult::pass("reaches its threshold").measured(measured).threshold(threshold)
        }
        Some(measured) => {
            GateResult::fail("does not reach its threshold").measured(measured).threshold(threshold)
        }
    })
}
