//! The target repository and the contract.

use std::fs;

use perfwright_evidence::sha256_hex;
use perfwright_loop::sota::baseline::open_changes;
use perfwright_loop::sota::spec::{
    AccuracyTerms, Baseline, Boundary, Budgets, Excluded, SOTA_SCHEMA, SotaSpec,
};
use serde_json::Value;

use super::terms::{COMPETITOR, METRIC, MODEL, TARGET, THRESHOLD, Terms};
use super::trees::{Places, git, read, write};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::output::not_writable;

/// The file that decides the target's operators.
pub(super) const ENGINE: &str = "engine.toml";
/// The locked workload in the target repository.
pub(super) const WORKLOAD: &str = "bench/workload.json";

const SERVE: &str = r#"#!/bin/sh
# The target engine: serves a model with the operators that engine.toml names.
# ENGINE_OPS=naive switches every change of them off.
here=$(dirname "$0")
ops=${ENGINE_OPS:-$(sed -n 's/^ops = "\(.*\)"$/\1/p' "$here/engine.toml")}
exec "$PERFWRIGHT" lab serve --ops "$ops" "$@"
"#;

const OPEN_CHANGES: &str = "# Open changes that touch engine.toml or serve.sh, one a line: ID TITLE\n\
    none: the repository was made a moment ago, and nobody else works on it\n";

/// Prompts for the check of accuracy.
const PROMPTS: [&str; 6] = [
    "The quick brown fox jumps over the lazy dog.",
    "A serving engine spans schedulers, kernels and",
    "0 1 1 2 3 5 8 13 21 34",
    "fn main() { println!(",
    "To be, or not to be, that is",
    "Fair benchmark, gap decision, profile, patch:",
];

/// Makes the target repository, or finds it as it was made. The first commit is the baseline.
pub(super) fn target(places: &Places, terms: &Terms) -> Result<String, Diagnostic> {
    fs::create_dir_all(&places.work).map_err(|e| not_writable(&places.work.to_string_lossy(), &e))?;
    if !places.at("baseline").is_file() {
        let _ = fs::remove_dir_all(&places.target);
        let dir = &places.target;
        write(
            dir,
            ENGINE,
            "# Operators of the engine; see `perfwright lab serve --help`.\nops = \"naive\"\n",
        )?;
        write(dir, "serve.sh", SERVE)?;
        write(dir, "open-changes.txt", OPEN_CHANGES)?;
        write(dir, WORKLOAD, &format!("{}\n", terms.workload()))?;
        git(dir, &["init", "--quiet", "--template="])?;
        git(dir, &["config", "user.name", "quickstart"])?;
        git(dir, &["config", "user.email", "quickstart@example.invalid"])?;
        git(dir, &["config", "commit.gpgsign", "false"])?;
        git(dir, &["config", "core.hooksPath", "/dev/null"])?;
        git(dir, &["add", "--all"])?;
        git(dir, &["commit", "--quiet", "--message", "Serve with naive operators"])?;
        let commit = git(dir, &["rev-parse", "HEAD"])?;
        write(&places.work, "baseline", &commit)?;
    }
    Ok(String::from_utf8_lossy(&read(&places.at("baseline"))?).trim().to_owned())
}

/// The contract.
pub(super) fn contract(places: &Places, baseline: &str, hardware: &str) -> Result<SotaSpec, Diagnostic> {
    let tree = super::trees::copy(places, baseline)?;
    let bytes = read(&tree.join(WORKLOAD))?;
    let workload: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let hot_files = vec![ENGINE.to_owned(), "serve.sh".to_owned()];
    let list = tree.join("open-changes.txt");
    let open = open_changes(&String::from_utf8_lossy(&read(&list)?), &hot_files).map_err(|e| {
        Diagnostic::new(codes::QUICKSTART_STOPPED, "the list of open changes cannot be read")
            .file(&list)
            .cause(e)
    })?;
    let left_out = |framework: &str| Excluded {
        framework: framework.to_owned(),
        reason: "needs an accelerator and a network; quickstart runs on the CPU with nothing installed"
            .to_owned(),
    };
    Ok(SotaSpec {
        schema: SOTA_SCHEMA.to_owned(),
        title: "Quickstart on the lab".to_owned(),
        boundary: Boundary {
            model: format!("lab {MODEL}, weights from seed 0"),
            hardware: hardware.to_owned(),
            gpus: 0,
            precision: "fp32".to_owned(),
            parallelism: "one rank, one compute thread".to_owned(),
        },
        target: TARGET.to_owned(),
        competitors: vec![COMPETITOR.to_owned()],
        excluded: ["sglang", "vllm", "trtllm"].map(left_out).to_vec(),
        baseline: Baseline {
            commit: baseline.to_owned(),
            hot_files,
            source: "open-changes.txt".to_owned(),
            open_changes: open.touching,
            none_because: open.none_because,
            includes: Vec::new(),
        },
        workload,
        workload_sha256: sha256_hex(&bytes),
        metric: METRIC.to_owned(),
        threshold: THRESHOLD,
        explained_share: 0.5,
        carrier_share: 0.05,
        accuracy: AccuracyTerms { prompts: PROMPTS.map(str::to_owned).to_vec(), tokens: 24, min_same: 0.98 },
        paths: vec![ENGINE.to_owned(), "notes/**".to_owned()],
        push: Vec::new(),
        budgets: Budgets { infrastructure: 3, invalid: 6, scientific: 2, per_technique: 2 },
    })
}
