//! The push boundary: what the refs of remotes say, not what commands looked like.

use std::collections::BTreeMap;
use std::path::Path;

use perfwright_evidence::GateResult;

use super::evaluate::Scene;
use super::tree::short;
use crate::error::LoopError;
use crate::git;
use crate::glob;
use crate::spec::Spec;

/// Refs of remotes: `REMOTE:REF` and object id. Tracking refs always; remotes that are folders of this machine are
/// asked too, others only with `ask`.
pub(crate) fn remote_refs(root: &Path, ask: bool) -> Result<BTreeMap<String, String>, git::GitError> {
    let mut found = BTreeMap::new();
    for (name, id) in git::refs(root, "refs/remotes")? {
        if let Some((remote, branch)) = name.trim_start_matches("refs/remotes/").split_once('/')
            && branch != "HEAD"
        {
            found.insert(format!("{remote}:refs/heads/{branch}"), id);
        }
    }
    let remotes = git::git_text(root, &["remote"])?;
    for remote in remotes.lines() {
        let url = git::git_text(root, &["remote", "get-url", "--push", remote]).unwrap_or_default();
        let local = url.trim_start_matches("file://");
        if !ask && !root.join(local).is_dir() {
            continue;
        }
        // A remote that does not answer leaves what the tracking refs say.
        let Ok(text) = git::git_text(root, &["ls-remote", "--quiet", "--heads", "--tags", "--", remote])
        else {
            continue;
        };
        for (id, name) in text.lines().filter_map(|l| l.split_once('\t')) {
            found.insert(format!("{remote}:{name}"), id.to_owned());
        }
    }
    Ok(found)
}

/// A ref of a remote that came to hold work of this campaign, outside of the allowed targets.
pub(super) fn pushed(scene: &Scene) -> Result<GateResult, LoopError> {
    let now = remote_refs(scene.root, scene.spec.push.ask_remotes)?;
    if now.is_empty() && scene.spec.remote_refs.is_empty() {
        return Ok(GateResult::pass("there is no remote").measured(0));
    }
    for (target, id) in &now {
        if scene.spec.remote_refs.get(target) == Some(id) || allowed(scene.spec, target) {
            continue;
        }
        if is_ours(scene, id) {
            return Ok(GateResult::fail(format!("{target} now holds commit {} of this campaign", short(id)))
                .measured(target.clone()));
        }
    }
    for target in scene.spec.remote_refs.keys() {
        if !now.contains_key(target) && !allowed(scene.spec, target) {
            return Ok(GateResult::fail(format!("{target} is gone")).measured(target.clone()));
        }
    }
    Ok(GateResult::pass("no target outside of the boundary holds work of this campaign").measured(now.len()))
}

fn allowed(spec: &Spec, target: &str) -> bool {
    spec.push.allow.iter().any(|pattern| glob::matches(pattern, target))
}

/// Whether a commit was made here since the start: it is known, not part of the base, and in the history of HEAD or in
/// its log (an amended or reset commit is only there).
fn is_ours(scene: &Scene, id: &str) -> bool {
    let (root, base) = (scene.root, &scene.spec.base.commit);
    if git::is_ancestor(root, id, base) {
        return false;
    }
    if git::is_ancestor(root, id, &scene.mark.commit) {
        return true;
    }
    let log =
        git::git_text(root, &["reflog", "show", "--format=%H", "-n", "1000", "HEAD"]).unwrap_or_default();
    log.lines().any(|commit| commit == id)
}
