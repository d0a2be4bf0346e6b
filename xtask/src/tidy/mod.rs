//! Rules about the repository itself, checked as ordinary code.

mod crates;
mod files;
mod generated;
mod layers;
mod tree;

use std::fmt;
use std::path::Path;

pub use generated::{GENERATORS, Generator, Run};

/// One broken rule; prints as `path: rule: what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// File or folder, relative to the root.
    pub path: String,
    /// Short name of the rule.
    pub rule: &'static str,
    /// What to do about it.
    pub advice: String,
}

impl Violation {
    fn new(path: impl Into<String>, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { path: path.into(), rule, advice: advice.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.rule, self.advice)
    }
}

/// What a run of the rules found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Broken rules, in a stable order.
    pub violations: Vec<Violation>,
    /// Figures worth printing.
    pub notes: Vec<String>,
}

/// Runs every rule over the repository at `root`.
///
/// # Errors
/// One line where the repository itself cannot be read.
pub fn check(root: &Path, generators: &[Generator]) -> Result<Outcome, String> {
    let files = tree::files(root)?;
    let manifests = crates::manifests(root, &files)?;
    let mut outcome = Outcome::default();
    outcome.violations.extend(layers::check(root, &manifests)?);
    outcome.violations.extend(crates::check(root, &manifests));
    files::check(root, &files, &mut outcome);
    crates::count_packages(root, &mut outcome);
    outcome.violations.extend(generated::check(root, generators)?);
    outcome.violations.sort();
    outcome.notes.push(format!("{} files, {} crates", files.len(), manifests.len()));
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}\n[lints]\nworkspace = true\n")
    }

    /// A small workspace in which nothing is wrong.
    fn house() -> Scratch {
        let dir = Scratch::new("tidy");
        dir.write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\n[workspace.dependencies]\nserde = \"1\"\n",
        );
        dir.write("Cargo.lock", "[[package]]\nname = \"serde\"\n");
        dir.write("crates/perfwright-evidence/Cargo.toml", &manifest("perfwright-evidence", ""));
        let trace = "[dependencies]\nperfwright-evidence.workspace = true\nserde.workspace = true\n\
                     [dev-dependencies]\nxtask = { path = \"../../xtask\" }";
        dir.write("crates/perfwright-trace/Cargo.toml", &manifest("perfwright-trace", trace));
        dir.write("crates/perfwright-trace/src/lib.rs", "//! Text.\n");
        dir.write("xtask/Cargo.toml", &manifest("xtask", ""));
        dir
    }

    fn found(dir: &Scratch) -> Vec<(String, &'static str)> {
        let outcome = check(dir.path(), &[]).unwrap();
        outcome.violations.into_iter().map(|v| (v.path, v.rule)).collect()
    }

    #[test]
    fn a_clean_house_has_no_violation() {
        assert_eq!(found(&house()), []);
    }

    #[test]
    fn planted_violations_are_each_named() {
        let long = "// line\n".repeat(601);
        let excused = format!("// tidy: one-table \u{2014} a list of names\n{long}");
        let empty_excuse = format!("// tidy: one-table \u{2014} \n{long}");
        let dep = |d: &str| manifest("perfwright-trace", &format!("[dependencies]\n{d}"));
        let trace = "crates/perfwright-trace/Cargo.toml";
        let source = "crates/perfwright-trace/src/x.rs";
        let packages = "[[package]]\nname = \"a\"\n".repeat(250);
        let absolute = ["see /ho", "me/someone/notes"].concat();
        let absolute_second = ["let p = \"/ro", "ot/x\";"].concat();
        let unfinished = ["fn f() { to", "do!() }"].concat();
        let fix = ["# FIX", "ME later"].concat();
        let cases: Vec<(&str, String, &str, Option<&str>)> = vec![
            ("same floor", dep("perfwright-bench.workspace = true"), trace, Some("layer")),
            ("upwards", dep("perfwright.workspace = true"), trace, Some("layer")),
            ("xtask at run time", dep("xtask = { path = \"../../xtask\" }"), trace, Some("layer")),
            ("renamed", dep("ev = { package = \"perfwright-loop\", path = \"x\" }"), trace, Some("layer")),
            (
                "target table",
                manifest(
                    "perfwright-trace",
                    "[target.'cfg(unix)'.dependencies]\nperfwright-skill = { path = \"x\" }",
                ),
                trace,
                Some("layer"),
            ),
            (
                "dev-dependency upwards",
                manifest("perfwright-trace", "[dev-dependencies]\nperfwright = { path = \"../perfwright\" }"),
                trace,
                Some("layer"),
            ),
            ("own version", dep("serde = \"1\""), trace, Some("workspace-dependency")),
            ("no lints", "[package]\nname = \"perfwright-trace\"\n".to_owned(), trace, Some("lints")),
            ("other name", manifest("perfwright-report", ""), trace, Some("crate-name")),
            (
                "unknown crate",
                manifest("perfwright-magic", ""),
                "crates/perfwright-magic/Cargo.toml",
                Some("layer"),
            ),
            ("long file", long.clone(), source, Some("file-size")),
            ("excused file", excused, source, None),
            ("empty excuse", empty_excuse, source, Some("file-size")),
            ("packages", packages, "Cargo.lock", Some("package-count")),
            ("absolute path", absolute, "docs/x.md", Some("machine-path")),
            ("absolute path in code", absolute_second, source, Some("machine-path")),
            ("inner path", ["tests/ho", "me/x and $HO", "ME/wo", "rk/y"].concat(), "docs/x.md", None),
            ("unfinished", unfinished, source, Some("unfinished")),
            ("mark", fix, "scripts/a.sh", Some("unfinished")),
            (
                "not in the map",
                "# Map\n`perfwright-evidence` `xtask`\n".to_owned(),
                "ARCHITECTURE.md",
                Some("architecture"),
            ),
        ];
        for (what, text, path, rule) in cases {
            let dir = house();
            dir.write(path, &text);
            let rules: Vec<&str> = found(&dir).into_iter().map(|(_, rule)| rule).collect();
            assert_eq!(rules, Vec::from_iter(rule), "{what}");
        }
    }

    #[test]
    fn violations_print_on_one_line_with_path_and_rule() {
        let text = Violation::new("a/b.rs", "file-size", "split it").to_string();
        assert_eq!(text, "a/b.rs: file-size: split it");
    }
}
