//! An A/B that is measured launch by launch: what is measured next, and the answer. Both are pure functions of the terms
//! and of the rows so far, so an interrupted one continues where it was and anybody can recompute the verdict.
//!
//! A block holds one launch of each side. A comes first in even blocks and B in odd ones (A B B A A B B A), so that a
//! drift of the machine falls on both alike. Beside the first blocks stand as many of the control: A against itself,
//! with a restart in between. Where the control finds a difference, the figures measure something else than the sides.

use std::collections::BTreeMap;

use perfwright_stats::difference::student_mean;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ab::{AbOptions, AbReport, AbWord, ab, against, blocks_of, logarithm, word};
use super::report::Interval;
use crate::rows::{Row, Status};

/// Confidence of the interval of the control: it looks once, and a false alarm costs a verdict.
const CONTROL_CONFIDENCE: f64 = 0.99;
/// Failed launches of one side after which no more are tried.
const MAX_FAILED: usize = 3;
/// Where a row says what it is to an A/B.
pub const AB: &str = "ab";
/// Where a row says that the machine was busy.
pub const MACHINE: &str = "machine";

/// What is fixed before the first launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// The figure that is compared: `request_throughput`, `p50_ttft_ms`, ...
    pub metric: String,
    /// Relative difference that matters to nobody; 0.01 is 1 %.
    pub threshold: f64,
    /// Most blocks; looks at the figures fall after a quarter, a half, three quarters and all of them, never before
    /// four.
    pub blocks: u64,
    /// Blocks of A against itself; 0 for none.
    pub control_blocks: u64,
    /// Seconds that launching and measuring may take; no block is begun that would probably end later.
    pub budget_s: Option<f64>,
    /// Standard deviation from launch to launch, relative, where servers are not launched here.
    pub launch_spread: Option<f64>,
}

/// One launch that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// It belongs to the control, and its server is that of side A.
    pub control: bool,
    /// Block within its series, from 0.
    pub block: u64,
    /// It is the second of its block.
    pub second: bool,
    /// Place among all launches.
    pub order: u64,
}

impl Slot {
    /// Side A of its series; the other one is side B, or A once more in the control.
    #[must_use]
    pub fn is_a(&self) -> bool {
        self.second == (self.block % 2 == 1)
    }

    /// Identity of its row.
    #[must_use]
    pub fn key(&self) -> String {
        let series = if self.control { "control" } else { "block" };
        format!("{series}-{:04}-{}", self.block, u8::from(self.second))
    }

    /// What its row carries under [`AB`].
    #[must_use]
    pub fn carried(&self, took_s: f64) -> Value {
        let side = if self.is_a() { "a" } else { "b" };
        json!({ "side": side, "control": self.control, "took_s": took_s })
    }
}

/// Why no more is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A look at the figures decided.
    Decided,
    /// All blocks are measured.
    Blocks,
    /// The time is over.
    Time,
    /// Servers of one side failed too often.
    Failures,
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A launch.
    Measure(Slot),
    /// Nothing.
    End(Ended),
}

/// How the measuring went.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Series {
    /// Blocks planned.
    pub planned_blocks: u64,
    /// Seconds that launches and measurements took.
    pub seconds: f64,
    /// Seconds that they were allowed.
    pub budget_s: Option<f64>,
    /// Why it ended.
    pub ended: Ended,
    /// Launches that were preceded by load of others.
    pub busy: u64,
    /// What that load was, where there was some.
    pub busy_example: Option<String>,
}

/// A against itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Control {
    /// Blocks of it.
    pub blocks: u64,
    /// `same`, `inconclusive`, or a difference that cannot be one of the sides.
    pub verdict: AbWord,
    /// The difference that was found, relative.
    pub gain: Option<Interval>,
    /// Confidence of the interval.
    pub confidence: f64,
}

/// The rows by their keys.
pub type Done = BTreeMap<String, Row>;

/// The answer, or why the sides may not be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// They may.
    Compared(Box<AbReport>),
    /// They may not.
    Refused(Vec<String>),
}

impl Answer {
    /// The answer as it is recorded.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Compared(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Refused(faults) => json!({ "schema": super::ab::SCHEMA, "refused": faults }),
        }
    }
}

/// What is measured next.
#[must_use]
pub fn next(terms: &Terms, done: &Done) -> Step {
    let mut order = 0;
    for block in 0..terms.blocks {
        let slots =
            |control, order| [0, 1].map(|i| Slot { control, block, second: i == 1, order: order + i });
        let main = slots(false, order);
        order += 2;
        if !done.contains_key(&main[0].key())
            && let Some(ended) = ended(terms, done)
        {
            return Step::End(ended);
        }
        let control = (block < terms.control_blocks).then(|| slots(true, order));
        order += 2 * u64::from(control.is_some());
        for slot in main.into_iter().chain(control.into_iter().flatten()) {
            if !done.contains_key(&slot.key()) {
                return Step::Measure(slot);
            }
        }
    }
    Step::End(ended(terms, done).unwrap_or(Ended::Blocks))
}

fn ended(terms: &Terms, done: &Done) -> Option<Ended> {
    let [a, b] = side_rows(done, false);
    let failed = |side: &[Row]| side.iter().filter(|r| r.status != Status::Ok).count();
    if failed(&a).max(failed(&b)) >= MAX_FAILED {
        return Some(Ended::Failures);
    }
    let report = ab(&a, &b, &options(terms)).ok();
    if report.is_some_and(|r| r.blocks > 0 && r.figures_say != AbWord::Inconclusive && !r.more_blocks) {
        return Some(Ended::Decided);
    }
    let blocks = a.len().max(b.len());
    let budget = terms.budget_s.filter(|_| blocks > 0)?;
    let seconds = seconds(done);
    (seconds + seconds / blocks as f64 > budget).then_some(Ended::Time)
}

fn options(terms: &Terms) -> AbOptions {
    AbOptions {
        metric: terms.metric.clone(),
        threshold: terms.threshold,
        launch_spread: terms.launch_spread,
        blocks: usize::try_from(terms.blocks).ok(),
    }
}

/// The answer of the rows that are there.
#[must_use]
pub fn judge(terms: &Terms, done: &Done) -> Answer {
    let [a, b] = side_rows(done, false);
    let mut report = match ab(&a, &b, &options(terms)) {
        Ok(report) => report,
        Err(mut faults) => {
            faults.extend(["A", "B"].iter().zip([&a, &b]).filter_map(|(name, rows)| failures(name, rows)));
            return Answer::Refused(faults);
        }
    };
    let mut more: Vec<String> =
        ["A", "B"].iter().zip([&a, &b]).filter_map(|(name, rows)| failures(name, rows)).collect();
    more.extend(["A", "B"].iter().zip([&a, &b]).filter_map(|(name, rows)| versions(name, rows)));
    let control = control(terms, done);
    if let Some(Control { verdict: AbWord::Better | AbWord::Worse, gain: Some(gain), .. }) = &control {
        more.push(format!(
            "A differs from itself by {:+.2} % ({:+.2} to {:+.2}) after a restart: what differs is not the sides",
            100.0 * gain.value,
            100.0 * gain.low,
            100.0 * gain.high
        ));
    }
    if !more.is_empty() {
        report.verdict = AbWord::Inconclusive;
    }
    report.reasons.extend(more);
    report.control = control;
    let ended = match next(terms, done) {
        Step::End(ended) => ended,
        // A record that was closed early.
        Step::Measure(_) => Ended::Time,
    };
    let busy: Vec<String> = done.values().filter_map(busy_of).collect();
    report.series = Some(Series {
        planned_blocks: terms.blocks,
        seconds: seconds(done),
        budget_s: terms.budget_s,
        ended,
        busy: busy.len() as u64,
        busy_example: busy.into_iter().next(),
    });
    Answer::Compared(Box::new(report))
}

/// Rows of A and of B, in the order of measuring.
#[must_use]
pub fn side_rows(done: &Done, control: bool) -> [Vec<Row>; 2] {
    let of = |row: &Row, key: &str| row.carried.get(AB).and_then(|v| v.get(key)).cloned().unwrap_or_default();
    let mut out = ["a", "b"].map(|side| -> Vec<Row> {
        done.values().filter(|r| of(r, "control") == control && of(r, "side") == side).cloned().collect()
    });
    out.iter_mut().for_each(|rows| rows.sort_by_key(|r| r.trial.order));
    out
}

/// Seconds that launches and measurements took.
fn seconds(done: &Done) -> f64 {
    let of = |r: &Row| r.carried.get(AB).and_then(|v| v.get("took_s")).and_then(Value::as_f64);
    done.values().filter_map(of).sum()
}

fn busy_of(row: &Row) -> Option<String> {
    let reasons = row.carried.get(MACHINE)?.get("busy")?.as_array()?;
    Some(reasons.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
}

fn failures(name: &str, rows: &[Row]) -> Option<String> {
    let failed: Vec<&Row> = rows.iter().filter(|r| r.status != Status::Ok).collect();
    let first = failed.first()?;
    let why = first.failure_reason.as_deref().unwrap_or("without a reason");
    Some(format!("{} of {} launches of {name} failed: {why}", failed.len(), rows.len()))
}

fn versions(name: &str, rows: &[Row]) -> Option<String> {
    let mut all: Vec<&str> = rows.iter().filter_map(|r| r.framework_version.as_deref()).collect();
    all.sort_unstable();
    all.dedup();
    (all.len() > 1).then(|| format!("{name} ran as versions {}", all.join(" and ")))
}

fn control(terms: &Terms, done: &Done) -> Option<Control> {
    let [a, b] = side_rows(done, true);
    if a.is_empty() && b.is_empty() {
        return None;
    }
    let usable = |rows: &[Row]| -> Vec<Row> {
        let good = |r: &&Row| r.status == Status::Ok && r.metric(&terms.metric).is_some_and(|v| v > 0.0);
        rows.iter().filter(good).cloned().collect()
    };
    let (a, b) = (usable(&a), usable(&b));
    let log = |r: &Row| logarithm(r, &terms.metric);
    let differences = blocks_of(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>(), &log)?.0;
    let estimate = student_mean(&differences, CONTROL_CONFIDENCE);
    let decision = estimate.map(|e| against(&e, terms.threshold.ln_1p()));
    Some(Control {
        blocks: differences.len() as u64,
        verdict: decision.map_or(AbWord::Inconclusive, word),
        gain: estimate.map(|e| Interval::of_logs(&e)),
        confidence: CONTROL_CONFIDENCE,
    })
}
