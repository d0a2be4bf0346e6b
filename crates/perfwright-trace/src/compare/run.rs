//! From two paths to a comparison.

use std::path::Path;

use super::gap::{gap, share};
use super::limit::Limit;
use super::matching::{Matched, TOLERANCE, match_class};
use super::measure::{CONFIDENCE, Plan, RESAMPLES, SEED, THRESHOLD};
use super::report::{ClassRow, Comparison, GapRow, LimitRow, Method, Row, SCHEMA, Scope, Unmatched};
use super::rows::{Compared, rows};
use super::side::{Names, Pass, Side};
use super::verdict::{verdict, warn_of_sides};
use crate::error::TraceError;
use crate::files::traces_in;
use crate::input::{ReadOptions, read};
use crate::report::{Input, Stop, Totals};
use crate::steps::Class;
use crate::triage::{Catalogs, note, stop};

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct CompareOptions<'a> {
    /// Folder of the column cache.
    pub cache_dir: Option<&'a Path>,
    /// Limits to hold the comparison against.
    pub limits: &'a [Limit],
    /// How far batch, tokens and context of a nearest pair may be apart, as a part of the larger.
    pub tolerance: f64,
}

impl Default for CompareOptions<'_> {
    fn default() -> Self {
        Self { cache_dir: None, limits: &[], tolerance: TOLERANCE }
    }
}

/// Compares two traces, or two folders with one trace a rank.
///
/// # Errors
/// [`TraceError`] when a file cannot be read or a folder holds no trace. Traces that can be read but not compared are
/// not an error: the answer's `stop` says why.
pub fn compare(
    a: &Path,
    b: &Path,
    catalogs: &Catalogs,
    options: &CompareOptions<'_>,
) -> Result<Comparison, TraceError> {
    let mut names = Names::default();
    let mut warnings = Vec::new();
    // One after the other: the columns of one trace are dropped before the next is read.
    let ours = read_side(a, catalogs, options, &mut names, &mut warnings)?;
    let theirs = read_side(b, catalogs, options, &mut names, &mut warnings)?;
    let mut c = Comparison {
        schema: SCHEMA.to_owned(),
        verdict: Vec::new(),
        method: method(&ours, &theirs, options.tolerance),
        classes: Vec::new(),
        rows: Vec::new(),
        categories: Vec::new(),
        gaps: Vec::new(),
        unexplained_share: None,
        unmatched: Vec::new(),
        limits: Vec::new(),
        partial: ours.inputs.iter().chain(&theirs.inputs).find_map(|i| i.partial.clone()),
        stop: unusable(&ours.inputs).or_else(|| unusable(&theirs.inputs)),
        path_proven: false,
        warnings,
        a: Vec::new(),
        b: Vec::new(),
    };
    warn_of_sides(&ours, &theirs, &mut c);
    if c.stop.is_none() {
        fill(&mut c, &ours, &theirs, &names);
    }
    (c.a, c.b) = (ours.inputs, theirs.inputs);
    let limits: Vec<LimitRow> = options.limits.iter().map(|l| l.check(&c)).collect();
    c.limits = limits;
    c.verdict = verdict(&c);
    Ok(c)
}

fn read_side(
    path: &Path,
    catalogs: &Catalogs,
    options: &CompareOptions<'_>,
    names: &mut Names,
    warnings: &mut Vec<String>,
) -> Result<Side, TraceError> {
    let mut side = Side::default();
    for file in traces_in(path, None)? {
        let loaded = read(&file.path, ReadOptions { cache_dir: options.cache_dir })?;
        note(&loaded, warnings);
        side.add(&loaded, catalogs, names);
    }
    Ok(side)
}

/// No device work is no evidence.
fn unusable(inputs: &[Input]) -> Option<Stop> {
    let mut totals = Totals::default();
    inputs.iter().for_each(|i| totals.add(&i.totals));
    stop(inputs, &totals)
}

/// Classes first; extents where no class is known; the whole where a side has neither.
fn method(a: &Side, b: &Side, tolerance: f64) -> Method {
    let known = |s: &Side| s.passes.iter().any(|p| p.class != Class::Unknown);
    let (scope, reason) = if known(a) && known(b) {
        (Scope::Steps, "both traces have engine passes with a class".to_owned())
    } else if known(a) || known(b) {
        let without = if known(a) { "B" } else { "A" };
        (Scope::Trace, format!("no pass of {without} has a class, so whole traces are compared"))
    } else if a.passes.is_empty() || b.passes.is_empty() {
        (
            Scope::Trace,
            "a trace has no passes and no profiler extents, so whole traces are compared".to_owned(),
        )
    } else {
        (
            Scope::Extents,
            "no pass has a class, so passes or profiler extents are compared as they come".to_owned(),
        )
    };
    Method {
        scope,
        reason,
        tolerance,
        threshold: THRESHOLD,
        confidence: CONFIDENCE,
        resamples: RESAMPLES,
        seed: SEED,
    }
}

fn fill(c: &mut Comparison, a: &Side, b: &Side, names: &Names) {
    let whole = c.method.scope == Scope::Trace;
    let (passes_a, passes_b) = if whole { (&a.whole, &b.whole) } else { (&a.passes, &b.passes) };
    let ranks = a.inputs.len() > 1 && b.inputs.len() > 1;
    let (mut gap_sum, mut unexplained_sum, mut wall_sum) = (0.0, 0.0, 0.0);
    for class in Class::ALL {
        let there = |p: &[Pass]| p.iter().any(|p| p.class == class);
        if !there(passes_a) && !there(passes_b) {
            continue;
        }
        if class == Class::Unknown && c.method.scope == Scope::Steps {
            let unclassed = |side: usize, p: &[Pass]| -> Vec<Unmatched> {
                let of = p.iter().filter(|p| p.class == class);
                of.map(|p| unmatched(side, p, "its class is not known".to_owned())).collect()
            };
            c.unmatched.extend(unclassed(0, passes_a));
            c.unmatched.extend(unclassed(1, passes_b));
            continue;
        }
        let m = match_class(class, passes_a, passes_b, ranks, c.method.tolerance);
        c.unmatched.extend(
            m.unmatched
                .iter()
                .map(|(side, i, reason)| unmatched(*side, &[passes_a, passes_b][*side][*i], reason.clone())),
        );
        if !m.any() {
            continue;
        }
        let compared = compared(class, &m, passes_a, passes_b);
        let (rows, categories) = rows(&compared, names, (a, b));
        let (gaps, unexplained) = gap(&compared, names);
        let count = |p: &[Pass]| p.iter().filter(|p| p.class == class).count();
        let row = class_row(&compared, &m, (count(passes_a), count(passes_b)), &rows, unexplained);
        let n = row.matched as f64;
        gap_sum += n * row.wall.delta_ns_per_step.abs();
        wall_sum += n * row.wall.a_ns_per_step;
        unexplained_sum += n * unexplained.abs();
        c.classes.push(row);
        c.rows.extend(rows);
        c.categories.extend(categories);
        c.gaps.extend::<Vec<GapRow>>(gaps);
    }
    c.unexplained_share = (!c.classes.is_empty()).then(|| share(unexplained_sum, gap_sum, wall_sum));
    if c.classes.is_empty() {
        let reason = match c.unmatched.first() {
            Some(u) => format!("no step of A does the work of a step of B: {}", u.reason),
            None => "there are no steps".to_owned(),
        };
        c.stop = Some(Stop { code: "PW0208".to_owned(), reason, file: None });
    }
}

fn compared<'a>(class: Class, m: &Matched, a: &'a [Pass], b: &'a [Pass]) -> Compared<'a> {
    let (ours, theirs) = m.sides();
    let paired = m.samples.is_none();
    Compared {
        class,
        plan: Plan::new(ours.len(), theirs.len(), paired),
        a: ours.iter().map(|&i| &a[i]).collect(),
        b: theirs.iter().map(|&i| &b[i]).collect(),
        paired,
    }
}

fn class_row(
    c: &Compared<'_>,
    m: &Matched,
    steps: (usize, usize),
    rows: &[Row],
    unexplained: f64,
) -> ClassRow {
    let wall = |p: &[&Pass]| -> Vec<f64> { p.iter().map(|p| p.wall_ns as f64).collect() };
    let wall = c.plan.measure(&wall(&c.a), &wall(&c.b), None);
    ClassRow {
        class: c.class,
        a_steps: steps.0 as u64,
        b_steps: steps.1 as u64,
        matched: c.a.len().min(c.b.len()) as u64,
        exact: m.exact as u64,
        nearest: m.nearest as u64,
        farthest: m.farthest,
        paired: c.paired,
        matched_by: m.keys.iter().map(|k| (*k).to_owned()).collect(),
        wall,
        a_device_ns_per_step: rows.iter().map(|r| r.time.a_ns_per_step).sum(),
        b_device_ns_per_step: rows.iter().map(|r| r.time.b_ns_per_step).sum(),
        layers: c.layers(),
        unexplained_ns_per_step: unexplained,
        unexplained_share: share(unexplained, wall.delta_ns_per_step, wall.a_ns_per_step),
    }
}

fn unmatched(side: usize, p: &Pass, reason: String) -> Unmatched {
    Unmatched {
        side: if side == 0 { "a" } else { "b" }.to_owned(),
        class: p.class,
        start_ns: p.start,
        label: p.label.clone(),
        batch: p.batch,
        tokens: p.tokens,
        context: p.context,
        reason,
    }
}
