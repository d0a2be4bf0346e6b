//! `bench ab`: is B better than A, worse, the same within the threshold, or undecided.

use std::collections::{BTreeMap, BTreeSet};

use perfwright_report::{Cell, Document};
use perfwright_stats::difference::{Estimate, welch};
use perfwright_stats::sequential::{DEFAULT_BLOCKS, Decision, Plan, decide, launch_spread};
use schemars::JsonSchema;
use serde::Serialize;

use super::paired::{Control, Ended, Series};
use super::report::Interval;
use crate::rank::conditions;
use crate::rank::fairness::{unequal_acceptance, unfair};
use crate::rows::{Basis, Row, Status};

/// Schema name of [`AbReport`].
pub const SCHEMA: &str = "perfwright.bench-ab/v1";

/// What is asked.
#[derive(Debug, Clone)]
pub struct AbOptions {
    /// The figure that is compared.
    pub metric: String,
    /// Relative difference that matters to nobody.
    pub threshold: f64,
    /// Standard deviation from launch to launch, relative, known from an A/A control that restarts the server.
    pub launch_spread: Option<f64>,
    /// Blocks that were planned before anybody saw a figure; none for the default budget.
    pub blocks: Option<usize>,
}

/// What follows for B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AbWord {
    /// B is better by more than the threshold.
    Better,
    /// B is worse by more than the threshold.
    Worse,
    /// They differ by less than the threshold.
    Same,
    /// Not decided, or not proven.
    Inconclusive,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Side {
    /// The framework.
    pub framework: String,
    /// The candidates of its rows.
    pub candidates: Vec<String>,
    /// Rows that count.
    pub rows: usize,
    /// Rows that failed, or cannot be used.
    pub unusable: usize,
    /// Server launches; none where the rows do not tell.
    pub launches: Option<usize>,
    /// Geometric mean of the figure.
    pub mean: f64,
    /// Rows that miss their bounds.
    pub sla_missed: usize,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AbReport {
    /// `perfwright.bench-ab/v1`.
    pub schema: &'static str,
    /// The figure.
    pub metric: String,
    /// More of the figure is better.
    pub more_is_better: bool,
    /// Relative difference that matters to nobody.
    pub threshold: f64,
    /// The answer.
    pub verdict: AbWord,
    /// What the figures alone say, whatever may be claimed of them.
    pub figures_say: AbWord,
    /// Gain of B over A, relative, above 0 where B is better.
    pub gain: Option<Interval>,
    /// Confidence of the interval.
    pub confidence: Option<f64>,
    /// Blocks of A and B that were used; 0 where the rows are not in blocks.
    pub blocks: usize,
    /// More blocks would be looked at.
    pub more_blocks: bool,
    /// Standard deviations from launch to launch and within a launch, relative.
    pub spread: Option<Spread>,
    /// Side A.
    pub a: Side,
    /// Side B.
    pub b: Side,
    /// Why the verdict is not what the figures say.
    pub reasons: Vec<String>,
    /// A against itself, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// How the measuring went, where it was done for this answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// Standard deviations, relative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Spread {
    /// From launch to launch.
    pub launch: f64,
    /// Within a launch.
    pub within: f64,
}

/// Error of a comparison that has only one look.
const ERROR: f64 = 0.05;

/// True where more of a figure is better.
#[must_use]
pub fn more_is_better(metric: &str) -> bool {
    !metric.ends_with("_ms")
}

/// Compares two sides.
///
/// # Errors
/// Why they may not be compared.
pub fn ab(a: &[Row], b: &[Row], options: &AbOptions) -> Result<AbReport, Vec<String>> {
    let usable_a = usable(a, &options.metric);
    let usable_b = usable(b, &options.metric);
    let faults = refusals(&usable_a, &usable_b, &options.metric);
    if !faults.is_empty() {
        return Err(faults);
    }
    let log = |r: &Row| logarithm(r, &options.metric);
    let mut reasons = Vec::new();
    let sides = [side(a, &usable_a, options), side(b, &usable_b, options)];
    let spread = spread(&usable_a, &usable_b, &log);
    let (mut estimate, decision, blocks, more, confidence);
    match blocks_of(&usable_a, &usable_b, &log) {
        Some((differences, order)) => {
            // The looks are those of the planned budget, fixed before anybody saw a figure. A longer series has its
            // own; a shorter one is looked at where a look falls into it.
            let budget = differences.len().max(options.blocks.unwrap_or(DEFAULT_BLOCKS));
            let plan = Plan { error: ERROR, ..Plan::new(budget, threshold(options)) };
            let verdict = decide(&differences, &plan);
            estimate = verdict.estimate;
            decision = verdict.decision;
            blocks = verdict.blocks;
            more = verdict.more;
            let look = plan.looks.iter().position(|n| *n == verdict.blocks);
            confidence = look.map(|i| 1.0 - plan.error_at(i));
            if let Some(reason) = order {
                reasons.push(reason);
            }
            if estimate.is_none() {
                reasons.push(format!("{} blocks are too few for an interval", differences.len()));
            }
        }
        None => {
            let logs = |rows: &[&Row]| rows.iter().map(|r| log(r)).collect::<Vec<_>>();
            estimate = welch(&logs(&usable_a), &logs(&usable_b), 1.0 - ERROR);
            decision = Decision::Open;
            (blocks, more, confidence) = (0, false, estimate.map(|_| 1.0 - ERROR));
            reasons.push(
                "the rows are not in blocks: what changed while measuring is not told from A and B"
                    .to_owned(),
            );
        }
    }
    let mut decision = match (blocks, estimate) {
        (0, Some(e)) => against(&e, threshold(options)),
        _ => decision,
    };
    launches(&sides, blocks, options, confidence, &mut estimate, &mut decision, &mut reasons);
    if usable_a.iter().chain(&usable_b).any(|r| r.basis != Basis::Measured) {
        reasons.push("imported rows prove nothing".to_owned());
    }
    if usable_a.iter().chain(&usable_b).any(|r| path_unproven(r)) {
        reasons.push("the path that was measured is not proven".to_owned());
    }
    let figures_say = word(decision);
    let verdict = if reasons.is_empty() { figures_say } else { AbWord::Inconclusive };
    let [a, b] = sides;
    Ok(AbReport {
        schema: SCHEMA,
        metric: options.metric.clone(),
        more_is_better: more_is_better(&options.metric),
        threshold: options.threshold,
        verdict,
        figures_say,
        gain: estimate.map(|e| Interval::of_logs(&e)),
        confidence,
        blocks,
        more_blocks: more,
        spread,
        a,
        b,
        reasons,
        control: None,
        series: None,
    })
}

/// The logarithm of a figure, with the sign that makes more better.
pub(super) fn logarithm(row: &Row, metric: &str) -> f64 {
    let sign = if more_is_better(metric) { 1.0 } else { -1.0 };
    sign * row.metric(metric).unwrap_or(1.0).ln()
}

/// The threshold on the scale of logarithms.
fn threshold(options: &AbOptions) -> f64 {
    options.threshold.ln_1p()
}

pub(super) fn word(decision: Decision) -> AbWord {
    match decision {
        Decision::Above => AbWord::Better,
        Decision::Below => AbWord::Worse,
        Decision::Same => AbWord::Same,
        Decision::Open => AbWord::Inconclusive,
    }
}

pub(super) fn against(e: &Estimate, threshold: f64) -> Decision {
    if e.low > threshold {
        Decision::Above
    } else if e.high < -threshold {
        Decision::Below
    } else if e.low > -threshold && e.high < threshold {
        Decision::Same
    } else {
        Decision::Open
    }
}

fn usable<'a>(rows: &'a [Row], metric: &str) -> Vec<&'a Row> {
    let good = |r: &&Row| {
        r.status == Status::Ok
            && r.problems.is_empty()
            && unfair(r).is_none()
            && r.metric(metric).is_some_and(|v| v > 0.0)
    };
    rows.iter().filter(good).collect()
}

fn path_unproven(row: &Row) -> bool {
    let path = row.carried.get("validity").and_then(|v| v.get("path_proven"));
    path.and_then(serde_json::Value::as_bool) == Some(false)
}

fn refusals(a: &[&Row], b: &[&Row], metric: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (name, side) in [("A", a), ("B", b)] {
        if side.is_empty() {
            out.push(format!("{name} has no usable row with {metric}"));
        }
    }
    let all: Vec<&Row> = a.iter().chain(b).copied().collect();
    let Some(first) = all.first() else { return out };
    let reference = conditions(first);
    let mut differ: BTreeSet<String> = BTreeSet::new();
    for row in &all {
        let own = conditions(row);
        let keys = reference.keys().chain(own.keys());
        differ.extend(keys.filter(|k| reference.get(*k) != own.get(*k)).cloned());
        if row.hardware.gpu_count != first.hardware.gpu_count {
            differ.insert("gpu_count".to_owned());
        }
        if row.scenario() != first.scenario() {
            differ.insert("scenario".to_owned());
        }
    }
    if !differ.is_empty() {
        out.push(format!("the rows differ in {}", differ.into_iter().collect::<Vec<_>>().join(", ")));
    }
    out.extend(unequal_acceptance(&all));
    out
}

fn side(all: &[Row], usable: &[&Row], options: &AbOptions) -> Side {
    let logs = usable.iter().filter_map(|r| r.metric(&options.metric)).map(f64::ln).sum::<f64>();
    let launches: BTreeSet<Option<u64>> = usable.iter().map(|r| r.trial.launch).collect();
    let candidates: BTreeSet<&String> = usable.iter().map(|r| &r.candidate_id).collect();
    Side {
        framework: usable.first().map_or_else(String::new, |r| r.framework.clone()),
        candidates: candidates.into_iter().cloned().collect(),
        rows: usable.len(),
        unusable: all.len() - usable.len(),
        launches: (!launches.contains(&None)).then_some(launches.len()),
        mean: (logs / usable.len().max(1) as f64).exp(),
        sla_missed: usable.iter().filter(|r| r.sla.pressure(r) > 1.0).count(),
    }
}

/// Measurements of one side in one block, with their places in the order.
type Half = (Vec<f64>, Option<u64>);

/// One difference a block, in the order of blocks, and what is wrong with the order. None where the rows are not in
/// blocks. A block that one side is missing from is left out.
pub(super) fn blocks_of(
    a: &[&Row],
    b: &[&Row],
    log: &impl Fn(&Row) -> f64,
) -> Option<(Vec<f64>, Option<String>)> {
    let mut blocks: BTreeMap<u64, [Half; 2]> = BTreeMap::new();
    for (i, side) in [a, b].into_iter().enumerate() {
        for row in side {
            let half = &mut blocks.entry(row.trial.block?).or_default()[i];
            half.0.push(log(row));
            half.1 = match (half.1, row.trial.order) {
                (Some(first), Some(order)) => Some(first.min(order)),
                (first, order) => first.or(order),
            };
        }
    }
    let whole: Vec<&[Half; 2]> = blocks.values().filter(|h| h.iter().all(|s| !s.0.is_empty())).collect();
    let mean = |half: &Half| half.0.iter().sum::<f64>() / half.0.len() as f64;
    let differences: Vec<f64> = whole.iter().map(|[a, b]| mean(b) - mean(a)).collect();
    let firsts: Vec<bool> = whole.iter().filter_map(|[a, b]| Some(a.1? < b.1?)).collect();
    let a_first = firsts.iter().filter(|f| **f).count();
    let order = if firsts.len() < whole.len() {
        Some("the rows do not tell in which order they were measured".to_owned())
    } else if (2 * a_first).abs_diff(firsts.len()) > 1 {
        Some(format!("A came first in {a_first} of {} blocks: the order is not balanced", firsts.len()))
    } else {
        None
    };
    Some((differences, order))
}

/// Deviations of launches and measurements, over both sides, each around its own mean.
fn spread(a: &[&Row], b: &[&Row], log: &impl Fn(&Row) -> f64) -> Option<Spread> {
    let mut groups: Vec<Vec<f64>> = Vec::new();
    for side in [a, b] {
        let centre = side.iter().map(|r| log(r)).sum::<f64>() / side.len().max(1) as f64;
        let mut by_launch: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for row in side {
            by_launch.entry(row.trial.launch?).or_default().push(log(row) - centre);
        }
        groups.extend(by_launch.into_values());
    }
    launch_spread(&groups).map(|(launch, within)| Spread { launch, within })
}

/// Launches are the unit: where blocks share launches, what launches differ by is added to the interval, if it is
/// known, and nothing is decided if it is not.
fn launches(
    sides: &[Side; 2],
    blocks: usize,
    options: &AbOptions,
    confidence: Option<f64>,
    estimate: &mut Option<Estimate>,
    decision: &mut Decision,
    reasons: &mut Vec<String>,
) {
    let (Some(a), Some(b)) = (sides[0].launches, sides[1].launches) else {
        reasons.push("the rows do not tell which server launch they come from".to_owned());
        return;
    };
    let units = if blocks > 0 { blocks } else { sides[0].rows.min(sides[1].rows) };
    if a >= units && b >= units {
        return;
    }
    match (options.launch_spread, estimate.as_mut(), confidence) {
        (Some(spread), Some(e), Some(confidence)) => {
            let z = perfwright_stats::tail::student_quantile(confidence, 1_000_000);
            let of_launches = z * spread * (1.0 / a.max(1) as f64 + 1.0 / b.max(1) as f64).sqrt();
            let widen = |half: f64| half.hypot(of_launches);
            (e.low, e.high) = (e.value - widen(e.value - e.low), e.value + widen(e.high - e.value));
            *decision = against(e, threshold(options));
        }
        _ => reasons.push(format!(
            "{a} and {b} launches for {units} measurements a side: how much launches differ is not known; an A/A control that restarts the server tells (--launch-spread)"
        )),
    }
}

/// The answer as a document.
#[must_use]
pub fn document(answer: &AbReport) -> Document {
    let name = |w: AbWord| match w {
        AbWord::Better => "B is better",
        AbWord::Worse => "B is worse",
        AbWord::Same => "the same within the threshold",
        AbWord::Inconclusive => "inconclusive",
    };
    let mut out = Document::new("A/B comparison");
    out.fact("verdict", name(answer.verdict));
    if answer.figures_say != answer.verdict {
        out.fact("the figures alone say", name(answer.figures_say));
    }
    out.fact("metric", answer.metric.as_str());
    if let (Some(gain), Some(confidence)) = (answer.gain, answer.confidence) {
        out.fact(
            "gain of B",
            format!(
                "{:+.2} % ({:+.2} to {:+.2}, {:.1} % confidence), threshold {:.2} %",
                100.0 * gain.value,
                100.0 * gain.low,
                100.0 * gain.high,
                100.0 * confidence,
                100.0 * answer.threshold
            ),
        );
    }
    out.fact("blocks", Cell::count(answer.blocks as u64));
    if let Some(spread) = answer.spread {
        let text = format!(
            "{:.2} % from launch to launch, {:.2} % within",
            100.0 * spread.launch,
            100.0 * spread.within
        );
        out.fact("spread", text);
    }
    for (label, side) in [("A", &answer.a), ("B", &answer.b)] {
        out.fact(
            label,
            format!(
                "{} {}: {} rows, mean {:.6}, {} miss their bounds, {} unusable",
                side.framework,
                side.candidates.join(", "),
                side.rows,
                side.mean,
                side.sla_missed,
                side.unusable
            ),
        );
    }
    if let Some(control) = &answer.control {
        let gain = control.gain.map_or_else(String::new, |g| {
            let percent = [g.value, g.low, g.high].map(|v| 100.0 * v);
            format!(", {:+.2} % ({:+.2} to {:+.2})", percent[0], percent[1], percent[2])
        });
        let word = match control.verdict {
            AbWord::Better | AbWord::Worse => "a difference",
            AbWord::Same => "the same",
            AbWord::Inconclusive => "no difference found",
        };
        out.fact("A against itself", format!("{word} in {} blocks{gain}", control.blocks));
    }
    if let Some(series) = &answer.series {
        let why = match series.ended {
            Ended::Decided => "the figures decided",
            Ended::Blocks => "all blocks were measured",
            Ended::Time => "the time was over",
            Ended::Failures => "launches of one side kept failing",
        };
        out.fact("measuring", format!("{:.0} s, until {why}", series.seconds));
        if let Some(example) = &series.busy_example {
            out.warnings.push(format!("the machine was busy before {} launches: {example}", series.busy));
        }
    }
    out.notes = answer.reasons.iter().map(|r| format!("not stronger: {r}")).collect();
    out
}
