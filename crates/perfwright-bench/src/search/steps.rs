//! The order of trials. [`next`] walks through the whole search with the rows that exist and names the first trial
//! that has none: the search has no state but its rows.

use std::collections::BTreeMap;

use perfwright_evidence::sha256_hex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::boundary::{self, Next, Observation, Range};
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

/// The first trial without a row.
#[must_use]
pub fn next(plan: &Plan, conditions: &Conditions, done: &Done) -> Step {
    match walk(plan, conditions, done) {
        Err(trial) => Step::Run(trial),
        Ok(_) => Step::Done,
    }
}

/// Walks through the search; the error is the first trial without a row.
pub(super) fn walk(plan: &Plan, conditions: &Conditions, done: &Done) -> Result<Walk, Box<Trial>> {
    let mut walk = Walk::default();
    for framework in plan.frameworks.iter().filter(|f| f.enabled) {
        Walker { plan, conditions, done, framework }.framework(&mut walk)?;
    }
    Ok(walk)
}

struct Walker<'a> {
    plan: &'a Plan,
    conditions: &'a Conditions,
    done: &'a Done,
    framework: &'a FrameworkPlan,
}

type Missing = Box<Trial>;

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
            for c in alive {
                match self.screen(c, rung, prompts)? {
                    Ok(score) => scored.push((score, c)),
                    Err(key) => fate(walk, c, Fate::Ended(key)),
                }
            }
            // Sorting is stable: of equals the earlier candidate stays.
            scored.sort_by(|a, b| b.0.0.cmp(&a.0.0).then(b.0.1.total_cmp(&a.0.1)));
            let keep = scored.len().div_ceil(2).max(FINALISTS);
            let of = scored.len();
            alive = Vec::new();
            for (i, (_, c)) in scored.into_iter().enumerate() {
                // The baseline is what everything is compared with, so it is always measured to the end.
                if i < keep || c.changed.is_empty() {
                    alive.push(c);
                } else {
                    fate(walk, c, Fate::Screened { rung, place: i + 1, of });
                }
            }
        }
        for c in alive {
            match self.finals(c, walk)? {
                None => fate(walk, c, Fate::Final),
                Some(key) => fate(walk, c, Fate::Ended(key)),
            }
        }
        Ok(())
    }

    /// Scenarios passed and the sum of log throughputs; or the trial that did not end well.
    fn screen(
        &self,
        candidate: &Candidate,
        rung: usize,
        prompts: u64,
    ) -> Result<Result<(usize, f64), String>, Missing> {
        let cap = self.plan.max_concurrency.iter().flatten().max().copied().unwrap_or(SCREEN_CONCURRENCY);
        let load = Load { request_rate: None, max_concurrency: Some(cap) };
        let (mut passed, mut sum) = (0, 0.0);
        for scenario in &self.plan.scenarios {
            let trial = self.trial(candidate, scenario, Some(rung), load, prompts, 0);
            let row = self.done.get(&trial.key).ok_or_else(|| Box::new(trial.clone()))?;
            if row.status != Status::Ok {
                return Ok(Err(trial.key));
            }
            let pressure = self.plan.sla.pressure(row);
            passed += usize::from(pressure <= 1.0);
            let throughput = row.metric("request_throughput").unwrap_or(0.0).max(1e-9);
            sum += throughput.ln() - pressure.clamp(1.0, 1e6).ln();
        }
        Ok(Ok((passed, sum)))
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
                    let row = self.done.get(&trial.key).ok_or_else(|| Box::new(trial.clone()))?;
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
                let row = self.done.get(&trial.key).ok_or_else(|| Box::new(trial.clone()))?;
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
