//! The answer for people.

use perfwright_report::{Cell, Column, Document, Table};

use super::compare::Comparison;
use super::report::{AccuracyPlan, AccuracyReport, Score};

/// A plan as a document.
#[must_use]
pub fn plan_document(p: &AccuracyPlan) -> Document {
    let mut doc = Document::new("Plan of an accuracy measurement");
    doc.fact("server", format!("{} {}", p.conditions.url, p.conditions.endpoint));
    doc.fact("task", p.conditions.task.as_str());
    doc.fact("questions", Cell::count(p.questions));
    doc.fact("first prompt", format!("{:?}", p.first_prompt));
    doc.notes.push("nothing was sent".to_owned());
    doc
}

/// The answer as a document.
#[must_use]
pub fn document(r: &AccuracyReport) -> Document {
    let mut doc = Document::new("Accuracy");
    doc.warnings.extend(r.validity.reasons.iter().map(|w| format!("{}: {w}", r.validity.verdict)));
    doc.fact("source", r.source.as_str());
    if let Some(model) = &r.model {
        doc.fact("model", model.as_str());
    }
    doc.fact("task", r.accuracy.task.as_str());
    doc.fact("accuracy", score(&r.accuracy));
    doc.fact("right", format!("{} of {}", r.accuracy.correct, r.accuracy.n));
    for (label, count) in [("wrong", r.wrong), ("unanswered", r.unanswered), ("failed requests", r.failed)] {
        if let Some(count) = count {
            doc.fact(label, Cell::count(count));
        }
    }
    if let Some(c) = &r.comparison {
        comparison(&mut doc, c);
    }
    if !r.faults.is_empty() {
        let columns = vec![
            Column::text("class", "Class"),
            Column::number("count", "Questions"),
            Column::text("example", "First"),
        ];
        let mut table = Table::new("faults", "Without a usable answer", columns);
        for f in &r.faults {
            table.push(vec![
                Cell::text(f.class.as_str()),
                Cell::count(f.count),
                Cell::text(f.example.as_str()),
            ]);
        }
        doc.tables.push(table);
    }
    doc.notes.extend(r.notes.iter().cloned());
    doc.notes.push(format!(
        "interval: {}; what the server itself varies from run to run is not in it",
        r.accuracy.interval
    ));
    doc
}

fn score(s: &Score) -> String {
    let points = |v: f64| format!("{:.2}", v * 100.0);
    match s.value {
        Some(v) => format!("{} % [{}, {}]", points(v), points(s.ci_low), points(s.ci_high)),
        None => "unknown".to_owned(),
    }
}

fn comparison(doc: &mut Document, c: &Comparison) {
    let word = format!("{:?}", c.verdict).to_lowercase();
    doc.fact("baseline", format!("{} ({})", score(&c.baseline), c.baseline_source));
    doc.fact("verdict", word);
    if let (Some(d), Some(low), Some(high)) = (c.difference, c.ci_low, c.ci_high) {
        let p = |v: f64| format!("{:+.2}", v * 100.0);
        doc.fact("difference", format!("{} points [{}, {}]; {}", p(d), p(low), p(high), c.interval));
    }
    if let Some(p) = &c.pairs {
        doc.fact(
            "pairs",
            format!(
                "{} questions: {} right in both, {} in the baseline only, {} here only, {} in neither",
                p.n, p.both, p.only_baseline, p.only_this, p.neither
            ),
        );
    }
    doc.notes.extend(c.reasons.iter().cloned());
}
