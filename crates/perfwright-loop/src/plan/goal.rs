//! The goal form of a plan: one text for a host that keeps goals, made from the typed plan and from nothing else.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Plan;
use crate::gates;

/// Schema name of [`GoalText`].
pub const GOAL_SCHEMA: &str = "perfwright.loop-goal/v1";

/// The goal text and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GoalText {
    /// [`GOAL_SCHEMA`].
    pub schema: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The text.
    pub text: String,
}

/// Renders the goal. Outcome, how it is verified, boundaries, the order of work, and when to stop.
#[must_use]
pub fn goal_text(plan: &Plan, plan_path: &str) -> GoalText {
    let front = &plan.front;
    let mut text = String::new();
    let title = if front.title.is_empty() { &plan.heading } else { &front.title };
    let _ = writeln!(text, "{title}: {}", plan.goal().replace('\n', " "));
    let _ =
        writeln!(text, "\nDone means that `perfwright loop check` exits 0; nothing said here ends the work.");
    let _ = writeln!(text, "Plan: {plan_path} (sha256 {}). It is locked; do not edit it.", plan.sha256);
    text.push_str("\nCriteria:\n");
    for criterion in &plan.criteria {
        let _ = writeln!(text, "- {}: {}", criterion.id, criterion.text);
        for (kind, tests) in [("passes", &criterion.positive), ("fails", &criterion.negative)] {
            for test in tests {
                let _ = writeln!(text, "  - {kind}: {test}");
            }
        }
    }
    text.push_str("\nGates that the check runs:\n");
    for gate in gates::resolve(&front.gates).unwrap_or_default().iter().filter(|g| g.off.is_none()) {
        let run = gate.run.as_ref().map(|run| format!(" (`{run}`)")).unwrap_or_default();
        let _ = writeln!(text, "- {}: {}{run}", gate.id, gate.title);
    }
    text.push_str("\nBoundaries:\n");
    for (what, patterns) in [
        ("stay below", &front.paths.allow),
        ("never touch", &front.paths.deny),
        ("locked by hash", &front.paths.protect),
    ] {
        if !patterns.is_empty() {
            let _ = writeln!(text, "- {what}: {}", patterns.join(", "));
        }
    }
    let push = if front.push.allow.is_empty() { "nowhere".to_owned() } else { front.push.allow.join(", ") };
    let _ = writeln!(text, "- push: {push}");
    let limits = &front.limits;
    text.push_str("\nOrder: fix the benchmark before reading profiles; no patch before the evidence for it is recorded; \
                   commit each step; run the check after each.\n");
    let _ = writeln!(
        text,
        "\nStop and say so when: resources are missing, the evidence cannot be trusted, a budget is used up ({} rounds, \
         {} reviews{}{}), or no next change can be defended by evidence.",
        limits.max_rounds,
        limits.max_reviews,
        limits.tokens.map(|n| format!(", {n} tokens")).unwrap_or_default(),
        limits.wall_ms.map(|n| format!(", {} s", n / 1000)).unwrap_or_default(),
    );
    GoalText { schema: GOAL_SCHEMA.to_owned(), plan_sha256: plan.sha256.clone(), text }
}
