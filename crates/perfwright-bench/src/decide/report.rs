//! The answer of `bench compare` as plain data.

use std::collections::BTreeMap;

use perfwright_stats::difference::Estimate;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::rows::{Basis, Objective};
use crate::sla::{Bound, SlaAnswer};

/// Schema name of [`Comparison`].
pub const SCHEMA: &str = "perfwright.bench-compare/v1";

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// `perfwright.bench-compare/v1`.
    pub schema: &'static str,
    /// The files.
    pub inputs: Vec<Input>,
    /// Relative difference below which candidates tie.
    pub threshold: f64,
    /// Bounds that took the place of the rows' own.
    pub sla_override: Option<Vec<Bound>>,
    /// Groups of rows under equal conditions.
    pub scenarios: Vec<Scenario>,
    /// The verdict over all scenarios.
    pub verdict: Verdict,
    /// What a reader should know before using the tables.
    pub diagnostics: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Input {
    /// The path.
    pub path: String,
    /// The framework that the caller named for it.
    pub label: Option<String>,
    /// What it is.
    pub format: String,
    /// Rows in it.
    pub rows: u64,
    /// Where its figures come from.
    pub basis: Basis,
}

/// Rows under equal conditions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Scenario {
    /// Name of the scenario.
    pub scenario: String,
    /// The conditions that all rows of it share.
    pub conditions: BTreeMap<String, Value>,
    /// What decides the order.
    pub ranked_by: String,
    /// The candidates that count, best first.
    pub ranking: Vec<Ranked>,
    /// The rest, with reasons.
    pub set_aside: Vec<SetAside>,
    /// Why nothing here may be compared.
    pub refused: Option<String>,
    /// What follows.
    pub verdict: VerdictWord,
    /// Why the verdict is not stronger.
    pub reasons: Vec<String>,
}

/// A ranked candidate.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Ranked {
    /// Rank from 1; candidates that tie share it.
    pub rank: usize,
    /// The framework.
    pub framework: String,
    /// Its version.
    pub framework_version: Option<String>,
    /// The candidate.
    pub candidate_id: String,
    /// What it is ranked by; more is better.
    pub value: f64,
    /// Value over the best value of the scenario.
    pub of_best: f64,
    /// Best over this, relative, with its 95 % interval; none without repeats.
    pub behind: Option<Interval>,
    /// GPUs.
    pub gpu_count: Option<u32>,
    /// Measurements behind it.
    pub repeats: usize,
    /// Where the figures come from.
    pub basis: Basis,
    /// The bounds, recomputed.
    pub sla: SlaAnswer,
    /// Largest load under the SLA, where a search found it.
    pub objective: Option<Objective>,
    /// Figures of the first measurement.
    pub metrics: BTreeMap<String, f64>,
    /// Tokens per verify step, with the target model's own token.
    pub accept_length: Option<f64>,
    /// The command that starts the server.
    pub server_command: Option<String>,
    /// Artefacts that the row names.
    pub artifacts: Option<Value>,
    /// What the reader should know of the row.
    pub notes: Vec<String>,
}

/// An interval around a relative difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Interval {
    /// The difference.
    pub value: f64,
    /// Low end.
    pub low: f64,
    /// High end.
    pub high: f64,
}

impl Interval {
    /// From an estimate on the scale of logarithms.
    #[must_use]
    pub fn of_logs(e: &Estimate) -> Self {
        Self { value: e.value.exp_m1(), low: e.low.exp_m1(), high: e.high.exp_m1() }
    }
}

/// A row that is not ranked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SetAside {
    /// The framework.
    pub framework: String,
    /// The candidate.
    pub candidate_id: String,
    /// `failed`, `oom`, `timeout`, `skipped`, `sla`, `duplicate`, `unfair` or `unusable`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// The bounds, recomputed.
    pub sla: SlaAnswer,
    /// File and line.
    pub place: String,
    /// The command that starts the server.
    pub server_command: Option<String>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// One candidate is better, and what was measured here shows it.
    Winner,
    /// The best do not differ by more than noise, and what was measured here shows it.
    Tie,
    /// Ranked, not proven.
    Inconclusive,
    /// No candidate counts.
    NoWinner,
    /// The rows may not be compared.
    Refused,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// The weakest of the scenarios' verdicts.
    pub outcome: VerdictWord,
    /// The weakest basis among the ranked rows; none where nothing is ranked.
    pub basis: Option<Basis>,
    /// First-ranked candidates.
    pub first: Vec<First>,
    /// Why the verdict is not stronger.
    pub reasons: Vec<String>,
}

/// A candidate that stands first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct First {
    /// The scenario.
    pub scenario: String,
    /// The framework.
    pub framework: String,
    /// The candidate.
    pub candidate_id: String,
}
