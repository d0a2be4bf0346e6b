//! How other threads reach the engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::request::{Chunk, Sampling, StopRules, Submission};
use super::shared::Shared;

/// What the engine is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Answer a request.
    Submit(Box<Submission>),
    /// Drop the request of this number; nobody listens any more.
    Cancel(u64),
    /// End requests by name and tell whoever listens.
    Abort(AbortSelection),
    /// Empty the cache; answers whether it was idle.
    Flush(oneshot::Sender<bool>),
    /// Start a profile.
    StartProfile(ProfileRequest, oneshot::Sender<Result<(), String>>),
    /// End the profile; answers with its files.
    StopProfile(oneshot::Sender<Result<Vec<PathBuf>, String>>),
    /// End everything and leave.
    Shutdown,
}

/// Which requests to abort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AbortSelection {
    /// All of them.
    All,
    /// Those whose name begins so, as SGLang does it.
    Rid(String),
}

/// What to profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileRequest {
    /// Folder for the files.
    pub output_dir: PathBuf,
    /// Start of the file names.
    pub id: String,
    /// Passes after which it ends by itself (of each stage, where stages are apart).
    pub num_steps: Option<u64>,
    /// Number of the pass to begin with; earlier ones are left out.
    pub start_step: Option<u64>,
    /// One file for prefill passes and one for decode passes.
    pub by_stage: bool,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The waiting queue is full.
    QueueFull,
    /// The engine has ended.
    Gone,
}

/// A request to hand in.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Its name.
    pub rid: String,
    /// The prompt.
    pub input_ids: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// When it ends.
    pub stop: StopRules,
    /// Alternatives whose log-probabilities are wanted.
    pub logprobs: Option<usize>,
    /// When the HTTP request came.
    pub arrived: Instant,
    /// Whether it counts in the metrics.
    pub counted: bool,
}

/// The way to the engine.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: Sender<Command>,
    /// What it shows without being asked.
    pub shared: Arc<Shared>,
    next: Arc<AtomicU64>,
    max_queued: usize,
}

impl EngineHandle {
    pub(crate) fn new(commands: Sender<Command>, shared: Arc<Shared>, max_queued: usize) -> Self {
        Self { commands, shared, next: Arc::default(), max_queued }
    }

    /// Hands in a request.
    ///
    /// # Errors
    /// When the waiting queue is full or the engine has ended.
    pub fn submit(&self, new: NewRequest) -> Result<ActiveRequest, Refused> {
        let waiting = &self.shared.waiting;
        let room = |n: usize| (n < self.max_queued).then_some(n + 1);
        if waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_err() {
            return Err(Refused::QueueFull);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (events, receiver) = unbounded_channel();
        let prompt_tokens = new.input_ids.len();
        let submission = Submission {
            rid: new.rid.clone(),
            id,
            input_ids: new.input_ids,
            sampling: new.sampling,
            stop: new.stop,
            logprobs: new.logprobs,
            arrived: new.arrived,
            counted: new.counted,
            events,
        };
        self.shared.open.fetch_add(1, Ordering::AcqRel);
        if self.commands.send(Command::Submit(Box::new(submission))).is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
            self.shared.open.fetch_sub(1, Ordering::AcqRel);
            return Err(Refused::Gone);
        }
        Ok(ActiveRequest {
            receiver,
            engine: self.clone(),
            id,
            rid: new.rid,
            prompt_tokens,
            arrived: new.arrived,
            ended: false,
        })
    }

    /// Ends requests by name.
    pub fn abort(&self, selection: AbortSelection) {
        self.tell(Command::Abort(selection));
    }

    /// Empties the cache; the answer is whether the engine was idle. `None` when it has ended.
    pub async fn flush(&self) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Flush(reply));
        answer.await.ok()
    }

    /// Starts a profile.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn start_profile(&self, request: ProfileRequest) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::StartProfile(request, reply));
        answer.await.unwrap_or_else(|_| Err("the scheduler has ended".to_owned()))
    }

    /// Ends the profile and waits for its files.
    ///
    /// # Errors
    /// When none runs or a file cannot be written.
    pub async fn stop_profile(&self) -> Result<Vec<PathBuf>, String> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::StopProfile(reply));
        answer.await.unwrap_or_else(|_| Err("the scheduler has ended".to_owned()))
    }

    /// Ends the engine.
    pub fn shut_down(&self) {
        self.tell(Command::Shutdown);
    }

    fn tell(&self, command: Command) {
        // An engine that has ended has dropped its requests; whoever waits for an answer sees that.
        let _ = self.commands.send(command);
    }
}

/// A request in the engine's hands. Dropping it before its end takes it back.
#[derive(Debug)]
pub struct ActiveRequest {
    receiver: UnboundedReceiver<Chunk>,
    engine: EngineHandle,
    id: u64,
    /// Its name.
    pub rid: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// When it came.
    pub arrived: Instant,
    ended: bool,
}

impl ActiveRequest {
    /// The next piece; `None` after the last, or when the engine ended without one.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.receiver.poll_recv(context));
        self.ended = chunk.as_ref().is_none_or(|chunk| chunk.finish.is_some());
        Poll::Ready(chunk)
    }

    /// The next piece; `None` after the last, or when the engine ended without one.
    pub async fn next(&mut self) -> Option<Chunk> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.tell(Command::Cancel(self.id));
        }
    }
}
