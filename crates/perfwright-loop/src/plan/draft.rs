//! From a draft to the frame of a plan, and from a commented plan to the next version of it.
//!
//! Nothing is invented: what a draft does not say stands in the plan as a decision that a person still has to make, and
//! such a plan does not start a campaign.

use std::fmt::Write as _;

use super::comments::{Comment, CommentError, extract};

/// A plan made from a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafted {
    /// The plan's text.
    pub text: String,
    /// Decisions left to a person.
    pub pending: usize,
}

/// Makes the frame of a plan from a draft. Lines of the draft that begin with `must` or `AC` (after a list mark)
/// become criteria, lines with `must not` or `never` boundaries; everything is kept under "Draft".
#[must_use]
pub fn draft(title: &str, text: &str) -> Drafted {
    let mut criteria = Vec::new();
    let mut bounds = Vec::new();
    let mut goal = String::new();
    for line in text.lines().map(|l| l.trim().trim_start_matches(['-', '*', '#', ' ']).trim()) {
        let lower = line.to_lowercase();
        if line.is_empty() || line.starts_with("+++") {
        } else if lower.contains("must not ") || lower.starts_with("never ") {
            bounds.push(line.to_owned());
        } else if lower.starts_with("must ") || lower.contains(" must ") || lower.starts_with("ac-") {
            let said = line.split_once(':').filter(|(id, _)| id.to_lowercase().starts_with("ac-"));
            criteria.push(said.map_or(line, |(_, rest)| rest.trim()).to_owned());
        } else if goal.is_empty() {
            line.clone_into(&mut goal);
        }
    }
    let mut decisions = Vec::new();
    if goal.is_empty() {
        decisions.push("what is the goal, in one sentence?".to_owned());
    }
    if criteria.is_empty() {
        decisions.push("which outcome can be checked, and how?".to_owned());
        criteria.push(if goal.is_empty() { "(to be decided)".to_owned() } else { goal.clone() });
    }
    decisions.push("which command proves the criteria (gate `tests`)?".to_owned());
    if bounds.is_empty() {
        decisions.push("which paths may the change touch, which never?".to_owned());
    }
    let title = title.replace(['"', '\\'], "'");
    let mut out = format!(
        "+++\nschema = \"perfwright.plan/v1\"\ntitle = \"{title}\"\n\n[paths]\nallow = []\ndeny = []\nprotect = []\n\n\
         [limits]\nmax_rounds = 10\nmax_reviews = 30\n\n[[gate]]\nid = \"tests\"\nkind = \"command\"\nrun = \"false\"\n+++\n\n\
         # {title}\n\n## Goal\n\n{goal}\n\n## Acceptance Criteria\n\n"
    );
    for (n, text) in criteria.iter().enumerate() {
        let _ = writeln!(out, "- AC-{}: {text}\n  - Positive Tests:\n  - Negative Tests:", n + 1);
        decisions.push(format!("which positive and negative tests show AC-{}?", n + 1));
    }
    out.push_str("\n## Path Boundaries\n\n");
    for bound in &bounds {
        let _ = writeln!(out, "- {bound}");
    }
    out.push_str("\n## Milestones\n\n1. \n\n## Pending Decisions\n\n");
    for (n, decision) in decisions.iter().enumerate() {
        let _ = writeln!(out, "- DEC-{}: {decision} PENDING", n + 1);
    }
    out.push_str("\n## Draft\n\n");
    for line in text.lines() {
        let _ = writeln!(out, "> {line}");
    }
    Drafted { text: out, pending: decisions.len() }
}

/// Takes the comments out of a plan and puts each as a pending decision at its end, so that none is lost.
///
/// # Errors
/// The comments do not fit together.
pub fn refine(text: &str) -> Result<(String, Vec<Comment>), CommentError> {
    let found = extract(text)?;
    let mut out = found.rest;
    if found.comments.is_empty() {
        return Ok((out, found.comments));
    }
    let next = 1 + out.matches("DEC-").filter(|_| true).count();
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    out.push_str("## Pending Decisions from Comments\n\n");
    for (n, comment) in found.comments.iter().enumerate() {
        let said = comment.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(out, "- DEC-{}: ({}, line {}) {said} PENDING", next + n, comment.id, comment.line);
    }
    Ok((out, found.comments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{lint, parse};

    #[test]
    fn a_draft_becomes_a_plan_that_is_honest_about_its_gaps() {
        let made = draft("Say \"hello\"", "Make hello.\n- hello.txt must exist\n- must not touch bench/\n");
        let plan = parse(made.text.as_bytes()).expect("parses");
        assert_eq!(plan.criteria[0].text, "hello.txt must exist");
        assert_eq!(plan.pending.len(), made.pending);
        let report = lint(&plan, "p.md");
        assert!(!report.usable);
        assert!(report.findings.iter().any(|f| f.rule == "pending-decision"));
        assert!(report.findings.iter().any(|f| f.rule == "criterion-tests"));
        let (text, comments) = refine(&format!("{}CMT: why? ENDCMT\n", made.text)).expect("fits");
        assert_eq!(comments.len(), 1);
        assert_eq!(parse(text.as_bytes()).expect("parses").pending.len(), made.pending + 1);
    }
}
