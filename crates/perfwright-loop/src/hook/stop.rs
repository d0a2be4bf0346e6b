//! The stop hook: the agent says that it is done, the gates and the reviewer say whether it is.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::decide::{HookAnswer, HookCall, clip};
use super::input::Input;
use crate::error::LoopError;
use crate::event::{Driver, Ended, Event};
use crate::gates::{SessionFacts, device_memory};
use crate::git;
use crate::journal::{Journal, Surroundings};
use crate::registry::{HeadFile, Registry};
use crate::state::{Phase, Step};
use crate::usage::{HostOutput, host_output};

/// How much of a transcript is read.
const TRANSCRIPT: u64 = 256 << 20;

pub(super) fn answer(
    call: &HookCall,
    input: &Input,
    head: &HeadFile,
    owner: bool,
    registry: &Registry,
    surroundings: &Surroundings,
) -> HookAnswer {
    if !owner {
        return match &head.session {
            Some(_) => HookAnswer::note("a campaign is under way here; it belongs to another session"),
            None => HookAnswer::note("a campaign is under way here; no session has claimed it"),
        };
    }
    match judged(call, input, head, registry, surroundings) {
        Ok(answer) => answer,
        // What keeps the judgement from being made keeps the stop from being allowed.
        Err(error) => HookAnswer::deny(&format!("the stop cannot be judged: {error}")),
    }
}

fn judged(
    call: &HookCall,
    input: &Input,
    head: &HeadFile,
    registry: &Registry,
    surroundings: &Surroundings,
) -> Result<HookAnswer, LoopError> {
    let arrived = head.events;
    // A second hook for the same stop waits for the first one's reviewer.
    let mut journal = Journal::open(head, surroundings, Duration::from_secs(6 * 3600))?;
    if journal.spec.driver != Driver::Hooks {
        return Ok(HookAnswer::allow());
    }
    let root = journal.root();
    let answered_meanwhile = journal.run.found().events > arrived + 1
        && journal.state.last_stop.as_ref().is_some_and(|_| journal.last_event_is_a_stop());
    if !answered_meanwhile {
        journal.reopen_if_changed()?;
        let host = transcript(input.transcript.as_deref());
        let session = SessionFacts { todos: host.todos.clone(), background: input.background };
        journal.turn(&session, &host, registry, &root)?;
    }
    let _ = call;
    let state = &journal.state;
    if !state.phase.is_active() {
        let text = match state.phase {
            Phase::Done => "the campaign is done; `perfwright loop report` has its verdict".to_owned(),
            phase => format!(
                "the campaign ended its work: {} ({})",
                phase.name(),
                state.reason.as_deref().unwrap_or("no reason")
            ),
        };
        return Ok(HookAnswer::json(&json!({ "systemMessage": clip(&text) })));
    }
    let prompt = journal.prompt_path();
    let mut reason = format!("Not done: {}.", journal.line());
    for gate in state.refusing() {
        reason.push_str(&format!("\n- gate {}: {}", gate.id, gate.reason));
    }
    if !state.open_criteria.is_empty() {
        reason.push_str(&format!("\nOpen criteria: {}.", state.open_criteria.join(", ")));
    }
    let mut reason = clip(&reason);
    reason.push_str(&format!("\nRead {prompt} and go on with round {}.", state.round));
    Ok(HookAnswer::json(&json!({
        "decision": "block",
        "reason": reason,
        "systemMessage": format!("perfwright: round {}, {}", state.round, state.phase.name()),
    })))
}

fn transcript(path: Option<&Path>) -> HostOutput {
    let mut bytes = Vec::new();
    if let Some(file) = path.and_then(|p| fs::File::open(p).ok()) {
        let _ = file.take(TRANSCRIPT).read_to_end(&mut bytes);
    }
    host_output(&bytes)
}

impl Journal {
    /// One turn of a session: what it did is an attempt of the executor, then gates and reviewer, then the answer.
    fn turn(
        &mut self,
        session: &SessionFacts,
        host: &HostOutput,
        registry: &Registry,
        root: &Path,
    ) -> Result<(), LoopError> {
        if self.state.phase.is_active() && self.state.step == Step::Execute {
            if let Some(left) = self.state.running.clone().filter(|r| r.role == "executor") {
                let usage = host.usage.beyond(&self.state.executor_usage);
                self.append(&Event::ExecutorEnded {
                    attempt: left.attempt,
                    ended: Ended::Turn,
                    usage,
                    wall_ms: 0,
                })?;
            } else {
                self.begin_turn()?;
                let usage = host.usage.beyond(&self.state.executor_usage);
                let attempt = self.state.attempts;
                self.append(&Event::ExecutorEnded { attempt, ended: Ended::Turn, usage, wall_ms: 0 })?;
            }
        }
        self.judge_on(session)?;
        // An idle session is seen before the next attempt begins, so that the host's own cap is never reached.
        let mark = git::mark(root)?;
        let allow = !self.state.phase.is_active();
        self.append(&Event::StopAnswered { allow, calls: registry.calls(root), mark })?;
        if self.state.phase.is_active() {
            self.write_prompt(self.state.attempts + 1)?;
        }
        self.point();
        Ok(())
    }

    /// The goal driver's judgement: what the session did since the last one is an attempt, then gates and reviewer.
    ///
    /// # Errors
    /// Git, the disk, or the campaign's records fail.
    pub fn check(&mut self) -> Result<(), LoopError> {
        self.reopen_if_changed()?;
        let (root, registry) = (self.root(), self.registry.clone());
        self.turn(&SessionFacts::default(), &HostOutput::default(), &registry, &root)
    }

    /// The session begins to work.
    ///
    /// # Errors
    /// Git or the campaign's records fail.
    pub fn begin_turn(&mut self) -> Result<(), LoopError> {
        let mark = git::mark(&self.root())?;
        let attempt = self.state.attempts + 1;
        let devices = device_memory(&self.spec, &self.path).unwrap_or_default();
        self.append(&Event::ExecutorStarted { attempt, pid: 0, pid_start: 0, mark, devices })
    }

    /// Whether the newest event of the campaign is the answer to a stop.
    fn last_event_is_a_stop(&self) -> bool {
        crate::journal::read_campaign(self.run.dir(), None)
            .is_ok_and(|read| matches!(read.last, Some(Event::StopAnswered { .. })))
    }

    /// Where the prompt of the next attempt lies.
    pub(crate) fn prompt_path(&self) -> String {
        let (round, attempt) = (self.state.round, self.state.attempts + 1);
        let prefix = format!("rounds/{round}/prompt-{attempt}.");
        self.run
            .evidence()
            .iter()
            .rfind(|e| e.name.starts_with(&prefix))
            .map(|e| self.run.dir().join(&e.name).to_string_lossy().into_owned())
            .unwrap_or_else(|| self.run.dir().join("plan.md").to_string_lossy().into_owned())
    }
}
