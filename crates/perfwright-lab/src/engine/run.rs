//! The scheduler's loop: take what was asked, admit, run a pass, give out its tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::handle::{AbortSelection, Command};
use super::output::{count_end, push_token};
use super::pass::{self, Plan};
use super::queue::Requests;
use super::report::{Report, left_queue};
use super::request::{Chunk, Finish, Submission};
use super::sequence::Sequence;
use super::shared::Shared;
use crate::kineto::recorder::{Finished, Profile};
use crate::kineto::writer::Process;
use crate::log::Log;
use crate::settings::EngineSettings;
use crate::{KvCache, LabError, Model, Tokenizer};

/// Who waits for the files of a profile.
type ProfileReply = oneshot::Sender<Result<Vec<PathBuf>, String>>;

/// How long an idle scheduler sleeps before it renews its snapshot.
const IDLE: Duration = Duration::from_millis(500);

/// Why the scheduler ended though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The fault that ends the server struck.
    #[error("the request {rid} of {tokens} tokens met the fault `crash`")]
    Crash {
        /// The request's name.
        rid: String,
        /// Its prompt tokens.
        tokens: usize,
    },
    /// The model failed.
    #[error("a pass failed: {0}")]
    Pass(#[from] LabError),
}

/// The scheduler and all that it owns.
pub(super) struct Scheduler {
    pub(super) model: Model,
    pub(super) kv: KvCache,
    pub(super) tokenizer: Tokenizer,
    pub(super) settings: EngineSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) commands: Receiver<Command>,
    pub(super) process: Process,
    requests: Requests,
    report: Report,
    profile: Option<Profile>,
    passes: u64,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Work,
    Leave,
}

impl Scheduler {
    #[expect(clippy::too_many_arguments, reason = "the parts are made in one place and moved in")]
    pub(super) fn new(
        model: Model,
        kv: KvCache,
        tokenizer: Tokenizer,
        settings: EngineSettings,
        shared: Arc<Shared>,
        log: Log,
        commands: Receiver<Command>,
        process: Process,
    ) -> Self {
        let requests = Requests::new(settings.conservativeness);
        let (report, profile, passes) = (Report::new(), None, 0);
        Self {
            model,
            kv,
            tokenizer,
            settings,
            shared,
            log,
            commands,
            process,
            requests,
            report,
            profile,
            passes,
        }
    }

    /// Runs until it is told to leave.
    ///
    /// # Errors
    /// When a pass fails or the fault `crash` strikes. Open requests then get no answer.
    pub(super) fn run(mut self) -> Result<(), EngineError> {
        loop {
            self.shared.note_round();
            self.report.state(&self.requests, &self.kv, &self.settings, &self.shared);
            if self.take_commands() == Next::Leave {
                self.end_all("The server is shutting down.", 503);
                if let Some(profile) = self.profile.take() {
                    // Written here and now: a thread of its own would end with the process.
                    write_and_tell(profile.finish(), &self.log, None);
                }
                return Ok(());
            }
            let admitted = self.admit()?;
            if self.hangs() {
                self.hang();
                continue;
            }
            match self.plan() {
                Some(plan) => self.pass(&plan, admitted)?,
                None => self.requests.ratio.reset(),
            }
        }
    }

    /// Takes what has come. With nothing to do it waits for something.
    fn take_commands(&mut self) -> Next {
        while let Ok(command) = self.commands.try_recv() {
            if self.obey(command) == Next::Leave {
                return Next::Leave;
            }
        }
        if !self.requests.running.is_empty() || !self.requests.waiting.is_empty() {
            return Next::Work;
        }
        let began = Instant::now();
        self.report.idle();
        self.report.state(&self.requests, &self.kv, &self.settings, &self.shared);
        let received = self.commands.recv_timeout(IDLE);
        self.shared.metrics.idle_seconds.add(began.elapsed().as_secs_f64());
        match received {
            Ok(command) => self.obey(command),
            Err(RecvTimeoutError::Timeout) => Next::Work,
            Err(RecvTimeoutError::Disconnected) => Next::Leave,
        }
    }

    fn obey(&mut self, command: Command) -> Next {
        match command {
            Command::Submit(submission) => self.take(*submission),
            Command::Cancel(id) => self.remove(None, |sequence| sequence.request.id == id),
            Command::Abort(selection) => {
                let finish = Finish::Abort { message: "Aborted".to_owned(), status: 500 };
                self.remove(Some(&finish), |sequence| match &selection {
                    AbortSelection::All => true,
                    AbortSelection::Rid(rid) => sequence.request.rid.starts_with(rid),
                });
            }
            Command::Flush(reply) => {
                let idle = self.requests.running.is_empty() && self.requests.waiting.is_empty();
                if idle {
                    self.log.info("Cache flushed successfully!");
                }
                let _ = reply.send(idle);
            }
            Command::StartProfile(request, reply) => {
                let started = if self.profile.is_some() {
                    Err("Profiling is already in progress. Call /stop_profile first.".to_owned())
                } else {
                    self.log.info(&format!(
                        "Profiling starts. Traces will be saved to: {} (with profile id: {})",
                        request.output_dir.display(),
                        request.id
                    ));
                    Profile::start(request, self.process.clone(), self.passes)
                        .map(|profile| self.profile = Some(profile))
                };
                let _ = reply.send(started);
            }
            Command::StopProfile(reply) => match self.profile.take() {
                Some(profile) => self.write_profile(profile.finish(), Some(reply)),
                None => {
                    let _ = reply
                        .send(Err("Profiling is not in progress. Call /start_profile first.".to_owned()));
                }
            },
            Command::Shutdown => return Next::Leave,
        }
        Next::Work
    }

    fn take(&mut self, submission: Submission) {
        let since = submission.arrived.elapsed().as_secs_f64();
        if submission.counted {
            self.shared.metrics.stages.request_process.observe(since);
        }
        self.requests.waiting.push_back(Sequence::new(submission));
    }

    /// Takes requests out, wherever they are, and gives their pages back. `finish` is told to who listens.
    fn remove(&mut self, finish: Option<&Finish>, picked: impl Fn(&Sequence) -> bool) {
        let mut gone: Vec<Sequence> = self.requests.running.extract_if(.., |s| picked(s)).collect();
        let (out, kept): (Vec<_>, Vec<_>) = self.requests.waiting.drain(..).partition(|s| picked(s));
        self.requests.waiting = kept.into();
        let never_ran = out.iter().filter(|sequence| !sequence.retracted).count();
        left_queue(&self.shared, never_ran);
        gone.extend(out);
        for mut sequence in gone {
            self.kv.release(&mut sequence.table);
            count_end(&sequence, true, &self.shared);
            if let Some(finish) = finish {
                let chunk = Chunk { finish: Some(finish.clone()), ..Chunk::default() };
                // Nobody may be listening any more.
                let _ = sequence.request.events.send(chunk);
                self.shared.note_output();
            }
        }
    }

    fn end_all(&mut self, message: &str, status: u16) {
        let finish = Finish::Abort { message: message.to_owned(), status };
        self.remove(Some(&finish), |_| true);
        // What came after the order to leave is told too.
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Submit(submission) = command {
                self.take(*submission);
            }
        }
        self.remove(Some(&finish), |_| true);
    }

    /// Admits requests, and meets the fault `crash`.
    fn admit(&mut self) -> Result<usize, EngineError> {
        let again = |s: &Sequence| s.retracted;
        let retracted_before = self.requests.waiting.iter().filter(|s| again(s)).count();
        let admitted = self.requests.admit(&mut self.kv, &self.settings);
        let retracted_after = self.requests.waiting.iter().filter(|s| again(s)).count();
        // A retracted request was counted out of the queue when it first left.
        left_queue(&self.shared, admitted - (retracted_before - retracted_after));
        let first = self.requests.running.len() - admitted;
        let metrics = &self.shared.metrics;
        for sequence in self.requests.running.iter().skip(first).filter(|s| s.request.counted) {
            let waited = sequence.queued.elapsed().as_secs_f64();
            metrics.queue_time.observe(waited);
            metrics.stages.prefill_waiting.observe(waited);
        }
        let new = self.requests.running.iter().skip(first);
        if new.into_iter().any(|s| Some(s.prompt) == self.settings.faults.fallback) {
            self.log.warning("Attention kernel failed, falling back to the torch_native attention backend.");
        }
        let crashing = self.requests.running.iter().find(|s| Some(s.prompt) == self.settings.faults.crash);
        if let Some(sequence) = crashing {
            let rid = sequence.request.rid.clone();
            self.log.error(&format!("Scheduler hit an exception: request {rid} met the fault `crash`"));
            return Err(EngineError::Crash { rid, tokens: sequence.prompt });
        }
        Ok(admitted)
    }

    fn hangs(&self) -> bool {
        self.requests.running.iter().any(|s| Some(s.prompt) == self.settings.faults.hang)
    }

    /// Does nothing more but leave when told. What comes is kept, so that clients wait as they would.
    fn hang(&mut self) {
        let mut kept = Vec::new();
        while let Ok(command) = self.commands.recv() {
            match command {
                Command::Shutdown => break,
                Command::Cancel(_) | Command::Abort(_) => {}
                other => kept.push(other),
            }
        }
        self.end_all("The server is shutting down.", 503);
        drop(kept);
        self.settings.faults.hang = None;
        // Back in the loop, the closed or empty channel is met as an order to leave.
        self.commands = std::sync::mpsc::channel().1;
    }

    fn plan(&mut self) -> Option<Plan> {
        if self.settings.mixed_chunk {
            self.make_room();
        }
        if let Some(plan) = pass::plan_prefill(&self.requests, &self.settings) {
            return Some(plan);
        }
        self.make_room();
        pass::plan_decode(&self.requests)
    }

    fn make_room(&mut self) {
        if let Some(retraction) = self.requests.make_room(&mut self.kv) {
            self.report.retracted(&retraction, self.requests.ratio.now, &self.shared, &self.log);
        }
    }

    fn pass(&mut self, plan: &Plan, admitted: usize) -> Result<(), EngineError> {
        let slow = self.settings.faults.slow_prefill;
        let mut done =
            plan.run(&mut self.model, &mut self.kv, &mut self.requests, slow, self.profile.as_mut())?;
        self.passes += 1;
        let chosen = std::mem::take(&mut done.chosen);
        let reported = (&*self.shared, &self.log);
        self.report.pass(&done, admitted, &self.requests, &self.kv, &self.settings, reported);
        for (at, token, alternatives) in chosen {
            let Some(sequence) = self.requests.running.get_mut(at) else { continue };
            let heard = push_token(sequence, token, alternatives, self.tokenizer, &self.shared);
            if !heard && !sequence.done {
                // The client has left; its cancellation is on the way, but the pages are free at once.
                sequence.done = true;
                sequence.request.stop.max_new_tokens = usize::MAX;
            }
        }
        for mut sequence in self.requests.running.extract_if(.., |s| s.done) {
            self.kv.release(&mut sequence.table);
            count_end(&sequence, sequence.request.stop.max_new_tokens == usize::MAX, &self.shared);
        }
        if self.profile.as_ref().is_some_and(Profile::complete)
            && let Some(profile) = self.profile.take()
        {
            self.write_profile(profile.finish(), None);
        }
        Ok(())
    }

    /// Writes a profile in a thread of its own, so that tokens flow on.
    fn write_profile(&self, finished: Finished, reply: Option<ProfileReply>) {
        let log = self.log.clone();
        let write = move || write_and_tell(finished, &log, reply);
        if let Err(error) = std::thread::Builder::new().name("profile".to_owned()).spawn(write) {
            self.log.error(&format!("Profile not written: {error}"));
        }
    }
}

fn write_and_tell(finished: Finished, log: &Log, reply: Option<ProfileReply>) {
    let written = finished.write();
    match &written {
        Ok(_) => log.info("Profiling done."),
        Err(message) => log.error(&format!("Profile not written: {message}")),
    }
    if let Some(reply) = reply {
        let _ = reply.send(written);
    }
}
