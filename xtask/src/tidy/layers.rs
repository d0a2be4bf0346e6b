//! The layer rule: dependencies point downwards only, and crates of one floor never import each other.

use std::path::Path;

use toml::{Table, Value};

use super::Violation;
use super::crates::Manifest;

/// Where a crate lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A floor of the house, counted from below.
    Floor(u8),
    /// The lab: imports floor 0, is used by the binary and by tests.
    Lab,
    /// Developer tools: import nothing of ours, are used by tests only.
    Tool,
    /// Fuzz targets: a workspace of their own that imports any floor and that nothing imports.
    Fuzz,
}

#[rustfmt::skip]
const HOUSE: &[(&str, Place)] = &[
    ("perfwright", Place::Floor(4)),
    ("perfwright-loop", Place::Floor(3)),
    ("perfwright-skill", Place::Floor(3)),
    ("perfwright-bench", Place::Floor(2)),
    ("perfwright-trace", Place::Floor(2)),
    ("perfwright-capacity", Place::Floor(2)),
    ("perfwright-kernel", Place::Floor(2)),
    ("perfwright-incident", Place::Floor(2)),
    ("perfwright-diffusion", Place::Floor(2)),
    ("perfwright-knowledge", Place::Floor(2)),
    ("perfwright-model", Place::Floor(1)),
    ("perfwright-client", Place::Floor(1)),
    ("perfwright-logs", Place::Floor(1)),
    ("perfwright-evidence", Place::Floor(0)),
    ("perfwright-process", Place::Floor(0)),
    ("perfwright-abi", Place::Floor(0)),
    ("perfwright-stats", Place::Floor(0)),
    ("perfwright-report", Place::Floor(0)),
    ("perfwright-lab", Place::Lab),
    ("structural-scan", Place::Tool),
    ("xtask", Place::Tool),
    ("fuzz", Place::Fuzz),
];

fn place(name: &str) -> Option<Place> {
    HOUSE.iter().find(|(n, _)| *n == name).map(|(_, place)| *place)
}

fn allowed(from: Place, to: Place, dev: bool) -> bool {
    match (from, to) {
        (Place::Floor(a), Place::Floor(b)) => a > b,
        (Place::Lab, Place::Floor(0)) => true,
        (Place::Floor(4), Place::Lab) => true,
        (Place::Fuzz, Place::Floor(_)) => true,
        (Place::Floor(_), Place::Lab) | (_, Place::Tool) => dev,
        _ => false,
    }
}

/// A dependency as written: the package it names and its specification.
fn package<'a>(key: &'a str, spec: &'a Value, workspace: &'a Table) -> &'a str {
    let renamed = |v: &'a Value| v.get("package").and_then(Value::as_str);
    renamed(spec).or_else(|| workspace.get(key).and_then(renamed)).unwrap_or(key)
}

/// All dependency tables of a manifest with a mark for those of tests only.
fn tables(manifest: &Table) -> Vec<(&Table, bool)> {
    let mut found = Vec::new();
    let mut scopes = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        scopes.extend(targets.values().filter_map(Value::as_table));
    }
    for scope in scopes {
        for (name, dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            if let Some(table) = scope.get(name).and_then(Value::as_table) {
                found.push((table, dev));
            }
        }
    }
    found
}

/// Checks every manifest against the house.
pub(super) fn check(root: &Path, manifests: &[Manifest]) -> Result<Vec<Violation>, String> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let workspace: Table = text.parse().map_err(|e| format!("{}: {e}", path.display()))?;
    let empty = Table::new();
    let declared = workspace
        .get("workspace")
        .and_then(|w| w.get("dependencies"))
        .and_then(Value::as_table)
        .unwrap_or(&empty);
    let mut found = Vec::new();
    for manifest in manifests {
        let Some(from) = place(&manifest.name) else {
            let advice = format!("`{}` has no floor; give it one in xtask/src/tidy/layers.rs", manifest.name);
            found.push(Violation::new(&manifest.path, "layer", advice));
            continue;
        };
        for (table, dev) in tables(&manifest.table) {
            for (key, spec) in table {
                let name = package(key, spec, declared);
                let own = name == "xtask" || name == "perfwright" || name.starts_with("perfwright-");
                if own {
                    match place(name) {
                        Some(to) if allowed(from, to, dev) => {}
                        _ => {
                            let advice = format!(
                                "`{}` must not depend on `{name}`; move what both need down a floor",
                                manifest.name
                            );
                            found.push(Violation::new(&manifest.path, "layer", advice));
                        }
                    }
                } else if from != Place::Fuzz
                    && spec.get("workspace").and_then(Value::as_bool) != Some(true)
                    && spec.get("path").is_none()
                {
                    let advice = format!(
                        "declare `{key}` in [workspace.dependencies] and write {key}.workspace = true"
                    );
                    found.push(Violation::new(&manifest.path, "workspace-dependency", advice));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_and_tools_stand_apart() {
        let p = |name| place(name).unwrap();
        assert!(allowed(p("perfwright"), p("perfwright-lab"), false));
        assert!(allowed(p("perfwright-bench"), p("perfwright-lab"), true));
        assert!(!allowed(p("perfwright-bench"), p("perfwright-lab"), false));
        assert!(allowed(p("perfwright-lab"), p("perfwright-report"), false));
        assert!(!allowed(p("perfwright-lab"), p("perfwright-model"), false));
        assert!(!allowed(p("xtask"), p("perfwright-trace"), false));
        assert!(!allowed(p("xtask"), p("perfwright-trace"), true));
        assert!(allowed(p("perfwright-trace"), p("xtask"), true));
        assert!(allowed(p("fuzz"), p("perfwright-trace"), false));
        assert!(!allowed(p("fuzz"), p("xtask"), false));
        assert!(!allowed(p("perfwright-trace"), p("fuzz"), true));
    }
}
