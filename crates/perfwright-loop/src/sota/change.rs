//! A change description made from evidence only: every sentence carries the id of what shows it.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::SotaEvent;
use super::names;
use super::spec::SotaSpec;

/// Schema name of [`Description`].
pub const CHANGE_SCHEMA: &str = "perfwright.sota-change/v1";

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// The section.
    pub section: String,
    /// What it says.
    pub text: String,
    /// What shows it: evidence of the run, by name.
    pub evidence: Vec<String>,
}

/// The description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`CHANGE_SCHEMA`].
    pub schema: String,
    /// The title.
    pub title: String,
    /// Sentences in order.
    pub sentences: Vec<Sentence>,
}

/// Describes what the events show, and nothing else.
#[must_use]
pub fn describe(spec: &SotaSpec, events: &[SotaEvent]) -> Description {
    let mut sentences = Vec::new();
    let mut say = |section: &str, text: String, evidence: Vec<String>| {
        sentences.push(Sentence { section: section.to_owned(), text, evidence });
    };
    let own = |name: &str| name.to_owned();
    let mut title = format!("{}: no change was accepted", spec.title);
    for event in events {
        let text = super::report::sentence(event);
        match event {
            SotaEvent::Opened { .. } => {
                let b = &spec.boundary;
                let text = format!(
                    "Holds for {} on {} with {} and {}, workload {}.",
                    b.model, b.hardware, b.precision, b.parallelism, spec.workload_sha256
                );
                say("Boundary", text, vec![own("contract.json")]);
            }
            SotaEvent::Searched { run, .. } => say("Comparison", text, vec![format!("{run}/manifest.json")]),
            SotaEvent::GapDecided { run, .. } => {
                say("Comparison", text, vec![format!("{run}/benchmark/ab.json")]);
            }
            SotaEvent::GapExplained { evidence, .. } => {
                say("Cause", text, vec![evidence.clone(), own(names::COMPARE)]);
            }
            SotaEvent::Accepted { change, gain, run, .. } => {
                title = format!("{}: {change}, {}", spec.title, gain.percent());
                say("Gain", text, vec![format!("{run}/benchmark/ab.json"), own(names::EXECUTION)]);
                let text = "Greedy answers were held against the baseline's, switched on and switched off.";
                say("Accuracy", own(text), vec![own(names::OUTPUTS), own(names::ACCURACY)]);
            }
            SotaEvent::SetMeasured { run, .. } => {
                say("Gain", text, vec![format!("{run}/benchmark/ab.json")]);
            }
            SotaEvent::Composed { evidence, .. } => say("Gain", text, vec![evidence.clone()]),
            SotaEvent::Failed { evidence, .. } => say("Tried and refused", text, vec![evidence.clone()]),
            SotaEvent::NotAvailable { .. } => say("Not done", text, vec![own(names::EVENTS)]),
            SotaEvent::Profiled { .. }
            | SotaEvent::AttemptOpened { .. }
            | SotaEvent::AttemptRefused { .. }
            | SotaEvent::Closed { .. } => {}
        }
    }
    Description { schema: CHANGE_SCHEMA.to_owned(), title, sentences }
}

/// The description as Markdown.
#[must_use]
pub fn markdown(change: &Description) -> String {
    let mut out = format!("# {}\n", change.title);
    let mut section = "";
    for s in &change.sentences {
        if s.section != section {
            let _ = write!(out, "\n## {}\n\n", s.section);
            section = &s.section;
        }
        let ids: Vec<String> = s.evidence.iter().map(|e| format!("`{e}`")).collect();
        let _ = writeln!(out, "- {} [{}]", s.text, ids.join(", "));
    }
    out
}
