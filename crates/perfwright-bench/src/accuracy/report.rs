//! The answer of `bench accuracy`, and its contract.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{CompareSettings, Comparison};
use super::import::Pick;
use super::prompt::AccuracyConditions;
use crate::rows::Basis;

/// Schema of [`AccuracyReport`].
pub const ACCURACY_SCHEMA: &str = "perfwright.bench-accuracy/v1";
/// Schema of [`AccuracyPlan`].
pub const ACCURACY_PLAN_SCHEMA: &str = "perfwright.bench-accuracy-plan/v1";
/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// A result that was not measured here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherResult {
    /// File or run folder.
    pub path: String,
    /// Whether it is a run of `bench accuracy`.
    pub run: bool,
    /// Which result of the file.
    pub pick: Pick,
}

/// What is fixed before the answer: either questions that are asked, or a result that is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccuracyContract {
    /// `bench accuracy`.
    pub question: String,
    /// What is asked.
    pub measured: Option<AccuracyConditions>,
    /// What is read.
    pub imported: Option<OtherResult>,
    /// What it is compared with.
    pub baseline: Option<OtherResult>,
    /// How.
    pub compare: CompareSettings,
}

/// A share of right answers with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// The task.
    pub task: String,
    /// Questions that the server answered: right, wrong, or with nothing that could be judged. Failed requests are not in
    /// it.
    pub n: u64,
    /// Right answers.
    pub correct: u64,
    /// `correct / n`; null without an answer.
    pub value: Option<f64>,
    /// Low end of the interval, a part of one.
    pub ci_low: f64,
    /// High end of the interval.
    pub ci_high: f64,
    /// Which interval it is.
    pub interval: String,
}

/// The answer of `bench accuracy --dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AccuracyPlan {
    /// [`ACCURACY_PLAN_SCHEMA`].
    pub schema: String,
    /// What would be the contract's part that is measured.
    pub conditions: AccuracyConditions,
    /// Questions that would be asked.
    pub questions: u64,
    /// The first prompt, examples included.
    pub first_prompt: String,
}

/// Requests that failed in one way, or answers that could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Fault {
    /// `http_500`, `no_number`, ...
    pub class: String,
    /// Questions.
    pub count: u64,
    /// The first of them, and what was said.
    pub example: String,
}

/// Whether the result can be believed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AccuracyValidity {
    /// `valid`, `too_many_failed`, `too_many_unanswered` or `nothing_answered`.
    pub verdict: String,
    /// Why, where it is not valid.
    pub reasons: Vec<String>,
}

/// The answer of `bench accuracy`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AccuracyReport {
    /// [`ACCURACY_SCHEMA`].
    pub schema: String,
    /// The result.
    pub accuracy: Score,
    /// Whether it was measured here.
    pub basis: Basis,
    /// The server, or the file and its format.
    pub source: String,
    /// The model's name in requests, where it was measured.
    pub model: Option<String>,
    /// Questions asked, where known.
    pub asked: Option<u64>,
    /// Answers that are another than the right one, where known.
    pub wrong: Option<u64>,
    /// Answers that hold nothing to judge; they count as not right. Null where the file does not say.
    pub unanswered: Option<u64>,
    /// Requests that failed; they count nowhere. Null where the file does not say.
    pub failed: Option<u64>,
    /// Failed requests and unanswered questions by class.
    pub faults: Vec<Fault>,
    /// Whether it can be believed.
    pub validity: AccuracyValidity,
    /// What is to be known before it is used.
    pub notes: Vec<String>,
    /// The comparison with the baseline, where there is one.
    pub comparison: Option<Comparison>,
}
