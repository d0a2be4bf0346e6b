//! Measuring the trials of a search: one launch serves all trials of a candidate that follow each other.

use std::collections::BTreeMap;

use super::offer;
use super::rig::{Machine, Offer, Rig, Wanted, outside};
use crate::load::Progress;
use crate::plan::Plan;
use crate::render::{self, command::Listen};
use crate::rows::Status;
use crate::search::{Journal, SearchError, Trial, Trialled};
use crate::workload::Spec;

/// Measurements of one trial of which the last may be one that the generator spoilt.
pub(super) const ATTEMPTS: usize = 3;

/// What a search needs to run for real.
pub struct Setup<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The workload of each scenario.
    pub workloads: BTreeMap<String, Spec>,
    /// What servers are started with.
    pub machine: Machine<'a>,
}

/// Starts, measures and stops servers.
pub struct Executor<'a> {
    plan: &'a Plan,
    workloads: BTreeMap<String, Spec>,
    rig: Rig<'a>,
}

impl<'a> Executor<'a> {
    /// Makes ready, after ending the servers that a killed process left of this run, and keeping their logs.
    ///
    /// # Errors
    /// A server cannot be ended, or the folder cannot be made.
    pub fn new(setup: Setup<'a>, journal: &mut Journal) -> Result<Self, SearchError> {
        let Setup { plan, workloads, machine } = setup;
        Ok(Self { plan, workloads, rig: Rig::new(machine, journal)? })
    }

    /// Measures one trial. What its row will rest on is in the journal when this returns.
    ///
    /// # Errors
    /// Something outside keeps the search from going on, or somebody stopped it. It can be continued.
    pub fn execute(
        &mut self,
        trial: &Trial,
        journal: &mut Journal,
        progress: &mut dyn FnMut(&Trial, Progress),
    ) -> Result<Trialled, SearchError> {
        let owner = (trial.framework.clone(), trial.candidate.id.clone());
        if self.rig.server.as_ref().is_some_and(|s| s.owner != owner) {
            self.rig.stop(journal)?;
        }
        if self.rig.server.is_none()
            && let Some(ended) = self.launch(trial, owner.clone(), journal)?
        {
            return Ok(ended);
        }
        let number = self.rig.server.as_ref().map(|s| s.number).ok_or_else(|| outside("no server is up"))?;
        let workload = self.workloads.get(&trial.scenario.name);
        let workload = workload.ok_or_else(|| outside("the scenario has no workload"))?;
        let mut attempt = 0;
        let trialled = loop {
            let offer = Offer {
                owner: &owner,
                conditions: offer::conditions(self.plan, trial.load, trial.num_prompts, workload),
                salt: offer::salt(self.plan, trial, attempt),
                attempt,
            };
            let mut show = |p| progress(trial, p);
            let (trialled, again) = self.rig.measure(&offer, number, journal, &mut show)?;
            attempt += 1;
            if !again || attempt == ATTEMPTS {
                break trialled;
            }
        };
        if trialled.status != Status::Ok {
            self.rig.stop(journal)?;
        }
        Ok(trialled)
    }

    /// Stops the server that is up, keeps its log, and removes the folder for logs.
    ///
    /// # Errors
    /// The server cannot be stopped or its log not be kept.
    pub fn finish(self, journal: &mut Journal) -> Result<(), SearchError> {
        self.rig.finish(journal)
    }

    /// Starts the server of a candidate; the row of its trial, where it does not come up.
    fn launch(
        &mut self,
        trial: &Trial,
        owner: (String, String),
        journal: &mut Journal,
    ) -> Result<Option<Trialled>, SearchError> {
        let framework = self.plan.frameworks.iter().find(|f| f.name == trial.framework);
        let framework = framework.ok_or_else(|| outside("the plan has no such framework"))?;
        let argv = |port| {
            let listen = Some(Listen { host: "127.0.0.1", port });
            let rendered =
                render::command(framework, &self.plan.model.name, &trial.candidate.flags, listen, None)?;
            Ok(rendered.argv)
        };
        self.rig.launch(Wanted { owner, argv: &argv, env: &framework.env }, journal)
    }
}
