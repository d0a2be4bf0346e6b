//! What a finished search leaves: all rows, one row a candidate, the ranking, commands and failures.

use perfwright_evidence::{Finished, Rule};
use perfwright_report::{Document, markdown};

use super::journal::{Journal, JournalError};
use super::run::SearchError;
use super::steps::Conditions;
use super::summary::summary;
use crate::decide::render::{document, failed_candidates, winning_commands};
use crate::decide::report::Input;
use crate::decide::{CompareOptions, Comparison, compare};
use crate::gate::{COMPARISON, GATES};
use crate::plan::types::Plan;
use crate::rows::anchor::export;
use crate::rows::{Basis, read_rows};

/// One row a candidate, scenario and cap: what a ranking is made of.
pub const CANDIDATES: &str = "benchmark/candidates.jsonl";
/// Every measurement, in the order of finishing.
pub const TRIALS: &str = "benchmark/trials.jsonl";

/// Writes the results of a finished search into its run and closes it.
///
/// # Errors
/// Trials are still missing, or the run cannot be written.
pub fn deliver(
    plan: &Plan,
    conditions: &Conditions,
    mut journal: Journal,
) -> Result<(Comparison, Finished), SearchError> {
    let rows = summary(plan, conditions, journal.done(), journal.screenings())
        .ok_or_else(|| SearchError::Executor("trials are still missing".to_owned()))?;
    let trials: String = journal.lines().iter().map(|l| format!("{l}\n")).collect();
    journal.derived(TRIALS, trials.as_bytes(), "application/x-ndjson")?;
    let lines: String = rows.iter().map(|r| format!("{}\n", export(r))).collect();
    journal.derived(CANDIDATES, lines.as_bytes(), "application/x-ndjson")?;
    // What is ranked is what was recorded, read back as the gate reads it.
    let stored = journal.bytes(CANDIDATES)?;
    let answer = ranked(&stored, journal.basis())?;
    let json = serde_json::to_vec_pretty(&answer)
        .map_err(|e| JournalError::Row { name: COMPARISON.to_owned(), cause: e.to_string() })?;
    journal.derived(COMPARISON, &json, "application/json")?;
    let mut fairness = Document::new("Fairness diagnostics");
    fairness.notes.clone_from(&answer.diagnostics);
    fairness.notes.extend(answer.verdict.reasons.iter().cloned());
    for (name, document) in [
        ("benchmark/comparison.md", document(&answer)),
        ("benchmark/winning-commands.md", winning_commands(&answer)),
        ("benchmark/failed-candidates.md", failed_candidates(&answer)),
        ("benchmark/fairness/diagnostics.md", fairness),
    ] {
        let text = markdown::document(&document, markdown::Options::default());
        journal.derived(name, text.as_bytes(), "text/markdown")?;
    }
    let finished = journal.finish(GATES, Rule::AnsweredV1)?;
    Ok((answer, finished))
}

/// The answer that recorded candidates give.
///
/// # Errors
/// They cannot be read.
pub fn ranked(stored: &[u8], basis: Basis) -> Result<Comparison, SearchError> {
    let rows = read_rows(stored, CANDIDATES, basis)
        .map_err(|e| JournalError::Row { name: CANDIDATES.to_owned(), cause: e.to_string() })?;
    let input = Input {
        path: CANDIDATES.to_owned(),
        label: None,
        format: "row".to_owned(),
        rows: rows.len() as u64,
        basis,
    };
    Ok(compare(vec![input], &rows, &CompareOptions::default()))
}
