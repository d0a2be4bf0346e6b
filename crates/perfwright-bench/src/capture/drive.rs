//! The protocol: warm-up, start, workload, stop, files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use perfwright_client::endpoint::{Form, body};
use perfwright_client::exchange::{Ask, Channel, Exchange, RunClock, exchange};
use perfwright_client::failure::{Class, Failure};
use serde_json::Map;
use tokio::task::JoinSet;

use super::conditions::{CaptureConditions, Stage};
use super::files::{Wait, keep, snapshot, wait};
use crate::load::{Access, LoadError, Millis};
use crate::workload::{Session, Spec, WorkloadError, build};

/// How often a workload is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Longest answer of the profiling endpoints.
const MAX_ANSWER: usize = 1 << 20;
/// Answers of the decode workload are this much longer than the steps that are profiled, because starting takes a while;
/// they are given up when the steps are over.
const SPARE_TOKENS: u32 = 1024;
/// Events of each answer that are waited for beyond the steps.
const SPARE_EVENTS: u64 = 8;

/// Ways to watch and to stop.
pub struct CaptureControl<'a> {
    /// Set to stop.
    pub stop: &'a AtomicBool,
    /// Called with what is done next.
    pub progress: &'a mut dyn FnMut(&str),
    /// Whether a trace is whole; the reason where it is not.
    pub whole: &'a dyn Fn(&Path) -> Result<(), String>,
}

/// One stage with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// What was profiled.
    pub stage: Stage,
    /// The traces.
    pub files: Vec<PathBuf>,
    /// Requests sent under the profiler.
    pub requests: u64,
    /// What is to be known of it.
    pub notes: Vec<String>,
}

/// Nothing was captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The server will not profile.
    #[error("{path} answered {status}: {said}")]
    Refused {
        /// The endpoint.
        path: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// A request failed.
    #[error("{stage}: {failure}")]
    Request {
        /// In which workload.
        stage: &'static str,
        /// Why.
        failure: Failure,
    },
    /// No whole trace appeared.
    #[error("{stage}: no whole trace in {dir} after {seconds} s: {why}", dir = dir.display())]
    NoFile {
        /// Of which workload.
        stage: &'static str,
        /// Where it was looked for.
        dir: PathBuf,
        /// How long.
        seconds: u64,
        /// What the last look saw.
        why: String,
    },
    /// The prompts cannot be made.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The client cannot start.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A folder cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Somebody stopped it.
    #[error("stopped")]
    Stopped,
}

/// Profiles each stage. Blocks until the last file is whole.
///
/// # Errors
/// The server refuses, a request fails, or no whole trace appears in time. A profile that was started is stopped.
pub fn capture(
    c: &CaptureConditions,
    access: &Access,
    control: &mut CaptureControl<'_>,
) -> Result<Vec<Captured>, CaptureError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)?;
    let mut out = Vec::new();
    for (index, stage) in c.stages.iter().enumerate() {
        out.push(one(c, access, *stage, index as u64, control, &runtime)?);
    }
    Ok(out)
}

fn one(
    c: &CaptureConditions,
    access: &Access,
    stage: Stage,
    salt: u64,
    control: &mut CaptureControl<'_>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Captured, CaptureError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CaptureError::Io { path, source }
    };
    let (watched, kept) = (c.watched(stage), c.kept(stage));
    std::fs::create_dir_all(&kept).map_err(io(&kept))?;
    let before = snapshot(&watched).map_err(io(&watched))?;
    let load = Workload::new(c, access, stage, salt)?;
    (control.progress)(&format!("{}: warm-up", stage.name()));
    runtime.block_on(load.warm_up(c.warmup))?;
    (control.progress)(&format!("{}: profiling", stage.name()));
    let (requests, mut notes) = runtime.block_on(async {
        let done = match stage {
            Stage::Prefill => load.prefill(c, access, control.stop).await,
            Stage::Decode => load.decode(c, access, control.stop).await,
        };
        // SGLang ends a profile of counted steps by itself and then refuses; whoever does not is stopped here.
        let stop = access.post(("/stop_profile", Bytes::from_static(b"{}")), MAX_ANSWER, load.limit).await;
        done.map(|(requests, mut notes)| {
            if let Err(failure) = stop {
                notes.push(format!("/stop_profile: {failure}"));
            }
            (requests, notes)
        })
    })?;
    (control.progress)(&format!("{}: waiting for the trace", stage.name()));
    let limit = Duration::from_millis(c.flush_timeout_ms);
    let stopped = || control.stop.load(Ordering::Relaxed);
    match wait(&watched, &before, limit, control.whole, &stopped).map_err(io(&watched))? {
        Wait::Whole(found) => {
            let files: Result<Vec<PathBuf>, std::io::Error> = found.iter().map(|f| keep(f, &kept)).collect();
            let files = files.map_err(io(&kept))?;
            notes.push(format!("{} steps were asked for, the last as a guard", c.asked_steps()));
            Ok(Captured { stage, files, requests, notes })
        }
        Wait::TimedOut(why) => {
            Err(CaptureError::NoFile { stage: stage.name(), dir: watched, seconds: limit.as_secs(), why })
        }
        Wait::Stopped => Err(CaptureError::Stopped),
    }
}

/// The requests of a stage.
struct Workload {
    channel: Arc<Channel>,
    form: Form,
    stage: Stage,
    sessions: Vec<Session>,
    warmup: Vec<Session>,
    limit: Duration,
    clock: RunClock,
}

impl Workload {
    fn new(c: &CaptureConditions, access: &Access, stage: Stage, salt: u64) -> Result<Self, CaptureError> {
        let millis = Millis {
            connect: c.connect_timeout_ms,
            first: c.timeout_ms,
            stall: c.timeout_ms,
            total: c.timeout_ms,
        };
        let (n, output) = match stage {
            Stage::Prefill => (c.asked_steps(), 1),
            Stage::Decode => (c.batch.max(1), c.output_len.max(c.asked_steps().saturating_add(SPARE_TOKENS))),
        };
        let spec = Spec::Random { input_len: c.input_len, output_len: output, range_ratio: 1.0 };
        let warm = Spec::Random { input_len: c.input_len, output_len: output.min(8), range_ratio: 1.0 };
        // Words of their own for each stage, so that no prefix cache knows them.
        let warmup = match c.warmup {
            0 => Vec::new(),
            k => build(&warm, k as usize, c.seed, 2 * salt + 0x1000)?,
        };
        Ok(Self {
            channel: Arc::new(access.channel_with(millis, &c.url)?),
            form: Form {
                endpoint: access.endpoint,
                model: access.model.clone(),
                ignore_eos: true,
                extra: Map::new(),
            },
            stage,
            sessions: build(&spec, n as usize, c.seed, 2 * salt + 0x1001)?,
            warmup,
            limit: Duration::from_millis(c.timeout_ms),
            clock: RunClock::new(Instant::now()),
        })
    }

    fn ask(&self, session: &Session) -> Ask {
        let turn = &session.turns[0];
        let body = body(&self.form, &turn.prompt, turn.output, None);
        Ask { body, max_tokens: Some(u64::from(turn.output)), keep_text: false }
    }

    fn failed(&self, ex: Exchange) -> Result<(), CaptureError> {
        match ex.failure {
            None => Ok(()),
            // The one token of a prefill may be half a character, which servers hold back.
            Some(failure) if failure.class == Class::Empty && self.stage == Stage::Prefill => Ok(()),
            Some(failure) => Err(CaptureError::Request { stage: self.stage.name(), failure }),
        }
    }

    async fn warm_up(&self, n: u32) -> Result<(), CaptureError> {
        let events = AtomicU64::new(0);
        for session in self.warmup.iter().take(n as usize) {
            self.failed(exchange(&self.channel, &self.ask(session), self.clock, &events).await)?;
        }
        Ok(())
    }

    async fn start(&self, c: &CaptureConditions, access: &Access) -> Result<(), CaptureError> {
        let body = c.start_body(self.stage).map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let answer = access.post(("/start_profile", body), MAX_ANSWER, self.limit).await;
        let (status, said) =
            answer.map_err(|failure| CaptureError::Request { stage: self.stage.name(), failure })?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said).chars().take(300).collect();
        Err(CaptureError::Refused { path: "/start_profile".to_owned(), status, said })
    }

    /// One prompt after the other: each is a step, or several where the server cuts prompts in chunks.
    async fn prefill(
        &self,
        c: &CaptureConditions,
        access: &Access,
        stop: &AtomicBool,
    ) -> Result<(u64, Vec<String>), CaptureError> {
        self.start(c, access).await?;
        let events = AtomicU64::new(0);
        for session in &self.sessions {
            if stop.load(Ordering::Relaxed) {
                return Err(CaptureError::Stopped);
            }
            self.failed(exchange(&self.channel, &self.ask(session), self.clock, &events).await)?;
        }
        Ok((self.sessions.len() as u64, Vec::new()))
    }

    /// All answers at once; the profile starts when each has begun, and they are given up when its steps are over.
    async fn decode(
        &self,
        c: &CaptureConditions,
        access: &Access,
        stop: &AtomicBool,
    ) -> Result<(u64, Vec<String>), CaptureError> {
        let mut tasks = JoinSet::new();
        let mut begun = Vec::new();
        for session in &self.sessions {
            let events = Arc::new(AtomicU64::new(0));
            begun.push(Arc::clone(&events));
            let (channel, ask, clock) = (Arc::clone(&self.channel), self.ask(session), self.clock);
            tasks.spawn(async move { exchange(&channel, &ask, clock, &events).await });
        }
        let seen = || begun.iter().map(|e| e.load(Ordering::Relaxed)).collect::<Vec<u64>>();
        let enough = u64::from(c.asked_steps()) + SPARE_EVENTS;
        let (mut ended, mut started) = (0_usize, None::<Vec<u64>>);
        while !tasks.is_empty() {
            if stop.load(Ordering::Relaxed) {
                tasks.shutdown().await;
                return Err(CaptureError::Stopped);
            }
            match &started {
                None if seen().iter().all(|n| *n > 0) => {
                    self.start(c, access).await?;
                    started = Some(seen());
                }
                Some(before) if seen().iter().zip(before).all(|(now, then)| *now >= then + enough) => break,
                _ => {}
            }
            if let Ok(Some(Ok(ex))) = tokio::time::timeout(LOOK, tasks.join_next()).await {
                self.failed(ex)?;
                ended += 1;
            }
        }
        let mut notes = Vec::new();
        tasks.shutdown().await;
        if started.is_none() {
            let said = "the answers ended before the profile could start; ask for a larger --output-len";
            return Err(CaptureError::Refused {
                path: "decode workload".to_owned(),
                status: 200,
                said: said.to_owned(),
            });
        }
        if ended > 0 {
            notes.push(format!("{ended} answers ended while the profile ran: its last steps may hold fewer"));
        }
        Ok((self.sessions.len() as u64, notes))
    }
}
