//! Rules about single crates and about the number of locked packages.

use std::path::Path;

use toml::{Table, Value};

use super::{Outcome, Violation};

/// The default build may lock fewer packages than this.
const PACKAGE_LIMIT: usize = 250;

/// A crate's manifest.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) table: Table,
}

/// Every manifest with a `[package]`.
pub(super) fn manifests(root: &Path, files: &[String]) -> Result<Vec<Manifest>, String> {
    let mut found = Vec::new();
    for path in files.iter().filter(|p| *p == "Cargo.toml" || p.ends_with("/Cargo.toml")) {
        let text = std::fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        let table: Table = text.parse().map_err(|e| format!("{path}: {e}"))?;
        let name = table.get("package").and_then(|p| p.get("name")).and_then(Value::as_str);
        if let Some(name) = name.map(str::to_owned) {
            found.push(Manifest { path: path.clone(), name, table });
        }
    }
    Ok(found)
}

/// Folder names, lints and the code map.
pub(super) fn check(root: &Path, manifests: &[Manifest]) -> Vec<Violation> {
    let map = std::fs::read_to_string(root.join("ARCHITECTURE.md")).ok();
    let mut found = Vec::new();
    for Manifest { path, name, table } in manifests {
        let folder = path.rsplit('/').nth(1).unwrap_or("");
        if folder != name {
            let advice = format!("folder `{folder}` holds crate `{name}`; give both one name");
            found.push(Violation::new(path, "crate-name", advice));
        }
        let inherits = table.get("lints").and_then(|l| l.get("workspace")).and_then(Value::as_bool);
        if inherits != Some(true) {
            found.push(Violation::new(path, "lints", "add [lints] workspace = true"));
        }
        if map.as_deref().is_some_and(|text| !mentions(text, name)) {
            let advice = format!("`{name}` is missing; add it to the code map");
            found.push(Violation::new("ARCHITECTURE.md", "architecture", advice));
        }
    }
    found
}

/// Whether a word stands in a text by itself, so that `perfwright` is not found inside `perfwright-trace`.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Counts the locked packages.
pub(super) fn count_packages(root: &Path, outcome: &mut Outcome) {
    let Ok(lock) = std::fs::read_to_string(root.join("Cargo.lock")) else {
        outcome.violations.push(Violation::new("Cargo.lock", "package-count", "commit the lock file"));
        return;
    };
    let count = lock.lines().filter(|l| l.trim() == "[[package]]").count();
    outcome.notes.push(format!("{count} locked packages (limit: below {PACKAGE_LIMIT})"));
    if count >= PACKAGE_LIMIT {
        let advice = format!("{count} packages are locked; the limit is {}", PACKAGE_LIMIT - 1);
        outcome.violations.push(Violation::new("Cargo.lock", "package-count", advice));
    }
}
