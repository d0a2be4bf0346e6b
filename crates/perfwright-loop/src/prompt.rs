//! What the executor is told for a round.

use std::fmt::Write as _;

use crate::review::outcome;
use crate::review::{Answer, Lane};
use crate::spec::Spec;
use crate::state::{Phase, State};

/// The prompt of the next round.
pub(crate) fn prompt(spec: &Spec, state: &State, plan_path: &str, last: Option<&Answer>) -> String {
    let mut text = format!("# {}: round {}, phase {}\n\n", spec.title, state.round, state.phase.name());
    let _ = writeln!(text, "Goal: {}\n", spec.goal);
    let _ = writeln!(
        text,
        "The plan is {plan_path}. It is locked; changing it, the protected files or the campaign's records is refused."
    );
    match state.phase {
        Phase::CodeReview => text.push_str("The reviewer looked at the change as code. Solve what it found; nothing else.\n"),
        Phase::Finalize => text.push_str(
            "The code review found nothing. Simplify where that makes the change smaller without changing what it does, or \
             leave it. Any change is reviewed again.\n",
        ),
        _ => text.push_str("Bring the goal nearer: one objective for this round, one or two criteria. Commit what you have.\n"),
    }
    if state.replan {
        text.push_str("\nThe last rounds made no progress. Before any change, write down what kept you from it and another way.\n");
    }
    if let Some(answer) = &state.answer {
        let _ = writeln!(text, "\nA person answered: {answer}");
    }
    text.push_str("\nCriteria:\n");
    for criterion in &spec.criteria {
        let open = if state.open_criteria.contains(&criterion.id) { "open" } else { "met" };
        let _ = writeln!(text, "- {} ({open}): {}", criterion.id, criterion.text);
        for (kind, tests) in [("passes", &criterion.positive), ("fails", &criterion.negative)] {
            for test in tests {
                let _ = writeln!(text, "  - {kind}: {test}");
            }
        }
    }
    let refusing = state.refusing();
    if !refusing.is_empty() {
        text.push_str("\nGates that refused:\n");
        for gate in refusing {
            let _ = writeln!(text, "- {}: {} ({})", gate.id, outcome(gate.outcome), gate.reason);
        }
    }
    if let Some(answer) = last {
        for (lane, title) in [
            (Lane::Mainline, "Findings"),
            (Lane::Blocking, "Findings that block"),
            (Lane::Queued, "For later, out of scope now"),
        ] {
            let of: Vec<_> = answer.findings.iter().filter(|f| f.lane == lane).collect();
            if of.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{title}:");
            for finding in of {
                let file = finding.file.as_deref().unwrap_or("-");
                let line = finding.line.map(|l| format!(":{l}")).unwrap_or_default();
                let _ = writeln!(text, "- P{} {file}{line} {}", finding.severity, finding.title);
            }
        }
        for question in &answer.questions {
            let _ = writeln!(text, "\nOpen question to a person: {question}");
        }
    }
    let left = state.limits.max_rounds.saturating_sub(state.round);
    let _ = writeln!(
        text,
        "\nBudget: {left} rounds left; {} tokens used{}.",
        state.usage.tokens(),
        state.limits.tokens.map(|t| format!(" of {t}")).unwrap_or_default()
    );
    text.push_str("Saying that it is done ends nothing: gates and reviewer do.\n");
    text
}
