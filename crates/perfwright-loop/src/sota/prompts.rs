//! What an agent is told, in two forms out of one contract: rounds with a reviewer, and one goal.

use std::fmt::Write as _;

use super::spec::SotaSpec;
use super::state::SotaState;

/// Both prompts with their names.
#[must_use]
pub fn all(spec: &SotaSpec, state: &SotaState) -> Vec<(&'static str, String)> {
    vec![("prompts/rlcr.md", rlcr(spec, state)), ("prompts/goal.md", goal(spec, state))]
}

fn facts(spec: &SotaSpec) -> String {
    let b = &spec.boundary;
    let mut out = String::new();
    for (name, value) in [
        ("model_id", b.model.as_str()),
        ("target_hardware", &b.hardware),
        ("precision_quantization", &b.precision),
        ("initial_deployment", &b.parallelism),
        ("target_framework", &spec.target),
        ("workload_sha256", &spec.workload_sha256),
        ("metric", &spec.metric),
        ("baseline_commit", &spec.baseline.commit),
    ] {
        let _ = writeln!(out, "{name}: {value}");
    }
    let _ = writeln!(out, "minimum_gpu_count: {}", b.gpus);
    let _ = writeln!(out, "comparison_frameworks: {}", spec.competitors.join(", "));
    for e in &spec.excluded {
        let _ = writeln!(out, "excluded: {} ({})", e.framework, e.reason);
    }
    let _ = writeln!(out, "may_change: {}", spec.paths.join(", "));
    let push = if spec.push.is_empty() { "nowhere".to_owned() } else { spec.push.join(", ") };
    let _ = writeln!(out, "may_push: {push}");
    out
}

fn rules(spec: &SotaSpec, state: &SotaState) -> Vec<String> {
    let carriers: Vec<&str> = state.carriers.iter().map(|c| c.category.as_str()).collect();
    let carried = if carriers.is_empty() {
        "No patch before the gap is explained.".to_owned()
    } else {
        format!("Patch only what carries the gap: {}.", carriers.join(", "))
    };
    vec![
        "The workload, its seed, its bounds and the threshold are locked; whoever changes them is refused."
            .to_owned(),
        "The fair search is made once, for every framework of the set, under one budget.".to_owned(),
        carried,
        format!(
            "A gain counts when its interval excludes {} %, measured in turn with restarts, on the same workload.",
            100.0 * spec.threshold
        ),
        "The new path has to show in the new profile, by its launches.".to_owned(),
        format!(
            "Greedy answers stay the same in at least {} % of tokens; switched off, the change is the baseline.",
            100.0 * spec.accuracy.min_same
        ),
        "Accepted changes are measured together and with each left out; gains are never added.".to_owned(),
        format!(
            "Stop at {} infrastructure, {} invalid or {} scientific failures, without resources, without trustworthy evidence, or without a defensible next patch.",
            spec.budgets.infrastructure, spec.budgets.invalid, spec.budgets.scientific
        ),
    ]
}

/// The prompt for rounds of work and review.
#[must_use]
pub fn rlcr(spec: &SotaSpec, state: &SotaState) -> String {
    let mut out = format!("# {}\n\n```text\n{}```\n\n## Rules\n\n", spec.title, facts(spec));
    for rule in rules(spec, state) {
        let _ = writeln!(out, "- {rule}");
    }
    out.push_str("\nEach round: one minimal change, committed. Gates and a reviewer judge it; a summary counts for nothing.\n");
    out
}

/// The same as one goal.
#[must_use]
pub fn goal(spec: &SotaSpec, state: &SotaState) -> String {
    let mut out = format!(
        "/goal Bring {} to at least the best of {} on {}, proven by `perfwright loop check`; done only when it exits 0.\n\n{}\n",
        spec.target,
        spec.competitors.join(", "),
        spec.metric,
        facts(spec)
    );
    for rule in rules(spec, state) {
        let _ = writeln!(out, "- {rule}");
    }
    out
}
