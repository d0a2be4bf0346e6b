//! A run before it is carried out: sessions and their times.

use serde::Serialize;

use super::conditions::Conditions;
use crate::arrival::{ArrivalError, schedule};
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
        if c.workload.file().is_some() && salt == 0 {
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
