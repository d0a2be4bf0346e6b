//! The order of trials. [`next`] walks through the whole search with the rows and screening decisions that exist and
//! names the first trial that has none: the search has no other state.

use std::collections::BTreeMap;

use perfwright_evidence::sha256_hex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::boundary::{self, Next, Observation, Range};
use super::screen::{Scored, Screening, Screenings, score, screen};
use super::space::{self, Candidate};
use crate::plan::types::{FrameworkPlan, Plan, Qps, Scenario};
use crate::rows::{Row, Status};

/// Candidates that go through the whole measurement.
pub const FINALISTS: usize = 2;
/// Fewest requests of a screening trial.
const MIN_PROMPTS: u64 = 8;
/// Concurrency of screening trials where the plan lists none.
const SCREEN_CONCURRENCY: u64 = 16;

/// What a row is valid for, beside its own flags and load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// SHA-256 of the requests, by scenario.
    pub workload_sha256: BTreeMap<String, String>,
    /// Version of each engine.
    pub engine_versions: BTreeMap<String, String>,
    /// The machine.
    pub hardware: String,
}

/// What is offered to the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Load {
    /// Requests per second; none for as fast as the concurrency allows.
    pub request_rate: Option<f64>,
    /// Most requests at once.
    pub max_concurrency: Option<u64>,
}

/// One measurement to make.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trial {
    /// The framework.
    pub framework: String,
    /// The candidate.
    pub candidate: Candidate,
    /// The scenario.
    pub scenario: Scenario,
    /// Screening round; none in the final measurement.
    pub rung: Option<usize>,
    /// The load.
    pub load: Load,
    /// Requests to send.
    pub num_prompts: u64,
    /// Which measurement of this load it is, from 0.
    pub repeat: u64,
    /// Identity: a hash over everything that the row depends on.
    pub key: String,
}

/// What is next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A measurement that is still missing.
    Run(Box<Trial>),
    /// A decision that is to be recorded before anything is measured because of it.
    Screen(Box<Screening>),
    /// Nothing is missing.
    Done,
}

/// The rows of a search by the key of their trial.
pub type Done = BTreeMap<String, Row>;

/// How far a candidate came.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It was measured to the end.
    Final,
    /// A trial did not end well; the key names it.
    Ended(String),
    /// Others were better in this screening round.
    Screened {
        /// The round.
        rung: usize,
        /// Place in it, from 1.
        place: usize,
        /// Candidates in it.
        of: usize,
    },
}

/// Everything that the walk found out.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Fate of each candidate by framework and candidate.
    pub fates: BTreeMap<(String, String), Fate>,
    /// Loads of the final measurement: framework, candidate, scenario, cap, and what was found.
    pub finals: Vec<Final>,
}

/// A final measurement.
#[derive(Debug, Clone)]
pub struct Final {
    /// The framework.
    pub framework: String,
    /// The candidate.
    pub candidate: String,
    /// The scenario.
    pub scenario: Scenario,
    /// Concurrency cap.
    pub cap: Option<u64>,
    /// The boundary is one of concurrency, not of rate.
    pub of_concurrency: bool,
    /// The boundary, where one was searched.
    pub found: Option<boundary::Found>,
    /// Keys of its trials, in order.
    pub keys: Vec<String>,
}

/// The first trial without a row, or the first decision that is not recorded.
#[must_use]
pub fn next(plan: &Plan, conditions: &Conditions, done: &Done, screenings: &Screenings) -> Step {
    match walk(plan, conditions, done, screenings) {
        Err(Missing::Trial(trial)) => Step::Run(trial),
        Err(Missing::Screening(decision)) => Step::Screen(decision),
        Ok(_) => Step::Done,
    }
}

/// Walks through the search; the error is the first thing that is missing.
pub(super) fn walk(
    plan: &Plan,
    conditions: &Conditions,
    done: &Done,
    screenings: &Screenings,
) -> Result<Walk, Missing> {
    let mut walk = Walk::default();
    for framework in plan.frameworks.iter().filter(|f| f.enabled) {
        Walker { plan, conditions, done, screenings, framework }.framework(&mut walk)?;
    }
    Ok(walk)
}

struct Walker<'a> {
    plan: &'a Plan,
    conditions: &'a Conditions,
    done: &'a Done,
    screenings: &'a Screenings,
    framework: &'a FrameworkPlan,
}

/// What is missing: a row, or a decision that all its rows are there for.
pub(super) enum Missing {
    Trial(Box<Trial>),
    Screening(Box<Screening>),
}

impl Missing {
    fn trial(trial: &Trial) -> Self {
        Self::Trial(Box::new(trial.clone()))
    }
}

impl<'a> Walker<'a> {
    fn framework(&self, walk: &mut Walk) -> Result<(), Missing> {
        let all = space::candidates(self.framework, &self.plan.search);
        let mut alive: Vec<&Candidate> = all.iter().collect();
        let fate = |walk: &mut Walk, c: &Candidate, fate: Fate| {
            walk.fates.insert((self.framework.name.clone(), c.id.clone()), fate);
        };
        let rungs = rungs(alive.len());
        for rung in 0..rungs {
            let prompts =
                (self.plan.num_prompts >> (rungs - rung)).max(MIN_PROMPTS).min(self.plan.num_prompts);
            let mut scored = Vec::new();
            for c in &alive {
                match self.screened(c, rung, prompts)? {
                    Ok(one) => scored.push(one),
                    Err(key) => fate(walk, c, Fate::Ended(key)),
                }
            }
            let name = (self.framework.name.clone(), rung);
            let Some(decided) = self.screenings.get(&name) else {
                return Err(Missing::Screening(Box::new(screen(&name.0, rung, scored))));
            };
            for (i, one) in
                decided.scored.iter().enumerate().filter(|(_, s)| !decided.kept.contains(&s.candidate))
            {
                if let Some(c) = alive.iter().find(|c| c.id == one.candidate) {
                    fate(walk, c, Fate::Screened { rung, place: i + 1, of: decided.scored.len() });
                }
            }
            alive =
                decided.kept.iter().filter_map(|id| alive.iter().find(|c| c.id == *id).copied()).collect();
        }
        for c in alive {
            match self.finals(c, walk)? {
                None => fate(walk, c, Fate::Final),
                Some(key) => fate(walk, c, Fate::Ended(key)),
            }
        }
        Ok(())
    }

    /// Scenarios passed and score in a round; or the trial that did not end well.
    fn screened(
        &self,
        candidate: &Candidate,
        rung: usize,
        prompts: u64,
    ) -> Result<Result<Scored, String>, Missing> {
        let cap = self.plan.max_concurrency.iter().flatten().max().copied().unwrap_or(SCREEN_CONCURRENCY);
        let load = Load { request_rate: None, max_concurrency: Some(cap) };
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for scenario in &self.plan.scenarios {
            let trial = self.trial(candidate, scenario, Some(rung), load, prompts, 0);
            let row = self.done.get(&trial.key).ok_or_else(|| Missing::trial(&trial))?;
            if row.status != Status::Ok {
                return Ok(Err(trial.key));
            }
            keys.push(trial.key);
            rows.push(row);
        }
        let (passed, score) = score(&self.plan.sla, &rows);
        let baseline = candidate.changed.is_empty();
        Ok(Ok(Scored { candidate: candidate.id.clone(), baseline, keys, passed, score }))
    }

    /// The final measurement of a candidate; the key of the trial that did not end well, if one did.
    fn finals(&self, candidate: &Candidate, walk: &mut Walk) -> Result<Option<String>, Missing> {
        let open = [None];
        let of_concurrency = self.plan.concurrency.is_some();
        let free = of_concurrency || self.plan.max_concurrency.is_empty();
        let caps = if free { &open[..] } else { &self.plan.max_concurrency[..] };
        for scenario in &self.plan.scenarios {
            for cap in caps {
                let mut fin = Final {
                    framework: self.framework.name.clone(),
                    candidate: candidate.id.clone(),
                    scenario: scenario.clone(),
                    cap: *cap,
                    of_concurrency,
                    found: None,
                    keys: Vec::new(),
                };
                let ended = match self.plan.concurrency.or(self.plan.qps) {
                    Some(range) if !self.plan.sla.bounds.is_empty() => {
                        self.boundary(candidate, &mut fin, range)?
                    }
                    _ => self.fixed(candidate, &mut fin)?,
                };
                walk.finals.push(fin);
                if ended.is_some() {
                    return Ok(ended);
                }
            }
        }
        Ok(None)
    }

    fn boundary(
        &self,
        candidate: &Candidate,
        fin: &mut Final,
        asked: Qps,
    ) -> Result<Option<String>, Missing> {
        let whole = |load: f64| if fin.of_concurrency { load.round().max(1.0) } else { load };
        let range = Range {
            lower: whole(asked.lower),
            upper: whole(asked.upper),
            tolerance: asked.tolerance,
            rounds: usize::try_from(asked.max_rounds).unwrap_or(usize::MAX),
            repeats: usize::try_from(self.plan.search.repeats).unwrap_or(1),
            whole: fin.of_concurrency,
        };
        let mut seen: Vec<Observation> = Vec::new();
        loop {
            match boundary::next(&range, &seen) {
                Next::Done(found) => {
                    fin.found = Some(found);
                    return Ok(None);
                }
                Next::Probe(level) => {
                    let repeat = seen.iter().filter(|o| o.load == level).count() as u64;
                    let load = match fin.of_concurrency {
                        true => Load { request_rate: None, max_concurrency: Some(level as u64) },
                        false => Load { request_rate: Some(level), max_concurrency: fin.cap },
                    };
                    let trial =
                        self.trial(candidate, &fin.scenario, None, load, self.plan.num_prompts, repeat);
                    let row = self.done.get(&trial.key).ok_or_else(|| Missing::trial(&trial))?;
                    fin.keys.push(trial.key.clone());
                    // A server that does not start says nothing about the load.
                    if row.status != Status::Ok {
                        return Ok(Some(trial.key));
                    }
                    seen.push(Observation { load: level, pressure: self.plan.sla.pressure(row) });
                }
            }
        }
    }

    fn fixed(&self, candidate: &Candidate, fin: &mut Final) -> Result<Option<String>, Missing> {
        let rates: Vec<Option<f64>> = match &self.plan.request_rates[..] {
            [] => vec![None],
            rates => rates.iter().map(|r| Some(*r)).collect(),
        };
        for rate in rates {
            let load = Load { request_rate: rate, max_concurrency: fin.cap };
            for repeat in 0..self.plan.search.repeats {
                let trial = self.trial(candidate, &fin.scenario, None, load, self.plan.num_prompts, repeat);
                let row = self.done.get(&trial.key).ok_or_else(|| Missing::trial(&trial))?;
                fin.keys.push(trial.key.clone());
                if row.status != Status::Ok {
                    return Ok(Some(trial.key));
                }
            }
        }
        Ok(None)
    }

    fn trial(
        &self,
        candidate: &Candidate,
        scenario: &Scenario,
        rung: Option<usize>,
        load: Load,
        num_prompts: u64,
        repeat: u64,
    ) -> Trial {
        let conditions = self.conditions;
        let framework = &self.framework.name;
        let identity = json!({
            "plan": conditions.plan_sha256,
            "workload": conditions.workload_sha256.get(&scenario.name),
            "engine": conditions.engine_versions.get(framework),
            "hardware": conditions.hardware,
            "framework": framework,
            "command": self.framework.server_command,
            "flags": candidate.flags,
            "scenario": scenario,
            "rung": rung,
            "load": load,
            "num_prompts": num_prompts,
            "repeat": repeat,
        });
        Trial {
            framework: framework.clone(),
            candidate: candidate.clone(),
            scenario: scenario.clone(),
            rung,
            load,
            num_prompts,
            repeat,
            key: sha256_hex(identity.to_string().as_bytes()),
        }
    }
}

/// Screening rounds until no more than [`FINALISTS`] are left.
#[must_use]
pub fn rungs(candidates: usize) -> usize {
    let (mut left, mut rungs) = (candidates, 0);
    while left > FINALISTS {
        left = left.div_ceil(2).max(FINALISTS);
        rungs += 1;
    }
    rungs
}
