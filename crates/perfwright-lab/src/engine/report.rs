//! What the scheduler tells: gauges, the load snapshot, batch lines of the log.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::pass::{Done, Mode};
use super::queue::{Requests, Retraction};
use super::sequence::Sequence;
use super::shared::{LoadSnapshot, Queues, Shared};
use crate::KvCache;
use crate::log::{Log, now_ms};
use crate::settings::EngineSettings;

/// Sums between two reports.
#[derive(Debug)]
pub(super) struct Report {
    /// Decoded tokens since the last line.
    decoded: u64,
    decode_passes: u64,
    since: Instant,
    last_prefill: Instant,
    throughput: f64,
    prefill_tokens: u64,
    prefill_us: u64,
    /// The snapshot was written once.
    told: bool,
}

impl Report {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            decoded: 0,
            decode_passes: 0,
            since: now,
            last_prefill: now,
            throughput: 0.0,
            prefill_tokens: 0,
            prefill_us: 0,
            told: false,
        }
    }

    /// After a pass.
    pub(super) fn pass(
        &mut self,
        done: &Done,
        admitted: usize,
        requests: &Requests,
        kv: &KvCache,
        settings: &EngineSettings,
        (shared, log): (&Shared, &Log),
    ) {
        let metrics = &shared.metrics;
        metrics.passes.one();
        metrics.realtime_prefill.add(done.prefill_tokens as f64);
        metrics.realtime_decode.add(done.decoded as f64);
        let seconds = done.took.as_secs_f64();
        match done.mode {
            Mode::Extend => metrics.forward_extend.add(seconds),
            Mode::Decode => metrics.forward_decode.add(seconds),
            Mode::Mixed => metrics.forward_mixed.add(seconds),
        }
        let stages = &metrics.stages;
        stages.prefill_forward.observe_many(seconds, (done.prefilled - done.unfinished) as u64);
        stages.chunked_prefill.observe_many(seconds, done.unfinished as u64);
        self.decoded += done.decoded as u64;
        let usage = requests.used_tokens() as f64 / kv.capacity_tokens().max(1) as f64;
        if done.mode != Mode::Decode {
            self.prefill_tokens += done.prefill_tokens as u64;
            self.prefill_us += u64::try_from(done.took.as_micros()).unwrap_or(u64::MAX);
            let pending: usize = requests.waiting.iter().map(Sequence::pending).sum();
            let elapsed = self.last_prefill.elapsed().max(done.took).as_secs_f64();
            self.last_prefill = Instant::now();
            log.info(&format!(
                "Prefill batch, #new-seq: {admitted}, #new-token: {}, #cached-token: 0, token usage: {usage:.2}, \
                 #running-req: {}, #queue-req: {}, #pending-token: {pending}, cuda graph: False, input throughput \
                 (token/s): {:.2}",
                done.prefill_tokens,
                requests.running.iter().filter(|s| !s.prefilling()).count(),
                requests.waiting.len(),
                done.prefill_tokens as f64 / elapsed.max(1e-9),
            ));
        } else {
            self.decode_passes += 1;
            if self.decode_passes.is_multiple_of(settings.decode_log_interval) {
                self.close_interval();
                log.info(&format!(
                    "Decode batch, #running-req: {}, #token: {}, token usage: {usage:.2}, cuda graph: False, gen \
                     throughput (token/s): {:.2}, #queue-req: {},",
                    requests.running.len(),
                    requests.used_tokens(),
                    self.throughput,
                    requests.waiting.len(),
                ));
            }
        }
    }

    fn close_interval(&mut self) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.throughput = self.decoded as f64 / seconds.max(1e-9);
        self.decoded = 0;
        self.since = Instant::now();
    }

    /// When there is nothing to do.
    pub(super) fn idle(&mut self) {
        self.close_interval();
        self.throughput = 0.0;
    }

    /// After a retraction.
    pub(super) fn retracted(&self, retraction: &Retraction, ratio: f64, shared: &Shared, log: &Log) {
        let metrics = &shared.metrics;
        metrics.retracted.add(retraction.requests as f64);
        metrics.retracted_input.add(retraction.input_tokens as f64);
        metrics.retracted_output.add(retraction.output_tokens as f64);
        log.warning(&format!(
            "KV cache pool is full. Retract requests. #retracted_reqs: {}, #new_tokens_gained: {}, #new_token_ratio: \
             {:.2} -> {ratio:.2}",
            retraction.requests, retraction.tokens_gained, retraction.ratio_before,
        ));
    }

    /// Renews gauges and snapshot.
    pub(super) fn state(
        &mut self,
        requests: &Requests,
        kv: &KvCache,
        settings: &EngineSettings,
        shared: &Shared,
    ) {
        let (running, waiting) = (requests.running.len(), requests.waiting.len());
        let (used, capacity) = (requests.used_tokens(), kv.capacity_tokens());
        let usage = used as f64 / capacity.max(1) as f64;
        let utilization = running as f64 / settings.max_running_requests.max(1) as f64;
        let retracted = requests.waiting.iter().filter(|s| s.retracted).count();
        let queued_tokens: usize = requests.waiting.iter().map(Sequence::pending).sum();
        let metrics = &shared.metrics;
        for (gauge, value) in [
            (&metrics.running, running as f64),
            (&metrics.queued, waiting as f64),
            (&metrics.gen_throughput, self.throughput),
            (&metrics.decode_sum_seq_lens, used as f64),
            (&metrics.token_usage, usage),
            (&metrics.full_token_usage, usage),
            (&metrics.used_tokens, used as f64),
            (&metrics.kv_used, (kv.used_pages() * kv.page_size()) as f64),
            (&metrics.kv_available, (kv.free_pages() * kv.page_size()) as f64),
            (&metrics.retracted_now, retracted as f64),
            (&metrics.utilization, utilization),
            (&metrics.new_token_ratio, requests.ratio.now),
        ] {
            gauge.set(value);
        }
        if settings.faults.stale_loads && self.told {
            return;
        }
        self.told = true;
        let snapshot = LoadSnapshot {
            timestamp: now_ms() as f64 / 1000.0,
            dp_rank: 0,
            num_running_reqs: running,
            num_waiting_reqs: waiting,
            num_waiting_uncached_tokens: queued_tokens,
            num_used_tokens: used,
            num_total_tokens: used + queued_tokens,
            num_active_tokens: used,
            num_prealloc_ready_tokens: 0,
            max_total_num_tokens: capacity,
            max_running_requests: settings.max_running_requests,
            token_usage: usage,
            gen_throughput: self.throughput,
            cache_hit_rate: 0.0,
            utilization,
            total_prefill_uncached_tokens: self.prefill_tokens,
            total_prefill_busy_us: self.prefill_us,
            decode_moments: None,
        };
        shared.set_loads(snapshot, Queues { waiting, retracted, ..Queues::default() });
    }
}

/// The waiting count that admission control looks at follows the queue.
pub(super) fn left_queue(shared: &Shared, count: usize) {
    shared.waiting.fetch_sub(count, Ordering::AcqRel);
}
