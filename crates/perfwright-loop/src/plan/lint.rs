//! What a plan lacks before a campaign may start from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Plan;
use crate::gates::{self, Kind};

/// Schema name of [`LintReport`].
pub const LINT_SCHEMA: &str = "perfwright.loop-plan/v1";

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The plan cannot start a campaign.
    Error,
    /// It can.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Short name of the rule.
    pub rule: String,
    /// Line, from 1; 0 for the whole document.
    pub line: usize,
    /// How much it weighs.
    pub weight: Weight,
    /// What is wrong.
    pub message: String,
}

/// Answer of `loop plan --lint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintReport {
    /// [`LINT_SCHEMA`].
    pub schema: String,
    /// The plan.
    pub file: String,
    /// SHA-256 of it.
    pub sha256: String,
    /// Ids of its criteria.
    pub criteria: Vec<String>,
    /// Ids of the gates that a campaign from it would have.
    pub gates: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Whether a campaign can start from it.
    pub usable: bool,
}

/// Looks a plan through.
#[must_use]
pub fn lint(plan: &Plan, file: &str) -> LintReport {
    let mut findings = Vec::new();
    let mut say = |rule: &str, line: usize, weight: Weight, message: String| {
        findings.push(Finding { rule: rule.to_owned(), line, weight, message });
    };
    if !plan.typed {
        say(
            "front-matter",
            1,
            Weight::Error,
            "the plan has no typed part between two lines `+++`".to_owned(),
        );
    } else if plan.front.schema != "perfwright.plan/v1" {
        say(
            "schema",
            1,
            Weight::Error,
            format!("schema is {:?}, expected \"perfwright.plan/v1\"", plan.front.schema),
        );
    }
    if plan.content_lines < 3 {
        say("content", 0, Weight::Error, "fewer than three lines with content".to_owned());
    }
    if plan.goal().is_empty() {
        say("goal", 0, Weight::Error, "no section that begins with \"Goal\", or nothing in it".to_owned());
    }
    if plan.criteria.is_empty() {
        say("criteria", 0, Weight::Error, "no acceptance criterion `AC-n`".to_owned());
    }
    for criterion in &plan.criteria {
        if criterion.text.trim().is_empty() {
            say("criterion-text", criterion.line, Weight::Error, format!("{} says nothing", criterion.id));
        }
        // A sub-criterion may leave its tests to the one above it.
        let sub = criterion.id.contains('.');
        for (tests, kind) in [(&criterion.positive, "positive"), (&criterion.negative, "negative")] {
            if tests.is_empty() && !sub {
                let message = format!("{} names no {kind} test", criterion.id);
                say("criterion-tests", criterion.line, Weight::Error, message);
            }
        }
    }
    for (id, line) in &plan.pending {
        say("pending-decision", *line, Weight::Error, format!("{id} is pending"));
    }
    if plan.front.paths.allow.is_empty() && plan.front.paths.deny.is_empty() {
        say("paths", 0, Weight::Warning, "no path boundary: the change may reach everywhere".to_owned());
    }
    if let Some(problem) = plan.front.limits.problem() {
        say("limits", 1, Weight::Error, problem.to_owned());
    }
    let resolved = match gates::resolve(&plan.front.gates) {
        Ok(resolved) => resolved,
        Err(problem) => {
            say("gates", 1, Weight::Error, problem);
            Vec::new()
        }
    };
    let machine = resolved.iter().any(|g| g.kind.is_machine() && g.off.is_none());
    if !machine && !resolved.is_empty() {
        let message = "no gate runs or measures anything (command, benchmark, accuracy, evidence): a reviewer's word \
                       alone ends no campaign";
        say("machine-gate", 1, Weight::Error, message.to_owned());
    }
    let benchmark = resolved.iter().any(|g| g.kind == Kind::Benchmark);
    if benchmark && plan.front.paths.protect.is_empty() {
        let message = "a benchmark without protected files: its harness and contract can be changed";
        say("protect", 1, Weight::Warning, message.to_owned());
    }
    let usable = !findings.iter().any(|f| f.weight == Weight::Error);
    LintReport {
        schema: LINT_SCHEMA.to_owned(),
        file: file.to_owned(),
        sha256: plan.sha256.clone(),
        criteria: plan.criteria.iter().map(|c| c.id.clone()).collect(),
        gates: resolved.iter().filter(|g| g.off.is_none()).map(|g| g.id.clone()).collect(),
        findings,
        usable,
    }
}
