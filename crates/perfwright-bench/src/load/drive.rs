//! Carrying a plan out.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use perfwright_client::endpoint::{Endpoint, Form};
use perfwright_client::exchange::{Channel, RunClock};
use perfwright_client::failure::Failure;
use perfwright_client::fetch::post;
use perfwright_client::info::{ServerInfo, metrics_text};
use perfwright_client::pool::{Pool, resolve};
use perfwright_client::target::{Target, TargetError};
use tokio::sync::{Semaphore, mpsc, watch};

use super::conditions::{Conditions, Millis};
use super::dispatch::dispatch;
use super::plan::Plan;
use super::worker::{Job, Live, Start, Used, session, turn_body, work};
use crate::measure::{ClientFacts, Phase, Record, ServerFacts};

/// Time between the plan being ready and its first request, so that all threads wait when it is due.
const HEAD_START: Duration = Duration::from_millis(30);

/// The load could not be offered.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No endpoint of that name.
    #[error("there is no endpoint {0:?}")]
    Endpoint(String),
    /// The server cannot be reached.
    #[error("cannot reach {url}: {cause}")]
    Unreachable {
        /// The server.
        url: String,
        /// The cause.
        cause: Failure,
    },
    /// The server lists no model and none was named.
    #[error("the server lists no model, so a name is needed")]
    NoModel,
    /// The system gave no thread or timer.
    #[error("cannot start a client thread: {0}")]
    Thread(std::io::Error),
}

/// A server that was reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its address.
    pub target: Target,
    addresses: Vec<SocketAddr>,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The model's name in requests.
    pub model: String,
    /// What it told of itself.
    pub info: ServerInfo,
    /// Bearer token.
    token: Option<String>,
    connect_timeout: Duration,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds since the start.
    pub seconds: f64,
    /// Requests planned, started, answered well, failed.
    pub planned: u64,
    /// Requests started.
    pub started: u64,
    /// Requests answered well.
    pub done: u64,
    /// Requests failed.
    pub failed: u64,
    /// Events read.
    pub events: u64,
    /// Mean time to the first token so far, from sending, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Mean gap between tokens of finished requests so far, milliseconds.
    pub itl_ms: Option<f64>,
}

/// Ways to watch and to stop a run.
pub struct Control<'a> {
    /// Set to stop: requests under way are given up.
    pub stop: &'a AtomicBool,
    /// Called about twice a second.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// What a run took down.
#[derive(Debug)]
pub struct Taken {
    /// One record for each request, in the order of sessions and turns.
    pub records: Vec<Record>,
    /// What the client used.
    pub client: ClientFacts,
    /// `/metrics` before the first measured request.
    pub metrics_before: Result<String, String>,
    /// `/metrics` after the last.
    pub metrics_after: Result<String, String>,
    /// The run was stopped.
    pub interrupted: bool,
}

fn runtime() -> Result<tokio::runtime::Runtime, LoadError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)
}

/// Reaches the server and asks what it tells of itself.
///
/// # Errors
/// The address is unusable, nothing answers there, or no model is known.
pub fn preflight(c: &Conditions, token: Option<&str>) -> Result<Access, LoadError> {
    reach(&c.url, &c.endpoint, &c.model, Duration::from_millis(c.timeouts.connect), token)
}

/// Reaches the server at `url` and asks what it tells of itself. An empty `model` is the first that it lists.
///
/// # Errors
/// As [`preflight`].
pub fn reach(
    url: &str,
    endpoint: &str,
    model: &str,
    connect_timeout: Duration,
    token: Option<&str>,
) -> Result<Access, LoadError> {
    let target: Target = url.parse()?;
    let endpoint = Endpoint::by_name(endpoint).ok_or_else(|| LoadError::Endpoint(endpoint.to_owned()))?;
    let unreachable = |cause| LoadError::Unreachable { url: url.to_owned(), cause };
    runtime()?.block_on(async {
        let addresses = resolve(&target, connect_timeout).await.map_err(unreachable)?;
        let pool = Pool::new(addresses.clone(), connect_timeout);
        drop(pool.take(true).await.map_err(unreachable)?);
        let info = ServerInfo::fetch(&target, &pool, token).await;
        let model = match (model, info.first_model()) {
            ("", Some(model)) => model.to_owned(),
            ("", None) if endpoint == Endpoint::Generate => String::new(),
            ("", None) => return Err(LoadError::NoModel),
            (model, _) => model.to_owned(),
        };
        let token = token.map(str::to_owned);
        Ok(Access { target: target.clone(), addresses, endpoint, model, info, token, connect_timeout })
    })
}

impl Access {
    /// Status and body of the answer to one body of JSON at a path.
    ///
    /// # Errors
    /// No answer within `limit`, or one of more than `max_bytes`.
    pub async fn post(
        &self,
        ask: (&str, Bytes),
        max_bytes: usize,
        limit: Duration,
    ) -> Result<(u16, Bytes), Failure> {
        post(&self.target, &self.pool(), ask, self.token.as_deref(), max_bytes, limit).await
    }

    fn pool(&self) -> Pool {
        Pool::new(self.addresses.clone(), self.connect_timeout)
    }

    fn channel(&self, c: &Conditions) -> Result<Channel, LoadError> {
        self.channel_with(c.timeouts, &c.url)
    }

    /// A channel to the endpoint with these time limits; `url` is the server's name in messages.
    pub(crate) fn channel_with(&self, limits: Millis, url: &str) -> Result<Channel, LoadError> {
        Channel::new(&self.target, self.endpoint, self.pool(), limits.timeouts(), self.token.as_deref())
            .map_err(|cause| LoadError::Unreachable { url: url.to_owned(), cause })
    }

    /// What the server told of itself, for the record.
    #[must_use]
    pub fn facts(&self) -> ServerFacts {
        let info = &self.info;
        let told = [
            ("/v1/models", &info.models),
            ("/server_info", &info.server_info),
            ("/model_info", &info.model_info),
            ("/version", &info.version),
        ];
        let told = told.into_iter().filter_map(|(path, v)| Some((path.to_owned(), v.clone()?))).collect();
        ServerFacts { model: self.model.clone(), told, notes: info.notes.clone() }
    }

    async fn metrics(&self) -> Result<String, String> {
        metrics_text(&self.target, &self.pool(), self.token.as_deref()).await
    }
}

/// Carries the plan out and takes down what happened. Blocks until the last answer, or until it is stopped.
///
/// # Errors
/// The system gives no threads. What goes wrong with requests is in their records.
pub fn drive(
    c: &Conditions,
    access: &Access,
    plan: Plan,
    control: &mut Control<'_>,
) -> Result<Taken, LoadError> {
    let form = Form {
        endpoint: access.endpoint,
        model: access.model.clone(),
        ignore_eos: c.ignore_eos,
        extra: c.extra_body.clone(),
    };
    let bodies = plan.sessions.iter().map(|s| turn_body(&form, &s.turns[0], &[])).collect();
    let planned = plan.sessions.iter().map(|s| s.turns.len() as u64).sum();
    let (stop_sender, stop) = watch::channel(false);
    let threads = c.client_threads.clamp(1, 256) as usize;
    let mut job = Job {
        plan,
        bodies,
        form,
        clock: RunClock::new(Instant::now()),
        next: AtomicUsize::new(0),
        slots: c.max_concurrency.map(|n| Semaphore::new(n as usize)),
        stop,
        stopped: AtomicBool::new(false),
        records: Mutex::default(),
        live: Live::default(),
    };
    let before = warm_up(c, access, &job, control.stop)?;
    job.live = Live::default();
    let warmup: Vec<Record> = std::mem::take(job.records.get_mut().map_err(|_| poisoned())?);
    let epoch = Instant::now() + HEAD_START;
    job.clock = RunClock::new(epoch);
    let job = Arc::new(job);
    let closed = if let crate::arrival::Arrival::Closed { concurrency } = c.arrival {
        concurrency as usize
    } else {
        0
    };
    let (mut senders, mut workers) = (Vec::new(), Vec::new());
    for w in 0..threads {
        let (sender, receiver) = mpsc::unbounded_channel::<Start>();
        senders.push(sender);
        let users = closed / threads + usize::from(w < closed % threads);
        let (job, channel) = (Arc::clone(&job), access.channel(c)?);
        let name = format!("bench-{w}");
        let run = move || work(&job, channel, receiver, users);
        workers.push(thread::Builder::new().name(name).spawn(run).map_err(LoadError::Thread)?);
    }
    let dispatcher = {
        let job = Arc::clone(&job);
        let run = move || dispatch(&job, epoch, &senders);
        thread::Builder::new().name("bench-clock".to_owned()).spawn(run).map_err(LoadError::Thread)?
    };
    let mut told = Instant::now();
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(20));
        if control.stop.load(Ordering::Relaxed) && !job.is_stopped() {
            job.stopped.store(true, Ordering::Relaxed);
            // Workers that are gone already need no telling.
            let _ = stop_sender.send(true);
        }
        if told.elapsed() >= Duration::from_millis(500) {
            told = Instant::now();
            (control.progress)(progress(&job.live, planned, epoch));
        }
    }
    let wall = epoch.elapsed().as_secs_f64();
    let mut used = Vec::new();
    for worker in workers {
        used.push(worker.join().map_err(|_| poisoned())?.map_err(LoadError::Thread)?);
    }
    let dispatcher_seconds = dispatcher.join().map_err(|_| poisoned())?;
    let metrics_after = runtime()?.block_on(access.metrics());
    let interrupted = job.is_stopped();
    let events = job.live.events.load(Ordering::Relaxed);
    let mut records = std::mem::take(&mut *job.records.lock().map_err(|_| poisoned())?);
    records.sort_by_key(|r| (r.session, r.turn));
    records.splice(0..0, warmup);
    let client = facts(&used, dispatcher_seconds, events, wall, planned, job.plan.salt, interrupted);
    Ok(Taken { records, client, metrics_before: before, metrics_after, interrupted })
}

fn poisoned() -> LoadError {
    LoadError::Thread(std::io::Error::other("a client thread ended with a panic"))
}

fn facts(
    used: &[Used],
    dispatcher: f64,
    events: u64,
    wall: f64,
    planned: u64,
    salt: u64,
    interrupted: bool,
) -> ClientFacts {
    ClientFacts {
        threads: used.len() as u64,
        cpu_seconds: used.iter().map(|u| u.cpu_seconds).sum::<f64>() + dispatcher,
        dispatcher_cpu_seconds: dispatcher,
        busiest_core: used.iter().map(|u| u.cpu_seconds / u.wall_seconds.max(1e-9)).fold(0.0, f64::max),
        wall_seconds: wall,
        events,
        connections: used.iter().map(|u| u.connections).sum(),
        planned_requests: planned,
        salt: format!("{salt:016x}"),
        interrupted,
    }
}

/// Sends the warm-up, one request after the other; then reads the server's counters.
fn warm_up(
    c: &Conditions,
    access: &Access,
    job: &Job,
    stop: &AtomicBool,
) -> Result<Result<String, String>, LoadError> {
    let channel = access.channel(c)?;
    runtime()?.block_on(async {
        for index in 0..job.plan.warmup.len() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let start = Start { session: index, scheduled_ns: None };
            session(job, &channel, &job.plan.warmup, start, None, Phase::Warmup).await;
        }
        Ok(access.metrics().await)
    })
}

fn progress(live: &Live, planned: u64, epoch: Instant) -> Progress {
    let get = |a: &std::sync::atomic::AtomicU64| a.load(Ordering::Relaxed);
    let mean = |sum: u64, n: u64| (n > 0).then(|| sum as f64 / n as f64 / 1e6);
    Progress {
        seconds: epoch.elapsed().as_secs_f64(),
        planned,
        started: get(&live.started),
        done: get(&live.done),
        failed: get(&live.failed),
        events: get(&live.events),
        ttft_ms: mean(get(&live.ttft_ns), get(&live.done)),
        itl_ms: mean(get(&live.gaps_ns), get(&live.gaps)),
    }
}
