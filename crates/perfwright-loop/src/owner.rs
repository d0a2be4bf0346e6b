//! The owner driver: it starts executor and reviewer as separate commands, round after round.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{self, Job, MARKER, end_left_over, start_ticks};
use crate::error::LoopError;
use crate::event::{Ended, Event};
use crate::gates::{SessionFacts, available, device_memory};
use crate::git;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::prompt::prompt;
use crate::state::{Action, Phase, next};
use crate::usage::{Usage, host_output};

/// How much of an executor's output is read and kept.
const KEPT: u64 = 16 << 20;

impl Journal {
    /// Moves the campaign on until it ends or waits for a person. `tell` gets one line for each thing that happened.
    ///
    /// # Errors
    /// Git, the disk, or the campaign's records fail.
    pub fn drive(&mut self, tell: &mut dyn FnMut(&str)) -> Result<Phase, LoopError> {
        let ended = child::end_marked(&self.spec.campaign) || self.state.running.is_some();
        // What was killed in the middle of git would keep every later commit from being made.
        let age = if ended { Duration::ZERO } else { Duration::from_secs(5) };
        for lock in git::drop_stale_locks(&self.root(), age) {
            tell(&format!("took away {}, which no living git holds", lock.display()));
        }
        loop {
            let before = self.told();
            match next(&self.state) {
                Action::Execute => self.execute()?,
                Action::Judge | Action::Review => {
                    self.judge_step(&SessionFacts::default())?;
                }
                // Killed between registering and beginning.
                Action::Start => self.begin()?,
                Action::Wait => break,
                Action::End => {
                    if !self.reopen_if_changed()? {
                        break;
                    }
                }
            }
            if before != self.told() {
                tell(&self.line());
            }
        }
        self.point();
        Ok(self.state.phase)
    }

    /// What a line is told about when it changes.
    fn told(&self) -> (Phase, u32, u32) {
        (self.state.phase, self.state.round, self.state.invalid_reviews)
    }

    /// One line on where the campaign stands.
    #[must_use]
    pub fn line(&self) -> String {
        let s = &self.state;
        let mut line = format!("round {}: {}", s.round, s.phase.name());
        if let Some(reason) = &s.reason {
            line.push_str(&format!(" ({reason})"));
        } else if let Some(gate) = s.refusing().first() {
            line.push_str(&format!(" (gate {}: {})", gate.id, gate.reason));
        } else if let Some(reason) = &s.invalid_reason {
            line.push_str(&format!(" (review {} is not believed: {reason})", s.reviews));
        }
        line
    }

    /// Brings a campaign that waits or came to a limit back, by a person's word.
    ///
    /// # Errors
    /// It needs nothing, or more than it was given.
    pub fn bring_back(
        &mut self,
        answer: Option<String>,
        budgets: &[String],
        by: Option<&str>,
    ) -> Result<(), LoopError> {
        match self.state.phase {
            Phase::Plan => self.begin(),
            Phase::Blocked => self.append(&Event::Unblocked { answer }),
            Phase::BudgetLimited => {
                let Some(by) = by else {
                    return Err(LoopError::Person(
                        "only a person raises a limit: use a terminal, or --token".to_owned(),
                    ));
                };
                let mut limits: Limits = self.state.limits.clone();
                for budget in budgets {
                    limits.set(budget).map_err(LoopError::Person)?;
                }
                if let Some(problem) = limits.problem() {
                    return Err(LoopError::Person(problem.to_owned()));
                }
                self.append(&Event::Raised { limits, by: by.to_owned() })
            }
            _ if answer.is_some() || !budgets.is_empty() => Err(LoopError::Person(
                "the campaign is neither blocked nor at a limit, so there is nothing to answer or raise"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn execute(&mut self) -> Result<(), LoopError> {
        if let Some(left) = self.state.running.clone() {
            end_left_over(left.pid, left.pid_start);
            return self.append(&Event::ExecutorEnded {
                attempt: left.attempt,
                ended: Ended::Interrupted,
                usage: Usage::default(),
                wall_ms: 0,
            });
        }
        let root = self.root();
        if let Some(reason) = self.wait_for_resources() {
            return self.append(&Event::Blocked { reason });
        }
        let attempt = self.state.attempts + 1;
        let scratch = self.scratch().join(format!("execute-{attempt}"));
        fs::create_dir_all(&scratch).map_err(|e| LoopError::io(&scratch, e))?;
        let (text, path) = self.write_prompt(attempt)?;
        let mark = git::mark(&root)?;
        let Some(command) = self.spec.executor.clone() else {
            return Err(LoopError::Tampered(
                "the contract of an owner campaign names no executor".to_owned(),
            ));
        };
        let job = Job {
            command: &command,
            dir: &root,
            input: text.as_bytes(),
            env: vec![
                (MARKER.to_owned(), self.spec.campaign.clone()),
                ("PERFWRIGHT_LOOP_ROUND".to_owned(), self.state.round.to_string()),
                ("PERFWRIGHT_LOOP_PHASE".to_owned(), self.state.phase.name().to_owned()),
                ("PERFWRIGHT_LOOP_PROMPT".to_owned(), path),
            ],
            timeout: Duration::from_secs(self.spec.executor_timeout_s),
            scratch: &scratch,
        };
        let devices = device_memory(&self.spec, &self.path).unwrap_or_default();
        let started = child::start(&job)?;
        let pid = started.pid();
        let pid_start = start_ticks(pid).unwrap_or(0);
        self.append(&Event::ExecutorStarted { attempt, pid, pid_start, mark, devices })?;
        let ran = started.wait(KEPT);
        let round = self.state.round;
        self.keep(&format!("rounds/{round}/executor-{attempt}.out"), &ran.out, "text/plain")?;
        self.keep(&format!("rounds/{round}/executor-{attempt}.err"), &ran.err, "text/plain")?;
        let usage = host_output(&ran.out).usage;
        self.append(&Event::ExecutorEnded { attempt, ended: ran.ended, usage, wall_ms: ran.wall_ms })?;
        let _ = fs::remove_dir_all(&scratch);
        Ok(())
    }

    /// The prompt of the next attempt, recorded, and where it lies.
    pub(crate) fn write_prompt(&mut self, attempt: u32) -> Result<(String, String), LoopError> {
        let last = self.last_answer();
        let plan = match &self.spec.plan_path {
            Some(path) => path.clone(),
            None => self.run.dir().join("plan.md").to_string_lossy().into_owned(),
        };
        let text = prompt(&self.spec, &self.state, &plan, last.as_ref());
        let name = format!("rounds/{}/prompt-{attempt}.md", self.state.round);
        let name = self.keep(&name, text.as_bytes(), "text/markdown")?;
        Ok((text, self.run.dir().join(name).to_string_lossy().into_owned()))
    }

    /// Waits for what the plan asks the machine for; what is still missing in the end.
    pub(crate) fn wait_for_resources(&self) -> Option<String> {
        let wanted = self.spec.resources.as_ref()?;
        let since = Instant::now();
        let mut nap = Duration::from_millis(200);
        loop {
            let Err(why) = available(wanted, &self.root(), &self.scratch()) else { return None };
            let limit = Duration::from_secs(wanted.wait_s);
            if since.elapsed() >= limit {
                return Some(format!("resources: {why} (waited {} s)", since.elapsed().as_secs()));
            }
            thread::sleep(nap.min(limit.saturating_sub(since.elapsed())));
            nap = (nap * 2).min(Duration::from_secs(15));
        }
    }
}
