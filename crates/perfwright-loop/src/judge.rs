//! The part of a round that is the same under every driver: the gates, then the reviewer.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use perfwright_evidence::sha256_hex;

use crate::child::{self, Job, MARKER, end_left_over, start_ticks};
use crate::error::LoopError;
use crate::event::{Ended, Event, Mark, ReviewResult};
use crate::gates::{Copy, Scene, SessionFacts, evaluate, make_read_only};
use crate::git;
use crate::journal::Journal;
use crate::review::{BUNDLE_SCHEMA, Bundle, MAX_ANSWER, answer_schema, judge, prompt};
use crate::state::{Action, Phase, next};
use crate::usage::Usage;

impl Journal {
    /// Evaluates gates and runs reviews until something else is due.
    ///
    /// # Errors
    /// Git, the disk, or the campaign's records fail.
    pub(crate) fn judge_on(&mut self, session: &SessionFacts) -> Result<Action, LoopError> {
        loop {
            match next(&self.state) {
                Action::Judge | Action::Review => self.judge_step(session)?,
                other => return Ok(other),
            }
        }
    }

    /// Evaluates the gates or runs one review, whichever is due.
    ///
    /// # Errors
    /// As [`Journal::judge_on`].
    pub(crate) fn judge_step(&mut self, session: &SessionFacts) -> Result<(), LoopError> {
        match next(&self.state) {
            Action::Judge => self.evaluate_gates(session),
            Action::Review => self.review(),
            _ => Ok(()),
        }
    }

    fn evaluate_gates(&mut self, session: &SessionFacts) -> Result<(), LoopError> {
        let root = self.root();
        let since = Instant::now();
        let mark = git::mark(&root)?;
        let scratch = self.scratch();
        let scene = Scene {
            root: &root,
            run_dir: self.run.dir(),
            plan: &self.plan,
            spec: &self.spec,
            state: &self.state,
            mark: &mark,
            scratch: &scratch,
            session,
            path: &self.path,
            since,
            seen: std::cell::OnceCell::new(),
        };
        let (gates, times, kept) = evaluate(&scene)?;
        let (round, attempt) = (self.state.round, self.state.events);
        for (name, bytes) in kept {
            self.keep(&format!("rounds/{round}/gates-{attempt}/{name}"), &bytes, "text/plain")?;
        }
        let wall_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.append(&Event::Judged { mark, gates, wall_ms, times })?;
        if self.spec.driver == crate::event::Driver::Owner {
            child::end_marked(&self.spec.campaign);
        }
        Ok(())
    }

    fn review(&mut self) -> Result<(), LoopError> {
        if let Some(left) = self.state.running.clone() {
            // An engine before this one was ended while its reviewer worked.
            end_left_over(left.pid, left.pid_start);
            return self.append(&Event::Reviewed {
                attempt: left.attempt,
                result: ReviewResult::TreeChanged,
                usage: Usage::default(),
                wall_ms: 0,
            });
        }
        let root = self.root();
        let Some(mark) = self.state.judged.clone() else {
            return Err(LoopError::Tampered("a review is due without a judgement".to_owned()));
        };
        let attempt = self.state.reviews + 1;
        let nonce = random_hex()?;
        let scratch = self.scratch().join(format!("review-{attempt}"));
        let bundle = self.bundle(&nonce, &mark)?;
        let copy = Copy::make(&root, &mark.commit, &scratch, "tree")?;
        let bundle_path = scratch.join("bundle.json");
        let schema_path = scratch.join("answer.schema.json");
        let bytes = serde_json::to_vec_pretty(&bundle).unwrap_or_default();
        fs::write(&bundle_path, &bytes).map_err(|e| LoopError::io(&bundle_path, e))?;
        fs::write(&schema_path, answer_schema()).map_err(|e| LoopError::io(&schema_path, e))?;
        make_read_only(copy.path());
        let text = prompt(&bundle, &bundle_path.to_string_lossy());
        let path = |p: &Path| p.to_string_lossy().into_owned();
        let command = self.spec.reviewer.clone();
        let job = Job {
            command: &command,
            dir: copy.path(),
            input: text.as_bytes(),
            env: vec![
                (MARKER.to_owned(), self.spec.campaign.clone()),
                ("PERFWRIGHT_LOOP_BUNDLE".to_owned(), path(&bundle_path)),
                ("PERFWRIGHT_LOOP_SCHEMA".to_owned(), path(&schema_path)),
                ("PERFWRIGHT_LOOP_NONCE".to_owned(), nonce.clone()),
            ],
            timeout: Duration::from_secs(self.spec.review_timeout_s),
            scratch: &scratch.join("streams"),
        };
        let started = child::start(&job)?;
        let pid = started.pid();
        self.append(&Event::ReviewStarted {
            attempt,
            nonce_sha256: sha256_hex(nonce.as_bytes()),
            pid,
            pid_start: start_ticks(pid).unwrap_or(0),
            mark: mark.clone(),
        })?;
        let ran = started.wait(MAX_ANSWER);
        drop(copy);
        let judged = judge(&ran.out, &nonce, &mark, &self.spec);
        let result = match ran.ended {
            // What failed has not answered, whatever it printed.
            Ended::Exit(0) => judged.result,
            other => ReviewResult::Invalid { reason: format!("the reviewer ended with {other:?}") },
        };
        let moved = git::mark(&root)? != mark || !git::changed(&root, &self.ours())?.is_empty();
        let result = if moved { ReviewResult::TreeChanged } else { result };
        let round = self.state.round;
        self.keep(&format!("rounds/{round}/review-{attempt}.bundle.json"), &bytes, "application/json")?;
        self.keep(&format!("rounds/{round}/review-{attempt}.out"), &ran.out, "text/plain")?;
        self.keep(&format!("rounds/{round}/review-{attempt}.err"), &ran.err, "text/plain")?;
        if let (Some(answer), ReviewResult::Answer { .. }) = (&judged.answer, &result) {
            let bytes = serde_json::to_vec_pretty(answer).unwrap_or_default();
            self.keep(&format!("rounds/{round}/review-{attempt}.json"), &bytes, "application/json")?;
        }
        self.append(&Event::Reviewed { attempt, result, usage: judged.host.usage, wall_ms: ran.wall_ms })?;
        let _ = fs::remove_dir_all(&scratch);
        Ok(())
    }

    /// Folders of ours that may lie untracked in the work tree.
    pub(crate) fn ours(&self) -> Vec<std::path::PathBuf> {
        vec![self.run.dir().to_owned()]
    }

    fn bundle(&self, nonce: &str, mark: &Mark) -> Result<Bundle, LoopError> {
        let base = &self.spec.base;
        Ok(Bundle {
            schema: BUNDLE_SCHEMA.to_owned(),
            nonce: nonce.to_owned(),
            phase: self.state.phase,
            round: self.state.round,
            base: base.clone(),
            mark: mark.clone(),
            goal: self.spec.goal.clone(),
            criteria: self.spec.criteria.clone(),
            plan: String::from_utf8_lossy(&self.plan).into_owned(),
            gates: self.state.gates.clone(),
            changed: git::diff_paths(&self.root(), &base.commit, &mark.commit)?,
        })
    }

    /// The last answer of the reviewer, as it was recorded.
    pub(crate) fn last_answer(&self) -> Option<crate::review::Answer> {
        let entry = self.run.evidence().iter().rfind(|e| {
            e.name.contains("/review-") && e.name.ends_with(".json") && !e.name.ends_with(".bundle.json")
        })?;
        serde_json::from_slice(&fs::read(self.run.dir().join(&entry.name)).ok()?).ok()
    }

    /// Reopens a finished campaign whose tree is no longer the one that its verdict names. True where it did.
    ///
    /// # Errors
    /// Git or the campaign's records fail.
    pub(crate) fn reopen_if_changed(&mut self) -> Result<bool, LoopError> {
        if self.state.phase != Phase::Done {
            return Ok(false);
        }
        let root = self.root();
        let mark = git::mark(&root)?;
        let same = self.state.clean.as_ref().is_some_and(|clean| clean.tree == mark.tree);
        if same && git::changed(&root, &self.ours())?.is_empty() {
            return Ok(false);
        }
        if same {
            // The tree of HEAD is the judged one, but the work tree is not: there is nothing to judge yet.
            return Ok(false);
        }
        self.append(&Event::Reopened { mark })?;
        Ok(true)
    }
}

/// Sixteen random bytes in hexadecimal.
///
/// # Errors
/// The system gives no randomness.
pub(crate) fn random_hex() -> Result<String, LoopError> {
    use std::io::Read;
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    fs::File::open(path).and_then(|mut f| f.read_exact(&mut bytes)).map_err(|e| LoopError::io(path, e))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
