//! What the server's counters and usage tell: prefix cache, queue, speculative decoding.
//!
//! Names of counters: vLLM and SGLang from their production-metrics documentation, llama.cpp from a recorded answer.

use perfwright_client::metrics::Metrics;

use super::record::Record;
use super::report::{PrefixCache, Speculation};

/// By how much the cached part may be above what was declared: templates and the like are shared by all prompts.
const TOLERANCE: f64 = 0.05;
/// Tokens for each request that any template may share.
const TEMPLATE_TOKENS: f64 = 64.0;

/// Beginnings of the names that are looked at here.
const COUNTED: [&str; 9] = [
    "vllm:prefix_cache_",
    "vllm:request_queue_time_seconds_",
    "vllm:spec_decode_num_",
    "sglang:cached_tokens_total",
    "sglang:prompt_tokens_total",
    "sglang:queue_time_seconds_",
    "sglang:spec_accept_length",
    "llamacpp:prompt_tokens_",
    "llamacpp:spec_decode_num_",
];

/// The lines of a `/metrics` text that figures are made of: what a search keeps of hundreds of kilobytes for each trial.
pub(crate) fn counted(text: &str) -> String {
    let kept = |line: &&str| COUNTED.iter().any(|name| line.starts_with(name)) && !line.contains("_bucket");
    text.lines().filter(kept).fold(String::new(), |out, line| out + line + "\n")
}

/// Counters before and after.
#[derive(Debug)]
pub(super) struct Counters {
    before: Metrics,
    after: Metrics,
}

impl Counters {
    pub(super) fn new(before: &str, after: &str) -> Self {
        Self { before: Metrics::parse(before), after: Metrics::parse(after) }
    }

    /// By how much a counter grew; none where it is absent or was reset.
    fn grown(&self, name: &str) -> Option<f64> {
        let after = self.after.sum(name)?;
        Some(after - self.before.sum(name).unwrap_or(0.0)).filter(|v| *v >= 0.0)
    }

    /// The cached part of prompt tokens.
    pub(super) fn cached_share(&self) -> Option<f64> {
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        if let (Some(hits), Some(all)) =
            (self.grown("vllm:prefix_cache_hits_total"), self.grown("vllm:prefix_cache_queries_total"))
        {
            return ratio(hits, all);
        }
        if let (Some(hits), Some(all)) =
            (self.grown("sglang:cached_tokens_total"), self.grown("sglang:prompt_tokens_total"))
        {
            return ratio(hits, all);
        }
        // llama.cpp counts prompt tokens without the cached ones.
        let hits = self.grown("llamacpp:prompt_tokens_cached_total")?;
        ratio(hits, hits + self.grown("llamacpp:prompt_tokens_total")?)
    }

    /// Mean milliseconds in the queue.
    pub(super) fn queue_ms(&self) -> Option<f64> {
        ["vllm:request_queue_time_seconds", "sglang:queue_time_seconds"].iter().find_map(|name| {
            let count = self.grown(&format!("{name}_count")).filter(|n| *n > 0.0)?;
            Some(self.grown(&format!("{name}_sum"))? / count * 1e3)
        })
    }

    /// Tokens for each verification step.
    fn accept_length(&self) -> Option<f64> {
        let counted = ["vllm:spec_decode_num", "llamacpp:spec_decode_num"].iter().find_map(|name| {
            let drafts = self.grown(&format!("{name}_drafts_total")).filter(|n| *n > 0.0)?;
            Some(1.0 + self.grown(&format!("{name}_accepted_tokens_total"))? / drafts)
        });
        // SGLang's gauge is a mean over recent steps; every rank has one.
        counted.or_else(|| {
            let gauges = self.after.samples.iter().filter(|s| s.name == "sglang:spec_accept_length");
            let values: Vec<f64> = gauges.map(|s| s.value).filter(|v| *v >= 1.0 && v.is_finite()).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        })
    }
}

/// The guard against prompts that were in a cache.
pub(super) fn prefix_cache(
    ok: &[&Record],
    counters: Option<&Counters>,
    declared: Option<f64>,
    salted: bool,
) -> PrefixCache {
    let told: Vec<(u64, u64)> =
        ok.iter().filter_map(|r| Some((r.cached_tokens?, r.prompt_tokens?))).collect();
    let (cached, prompt) = told.iter().fold((0, 0), |(c, p), (x, y)| (c + x, p + y));
    let usage_share = (prompt > 0).then(|| cached as f64 / prompt as f64);
    let counter_share = counters.and_then(Counters::cached_share);
    let per_request = prompt as f64 / told.len().max(1) as f64;
    let template = if per_request > 0.0 { TEMPLATE_TOKENS / per_request } else { 0.0 };
    // Usage is about our requests; counters are about everybody's.
    let found = usage_share.or(counter_share);
    let verdict = match (found, declared) {
        (None, _) => "unknown",
        (_, None) => "undeclared",
        (Some(found), Some(declared)) if found > declared + TOLERANCE.max(template) => "contaminated",
        (Some(_), Some(declared)) if declared > 0.0 => "as_declared",
        _ => "clean",
    };
    PrefixCache { verdict: verdict.to_owned(), usage_share, counter_share, declared_share: declared, salted }
}

/// Speculative decoding, where answers or counters tell.
pub(super) fn speculation(ok: &[&Record], counters: Option<&Counters>) -> Option<Speculation> {
    let mut sums = (0.0, 0.0);
    for r in ok {
        if let Some(steps) = r.verify_steps {
            sums = (sums.0 + r.output_tokens() as f64, sums.1 + steps as f64);
        } else if let Some(accepted) = r.accepted.filter(|_| r.drafted.is_some_and(|d| d > 0)) {
            // Every step yields one token of its own and those it accepted.
            let steps = r.output_tokens().saturating_sub(accepted);
            sums = (sums.0 + r.output_tokens() as f64, sums.1 + steps as f64);
        }
    }
    if sums.1 > 0.0 {
        return Some(Speculation { accept_length: sums.0 / sums.1, basis: "answers".to_owned() });
    }
    let accept_length = counters?.accept_length()?;
    Some(Speculation { accept_length, basis: "counters".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_each_engine() {
        let c = Counters::new(
            "vllm:prefix_cache_hits_total{e=\"0\"} 10\nvllm:prefix_cache_queries_total{e=\"0\"} 100\n",
            "vllm:prefix_cache_hits_total{e=\"0\"} 40\nvllm:prefix_cache_queries_total{e=\"0\"} 200\n\
             vllm:request_queue_time_seconds_sum 2\nvllm:request_queue_time_seconds_count 4\n\
             vllm:spec_decode_num_drafts_total 10\nvllm:spec_decode_num_accepted_tokens_total 15\n",
        );
        assert_eq!((c.cached_share(), c.queue_ms(), c.accept_length()), (Some(0.3), Some(500.0), Some(2.5)));
        let c = Counters::new(
            "llamacpp:prompt_tokens_total 100\nllamacpp:prompt_tokens_cached_total 5\n",
            "llamacpp:prompt_tokens_total 400\nllamacpp:prompt_tokens_cached_total 105\n",
        );
        assert_eq!(c.cached_share(), Some(0.25));
        let gauge =
            "sglang:spec_accept_length{tp_rank=\"0\"} 2.5\nsglang:spec_accept_length{tp_rank=\"1\"} 2.5\n";
        assert_eq!(Counters::new("", gauge).accept_length(), Some(2.5));
        let idle = Counters::new("", "sglang:spec_accept_length{tp_rank=\"0\"} 0\n");
        assert_eq!(idle.accept_length(), None);
        let text = "# HELP x\nsglang:prompt_tokens_total{a=\"b\"} 4\nsglang:queue_time_seconds_bucket{le=\"1\"} 2\nother 1\n";
        assert_eq!(counted(text), "sglang:prompt_tokens_total{a=\"b\"} 4\n");
        let reset = Counters::new("sglang:cached_tokens_total 9\n", "sglang:cached_tokens_total 1\n");
        assert_eq!(reset.cached_share(), None);
    }
}
