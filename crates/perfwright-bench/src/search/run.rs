//! Driving a search: the next missing trial is pruned or measured, and its row kept, until none is missing.

use serde_json::{Value, json};

use super::journal::{Journal, JournalError};
use super::prune::Proof;
use super::steps::{Conditions, Step, Trial, next};
use crate::decide::paired::MACHINE;
use crate::plan::types::Plan;
use crate::render;
use crate::rows::anchor::export;
use crate::rows::{Requests, Row, SpecDecode, Status, Trial as Place};

/// What a measurement gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Trialled {
    /// How it ended.
    pub status: Status,
    /// Why, where it did not end well.
    pub reason: Option<String>,
    /// Figures by name.
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// Requests sent and answered.
    pub requests: Option<Requests>,
    /// The server launch it was measured on.
    pub launch: Option<u64>,
    /// The engine's version, as it told.
    pub version: Option<String>,
    /// The model's name in requests.
    pub model: Option<String>,
    /// Speculative decoding, where the server told.
    pub spec_decode: SpecDecode,
    /// Part of the prompt that came from a cache, as usage and counters say.
    pub cache: Option<Value>,
    /// What else kept the machine busy before the launch.
    pub busy: Vec<String>,
    /// Where the evidence of the measurement is, by name.
    pub artifacts: serde_json::Map<String, Value>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Trialled {
    /// One without figures.
    #[must_use]
    pub fn ended(status: Status, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: Some(reason.into()),
            metrics: std::collections::BTreeMap::new(),
            requests: None,
            launch: None,
            version: None,
            model: None,
            spec_decode: SpecDecode::default(),
            cache: None,
            busy: Vec::new(),
            artifacts: serde_json::Map::new(),
            notes: Vec::new(),
        }
    }
}

/// Why a search stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The executor gave up; the search can be continued.
    #[error("{0}")]
    Executor(String),
    /// The machine is busy with something else; what was seen.
    #[error("the machine is busy: {}", .0.join("; "))]
    Busy(Vec<String>),
    /// Somebody stopped it; the search can be continued.
    #[error("stopped before the end")]
    Interrupted,
    /// The same trial came up twice, although its row was kept.
    #[error("the row of trial {0} was kept under another key")]
    Stuck(String),
}

/// Runs the search to its end. `execute` measures one trial and may keep
/// evidence of it in the journal before its row; an error of it stops the search, which the same call
/// continues later. `prune` may prove that a candidate cannot meet the bounds. Rows that exist are not measured again.
///
/// # Errors
/// The journal cannot be written, or the executor gave up.
pub fn run(
    plan: &Plan,
    conditions: &Conditions,
    journal: &mut Journal,
    mut prune: impl FnMut(&Trial) -> Option<Proof>,
    mut execute: impl FnMut(&Trial, &mut Journal) -> Result<Trialled, SearchError>,
) -> Result<(), SearchError> {
    loop {
        let trial = match next(plan, conditions, journal.done(), journal.screenings()) {
            Step::Done => return Ok(()),
            Step::Screen(decision) => {
                journal.decide(*decision)?;
                continue;
            }
            Step::Run(trial) => trial,
        };
        let row = match prune(&trial) {
            Some(proof) => {
                let mut row = row(plan, conditions, &trial);
                row.status = Status::Skipped;
                row.failure_reason = Some(proof.sentence.clone());
                row.carried.insert("artifacts".to_owned(), json!({ "proof": proof }));
                row
            }
            None => filled(row(plan, conditions, &trial), execute(&trial, journal)?),
        };
        journal.append(&trial.key, &export(&row))?;
        if !journal.done().contains_key(&trial.key) {
            return Err(SearchError::Stuck(trial.key.clone()));
        }
    }
}

fn row(plan: &Plan, conditions: &Conditions, trial: &Trial) -> Row {
    let mut row = Row::new(&trial.framework, &trial.candidate.id, Status::Failed);
    row.model = Some(plan.model.name.clone());
    row.framework_version = conditions.engine_versions.get(&trial.framework).cloned();
    row.hardware.gpu_model.clone_from(&plan.hardware.gpu_model);
    row.hardware.gpu_count = plan.hardware.gpu_count.and_then(|n| u32::try_from(n).ok());
    let w = &mut row.workload;
    w.kind = Some(plan.dataset_kind.clone());
    w.scenario = Some(trial.scenario.name.clone());
    w.sha256 = conditions.workload_sha256.get(&trial.scenario.name).cloned();
    w.input_len = Some(trial.scenario.input_len as f64);
    w.output_len = Some(trial.scenario.output_len as f64);
    w.num_prompts = Some(trial.num_prompts);
    w.request_rate = trial.load.request_rate;
    w.max_concurrency = trial.load.max_concurrency;
    w.endpoint = Some(plan.endpoint.clone());
    row.sla = plan.sla.clone();
    let framework = plan.frameworks.iter().find(|f| f.name == trial.framework);
    let command = framework.map(|f| render::command(f, &plan.model.name, &trial.candidate.flags, None, None));
    row.server_command = command.and_then(Result::ok).map(|c| c.line());
    row
}

/// The row with what a measurement gave.
pub(crate) fn filled(mut row: Row, result: Trialled) -> Row {
    row.status = result.status;
    row.failure_reason = result.reason;
    row.metrics = result.metrics;
    row.requests = result.requests;
    row.trial = Place { launch: result.launch, ..Place::default() };
    row.notes = result.notes;
    row.spec_decode = result.spec_decode;
    row.framework_version = row.framework_version.or(result.version);
    if !result.busy.is_empty() {
        row.notes.push(format!("measured on a busy machine: {}", result.busy.join("; ")));
        row.carried.insert(MACHINE.to_owned(), json!({ "busy": result.busy }));
    }
    if let Some(cache) = result.cache {
        row.carried.insert("cache".to_owned(), cache);
    }
    if !result.artifacts.is_empty() {
        row.carried.insert("artifacts".to_owned(), Value::Object(result.artifacts));
    }
    row
}
