//! What the HTTP side sees of the engine without asking it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::metrics::families::Metrics;

/// The load at one moment, as the scheduler saw it (core keys of SGLang's `/v1/loads`).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LoadSnapshot {
    /// Seconds since 1970 when it was taken.
    pub timestamp: f64,
    /// Rank of data parallelism.
    pub dp_rank: usize,
    /// Requests in the running batch.
    pub num_running_reqs: usize,
    /// Requests in the waiting queue.
    pub num_waiting_reqs: usize,
    /// Their tokens that no cache holds.
    pub num_waiting_uncached_tokens: usize,
    /// KV tokens in use.
    pub num_used_tokens: usize,
    /// KV tokens in use and tokens that wait.
    pub num_total_tokens: usize,
    /// KV tokens of running requests.
    pub num_active_tokens: usize,
    /// Of a disaggregated decode server; none here.
    pub num_prealloc_ready_tokens: usize,
    /// KV tokens there are.
    pub max_total_num_tokens: usize,
    /// Requests that may run at once.
    pub max_running_requests: usize,
    /// Share of the KV tokens in use.
    pub token_usage: f64,
    /// Generated tokens a second over the last interval.
    pub gen_throughput: f64,
    /// Share of prompt tokens found in a prefix cache.
    pub cache_hit_rate: f64,
    /// Running over allowed requests.
    pub utilization: f64,
    /// Prompt tokens computed since the start.
    pub total_prefill_uncached_tokens: u64,
    /// Microseconds of passes with prompt tokens since the start.
    pub total_prefill_busy_us: u64,
    /// Of decode batches; not kept here.
    pub decode_moments: Option<()>,
}

/// Queue lengths beside the snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// In the waiting queue.
    pub waiting: usize,
    /// Waiting for a grammar.
    pub grammar: usize,
    /// Paused.
    pub paused: usize,
    /// Retracted, waiting again.
    pub retracted: usize,
    /// Of a disaggregated decode server.
    pub prealloc_ready: usize,
}

/// What both sides see.
#[derive(Debug)]
pub struct Shared {
    /// The zero of `last_output` and `last_pass`.
    pub started: Instant,
    /// The metrics.
    pub metrics: Metrics,
    loads: Mutex<(LoadSnapshot, Queues)>,
    last_output: AtomicU64,
    last_pass: AtomicU64,
    /// Requests that were handed to the engine and not yet finished.
    pub open: AtomicUsize,
    /// Requests that wait, those on their way to the engine included.
    pub waiting: AtomicUsize,
    /// Whether health checks failed last time.
    pub unhealthy: AtomicBool,
    /// Whether the engine thread has ended.
    pub ended: AtomicBool,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            metrics: Metrics::new(),
            loads: Mutex::default(),
            last_output: AtomicU64::new(0),
            last_pass: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            unhealthy: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes that the engine sent something just now.
    pub fn note_output(&self) {
        self.last_output.store(self.now(), Ordering::Relaxed);
    }

    /// When the engine last sent something.
    pub fn last_output(&self) -> u64 {
        self.last_output.load(Ordering::Relaxed)
    }

    /// Notes that the engine went round its loop.
    pub fn note_round(&self) {
        self.last_pass.store(self.now(), Ordering::Relaxed);
    }

    /// When the engine last went round its loop.
    pub fn last_round(&self) -> u64 {
        self.last_pass.load(Ordering::Relaxed)
    }

    /// Renews the snapshot.
    pub fn set_loads(&self, loads: LoadSnapshot, queues: Queues) {
        *self.loads.lock().unwrap_or_else(PoisonError::into_inner) = (loads, queues);
    }

    /// The snapshot.
    pub fn loads(&self) -> (LoadSnapshot, Queues) {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
