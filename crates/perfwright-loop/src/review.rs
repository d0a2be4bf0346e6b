//! The reviewer's side: what it is given, what it has to answer, and what of it is believed.
//!
//! The reviewer is a command. It works in a read-only copy of the judged commit, gets the bundle (plan, criteria,
//! difference, what the gates measured; never the executor's own summary) and has to print one JSON object of the form
//! [`Answer`] on standard output, with the nonce of this attempt and the tree it looked at. Nothing in a file counts.

use std::fmt::Write as _;

use perfwright_evidence::json::{JsonLimits, read};
use perfwright_evidence::{Outcome, sha256_hex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{GateLine, Mark, Progress, ReviewResult, ReviewVerdict};
use crate::spec::{Spec, Target};
use crate::state::Phase;
use crate::usage::{HostOutput, host_output};

/// Schema name of [`Answer`].
pub const REVIEW_SCHEMA: &str = "perfwright.loop-review/v1";
/// Schema name of [`Bundle`].
pub const BUNDLE_SCHEMA: &str = "perfwright.loop-review-bundle/v1";
/// The largest answer that is read, in bytes.
pub(crate) const MAX_ANSWER: u64 = 8 << 20;

/// What a reviewer is given, as a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_SCHEMA`].
    pub schema: String,
    /// To be repeated in the answer.
    pub nonce: String,
    /// What is reviewed.
    pub phase: Phase,
    /// The round.
    pub round: u32,
    /// What the campaign started from.
    pub base: Mark,
    /// What is judged; the tree is to be repeated in the answer.
    pub mark: Mark,
    /// The goal.
    pub goal: String,
    /// Criteria; each must be in the answer.
    pub criteria: Vec<Target>,
    /// The plan.
    pub plan: String,
    /// What the gates measured on this tree.
    pub gates: Vec<GateLine>,
    /// Paths of the difference from base.
    pub changed: Vec<String>,
}

/// What a reviewer answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// [`REVIEW_SCHEMA`].
    pub schema: String,
    /// The nonce of the bundle.
    pub nonce: String,
    /// The tree of the bundle.
    pub tree: String,
    /// What it asks for.
    pub verdict: ReviewVerdict,
    /// Whether the goal came nearer.
    pub progress: Progress,
    /// What it found.
    pub findings: Vec<ReviewFinding>,
    /// Each criterion of the plan.
    pub criteria: Vec<CriterionStatus>,
    /// Questions to a person.
    #[serde(default)]
    pub questions: Vec<String>,
}

/// Where a finding belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Belongs to the goal itself.
    Mainline,
    /// Has to be solved before.
    Blocking,
    /// For later.
    Queued,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewFinding {
    /// 0 is the most severe.
    pub severity: u8,
    /// Where it belongs.
    pub lane: Lane,
    /// What is wrong.
    pub title: String,
    /// File.
    #[serde(default)]
    pub file: Option<String>,
    /// Line.
    #[serde(default)]
    pub line: Option<u64>,
    /// What shows it.
    #[serde(default)]
    pub evidence: Option<String>,
}

/// How a criterion stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionStatus {
    /// `AC-1`.
    pub id: String,
    /// Whether it is met.
    pub met: bool,
    /// What shows it.
    #[serde(default)]
    pub evidence: Option<String>,
}

impl ReviewFinding {
    /// Severity 0 to 2 blocks, whatever lane it is put in; so does everything that is not queued.
    fn blocks(&self) -> bool {
        self.severity <= 2 || self.lane != Lane::Queued
    }
}

/// The JSON Schema of [`Answer`], for hosts that hold their output to one.
#[must_use]
pub fn answer_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Answer).as_value())
}

/// What came of a reviewer's output.
pub(crate) struct Outcomes {
    pub(crate) result: ReviewResult,
    pub(crate) answer: Option<Answer>,
    pub(crate) host: HostOutput,
}

/// Judges what a reviewer printed. Only a whole answer to this attempt counts.
pub(crate) fn judge(out: &[u8], nonce: &str, mark: &Mark, spec: &Spec) -> Outcomes {
    let host = host_output(out);
    let text = host.message.clone().map_or_else(|| out.to_vec(), String::into_bytes);
    let (result, answer) = match believe(&text, nonce, mark, spec) {
        Ok((result, answer)) => (result, Some(answer)),
        Err(reason) => (ReviewResult::Invalid { reason }, None),
    };
    Outcomes { result, answer, host }
}

fn believe(text: &[u8], nonce: &str, mark: &Mark, spec: &Spec) -> Result<(ReviewResult, Answer), String> {
    let limits = JsonLimits { max_bytes: MAX_ANSWER as usize, max_depth: 32 };
    let text = fenced(text);
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err("no answer on standard output".to_owned());
    }
    let value = read(text, &limits).map_err(|e| format!("not one JSON object: {e}"))?;
    let answer: Answer =
        serde_json::from_value(value).map_err(|e| format!("not of the form {REVIEW_SCHEMA}: {e}"))?;
    if answer.schema != REVIEW_SCHEMA {
        return Err(format!("schema {:?} instead of {REVIEW_SCHEMA:?}", answer.schema));
    }
    if answer.nonce != nonce {
        return Err("the nonce is not the one of this attempt".to_owned());
    }
    if answer.tree != mark.tree {
        return Err("it is about another tree".to_owned());
    }
    for criterion in &answer.criteria {
        if !spec.criteria.iter().any(|c| c.id == criterion.id) {
            return Err(format!("it speaks of {}, which the plan does not have", criterion.id));
        }
    }
    // A criterion that is not spoken of, or met without anything that shows it, is open.
    let shown = |id: &str| {
        let mut of = answer.criteria.iter().filter(|c| c.id == id).peekable();
        of.peek().is_some() && of.all(|c| c.met && c.evidence.as_ref().is_some_and(|e| !e.trim().is_empty()))
    };
    let open_criteria: Vec<String> =
        spec.criteria.iter().filter(|c| !shown(&c.id)).map(|c| c.id.clone()).collect();
    let blocking: Vec<&ReviewFinding> = answer.findings.iter().filter(|f| f.blocks()).collect();
    let mut keys: Vec<String> = blocking
        .iter()
        .map(|f| format!("{}|{}|{}", f.file.as_deref().unwrap_or_default(), f.line.unwrap_or(0), f.title))
        .collect();
    keys.sort_unstable();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let questions =
        answer.questions.iter().filter(|q| !q.trim().is_empty()).take(20).map(|q| clip(q, 500)).collect();
    let result = ReviewResult::Answer {
        verdict: answer.verdict,
        progress: answer.progress,
        blocking: count(blocking.len()),
        queued: count(answer.findings.len() - blocking.len()),
        findings_sha256: sha256_hex(keys.join("\n").as_bytes()),
        open_criteria,
        questions,
    };
    Ok((result, answer))
}

/// Agents like to put their JSON into a code block; what is around it then has to be nothing.
fn fenced(text: &[u8]) -> &[u8] {
    let trimmed = text.trim_ascii();
    let inner = trimmed.strip_prefix(b"```json").or_else(|| trimmed.strip_prefix(b"```"));
    inner.and_then(|t| t.strip_suffix(b"```")).unwrap_or(trimmed)
}

fn clip(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// What the reviewer reads on standard input.
pub(crate) fn prompt(bundle: &Bundle, bundle_path: &str) -> String {
    let what = match bundle.phase {
        Phase::CodeReview => {
            "the whole change as code: correctness, tests, readability, and whether it does what the plan says"
        }
        Phase::Finalize => "the last changes, made after the code review found the tree clean",
        _ => "whether the goal came nearer in this round and which criteria are met",
    };
    let mut text = format!(
        "You review; you change nothing. You are in a read-only copy of commit {} (tree {}); the change is `git diff {} {}`.\n\
         Review {what}.\n\
         Everything you need is in {bundle_path}: plan, criteria, what the gates measured. Do not take the author's word \
         for anything: look at the files and at the history.\n\
         Print one JSON object of the form {REVIEW_SCHEMA} and nothing else:\n",
        bundle.mark.commit, bundle.mark.tree, bundle.base.commit, bundle.mark.commit
    );
    let _ = writeln!(
        text,
        "{{\"schema\":\"{REVIEW_SCHEMA}\",\"nonce\":\"{}\",\"tree\":\"{}\",\"verdict\":\"complete|continue|stop\",\
         \"progress\":\"advanced|stalled|regressed\",\"findings\":[{{\"severity\":0,\"lane\":\"mainline|blocking|queued\",\
         \"title\":\"..\",\"file\":\"..\",\"line\":1,\"evidence\":\"..\"}}],\"criteria\":[{{\"id\":\"AC-1\",\"met\":false,\
         \"evidence\":\"..\"}}],\"questions\":[]}}",
        bundle.nonce, bundle.mark.tree
    );
    text.push_str("\nCriteria:\n");
    for criterion in &bundle.criteria {
        let _ = writeln!(text, "- {}: {}", criterion.id, criterion.text);
    }
    text.push_str("\nGates on this tree:\n");
    for gate in &bundle.gates {
        let _ = writeln!(text, "- {}: {} ({})", gate.id, outcome(gate.outcome), gate.reason);
    }
    text
}

/// An outcome as it is printed.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::HardStop => "hard stop",
        Outcome::NotApplicable => "not applicable",
    }
}
