//! `bench compare`: from rows to a ranking per scenario and one verdict.

use std::collections::BTreeMap;

use super::paired::MACHINE;
use super::report::{
    Comparison, First, Input, Interval, Ranked, SCHEMA, Scenario, SetAside, Verdict, VerdictWord,
};
use crate::rank::entry::{Aside, Entry, RankedBy, entries, ranked_by};
use crate::rank::fairness::{accept_length, unequal_acceptance};
use crate::rank::order::{centre, ranked, relate};
use crate::rank::{Conditions, conditions};
use crate::rows::{Basis, Row, Status};
use crate::sla::{Sla, State};

/// Relative difference that matters to nobody: 1 %.
pub const DEFAULT_THRESHOLD: f64 = 0.01;

/// What is asked.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Relative difference below which candidates tie.
    pub threshold: f64,
    /// Bounds in place of those of the rows.
    pub sla: Option<Sla>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { threshold: DEFAULT_THRESHOLD, sla: None }
    }
}

/// Compares rows. The order of files and rows does not change the ranking.
#[must_use]
pub fn compare(inputs: Vec<Input>, rows: &[Row], options: &CompareOptions) -> Comparison {
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| match &options.sla {
            Some(sla) => {
                let claimed = None;
                Row { sla: Sla { bounds: sla.bounds.clone(), claimed }, ..row.clone() }
            }
            None => row.clone(),
        })
        .collect();
    let mut groups: BTreeMap<(String, String), (Conditions, Vec<&Row>)> = BTreeMap::new();
    let (ran, ended): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| r.status == Status::Ok);
    for row in ran {
        let conditions = conditions(row);
        let text = serde_json::to_string(&conditions).unwrap_or_default();
        let group =
            groups.entry((row.scenario().to_owned(), text)).or_insert_with(|| (conditions, Vec::new()));
        group.1.push(row);
    }
    // What did not run has no load of its own; it stands with the rows of its scenario that did.
    for row in ended {
        match groups.iter_mut().find(|((scenario, _), _)| scenario == row.scenario()) {
            Some((_, (_, group))) => group.push(row),
            None => {
                let key = (row.scenario().to_owned(), String::new());
                groups.entry(key).or_insert_with(|| (Conditions::new(), Vec::new())).1.push(row);
            }
        }
    }
    let mut scenarios = Vec::new();
    for ((scenario, _), (conditions, mut group)) in groups {
        // The first of two equal rows stays; which file was named first on the command line does not matter.
        group.sort_by(|a, b| {
            (&a.source, &a.framework, &a.candidate_id).cmp(&(&b.source, &b.framework, &b.candidate_id))
        });
        scenarios.push(one(scenario, conditions, &group, options.threshold));
    }
    let verdict = verdict(&scenarios);
    let diagnostics = diagnostics(&rows, &scenarios);
    let sla_override = options.sla.as_ref().map(|s| s.bounds.clone());
    let threshold = options.threshold;
    Comparison { schema: SCHEMA, inputs, threshold, sla_override, scenarios, verdict, diagnostics }
}

fn one(scenario: String, conditions: Conditions, rows: &[&Row], threshold: f64) -> Scenario {
    let by = ranked_by(&conditions);
    let (kept, asides) = entries(rows, by);
    let set_aside: Vec<SetAside> = asides.iter().map(set_aside).collect();
    let usable: Vec<&Row> = kept.iter().flat_map(|e| e.rows.iter().copied()).collect();
    let refused = unequal_acceptance(&usable);
    let order = match refused {
        Some(_) => Vec::new(),
        None => ranked(kept, by, threshold),
    };
    let (verdict, reasons) = match &refused {
        Some(reason) => (VerdictWord::Refused, vec![reason.clone()]),
        None => judge(&order, by, threshold),
    };
    let best = order.iter().map(|(_, e)| centre(e)).fold(0.0, f64::max);
    let ranking = order.iter().map(|(rank, e)| row_of(*rank, e, &order[0].1, best, threshold)).collect();
    Scenario {
        scenario,
        conditions,
        ranked_by: by.label().to_owned(),
        ranking,
        set_aside,
        refused,
        verdict,
        reasons,
    }
}

fn row_of(rank: usize, entry: &Entry<'_>, first: &Entry<'_>, best: f64, threshold: f64) -> Ranked {
    let row = entry.rows[0];
    let value = centre(entry);
    let behind = relate(first, entry, threshold).difference;
    Ranked {
        rank,
        framework: row.framework.clone(),
        framework_version: row.framework_version.clone(),
        candidate_id: row.candidate_id.clone(),
        value,
        of_best: if best > 0.0 { value / best } else { 0.0 },
        behind: behind.map(|d| Interval { value: d.value, low: d.low, high: d.high }),
        gpu_count: entry.gpus,
        repeats: entry.rows.len(),
        basis: entry.rows.iter().map(|r| r.basis).min().unwrap_or(Basis::Declared),
        sla: row.sla.evaluate(row),
        objective: row.objective.clone(),
        metrics: row.metrics.clone(),
        accept_length: accept_length(row),
        server_command: row.server_command.clone(),
        artifacts: row.carried.get("artifacts").cloned(),
        notes: row.notes.clone(),
    }
}

fn set_aside(aside: &Aside<'_>) -> SetAside {
    let row = aside.row;
    SetAside {
        framework: row.framework.clone(),
        candidate_id: row.candidate_id.clone(),
        kind: aside.kind.to_owned(),
        reason: aside.reason.clone(),
        sla: row.sla.evaluate(row),
        place: place(row),
        server_command: row.server_command.clone(),
    }
}

fn place(row: &Row) -> String {
    match row.source.line {
        Some(line) => format!("{}:{line}", row.source.file),
        None => row.source.file.clone(),
    }
}

/// What a ranking proves.
fn judge(order: &[(usize, Entry<'_>)], by: RankedBy, threshold: f64) -> (VerdictWord, Vec<String>) {
    let Some((_, first)) = order.first() else {
        return (VerdictWord::NoWinner, vec!["no row met its conditions".to_owned()]);
    };
    let mut reasons = Vec::new();
    let all = || order.iter().flat_map(|(_, e)| &e.rows);
    if all().any(|r| r.basis != Basis::Measured) {
        reasons.push("imported rows are ranked and prove nothing".to_owned());
    }
    let busy = all().filter(|r| r.carried.contains_key(MACHINE)).count();
    if busy > 0 {
        let of = all().count();
        reasons.push(format!("{busy} of {of} ranked rows were measured on a busy machine"));
    }
    if order.len() == 1 {
        reasons.push("there is one candidate, and nothing to compare it with".to_owned());
    }
    let in_first = order.iter().filter(|(rank, _)| *rank == 1).count();
    if by != RankedBy::Objective && order.iter().take(in_first + 1).any(|(_, e)| e.values.len() < 2) {
        reasons.push("one measurement a candidate: its noise is unknown".to_owned());
    }
    if order.iter().take(in_first).any(|(_, e)| {
        e.rows.iter().any(|r| {
            let answer = r.sla.evaluate(r);
            answer.state == State::NotStated || answer.bounds.iter().any(|b| b.certified == Some(false))
        })
    }) {
        reasons.push("the best has no SLA, or does not meet it with 99 % confidence".to_owned());
    }
    if in_first == 1
        && let Some((_, second)) = order.get(1)
        && let Some(d) = relate(first, second, threshold).difference
        && d.low <= threshold
    {
        reasons.push("the interval of the difference reaches the threshold".to_owned());
    }
    let word = match (reasons.is_empty(), in_first) {
        (false, _) => VerdictWord::Inconclusive,
        (true, 1) => VerdictWord::Winner,
        (true, _) => VerdictWord::Tie,
    };
    (word, reasons)
}

fn verdict(scenarios: &[Scenario]) -> Verdict {
    let outcome = scenarios.iter().map(|s| s.verdict).max().unwrap_or(VerdictWord::NoWinner);
    let basis = scenarios.iter().flat_map(|s| s.ranking.iter().map(|r| r.basis)).min();
    let mut reasons: Vec<String> = Vec::new();
    for scenario in scenarios {
        for reason in &scenario.reasons {
            let text = format!("{}: {reason}", scenario.scenario);
            if !reasons.contains(&text) {
                reasons.push(text);
            }
        }
    }
    let first = scenarios
        .iter()
        .flat_map(|s| s.ranking.iter().filter(|r| r.rank == 1).map(move |r| (s, r)))
        .map(|(s, r)| First {
            scenario: s.scenario.clone(),
            framework: r.framework.clone(),
            candidate_id: r.candidate_id.clone(),
        })
        .collect();
    Verdict { outcome, basis, first, reasons }
}

fn diagnostics(rows: &[Row], scenarios: &[Scenario]) -> Vec<String> {
    let mut out = Vec::new();
    for row in rows.iter().filter(|r| r.sla.evaluate(r).contradicts_claim) {
        let answer = row.sla.evaluate(row);
        out.push(format!(
            "{} {} ({}) says passed: {}, its figures say {}",
            row.framework,
            row.candidate_id,
            place(row),
            answer.claimed == Some(true),
            if answer.state == State::Passed { "it passes" } else { "it does not" }
        ));
    }
    let mut by_name: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios {
        by_name.entry(&scenario.scenario).or_default().push(scenario);
    }
    for (name, groups) in by_name.iter().filter(|(_, g)| g.len() > 1) {
        let keys: std::collections::BTreeSet<&String> =
            groups.iter().flat_map(|g| g.conditions.keys()).collect();
        let differ: Vec<&str> = keys
            .into_iter()
            .filter(|k| groups.iter().any(|g| g.conditions.get(*k) != groups[0].conditions.get(*k)))
            .map(String::as_str)
            .collect();
        out.push(format!(
            "{name}: {} groups that are not compared, because they differ in {}",
            groups.len(),
            differ.join(", ")
        ));
    }
    for scenario in scenarios {
        let spec = |r: &&Ranked| r.accept_length.is_some();
        let (with, without) = (scenario.ranking.iter().filter(spec).count(), scenario.ranking.len());
        if with > 0 && with < without {
            out.push(format!(
                "{}: {with} of {without} candidates speculate; how much that gains depends on the text of the workload",
                scenario.scenario
            ));
        }
    }
    out
}
