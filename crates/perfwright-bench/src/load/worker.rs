//! The threads that send and receive.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use perfwright_client::endpoint::{Form, Message, Prompt, body};
use perfwright_client::exchange::{Ask, Channel, RunClock, exchange};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::plan::Plan;
use super::processor::{sharpen_timers, thread_seconds};
use crate::measure::{Phase, Record};
use crate::workload::{Session, Turn};

/// A session that is to start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) session: usize,
    /// `None` in a closed loop: it starts when it can.
    pub(super) scheduled_ns: Option<u64>,
}

/// What all threads share.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) plan: Plan,
    /// Bodies of the first turns.
    pub(super) bodies: Vec<Bytes>,
    pub(super) form: Form,
    pub(super) clock: RunClock,
    /// Next session of a closed loop.
    pub(super) next: AtomicUsize,
    pub(super) slots: Option<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) stopped: AtomicBool,
    pub(super) records: Mutex<Vec<Record>>,
    pub(super) live: Live,
}

/// Counts for whoever watches.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) started: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) events: AtomicU64,
    /// Sums over finished requests, nanoseconds.
    pub(super) ttft_ns: AtomicU64,
    pub(super) gaps_ns: AtomicU64,
    pub(super) gaps: AtomicU64,
}

impl Job {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// What a worker used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) cpu_seconds: f64,
    pub(super) wall_seconds: f64,
    pub(super) connections: u64,
}

/// The body of a turn: what was said before in the session comes in front.
pub(super) fn turn_body(form: &Form, turn: &Turn, history: &[Message]) -> Bytes {
    if history.is_empty() {
        return body(form, &turn.prompt, turn.output, turn.extra.as_ref());
    }
    let mut messages = history.to_vec();
    messages.extend(turn.prompt.messages());
    body(form, &Prompt::Messages(messages), turn.output, turn.extra.as_ref())
}

/// Tokens that a body asks for, extra fields included.
fn asked(form: &Form, turn: &Turn) -> Option<u64> {
    let limit = |m: &Map<String, Value>| {
        ["max_tokens", "max_completion_tokens", "sampling_params"].iter().any(|k| m.contains_key(*k))
    };
    // Whoever sets the limit by hand knows what is asked; we do not.
    (!limit(&form.extra) && !turn.extra.as_ref().is_some_and(limit)).then_some(u64::from(turn.output))
}

/// Runs the turns of one session, each into a record.
pub(super) async fn session(
    job: &Job,
    channel: &Channel,
    sessions: &[Session],
    start: Start,
    first_body: Option<Bytes>,
    phase: Phase,
) {
    let index = start.session;
    let Some(session) = sessions.get(index) else { return };
    let mut history: Vec<Message> = Vec::new();
    let mut scheduled = start.scheduled_ns;
    let mut first_body = first_body;
    for (number, turn) in session.turns.iter().enumerate() {
        let picked_ns = job.clock.now();
        let _slot = match &job.slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let last = number + 1 == session.turns.len();
        let body = first_body.take().unwrap_or_else(|| turn_body(&job.form, turn, &history));
        let ask = Ask { body, max_tokens: asked(&job.form, turn), keep_text: !last };
        job.live.started.fetch_add(1, Ordering::Relaxed);
        let ex = exchange(channel, &ask, job.clock, &job.live.events).await;
        let failed = ex.failure.is_some();
        if failed {
            job.live.failed.fetch_add(1, Ordering::Relaxed);
        } else if let (Some(first), Some(sent)) = (ex.first_token_ns, ex.sent_ns) {
            job.live.done.fetch_add(1, Ordering::Relaxed);
            job.live.ttft_ns.fetch_add(first.saturating_sub(sent), Ordering::Relaxed);
            job.live.gaps_ns.fetch_add(ex.gaps_ns.iter().sum(), Ordering::Relaxed);
            job.live.gaps.fetch_add(ex.gaps_ns.len() as u64, Ordering::Relaxed);
        }
        let think = job.plan.think_ms;
        let next_at = ex.end_ns.map(|end| end + think * 1_000_000);
        if !last {
            history.extend(turn.prompt.messages());
            history.push(Message { role: "assistant".to_owned(), content: ex.text.clone() });
        }
        let record = Record::new(index as u64, number as u32, phase, scheduled, picked_ns, turn, ex);
        if let Ok(mut records) = job.records.lock() {
            records.push(record);
        }
        if failed || last {
            // What was to be said next depends on what was answered.
            return;
        }
        tokio::time::sleep(Duration::from_millis(think)).await;
        // The sleep of the runtime is in whole milliseconds, so the turn's own time is when it wakes.
        scheduled = next_at.map(|at| at.max(job.clock.now()));
    }
}

/// Runs sessions that arrive through `starts` until it closes, or, in a closed loop, `users` at a time until none is
/// left; then waits for those under way.
pub(super) fn work(
    job: &Arc<Job>,
    channel: Channel,
    starts: UnboundedReceiver<Start>,
    users: usize,
) -> std::io::Result<Used> {
    sharpen_timers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (cpu, wall) = (thread_seconds(), std::time::Instant::now());
    let channel = Arc::new(channel);
    runtime.block_on(run(job, &channel, starts, users));
    Ok(Used {
        cpu_seconds: thread_seconds() - cpu,
        wall_seconds: wall.elapsed().as_secs_f64(),
        connections: channel.pool.opened(),
    })
}

async fn run(job: &Arc<Job>, channel: &Arc<Channel>, mut starts: UnboundedReceiver<Start>, users: usize) {
    let mut stop = job.stop.clone();
    let mut tasks = JoinSet::new();
    for _ in 0..users {
        let (job, channel) = (Arc::clone(job), Arc::clone(channel));
        tasks.spawn(async move {
            tokio::time::sleep_until(job.clock.epoch()).await;
            while !job.is_stopped() {
                let index = job.next.fetch_add(1, Ordering::Relaxed);
                let Some(body) = job.bodies.get(index).cloned() else { break };
                let start = Start { session: index, scheduled_ns: None };
                session(&job, &channel, &job.plan.sessions, start, Some(body), Phase::Measured).await;
            }
        });
    }
    let mut open = true;
    while open || !tasks.is_empty() {
        tokio::select! {
            start = starts.recv(), if open => match start {
                None => open = false,
                Some(start) => {
                    let (job, channel) = (Arc::clone(job), Arc::clone(channel));
                    tasks.spawn(async move {
                        let body = job.bodies.get(start.session).cloned();
                        session(&job, &channel, &job.plan.sessions, start, body, Phase::Measured).await;
                    });
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    tasks.shutdown().await;
}
