//! Which metrics there are: names, help and labels of SGLang 0.5.23's collectors
//! (sgl-project/sglang python/sglang/srt/observability/metrics_collector.py), each fed by what really happens here.

use super::registry::{Counter, Family, Gauge, Histogram, Series, Value};

/// Upper bounds of times to the first token and of whole requests, seconds.
const REQUEST_SECONDS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0,
    40.0, 60.0, 80.0, 100.0, 200.0, 400.0,
];
/// Upper bounds of the time between tokens, seconds.
const TOKEN_SECONDS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035,
    0.04, 0.06, 0.08, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0,
];
/// Upper bounds of the time in the waiting queue, seconds.
const QUEUE_SECONDS: &[f64] = &[
    0.000, 0.001, 0.005, 0.010, 0.020, 0.050, 0.100, 0.200, 0.500, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0,
    30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0,
];
/// Upper bounds of tokens in a request.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0];

/// Bounds of the stages: 1 ms x 1.62^n, 30 of them.
fn stage_seconds() -> Vec<f64> {
    (0..30).map(|n| 0.001 * 1.62_f64.powi(n)).collect()
}

/// The stages of a request that exist here.
#[derive(Debug, Clone)]
pub struct Stages {
    /// From the HTTP request to its tokens.
    pub tokenize: Histogram,
    /// From the engine taking a request to its place in the queue.
    pub request_process: Histogram,
    /// In the waiting queue.
    pub prefill_waiting: Histogram,
    /// The pass that ends a prompt.
    pub prefill_forward: Histogram,
    /// A pass over a part of a prompt.
    pub chunked_prefill: Histogram,
    /// From the first token to the last.
    pub decode_forward: Histogram,
}

/// Every metric that is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Prompt tokens of finished requests.
    pub prompt_tokens: Counter,
    /// Generated tokens.
    pub generation_tokens: Counter,
    /// Finished requests, aborted ones included.
    pub requests: Counter,
    /// Aborted requests.
    pub aborted: Counter,
    /// Prompt lengths.
    pub prompt_lengths: Histogram,
    /// Lengths of answers.
    pub generation_lengths: Histogram,
    /// Time to the first token, seconds.
    pub ttft: Histogram,
    /// Time between tokens, seconds.
    pub itl: Histogram,
    /// Mean time per token after the first, of each request.
    pub tpot: Histogram,
    /// From arrival to the end.
    pub e2e: Histogram,
    /// In the waiting queue.
    pub queue_time: Histogram,
    /// Time to answer `/v1/loads`.
    pub loads_duration: Histogram,
    /// Requests in the running batch.
    pub running: Gauge,
    /// Requests in the waiting queue.
    pub queued: Gauge,
    /// Generated tokens a second over the last interval.
    pub gen_throughput: Gauge,
    /// Share of prompt tokens found in a prefix cache; there is none.
    pub cache_hit_rate: Gauge,
    /// Sum of the lengths of decoding sequences.
    pub decode_sum_seq_lens: Gauge,
    /// Share of the KV tokens in use.
    pub token_usage: Gauge,
    /// The same over layers with full attention, which all are.
    pub full_token_usage: Gauge,
    /// KV tokens in use.
    pub used_tokens: Gauge,
    /// Free KV tokens.
    pub kv_available: Gauge,
    /// KV tokens in use.
    pub kv_used: Gauge,
    /// Requests whose KV was taken back and that wait again.
    pub retracted_now: Gauge,
    /// Retractions.
    pub retracted: Counter,
    /// Prompt tokens of retracted requests.
    pub retracted_input: Counter,
    /// Generated tokens of retracted requests.
    pub retracted_output: Counter,
    /// Running over allowed requests.
    pub utilization: Gauge,
    /// Share of the promised tokens that admission keeps free.
    pub new_token_ratio: Gauge,
    /// Passes without a CUDA graph, which all are.
    pub passes: Counter,
    /// Tokens by mode, as they are computed.
    pub realtime_prefill: Counter,
    /// Decoded tokens, as they are computed.
    pub realtime_decode: Counter,
    /// Seconds in prefill passes.
    pub forward_extend: Counter,
    /// Seconds in decode passes.
    pub forward_decode: Counter,
    /// Seconds in passes that mix both.
    pub forward_mixed: Counter,
    /// Seconds without work.
    pub idle_seconds: Counter,
    /// Seconds to load weights.
    pub weight_load: Gauge,
    /// Seconds from the start to the first answer.
    pub startup: Gauge,
    /// The stages.
    pub stages: Stages,
}

impl Metrics {
    /// All metrics at nothing.
    pub fn new() -> Self {
        let seconds = || Histogram::new(REQUEST_SECONDS.to_vec());
        let tokens = || Histogram::new(TOKENS.to_vec());
        let per_token = || Histogram::new(TOKEN_SECONDS.to_vec());
        let stage = || Histogram::new(stage_seconds());
        Self {
            prompt_tokens: Counter::default(),
            generation_tokens: Counter::default(),
            requests: Counter::default(),
            aborted: Counter::default(),
            prompt_lengths: tokens(),
            generation_lengths: tokens(),
            ttft: seconds(),
            itl: per_token(),
            tpot: per_token(),
            e2e: seconds(),
            queue_time: Histogram::new(QUEUE_SECONDS.to_vec()),
            loads_duration: per_token(),
            running: Gauge::default(),
            queued: Gauge::default(),
            gen_throughput: Gauge::default(),
            cache_hit_rate: Gauge::default(),
            decode_sum_seq_lens: Gauge::default(),
            token_usage: Gauge::default(),
            full_token_usage: Gauge::default(),
            used_tokens: Gauge::default(),
            kv_available: Gauge::default(),
            kv_used: Gauge::default(),
            retracted_now: Gauge::default(),
            retracted: Counter::default(),
            retracted_input: Counter::default(),
            retracted_output: Counter::default(),
            utilization: Gauge::default(),
            new_token_ratio: Gauge::default(),
            passes: Counter::default(),
            realtime_prefill: Counter::default(),
            realtime_decode: Counter::default(),
            forward_extend: Counter::default(),
            forward_decode: Counter::default(),
            forward_mixed: Counter::default(),
            idle_seconds: Counter::default(),
            weight_load: Gauge::default(),
            startup: Gauge::default(),
            stages: Stages {
                tokenize: stage(),
                request_process: stage(),
                prefill_waiting: stage(),
                prefill_forward: stage(),
                chunked_prefill: stage(),
                decode_forward: stage(),
            },
        }
    }

    /// The families in the order they are printed, for a model of this name.
    pub fn families(&self, model: &str) -> Vec<Family> {
        let list = List { model };
        let (api, rank) = (Labels::Api, Labels::Rank);
        let stages = &self.stages;
        vec![
            list.one(
                "sglang:prompt_tokens_total",
                "Number of prefill tokens processed.",
                api,
                &self.prompt_tokens,
            ),
            list.one(
                "sglang:generation_tokens_total",
                "Number of generation tokens processed.",
                api,
                &self.generation_tokens,
            ),
            list.one("sglang:num_requests_total", "Number of requests processed.", api, &self.requests),
            list.one("sglang:num_aborted_requests_total", "Number of requests aborted.", api, &self.aborted),
            list.one(
                "sglang:prompt_tokens_histogram",
                "Histogram of prompt token length.",
                api,
                &self.prompt_lengths,
            ),
            list.one(
                "sglang:generation_tokens_histogram",
                "Histogram of generation token length.",
                api,
                &self.generation_lengths,
            ),
            list.one(
                "sglang:time_to_first_token_seconds",
                "Histogram of time to first token in seconds.",
                api,
                &self.ttft,
            ),
            list.one(
                "sglang:inter_token_latency_seconds",
                "Histogram of inter-token latency in seconds.",
                api,
                &self.itl,
            ),
            list.one(
                "sglang:request_time_per_output_token_seconds",
                "Per-request TPOT in seconds: (finished_time - first_token_time) / (completion_tokens - 1).",
                api,
                &self.tpot,
            ),
            list.one(
                "sglang:e2e_request_latency_seconds",
                "Histogram of End-to-end request latency in seconds",
                api,
                &self.e2e,
            ),
            list.one(
                "sglang:get_loads_duration_seconds",
                "Time spent serving /v1/loads requests (seconds).",
                api,
                &self.loads_duration,
            ),
            list.one("sglang:num_running_reqs", "The number of running requests.", rank, &self.running),
            list.one(
                "sglang:num_queue_reqs",
                "The number of requests in the waiting queue.",
                rank,
                &self.queued,
            ),
            list.one(
                "sglang:gen_throughput",
                "The generation throughput (token/s).",
                rank,
                &self.gen_throughput,
            ),
            list.one("sglang:cache_hit_rate", "The prefix cache hit rate.", rank, &self.cache_hit_rate),
            list.one(
                "sglang:decode_sum_seq_lens",
                "The sum of all sequence lengths in decode.",
                rank,
                &self.decode_sum_seq_lens,
            ),
            list.one("sglang:token_usage", "The token usage.", rank, &self.token_usage),
            list.one(
                "sglang:full_token_usage",
                "The token usage for full attention layers.",
                rank,
                &self.full_token_usage,
            ),
            list.one("sglang:num_used_tokens", "The number of used tokens.", rank, &self.used_tokens),
            list.one(
                "sglang:kv_available_tokens",
                "Number of free token slots in the KV cache pool.",
                rank,
                &self.kv_available,
            ),
            list.one(
                "sglang:kv_used_tokens",
                "Number of actively used token slots in the KV cache pool.",
                rank,
                &self.kv_used,
            ),
            list.one(
                "sglang:num_retracted_reqs",
                "The number of retracted requests.",
                rank,
                &self.retracted_now,
            ),
            list.one(
                "sglang:num_retracted_requests_total",
                "Total number of retracted requests.",
                rank,
                &self.retracted,
            ),
            list.one(
                "sglang:num_retracted_input_tokens_total",
                "Total number of retracted input tokens.",
                rank,
                &self.retracted_input,
            ),
            list.one(
                "sglang:num_retracted_output_tokens_total",
                "Total number of retracted output tokens.",
                rank,
                &self.retracted_output,
            ),
            list.one("sglang:utilization", "The utilization.", rank, &self.utilization),
            list.one("sglang:new_token_ratio", "The new token ratio.", rank, &self.new_token_ratio),
            list.one(
                "sglang:queue_time_seconds",
                "Histogram of queueing time in seconds.",
                rank,
                &self.queue_time,
            ),
            list.many(
                "sglang:cuda_graph_passes_total",
                "Total number of forward passes categorized by CUDA graph.",
                "mode",
                vec![("none", Value::from(&self.passes))],
            ),
            list.many(
                "sglang:realtime_tokens_total",
                "Total number of tokens processed, by mode.",
                "mode",
                vec![
                    ("prefill_compute", Value::from(&self.realtime_prefill)),
                    ("decode", Value::from(&self.realtime_decode)),
                ],
            ),
            list.many(
                "sglang:forward_execution_seconds_total",
                "Total time of model forward passes. Refer to ForwardMode for category labels.",
                "category",
                vec![
                    ("extend", Value::from(&self.forward_extend)),
                    ("decode", Value::from(&self.forward_decode)),
                    ("mixed", Value::from(&self.forward_mixed)),
                ],
            ),
            list.one(
                "sglang:scheduler_idle_seconds_total",
                "Total wall time while the scheduler has no runnable or queued work.",
                rank,
                &self.idle_seconds,
            ),
            list.many(
                "sglang:per_stage_req_latency_seconds",
                "The latency of each stage of requests.",
                "stage",
                vec![
                    ("tokenize", Value::from(&stages.tokenize)),
                    ("request_process", Value::from(&stages.request_process)),
                    ("prefill_waiting", Value::from(&stages.prefill_waiting)),
                    ("prefill_forward", Value::from(&stages.prefill_forward)),
                    ("chunked_prefill", Value::from(&stages.chunked_prefill)),
                    ("decode_forward", Value::from(&stages.decode_forward)),
                ],
            ),
            list.many(
                "sglang:weight_load_duration_seconds",
                "Wall time of loading the weights (seconds).",
                "source",
                vec![("disk", Value::from(&self.weight_load))],
            ),
            list.many(
                "sglang:startup_time_seconds",
                "Engine startup duration by phase in seconds.",
                "phase",
                vec![("total", Value::from(&self.startup))],
            ),
        ]
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&Counter> for Value {
    fn from(value: &Counter) -> Self {
        Self::Counter(value.clone())
    }
}

impl From<&Gauge> for Value {
    fn from(value: &Gauge) -> Self {
        Self::Gauge(value.clone())
    }
}

impl From<&Histogram> for Value {
    fn from(value: &Histogram) -> Self {
        Self::Histogram(value.clone())
    }
}

/// Which labels a family has: those of the API server, or those of a scheduler rank.
#[derive(Clone, Copy)]
enum Labels {
    Api,
    Rank,
}

struct List<'a> {
    model: &'a str,
}

impl List<'_> {
    fn labels(&self, labels: Labels) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if matches!(labels, Labels::Rank) {
            all.push(("engine_type", "unified".to_owned()));
        }
        all.push(("model_name", self.model.to_owned()));
        if matches!(labels, Labels::Rank) {
            all.extend(["moe_ep_rank", "pp_rank", "tp_rank"].map(|key| (key, "0".to_owned())));
        }
        all
    }

    fn one<'v, V>(&self, name: &'static str, help: &'static str, labels: Labels, value: &'v V) -> Family
    where
        Value: From<&'v V>,
    {
        let series = vec![Series { labels: self.labels(labels), value: Value::from(value) }];
        Family { name, help, series }
    }

    fn many(
        &self,
        name: &'static str,
        help: &'static str,
        key: &'static str,
        values: Vec<(&'static str, Value)>,
    ) -> Family {
        let series = values.into_iter().map(|(label, value)| {
            let mut labels = self.labels(Labels::Rank);
            labels.push((key, label.to_owned()));
            labels.sort_unstable();
            Series { labels, value }
        });
        Family { name, help, series: series.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_kinds_are_one() {
        let families = Metrics::new().families("m");
        let mut names: Vec<_> = families.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), families.len());
        for family in &families {
            let kinds: Vec<_> =
                family.series.iter().map(|series| std::mem::discriminant(&series.value)).collect();
            assert!(kinds.windows(2).all(|pair| pair[0] == pair[1]), "{}", family.name);
        }
    }

    #[test]
    fn stages_have_thirty_bounds() {
        let bounds = stage_seconds();
        assert_eq!((bounds.len(), bounds[0]), (30, 0.001));
        assert!((bounds[29] - 0.001 * 1.62_f64.powi(29)).abs() < 1e-9);
    }
}
