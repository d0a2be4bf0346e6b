//! The gates of a recorded `bench accuracy`.

use perfwright_evidence::{CONTRACT, EvidenceSet, Gate, GateResult};

use super::figures::{Measured, contract_of, figures};
use super::judge::read_answers;
use super::prompt::{expected_text, plan};
use super::question::read_questions;
use super::report::AccuracyContract;
use crate::measure::gate::differs;

/// Where a run keeps what.
pub mod names {
    /// The questions.
    pub const QUESTIONS: &str = "inputs/questions.jsonl";
    /// The questions that examples are drawn from.
    pub const SHOTS: &str = "inputs/shots.jsonl";
    /// One record a question.
    pub const ANSWERS: &str = "accuracy/answers.jsonl";
    /// The answer.
    pub const RESULT: &str = "accuracy/result.json";
    /// The answer for people.
    pub const REPORT: &str = "accuracy/result.md";
    /// What the server told of itself.
    pub const SERVER: &str = crate::measure::names::SERVER;
    /// An imported result.
    pub const FILE: &str = "inputs/result.data";
    /// The contract of a run that is read.
    pub const FROM_CONTRACT: &str = "inputs/result-contract.json";
    /// Its answers.
    pub const FROM_ANSWERS: &str = "inputs/result-answers.jsonl";
    /// An imported baseline.
    pub const BASE_FILE: &str = "inputs/baseline.data";
    /// The contract of a baseline that is a run.
    pub const BASE_CONTRACT: &str = "inputs/baseline-contract.json";
    /// Its answers.
    pub const BASE_ANSWERS: &str = "inputs/baseline-answers.jsonl";
}

/// Every gate that this module exports.
pub const GATES: &[Gate] = &[MEASURED, QUESTIONS, FIGURES];
/// Enough questions were answered, and each outcome follows from its recorded answer.
pub const MEASURED: Gate = Gate { id: "accuracy.measured", version: 1, eval: measured };
/// Prompts and right answers are those that the recorded question set gives.
pub const QUESTIONS: Gate = Gate { id: "accuracy.questions", version: 1, eval: questions };
/// The stored answer, comparison included, is what the recorded files give.
pub const FIGURES: Gate = Gate { id: "accuracy.figures", version: 1, eval: stored };

/// The contract, or why a gate has nothing to say.
fn contract(evidence: &EvidenceSet) -> Result<AccuracyContract, GateResult> {
    if !evidence.entries().iter().any(|e| e.name == names::RESULT) {
        return Err(GateResult::not_applicable("the run holds no accuracy"));
    }
    let bytes = evidence.bytes(CONTRACT).map_err(|e| GateResult::hard_stop(e.to_string()))?;
    contract_of(&bytes).map_err(GateResult::hard_stop)
}

fn measured(evidence: &EvidenceSet) -> GateResult {
    let contract = match contract(evidence) {
        Ok(contract) => contract,
        Err(result) => return result,
    };
    let Some(c) = contract.measured else {
        return GateResult::not_applicable("nothing was asked: the result is imported");
    };
    let read = evidence.bytes(names::ANSWERS).map_err(|e| e.to_string()).and_then(|b| read_answers(&b));
    let m = match read.and_then(|r| Measured::new(&c, &r, String::new())) {
        Ok(m) => m,
        Err(e) => return GateResult::hard_stop(e),
    };
    let score = m.side.score();
    let result = if m.side.faults.is_empty() {
        GateResult::pass(format!("{} of {} questions were answered right", score.correct, score.n))
    } else {
        GateResult::hard_stop(m.side.faults.join("; "))
    };
    match score.value {
        Some(value) => result.measured(value),
        None => result,
    }
}

fn questions(evidence: &EvidenceSet) -> GateResult {
    let contract = match contract(evidence) {
        Ok(contract) => contract,
        Err(result) => return result,
    };
    let Some(c) = contract.measured else {
        return GateResult::not_applicable("nothing was asked: the result is imported");
    };
    let set = |name: &str| {
        let bytes = evidence.bytes(name).map_err(|e| e.to_string())?;
        read_questions(&bytes).map_err(|e| format!("{name}: {e}"))
    };
    let planned = set(names::QUESTIONS).and_then(|q| {
        let shots = c.shots_from.as_ref().map(|_| set(names::SHOTS)).transpose()?;
        plan(&c, q, shots).map_err(|e| e.to_string())
    });
    let answers = evidence.bytes(names::ANSWERS).map_err(|e| e.to_string()).and_then(|b| read_answers(&b));
    let (planned, answers) = match (planned, answers) {
        (Ok(planned), Ok(answers)) => (planned, answers),
        (Err(e), _) | (_, Err(e)) => return GateResult::hard_stop(e),
    };
    if planned.len() != answers.len() {
        return GateResult::fail(format!("{} questions were due and {} asked", planned.len(), answers.len()));
    }
    for (due, r) in planned.iter().zip(&answers) {
        let choices = due.question.choices.len() as u64;
        let same = due.question.id == r.id
            && due.prompt_sha256 == r.prompt_sha256
            && expected_text(&due.question) == r.expected
            && choices == u64::from(r.choices);
        if !same {
            return GateResult::fail(format!("question {} is not the one of the set", r.id));
        }
    }
    GateResult::pass("prompts and right answers are those of the set").measured(planned.len() as u64)
}

fn stored(evidence: &EvidenceSet) -> GateResult {
    let contract = match contract(evidence) {
        Ok(contract) => contract,
        Err(result) => return result,
    };
    let again = match figures(&contract, &|name| evidence.bytes(name).ok()) {
        Ok(again) => again,
        Err(e) => return GateResult::hard_stop(format!("the result cannot be recomputed: {e}")),
    };
    let (stored, again) = match (evidence.json(names::RESULT), serde_json::to_value(&again)) {
        (Ok(stored), Ok(again)) => (stored, again),
        (Err(e), _) => return GateResult::hard_stop(e.to_string()),
        (_, Err(e)) => return GateResult::hard_stop(e.to_string()),
    };
    match differs(&stored, &again, "") {
        None => GateResult::pass("the result follows from the recorded files"),
        Some(place) => {
            GateResult::fail(format!("the result does not follow from the recorded files at {place}"))
        }
    }
}
