//! What a search would do: candidates with their commands, coverage, and what it would cost.

use std::collections::BTreeMap;

use perfwright_report::{Cell, Column, Document, Table};
use schemars::JsonSchema;
use serde::Serialize;

use super::prune::Proof;
use super::space::{self, Coverage};
use super::steps::{FINALISTS, rungs};
use crate::flags::{self, Help};
use crate::plan::types::{FrameworkPlan, Plan};
use crate::render;

/// Schema name of [`DryRun`].
pub const SCHEMA: &str = "perfwright.bench-search-plan/v1";

/// What a search would do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DryRun {
    /// `perfwright.bench-search-plan/v1`.
    pub schema: &'static str,
    /// The plan as it was understood.
    pub plan: Plan,
    /// The frameworks.
    pub frameworks: Vec<DryFramework>,
    /// What it would cost.
    pub cost: Cost,
    /// What the plan promises and cannot keep.
    pub doubts: Vec<String>,
}

/// A framework of a search.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DryFramework {
    /// Its name.
    pub framework: String,
    /// Why it takes no part.
    pub left_out: Option<String>,
    /// Its candidates.
    pub candidates: Vec<DryCandidate>,
    /// What they cover.
    pub coverage: Coverage,
    /// Candidates with which every value would be tried by itself.
    pub needed: usize,
    /// Flags that the captured help does not know.
    pub flag_faults: Vec<String>,
    /// A help text was given.
    pub help_checked: bool,
}

/// A candidate of a search.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DryCandidate {
    /// Its name.
    pub id: String,
    /// Why it is there.
    pub origin: String,
    /// The command, without address.
    pub command: String,
    /// What was left out of the command.
    pub notes: Vec<String>,
    /// Why it would not be run.
    pub pruned: Option<Proof>,
}

/// What a search would cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Cost {
    /// Server launches.
    pub launches: u64,
    /// Measurements, when every round and repeat is needed.
    pub trials: u64,
    /// Requests in them.
    pub requests: u64,
    /// Tokens generated in them.
    pub output_tokens: u64,
    /// Seconds of load, if every request took as long as the bounds on TTFT and TPOT allow; none without both.
    pub load_seconds: Option<f64>,
}

/// Works out a search. `help` holds captured help texts by framework; `prune` may prove that a candidate cannot run.
///
/// # Errors
/// A command that cannot be rendered.
pub fn dry_run(
    plan: &Plan,
    help: &BTreeMap<String, Help>,
    prune: impl Fn(&FrameworkPlan, &space::Candidate) -> Option<Proof>,
) -> Result<DryRun, String> {
    let mut frameworks = Vec::new();
    let mut cost = Cost { launches: 0, trials: 0, requests: 0, output_tokens: 0, load_seconds: Some(0.0) };
    for framework in &plan.frameworks {
        let help = help.get(&framework.name).filter(|h| !h.is_empty());
        let candidates =
            if framework.enabled { space::candidates(framework, &plan.search) } else { Vec::new() };
        let coverage = space::coverage(framework, &candidates);
        let mut flag_faults: Vec<String> = Vec::new();
        let mut rendered = Vec::new();
        for candidate in &candidates {
            let command = render::command(framework, &plan.model.name, &candidate.flags, None, help)
                .map_err(|e| format!("{}: {e}", framework.name))?;
            if let Some(help) = help {
                for (name, value) in &candidate.flags {
                    if let Some(fault) = flags::check(framework.kind, name, value, help) {
                        let hint = fault.hint.map_or_else(String::new, |h| format!(" ({h})"));
                        let text = format!("{}: {}{hint}", fault.flag, fault.cause);
                        if !flag_faults.contains(&text) {
                            flag_faults.push(text);
                        }
                    }
                }
            }
            rendered.push(DryCandidate {
                id: candidate.id.clone(),
                origin: candidate.origin.to_owned(),
                command: command.line(),
                notes: command.notes,
                pruned: prune(framework, candidate),
            });
        }
        let running = rendered.iter().filter(|c| c.pruned.is_none()).count();
        add_cost(&mut cost, plan, running);
        frameworks.push(DryFramework {
            framework: framework.name.clone(),
            left_out: (!framework.enabled).then(|| "left out by the plan".to_owned()),
            candidates: rendered,
            coverage,
            needed: space::needed(framework),
            flag_faults,
            help_checked: help.is_some(),
        });
    }
    Ok(DryRun { schema: SCHEMA, plan: plan.clone(), frameworks, cost, doubts: crate::plan::doubts(plan) })
}

fn add_cost(cost: &mut Cost, plan: &Plan, candidates: usize) {
    let request_seconds = |output: u64| {
        let limit = |suffix: &str| {
            let bounds = plan.sla.bounds.iter().filter(|b| b.metric.ends_with(suffix) && b.limit > 0.0);
            bounds.map(|b| b.limit).reduce(f64::max)
        };
        Some((limit("_ttft_ms")? + limit("_tpot_ms")? * output.saturating_sub(1) as f64) / 1000.0)
    };
    let mut add = |trials: u64, prompts: u64, cap: Option<u64>, rate: Option<f64>, output: u64| {
        cost.trials = cost.trials.saturating_add(trials);
        let requests = trials.saturating_mul(prompts);
        cost.requests = cost.requests.saturating_add(requests);
        cost.output_tokens = cost.output_tokens.saturating_add(requests.saturating_mul(output));
        let each = request_seconds(output).map(|s| {
            let waves = cap.map_or(1.0, |c| (prompts as f64 / c.max(1) as f64).ceil());
            s * waves + rate.map_or(0.0, |r| prompts as f64 / r)
        });
        cost.load_seconds = cost.load_seconds.zip(each).map(|(sum, each)| sum + each * trials as f64);
    };
    let screen_cap = plan.max_concurrency.iter().flatten().max().copied().unwrap_or(16);
    let caps = plan.max_concurrency.len().max(1) as u64;
    let cap = plan.max_concurrency.iter().flatten().min().copied();
    let (mut alive, all) = (candidates, rungs(candidates));
    let mut launches = 0;
    for rung in 0..all {
        let prompts = (plan.num_prompts >> (all - rung)).max(8).min(plan.num_prompts);
        launches += alive as u64;
        for scenario in &plan.scenarios {
            add(alive as u64, prompts, Some(screen_cap), None, scenario.output_len);
        }
        alive = alive.div_ceil(2).max(FINALISTS).min(alive);
    }
    // The baseline stays although others may be better.
    let finalists = alive + usize::from(all > 0);
    let finalists = finalists.min(candidates) as u64;
    cost.launches = cost.launches.saturating_add(launches + finalists);
    for scenario in &plan.scenarios {
        let trials = finalists.saturating_mul(caps);
        match plan.concurrency.or(plan.qps).filter(|_| !plan.sla.bounds.is_empty()) {
            // Most rates are measured once; about two near the boundary as often as repeats allow.
            Some(q) => {
                let each = q.max_rounds + 2 * plan.search.repeats.saturating_sub(1);
                let (cap, rate) = match plan.concurrency {
                    Some(_) => (Some(q.lower as u64), None),
                    None => (cap, Some(q.upper)),
                };
                add(trials.saturating_mul(each), plan.num_prompts, cap, rate, scenario.output_len);
            }
            None => {
                let loads = plan.request_rates.len().max(1) as u64;
                let each = loads.saturating_mul(plan.search.repeats);
                let slowest = plan.request_rates.iter().copied().reduce(f64::min);
                add(trials.saturating_mul(each), plan.num_prompts, cap, slowest, scenario.output_len);
            }
        }
    }
}

/// The answer as a document.
#[must_use]
pub fn document(answer: &DryRun) -> Document {
    let mut out = Document::new("Search plan");
    out.fact("model", answer.plan.model.name.as_str());
    out.fact("launches", Cell::count(answer.cost.launches));
    out.fact("trials at most", Cell::count(answer.cost.trials));
    out.fact("requests at most", Cell::count(answer.cost.requests));
    out.fact("output tokens at most", Cell::count(answer.cost.output_tokens));
    if let Some(seconds) = answer.cost.load_seconds {
        out.fact(
            "load if every request is as slow as the bounds allow",
            format!("{:.1} h", seconds / 3600.0),
        );
    }
    out.warnings.clone_from(&answer.doubts);
    for framework in &answer.frameworks {
        let columns = vec![
            Column::text("candidate", "Candidate"),
            Column::text("origin", "Origin"),
            Column::text("pruned", "Pruned"),
            Column::code("command", "Command"),
        ];
        let mut table = Table::new("candidates", format!("Candidates: {}", framework.framework), columns);
        for c in &framework.candidates {
            let pruned = c.pruned.as_ref().map_or(Cell::Empty, |p| Cell::text(p.sentence.clone()));
            table.push(vec![
                c.id.as_str().into(),
                c.origin.as_str().into(),
                pruned,
                c.command.as_str().into(),
            ]);
        }
        let coverage = &framework.coverage;
        table.notes.push(format!(
            "{} of {} listed values tried, {} of {} pairs",
            coverage.values - coverage.never_tried.len(),
            coverage.values,
            coverage.pairs_tried.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            coverage.pairs
        ));
        for missed in &coverage.never_tried {
            table.notes.push(format!("never tried: {} = {}", missed.knob, missed.value));
        }
        table.notes.extend(framework.flag_faults.iter().map(|f| format!("flag: {f}")));
        if !framework.help_checked && framework.left_out.is_none() {
            table.notes.push("flags were not checked: no captured --help was given (--help-dir)".to_owned());
        }
        if let Some(why) = &framework.left_out {
            table.notes.push(why.clone());
        }
        out.tables.push(table);
    }
    out
}
