//! The answer, from what a run folder holds: a pure function.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Item, Side, compare};
use super::gate::names;
use super::import::imported;
use super::judge::{Outcome, Record, read_answers};
use super::prompt::{AccuracyConditions, By};
use super::report::{
    ACCURACY_SCHEMA, AccuracyContract, AccuracyReport, AccuracyValidity, Fault, OtherResult,
};
use crate::rows::Basis;

/// Examples of faults are cut to this many characters.
const SHOWN: usize = 200;
/// A part of unanswered questions from which on it is said beside the result.
const MANY_UNANSWERED: f64 = 0.05;

/// What was measured, judged anew.
#[derive(Debug)]
pub struct Measured {
    /// The result.
    pub side: Side,
    asked: u64,
    wrong: u64,
    failed: u64,
    faults: Vec<Fault>,
    verdict: &'static str,
}

impl Measured {
    /// Judges records under their conditions.
    ///
    /// # Errors
    /// A record says something else of its answer than the answer does.
    pub fn new(c: &AccuracyConditions, records: &[Record], source: String) -> Result<Self, String> {
        let mut counts: BTreeMap<Outcome, u64> = BTreeMap::new();
        let mut faults: BTreeMap<String, (u64, String)> = BTreeMap::new();
        let mut items = BTreeMap::new();
        for r in records {
            let (outcome, picked) = r.judged(c.by);
            if (outcome, &picked) != (r.outcome, &r.picked) {
                return Err(format!(
                    "question {}: the recorded outcome does not follow from the answer",
                    r.id
                ));
            }
            *counts.entry(outcome).or_default() += 1;
            let right = match outcome {
                Outcome::Correct => Some(true),
                Outcome::Wrong | Outcome::Unanswered => Some(false),
                Outcome::Failed => None,
            };
            if let Some((class, said)) = fault(r, c.by, outcome) {
                let example = || format!("{}: {}", r.id, said.chars().take(SHOWN).collect::<String>());
                faults.entry(class).or_insert_with(|| (0, example())).0 += 1;
            }
            let item = Item { right, prompt: Some(r.prompt_sha256.clone()) };
            if items.insert(r.id.clone(), item).is_some() {
                return Err(format!("question {} was asked twice", r.id));
            }
        }
        let of = |o| counts.get(&o).copied().unwrap_or(0);
        let (correct, wrong) = (of(Outcome::Correct), of(Outcome::Wrong));
        let (unanswered, failed) = (of(Outcome::Unanswered), of(Outcome::Failed));
        let (asked, n) = (records.len() as u64, correct + wrong + unanswered);
        let part = |k: u64, n: u64| k as f64 / n.max(1) as f64;
        let (mut verdict, mut reasons) = ("valid", Vec::new());
        let mut stop = |word, reason: String| {
            verdict = word;
            reasons.push(reason);
        };
        let percent = |x: f64| format!("{:.1} %", x * 100.0);
        if part(unanswered, n) > c.limits.unanswered {
            stop(
                "too_many_unanswered",
                format!(
                    "{unanswered} of {n} answers hold nothing to judge, above {}",
                    percent(c.limits.unanswered)
                ),
            );
        }
        if n == 0 {
            stop("nothing_answered", format!("none of {asked} questions was answered"));
        } else if part(failed, asked) > c.limits.failed {
            stop(
                "too_many_failed",
                format!("{failed} of {asked} requests failed, above {}", percent(c.limits.failed)),
            );
        }
        let mut notes = Vec::new();
        if part(unanswered, n) > MANY_UNANSWERED {
            notes.push(format!("{unanswered} of {n} answers hold nothing to judge and count as not right"));
        }
        if failed > 0 {
            notes.push(format!("{failed} questions have no answer and count nowhere"));
        }
        let side = Side {
            source,
            basis: Basis::Measured,
            task: c.task.clone(),
            n,
            correct,
            between: (correct, correct),
            unanswered: Some(unanswered),
            items: Some(items),
            settings: settings(c),
            faults: reasons,
            notes,
        };
        let faults =
            faults.into_iter().map(|(class, (count, example))| Fault { class, count, example }).collect();
        Ok(Self { side, asked, wrong, failed, faults, verdict })
    }
}

/// What has to be equal on both sides of a comparison.
fn settings(c: &AccuracyConditions) -> BTreeMap<String, String> {
    let by = match c.by {
        By::Letter => "letter",
        By::Logprob => "logprob",
    };
    let mut out = BTreeMap::new();
    for (key, value) in [
        ("endpoint", c.endpoint.clone()),
        ("questions", c.set.sha256.clone()),
        ("shots", c.shots.to_string()),
        ("by", by.to_owned()),
        ("form", c.form.clone()),
        ("max_tokens", c.max_tokens.to_string()),
        ("stop", c.stop.join("|")),
        ("extra_body", Value::Object(c.extra_body.clone()).to_string()),
    ] {
        out.insert(key.to_owned(), value);
    }
    out
}

/// The class of a failed or unanswered question, and what was said.
fn fault(r: &Record, by: By, outcome: Outcome) -> Option<(String, String)> {
    match outcome {
        Outcome::Correct | Outcome::Wrong => None,
        Outcome::Failed => {
            Some((r.failure.clone().unwrap_or_default(), r.detail.clone().unwrap_or_default()))
        }
        Outcome::Unanswered => {
            let cut = if r.finish.as_deref() == Some("length") { "_cut_at_max_tokens" } else { "" };
            Some(match (r.choices, by) {
                (0, _) => (format!("no_number{cut}"), format!("{:?}", r.text)),
                (_, By::Letter) => (format!("no_letter{cut}"), format!("{:?}", r.text)),
                (_, By::Logprob) => {
                    ("no_letter_among_likeliest".to_owned(), format!("the likeliest is {:?}", r.text))
                }
            })
        }
    }
}

/// A result that was not measured in this run.
fn other(
    of: &OtherResult,
    (file, contract, answers): (&str, &str, &str),
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Side, String> {
    let need = |name: &str| read(name).ok_or_else(|| format!("{name} is missing"));
    if !of.run {
        return imported(&need(file)?, &of.path, &of.pick).map_err(|e| format!("{}: {e}", of.path));
    }
    let its = contract_of(&need(contract)?).map_err(|e| format!("{}: {e}", of.path))?;
    let c = its.measured.ok_or_else(|| format!("{}: the run asked no questions", of.path))?;
    let records = read_answers(&need(answers)?).map_err(|e| format!("{}: {e}", of.path))?;
    Ok(Measured::new(&c, &records, of.path.clone()).map_err(|e| format!("{}: {e}", of.path))?.side)
}

/// The contract of a run.
///
/// # Errors
/// It is none of `bench accuracy`.
pub(super) fn contract_of(bytes: &[u8]) -> Result<AccuracyContract, String> {
    serde_json::from_slice(bytes).map_err(|e| format!("no contract of bench accuracy: {e}"))
}

/// The answer that a contract and the files of its run give; `read` gives a file by its name.
///
/// # Errors
/// A file is missing or is not what it should be.
pub fn figures(
    contract: &AccuracyContract,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<AccuracyReport, String> {
    let (side, measured, model) = match (&contract.measured, &contract.imported) {
        (Some(c), _) => {
            let answers = read(names::ANSWERS).ok_or("the run holds no answers")?;
            let records = read_answers(&answers)?;
            let m = Measured::new(c, &records, format!("{} {}", c.url, c.endpoint))?;
            let server: Option<Value> = read(names::SERVER).and_then(|b| serde_json::from_slice(&b).ok());
            let model = server.and_then(|s| Some(s.get("model")?.as_str()?.to_owned()));
            (m.side.clone(), Some(m), model)
        }
        (None, Some(of)) => {
            (other(of, (names::FILE, names::FROM_CONTRACT, names::FROM_ANSWERS), read)?, None, None)
        }
        (None, None) => return Err("the contract names no result".to_owned()),
    };
    let comparison = match &contract.baseline {
        None => None,
        Some(of) => {
            let files = (names::BASE_FILE, names::BASE_CONTRACT, names::BASE_ANSWERS);
            Some(compare(&other(of, files, read)?, &side, contract.compare))
        }
    };
    let of = |f: fn(&Measured) -> u64| measured.as_ref().map(f);
    Ok(AccuracyReport {
        schema: ACCURACY_SCHEMA.to_owned(),
        accuracy: side.score(),
        basis: side.basis,
        source: side.source.clone(),
        model,
        asked: of(|m| m.asked),
        wrong: of(|m| m.wrong),
        unanswered: side.unanswered,
        failed: of(|m| m.failed),
        validity: AccuracyValidity {
            verdict: match (&measured, side.faults.is_empty()) {
                (Some(m), _) => m.verdict.to_owned(),
                (None, true) => "valid".to_owned(),
                (None, false) => "nothing_answered".to_owned(),
            },
            reasons: side.faults.clone(),
        },
        notes: side.notes.clone(),
        faults: measured.map(|m| m.faults).unwrap_or_default(),
        comparison,
    })
}

#[cfg(test)]
mod tests {
    use super::super::compare::CompareSettings;
    use super::super::judge::write_answers;
    use super::super::prompt::sample_conditions;
    use super::*;

    fn record(id: u32, text: &str, failure: Option<&str>) -> Record {
        let mut r = Record {
            id: id.to_string(),
            prompt_sha256: "p".into(),
            expected: "1".into(),
            choices: 0,
            outcome: Outcome::Failed,
            picked: None,
            text: text.into(),
            letters: BTreeMap::new(),
            finish: Some("length".into()),
            failure: failure.map(str::to_owned),
            detail: failure.map(|_| "said".to_owned()),
            prompt_tokens: None,
            completion_tokens: None,
        };
        (r.outcome, r.picked) = r.judged(By::Letter);
        r
    }

    fn report(records: &[Record]) -> AccuracyReport {
        let contract = AccuracyContract {
            question: "bench accuracy".into(),
            measured: Some(sample_conditions()),
            imported: None,
            baseline: None,
            compare: CompareSettings { threshold: 0.01, margin: 0.03 },
        };
        let bytes = write_answers(records).unwrap();
        figures(&contract, &|name| (name == names::ANSWERS).then(|| bytes.clone())).unwrap()
    }

    #[test]
    fn failures_stand_apart() {
        let many: Vec<Record> = (0..200).map(|i| record(i, if i < 150 { "1" } else { "2" }, None)).collect();
        let mut few = many.clone();
        few[0] = record(0, "", Some("http_500"));
        few[1] = record(1, "nothing", None);
        let r = report(&few);
        assert_eq!((r.accuracy.n, r.accuracy.correct, r.validity.verdict.as_str()), (199, 148, "valid"));
        assert_eq!((r.wrong, r.unanswered, r.failed), (Some(50), Some(1), Some(1)));
        let classes: Vec<&str> = r.faults.iter().map(|f| f.class.as_str()).collect();
        assert_eq!(classes, ["http_500", "no_number_cut_at_max_tokens"]);
        assert!(r.accuracy.ci_low < 148.0 / 199.0 && r.accuracy.ci_high > 148.0 / 199.0);
        few[2] = record(2, "", Some("http_500"));
        few[3] = record(3, "", Some("connect"));
        assert_eq!(report(&few).validity.verdict, "too_many_failed");
        let silent: Vec<Record> = (0..10).map(|i| record(i, "none", None)).collect();
        assert_eq!(report(&silent).validity.verdict, "too_many_unanswered");
        let dead: Vec<Record> = (0..10).map(|i| record(i, "", Some("connect"))).collect();
        let dead = report(&dead);
        assert_eq!((dead.validity.verdict.as_str(), dead.accuracy.value), ("nothing_answered", None));
        assert_eq!((dead.accuracy.ci_low, dead.accuracy.ci_high), (0.0, 1.0));
    }

    #[test]
    fn outcomes_that_do_not_follow_are_refused() {
        let mut r = record(0, "2", None);
        r.outcome = Outcome::Correct;
        assert!(Measured::new(&sample_conditions(), &[r], String::new()).is_err());
        let twice = [record(0, "1", None), record(0, "1", None)];
        assert!(Measured::new(&sample_conditions(), &twice, String::new()).is_err());
    }
}
