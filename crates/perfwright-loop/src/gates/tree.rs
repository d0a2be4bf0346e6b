//! Gates over the work tree and its history.

use std::fs;
use std::io::Read;

use perfwright_evidence::GateResult;

use super::catalogue::Resolved;
use super::evaluate::Scene;
use crate::error::LoopError;
use crate::git;
use crate::glob;

/// The branch is the same, history only grew since the base and since the last judgement, nothing was stashed.
pub(super) fn history(scene: &Scene) -> GateResult {
    let branch = git::branch(scene.root);
    if branch != scene.spec.branch {
        let name = |b: &Option<String>| b.clone().unwrap_or_else(|| "no branch".to_owned());
        return GateResult::fail(format!("on {} instead of {}", name(&branch), name(&scene.spec.branch)));
    }
    let before = [Some(&scene.spec.base), scene.state.judged.as_ref(), scene.state.clean.as_ref()];
    for mark in before.into_iter().flatten() {
        if !git::is_ancestor(scene.root, &mark.commit, &scene.mark.commit) {
            return GateResult::fail(format!("commit {} is no longer in the history", short(&mark.commit)))
                .measured(scene.mark.commit.clone())
                .threshold(mark.commit.clone());
        }
    }
    let stash = git::git_text(scene.root, &["rev-parse", "--verify", "--quiet", "refs/stash"]).ok();
    if stash != scene.spec.stash {
        return GateResult::fail("the stash changed: work is hidden there, or was taken from it");
    }
    GateResult::pass("the branch only grew").measured(scene.mark.commit.clone())
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Nothing is changed or untracked, and nothing of ours is tracked.
pub(super) fn clean(scene: &Scene) -> Result<GateResult, LoopError> {
    let changed = scene.uncommitted()?;
    if let Some(first) = changed.first() {
        let reason = format!("{} uncommitted, first {first:?}", changed.len());
        return Ok(GateResult::fail(reason).measured(changed.len()).threshold(0));
    }
    if let Ok(inside) = scene.run_dir.strip_prefix(scene.root) {
        let path = inside.to_string_lossy().into_owned();
        if !git::git(scene.root, &["ls-files", "-z", "--", &path])?.is_empty() {
            return Ok(GateResult::fail(format!("the run folder {path} is tracked")));
        }
    }
    // Flags that hide changes from `git status` would make every clean tree worthless.
    let flags = git::git(scene.root, &["ls-files", "-v", "-z"])?;
    let hidden = flags
        .split(|&b| b == 0)
        .find(|l| l.first().is_some_and(|c| c.is_ascii_lowercase() || *c == b'S'))
        .map(|l| String::from_utf8_lossy(l.get(2..).unwrap_or_default()).into_owned());
    if let Some(path) = hidden {
        return Ok(GateResult::fail(format!("{path:?} is marked so that git does not see its changes")));
    }
    Ok(GateResult::pass("everything is committed").measured(0))
}

/// The difference from base to head stays within the boundaries.
pub(super) fn paths(scene: &Scene) -> Result<GateResult, LoopError> {
    let paths = &scene.spec.paths;
    if paths.allow.is_empty() && paths.deny.is_empty() && paths.protect.is_empty() {
        return Ok(GateResult::not_applicable("the plan states no boundary"));
    }
    let touched = git::diff_paths(scene.root, &scene.spec.base.commit, &scene.mark.commit)?;
    let any = |patterns: &[String], path: &str| patterns.iter().any(|p| glob::matches(p, path));
    for path in &touched {
        if any(&paths.deny, path) || any(&paths.protect, path) {
            return Ok(GateResult::fail(format!("{path:?} must not be touched")).measured(path.clone()));
        }
        if !paths.allow.is_empty() && !any(&paths.allow, path) {
            return Ok(
                GateResult::fail(format!("{path:?} is outside of the boundary")).measured(path.clone())
            );
        }
    }
    Ok(GateResult::pass("within the boundary").measured(touched.len()))
}

/// No file of the difference is too large, committed or not.
pub(super) fn large(scene: &Scene, gate: &Resolved) -> Result<GateResult, LoopError> {
    let mut touched = git::diff_paths(scene.root, &scene.spec.base.commit, &scene.mark.commit)?;
    touched.extend_from_slice(scene.uncommitted()?);
    let mut largest = 0;
    for path in &touched {
        let full = scene.root.join(path);
        let Ok(meta) = fs::symlink_metadata(&full) else { continue };
        if !meta.is_file() {
            continue;
        }
        if meta.len() > gate.max_bytes {
            return Ok(GateResult::fail(format!("{path:?} has {} bytes", meta.len()))
                .measured(meta.len())
                .threshold(gate.max_bytes));
        }
        let mut bytes = Vec::new();
        if let Ok(file) = fs::File::open(&full) {
            let _ = file.take(gate.max_bytes).read_to_end(&mut bytes);
        }
        let lines = bytes.iter().filter(|&&b| b == b'\n').count() as u64;
        largest = largest.max(lines);
        if lines > gate.max_lines {
            return Ok(GateResult::fail(format!("{path:?} has {lines} lines"))
                .measured(lines)
                .threshold(gate.max_lines));
        }
    }
    Ok(GateResult::pass("no file is too large").measured(largest).threshold(gate.max_lines))
}
