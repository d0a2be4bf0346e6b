//! The run folder of a SOTA campaign: events in the ledger, evidence beside it. Going on after a kill is the same call.

use std::path::Path;

use perfwright_evidence::{
    Basis, EvidenceMeta, EvidenceSet, Finished, Gate, GateRecord, Limits, Rule, RunError, RunSpec, RunWriter,
    read_ledger,
};
use serde_json::{Value, json};

use super::event::{SotaEvent, Stage, Stop};
use super::spec::SotaSpec;
use super::state::{OutOfOrder, SotaState, apply, replay};
use super::{gate, inner, names};

/// Kind of the ledger events.
pub(crate) const KIND: &str = "sota";

/// Why a campaign cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The contract is not complete.
    #[error("the campaign cannot begin: {}", .0.join("; "))]
    Spec(Vec<String>),
    /// An event may not come here.
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    /// The recorded events are no history of a campaign.
    #[error("event {0} of the ledger: {1}")]
    History(usize, String),
    /// The run folder refuses.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run that was to be recorded whole is not whole.
    #[error("{0}")]
    Inner(String),
}

/// A campaign that this process writes.
#[derive(Debug)]
pub struct Campaign {
    run: RunWriter,
    spec: SotaSpec,
    state: SotaState,
    events: Vec<SotaEvent>,
}

/// The contract of the run: the question, and everything that is fixed.
#[must_use]
pub fn contract(question: &str, spec: &SotaSpec) -> Value {
    json!({ "question": question, "sota": spec })
}

impl Campaign {
    /// Begins a campaign, or goes on with one of the same contract. `with` holds [`contract`] of `spec`.
    ///
    /// # Errors
    /// The contract is not complete, the folder holds something else, or its events are no history of a campaign.
    pub fn open(dir: &Path, with: &RunSpec, spec: SotaSpec) -> Result<Self, CampaignError> {
        let problems = spec.problems();
        if !problems.is_empty() {
            return Err(CampaignError::Spec(problems));
        }
        let run = RunWriter::create_or_resume(dir, with)?;
        let view = read_ledger(dir, &Limits::default())
            .map_err(|source| RunError::Io { path: dir.to_owned(), source })?;
        let mut events = Vec::new();
        for (n, event) in view.events.into_iter().filter(|e| e.kind == KIND).enumerate() {
            let read = event.data.read();
            events.push(read.map_err(|e| CampaignError::History(n, e.to_string()))?);
        }
        let state = replay(&spec, &events).map_err(|(n, e)| CampaignError::History(n, e.to_string()))?;
        let mut campaign = Self { run, spec, state, events };
        if !campaign.state.opened {
            campaign.add(SotaEvent::Opened {
                baseline: campaign.spec.baseline.commit.clone(),
                workload_sha256: campaign.spec.workload_sha256.clone(),
            })?;
        }
        Ok(campaign)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &SotaState {
        &self.state
    }

    /// What was fixed.
    #[must_use]
    pub fn spec(&self) -> &SotaSpec {
        &self.spec
    }

    /// What happened.
    #[must_use]
    pub fn events(&self) -> &[SotaEvent] {
        &self.events
    }

    /// The stage that is due.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.state.stage(&self.spec)
    }

    /// The run folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.run.dir()
    }

    /// Appends an event. It is on the disk when this returns.
    ///
    /// # Errors
    /// It may not come here, or writing failed.
    pub fn add(&mut self, event: SotaEvent) -> Result<(), CampaignError> {
        let next = apply(&self.spec, &self.state, &event)?;
        let data = serde_json::to_value(&event)
            .map_err(|e| CampaignError::History(self.events.len(), e.to_string()))?;
        self.run.event(KIND, &data)?;
        self.state = next;
        self.events.push(event);
        Ok(())
    }

    /// Whether `name` is recorded.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.run.evidence().iter().any(|e| e.name == name)
    }

    /// Records bytes, unless the name is recorded.
    ///
    /// # Errors
    /// Writing failed.
    pub fn keep(&mut self, name: &str, bytes: &[u8], media: &str) -> Result<(), CampaignError> {
        if !self.has(name) {
            self.run.add_bytes(name, bytes, &EvidenceMeta::new(media, Basis::Measured))?;
        }
        Ok(())
    }

    /// Records a value as JSON.
    ///
    /// # Errors
    /// Writing failed.
    pub fn keep_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), CampaignError> {
        let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
        bytes.push(b'\n');
        self.keep(name, &bytes, "application/json")
    }

    /// A recorded file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, CampaignError> {
        let path = self.run.dir().join(name);
        std::fs::read(&path).map_err(|source| CampaignError::Run(RunError::Io { path, source }))
    }

    /// A recorded file as JSON.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_json(&self, name: &str) -> Result<Value, CampaignError> {
        serde_json::from_slice(&self.read(name)?).map_err(|e| CampaignError::Inner(format!("{name}: {e}")))
    }

    /// What `gates` say of what is recorded so far.
    #[must_use]
    pub fn evaluate(&self, gates: &[Gate]) -> Vec<GateRecord> {
        let set = EvidenceSet::new(self.run.dir(), self.run.evidence().to_vec(), Limits::default());
        gates.iter().map(|gate| set.evaluate(gate)).collect()
    }

    /// Records a closed run whole, below `prefix`.
    ///
    /// # Errors
    /// It is not whole, or writing failed.
    pub fn embed(&mut self, prefix: &str, dir: &Path) -> Result<(), CampaignError> {
        inner::embed(&mut self.run, prefix, dir)
    }

    /// Ends the campaign: records events, ledgers, final report and change description, evaluates the gates and closes
    /// the run. A proven gain is claimed; every other end claims nothing and is checked all the same. `page` makes more
    /// files out of the campaign as it then stands.
    ///
    /// # Errors
    /// Writing failed.
    pub fn close(
        mut self,
        stop: Stop,
        reason: &str,
        page: impl FnOnce(&Self) -> Vec<(String, Vec<u8>, &'static str)>,
    ) -> Result<(SotaState, Finished), CampaignError> {
        if self.state.stop.is_none() {
            self.add(SotaEvent::Closed { stop, reason: reason.to_owned() })?;
        }
        let stop = self.state.stop.unwrap_or(stop);
        let events = self.events.clone();
        self.keep_json(names::EVENTS, &events)?;
        for (name, text) in super::ledgers::all(&events) {
            self.keep(name, text.as_bytes(), "application/x-ndjson")?;
        }
        let report = super::report::final_report(&self.spec, &self.state, &events);
        self.keep(names::REPORT, report.as_bytes(), "text/markdown")?;
        let change = super::change::describe(&self.spec, &events);
        self.keep(names::CHANGE, super::change::markdown(&change).as_bytes(), "text/markdown")?;
        for (name, text) in super::prompts::all(&self.spec, &self.state) {
            self.keep(name, text.as_bytes(), "text/markdown")?;
        }
        for (name, bytes, media) in page(&self) {
            self.keep(&name, &bytes, media)?;
        }
        let (gates, rule): (&[Gate], Rule) = match stop {
            Stop::Proven => (gate::GATES, Rule::AllPassV1),
            _ => (gate::CHECKS, Rule::AnsweredV1),
        };
        Ok((self.state, self.run.finish(gates, rule)?))
    }
}
