//! A run before it is carried out: sessions and their times.

use perfwright_report::{Cell, Document};
use schemars::JsonSchema;
use serde::Serialize;

use super::conditions::Conditions;
use crate::arrival::{ArrivalError, schedule};
use crate::measure::plan_requests;
use crate::workload::{Session, Spec, WorkloadError, build};

/// What will be asked and when.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The measured sessions.
    pub sessions: Vec<Session>,
    /// The requests of the warm-up.
    pub warmup: Vec<Session>,
    /// Nanoseconds from the start; empty for a closed loop.
    pub times: Vec<u64>,
    /// Milliseconds between an answer and the next turn.
    pub think_ms: u64,
    /// The salt that the words were drawn with; 0 for none.
    pub salt: u64,
}

/// No plan follows from the conditions.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The workload.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The arrivals.
    #[error(transparent)]
    Arrival(#[from] ArrivalError),
}

/// What a plan will cost.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cost {
    /// Requests, warm-up included.
    pub requests: u64,
    /// Words of all prompts: nominal tokens.
    pub input_tokens: u64,
    /// Tokens asked for.
    pub output_tokens: u64,
    /// Seconds from the first to the last start, where arrivals are fixed.
    pub schedule_s: Option<f64>,
}

/// Draws a plan. `salt` is 0 for prompts that follow from the seed alone.
///
/// # Errors
/// The workload or the arrivals are not possible.
pub fn plan(c: &Conditions, salt: u64) -> Result<Plan, PlanError> {
    let n = usize::try_from(c.sessions).unwrap_or(usize::MAX);
    let sessions = build(&c.workload, n, c.seed, salt)?;
    let traced: Vec<u64> = sessions.iter().filter_map(|s| s.at_ns).collect();
    let times = schedule(&c.arrival, n, c.seed, &traced)?;
    let mut warmup = Vec::new();
    if c.warmup > 0 {
        // Other words than the measured prompts, so that the warm-up fills no cache for them.
        let count = (c.warmup as usize).min(n);
        warmup = build(&c.workload, count, c.seed, salt ^ 0x5741_524d)?;
        let made = matches!(c.workload, Spec::Exact { .. });
        if c.workload.file().is_some() && !made && salt == 0 {
            warmup.clear();
        }
        warmup = warmup.iter().cycle().take(c.warmup as usize).cloned().collect();
        for session in &mut warmup {
            session.turns.truncate(1);
        }
    }
    let think_ms = if let Spec::MultiTurn { think_ms, .. } = c.workload { think_ms } else { 0 };
    Ok(Plan { sessions, warmup, times, think_ms, salt })
}

impl Plan {
    /// What it will cost.
    pub fn cost(&self) -> Cost {
        let turns = || self.sessions.iter().chain(&self.warmup).flat_map(|s| &s.turns);
        Cost {
            requests: turns().count() as u64,
            input_tokens: turns().map(|t| u64::from(t.input_nominal)).sum(),
            output_tokens: turns().map(|t| u64::from(t.output)).sum(),
            schedule_s: self.times.last().map(|t| *t as f64 / 1e9),
        }
    }
}

/// Schema of [`BenchPlan`].
pub const BENCH_PLAN_SCHEMA: &str = "perfwright.bench-run-plan/v1";

/// The answer of `bench run --dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BenchPlan {
    /// [`BENCH_PLAN_SCHEMA`].
    pub schema: String,
    /// What would be the contract.
    pub conditions: Conditions,
    /// What it would cost.
    pub cost: Cost,
    /// Requests that the requirements need with one above its bound; null without any.
    pub needed_requests: Option<u64>,
}

impl BenchPlan {
    /// The plan as an answer.
    pub fn new(conditions: &Conditions, plan: &Plan) -> Self {
        Self {
            schema: BENCH_PLAN_SCHEMA.to_owned(),
            conditions: conditions.clone(),
            cost: plan.cost(),
            needed_requests: plan_requests(&conditions.sla),
        }
    }

    /// The plan for people.
    pub fn document(&self) -> Document {
        let (c, cost) = (&self.conditions, &self.cost);
        let mut doc = Document::new("Plan of a serving benchmark");
        doc.fact("server", format!("{} {}", c.url, c.endpoint));
        doc.fact("workload", c.workload.name());
        doc.fact("arrival", c.arrival.name());
        doc.fact("requests", Cell::count(cost.requests));
        doc.fact("prompt tokens (nominal)", Cell::count(cost.input_tokens));
        doc.fact("output tokens", Cell::count(cost.output_tokens));
        match cost.schedule_s {
            Some(s) => doc.fact("last start after", format!("{s:.1} s")),
            None => doc.fact("duration", "as long as the server takes: the loop is closed"),
        }
        if let Some(n) = self.needed_requests {
            doc.fact("requests that the requirements need", Cell::count(n));
            if n > c.sessions {
                doc.warnings
                    .push(format!("{} requests cannot certify the requirements; {n} may", c.sessions));
            }
        }
        doc.notes.push("nothing was sent".to_owned());
        doc
    }
}
