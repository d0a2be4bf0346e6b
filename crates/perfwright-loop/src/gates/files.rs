//! Gates over single files: locked ones, evidence, the tracker.

use std::fs;
use std::io::Read;
use std::path::Path;

use perfwright_evidence::{GateResult, sha256_hex};

use super::catalogue::Resolved;
use super::evaluate::Scene;

/// SHA-256 of a regular file that no link leads to; why not otherwise.
pub(crate) fn hash_of(root: &Path, name: &str) -> Result<String, String> {
    let mut path = root.to_owned();
    for component in Path::new(name).components() {
        path.push(component);
        let meta = fs::symlink_metadata(&path).map_err(|e| format!("{name:?}: {e}"))?;
        if meta.is_symlink() {
            return Err(format!("{name:?} is a link"));
        }
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).map_err(|e| format!("{name:?}: {e}"))?;
    file.take(1 << 30).read_to_end(&mut bytes).map_err(|e| format!("{name:?}: {e}"))?;
    Ok(sha256_hex(&bytes))
}

/// Plan and protected files have the bytes they were locked with.
pub(super) fn locked(scene: &Scene) -> GateResult {
    let mut wanted: Vec<(&String, &String)> = scene.spec.protected.iter().collect();
    if let Some(path) = &scene.spec.plan_path {
        wanted.push((path, &scene.spec.plan_sha256));
    }
    if sha256_hex(scene.plan) != scene.spec.plan_sha256 {
        return GateResult::hard_stop("the plan in the run folder differs from the locked one");
    }
    for (name, hash) in &wanted {
        match hash_of(scene.root, name) {
            Ok(found) if found == **hash => {}
            Ok(found) => {
                return GateResult::fail(format!("{name:?} was changed after it was locked"))
                    .measured(found)
                    .threshold((*hash).clone());
            }
            Err(why) => return GateResult::fail(format!("a locked file is not there as it was: {why}")),
        }
    }
    GateResult::pass("as locked").measured(wanted.len())
}

/// Every named file is there and not empty.
pub(super) fn evidence(scene: &Scene, gate: &Resolved) -> GateResult {
    for name in &gate.files {
        match fs::metadata(scene.root.join(name)) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => {}
            Ok(meta) if meta.is_dir() => {
                let filled = fs::read_dir(scene.root.join(name)).is_ok_and(|mut d| d.next().is_some());
                if !filled {
                    return GateResult::fail(format!("folder {name:?} is empty"));
                }
            }
            Ok(_) => return GateResult::fail(format!("{name:?} is empty")),
            Err(error) => return GateResult::fail(format!("{name:?}: {error}")),
        }
    }
    GateResult::pass("all there").measured(gate.files.len())
}

/// The tracker names every criterion and holds no placeholder.
pub(super) fn tracker(scene: &Scene, gate: &Resolved) -> GateResult {
    for name in &gate.files {
        let text = match fs::read_to_string(scene.root.join(name)) {
            Ok(text) => text,
            Err(error) => return GateResult::fail(format!("{name:?}: {error}")),
        };
        if let Some(at) = text.find("[To be ") {
            let line = text[..at].matches('\n').count() + 1;
            return GateResult::fail(format!("{name:?} line {line}: a placeholder is left"));
        }
        if let Some(target) = scene.spec.criteria.iter().find(|c| !text.contains(&c.id)) {
            return GateResult::fail(format!("{name:?} says nothing of {}", target.id));
        }
    }
    GateResult::pass("every criterion is tracked").measured(scene.spec.criteria.len())
}
