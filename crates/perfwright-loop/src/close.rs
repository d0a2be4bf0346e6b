//! The end of a campaign's run folder: what was decided, in a form that can be recomputed.

use perfwright_evidence::{EvidenceSet, Finished, Gate, GateResult, Outcome, Rule};

use crate::error::LoopError;
use crate::event::Event;
use crate::journal::{Journal, checked_ledger, events_of};
use crate::state::Phase;
use crate::transition::replay;

/// Name of the recorded events.
const EVENTS: &str = "campaign/events.json";

/// Gates over a closed campaign.
pub const GATES: &[Gate] = &[
    Gate { id: "loop.finished", version: 1, eval: finished },
    Gate { id: "loop.machine", version: 1, eval: machine },
    Gate { id: "loop.judged-tree", version: 1, eval: judged_tree },
];

fn state_of(evidence: &EvidenceSet) -> Result<crate::state::State, GateResult> {
    let value = evidence.json(EVENTS).map_err(|_| GateResult::hard_stop("the events are not readable"))?;
    let events: Vec<Event> = serde_json::from_value(value)
        .map_err(|_| GateResult::hard_stop("the events are not of this version"))?;
    replay(&events).map_err(|(at, _)| GateResult::hard_stop(format!("event {at} cannot have happened")))
}

/// The events lead to `done`.
fn finished(evidence: &EvidenceSet) -> GateResult {
    match state_of(evidence) {
        Err(result) => result,
        Ok(state) if state.phase == Phase::Done => {
            GateResult::pass("every gate passed and the reviewer found nothing").measured(state.phase.name())
        }
        Ok(state) => GateResult::fail(format!(
            "ended as {}: {}",
            state.phase.name(),
            state.reason.as_deref().unwrap_or("without a reason")
        ))
        .measured(state.phase.name()),
    }
}

/// At least one gate that ran or measured something passed in the last judgement.
fn machine(evidence: &EvidenceSet) -> GateResult {
    match state_of(evidence) {
        Err(result) => result,
        Ok(state) => {
            let passed = state.gates.iter().filter(|g| g.machine && g.outcome == Outcome::Pass).count();
            if passed > 0 {
                GateResult::pass("gates that ran something passed").measured(passed).threshold(1)
            } else {
                GateResult::fail("no gate that ran something passed").measured(0).threshold(1)
            }
        }
    }
}

/// The last judgement is of the tree that the verdict names.
fn judged_tree(evidence: &EvidenceSet) -> GateResult {
    match state_of(evidence) {
        Err(result) => result,
        Ok(state) => match (&state.judged, &state.clean) {
            (Some(judged), Some(clean)) if judged.tree == clean.tree => {
                GateResult::pass("gates and review saw the tree that the verdict names")
                    .measured(clean.tree.clone())
            }
            _ => GateResult::fail("no tree was found clean by both gates and review"),
        },
    }
}

impl Journal {
    /// Records the events in one file, evaluates [`GATES`], closes the run and gives the work tree free.
    ///
    /// # Errors
    /// Writing failed; the campaign can be closed again.
    pub fn close(mut self) -> Result<Finished, LoopError> {
        let events = events_of(&checked_ledger(self.run.dir(), None)?).collect::<Result<Vec<_>, _>>()?;
        let bytes = serde_json::to_vec_pretty(&events).unwrap_or_default();
        self.keep(EVENTS, &bytes, "application/json")?;
        let report = crate::report::markdown(&self.state, &self.spec);
        self.keep("final_report.md", report.as_bytes(), "text/markdown")?;
        let Self { run, registry, head, state, .. } = self;
        let dir = run.dir().to_owned();
        let finished = run.finish(GATES, Rule::AllPassV1).map_err(|e| LoopError::run(&dir, e))?;
        let mut head = head.borrow_mut();
        head.closed = true;
        registry.write(&head).map_err(|e| LoopError::io(&head.root, e))?;
        registry.unpoint(&head.root);
        if let Some(session) = &state.session {
            registry.release(&session.id);
        }
        let _ = std::fs::remove_dir_all(registry.place(&head.root).join("scratch"));
        Ok(finished)
    }
}
