//! Who runs: admission, and taking pages back when they run out. The rules are those of SGLang's scheduler
//! (sgl-project/sglang python/sglang/srt/managers/schedule_policy.py, schedule_batch.py).

use std::collections::VecDeque;
use std::time::Instant;

use super::sequence::Sequence;
use crate::KvCache;
use crate::settings::{EngineSettings, SchedulePolicy};

/// Share of the tokens promised to running requests that is kept free at first, and at least; passes from one to the
/// other.
const INITIAL_RATIO: f64 = 0.7;
const LEAST_RATIO: f64 = 0.14 * INITIAL_RATIO;
const DECAY_PASSES: f64 = 600.0;
/// A promise counts as at most this many tokens.
const CLIP: usize = 4096;
/// Decode passes that a retraction makes room for.
const RETRACT_PASSES: usize = 20;

/// How much of what running requests may still generate is kept free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratio {
    pub(super) now: f64,
    first: f64,
    least: f64,
}

impl Ratio {
    pub(super) fn new(conservativeness: f64) -> Self {
        let first = (INITIAL_RATIO * conservativeness).min(1.0);
        Self { now: first, first, least: (LEAST_RATIO * conservativeness).min(1.0) }
    }

    /// After a decode pass without a retraction.
    pub(super) fn decay(&mut self) {
        self.now = (self.now - (self.first - self.least) / DECAY_PASSES).max(self.least);
    }

    /// When nothing runs.
    pub(super) fn reset(&mut self) {
        self.now = self.first;
    }
}

/// The requests there are.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) waiting: VecDeque<Sequence>,
    pub(super) running: Vec<Sequence>,
    pub(super) ratio: Ratio,
}

/// A retraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Retraction {
    pub(super) requests: usize,
    pub(super) tokens_gained: usize,
    pub(super) ratio_before: f64,
    pub(super) input_tokens: usize,
    pub(super) output_tokens: usize,
}

impl Requests {
    pub(super) fn new(conservativeness: f64) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), ratio: Ratio::new(conservativeness) }
    }

    /// Moves waiting requests into the running batch while requests, prompt tokens and pages allow. Returns how many.
    pub(super) fn admit(&mut self, kv: &mut KvCache, settings: &EngineSettings) -> usize {
        if settings.schedule_policy == SchedulePolicy::Lof {
            let longest = |s: &Sequence| std::cmp::Reverse(s.remaining());
            self.waiting.make_contiguous().sort_by_key(longest);
        }
        // A prompt that is being computed in pieces comes first.
        let mut planned: usize = self.running.iter().filter(|s| s.prefilling()).map(Sequence::pending).sum();
        let budget = settings.max_prefill_tokens.min(settings.chunked_prefill_size.unwrap_or(usize::MAX));
        let mut promised: f64 = self.running.iter().map(|s| self.promise(s)).sum();
        let mut admitted = 0;
        while let Some(head) = self.waiting.front() {
            if self.running.len() >= settings.max_running_requests || (planned > 0 && planned >= budget) {
                break;
            }
            let whole = settings.chunked_prefill_size.is_none();
            if whole && planned > 0 && planned + head.pending() > budget {
                break;
            }
            let free = (kv.free_pages() * kv.page_size()) as f64 - promised;
            let wanted = head.pending() + head.remaining().min(CLIP);
            // The only request always fits: its length was held to the size of the cache.
            if !self.running.is_empty() && wanted as f64 >= free {
                break;
            }
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            let tokens = sequence.tokens.len();
            if kv.reserve(&mut sequence.table, tokens).is_err() {
                self.waiting.push_front(sequence);
                break;
            }
            planned += sequence.pending();
            promised += self.promise(&sequence);
            sequence.retracted = false;
            self.running.push(sequence);
            admitted += 1;
        }
        admitted
    }

    fn promise(&self, sequence: &Sequence) -> f64 {
        sequence.remaining().min(CLIP) as f64 * self.ratio.now
    }

    /// Gives every decoding request the page for its next token. Where pages do not suffice, requests that have
    /// generated least lose theirs and wait again.
    pub(super) fn make_room(&mut self, kv: &mut KvCache) -> Option<Retraction> {
        let before = self.ratio.now;
        let free_before = kv.free_pages();
        let (mut requests, mut input_tokens, mut output_tokens) = (0, 0, 0);
        while self.running.len() > 1 && self.missing_pages(kv) > kv.free_pages() {
            let least = |(_, s): &(usize, &Sequence)| (s.generated(), std::cmp::Reverse(s.prompt));
            let Some((at, _)) = self.running.iter().enumerate().min_by_key(least) else { break };
            let mut sequence = self.running.remove(at);
            kv.release(&mut sequence.table);
            sequence.computed = 0;
            sequence.retracted = true;
            sequence.queued = Instant::now();
            requests += 1;
            input_tokens += sequence.prompt;
            output_tokens += sequence.generated();
            self.waiting.push_front(sequence);
        }
        let gained = kv.free_pages().saturating_sub(free_before) * kv.page_size();
        for sequence in self.running.iter_mut().filter(|s| !s.prefilling()) {
            // It cannot fail: the loop above made room for all of them.
            let _ = kv.reserve(&mut sequence.table, sequence.tokens.len());
        }
        if requests == 0 {
            self.ratio.decay();
            return None;
        }
        let decoded: usize = self.running.iter().map(Sequence::generated).sum();
        let allowed: usize = self.running.iter().map(|s| s.request.stop.max_new_tokens).sum();
        let ratio = (decoded + RETRACT_PASSES * self.running.len()) as f64 / (allowed.max(1)) as f64;
        self.ratio.now = ratio.min(1.0);
        Some(Retraction {
            requests,
            tokens_gained: gained,
            ratio_before: before,
            input_tokens,
            output_tokens,
        })
    }

    fn missing_pages(&self, kv: &KvCache) -> usize {
        let decoding = self.running.iter().filter(|s| !s.prefilling());
        decoding.map(|s| kv.missing_pages(&s.table, s.tokens.len())).sum()
    }

    /// KV tokens in use.
    pub(super) fn used_tokens(&self) -> usize {
        self.running.iter().map(|s| s.computed).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc::unbounded_channel;

    use super::super::request::{Sampling, StopRules, Submission};
    use super::*;
    use crate::ModelConfig;

    fn sequence(id: u64, prompt: usize, max_new_tokens: usize) -> Sequence {
        Sequence::new(Submission {
            rid: String::new(),
            id,
            input_ids: vec![1; prompt],
            sampling: Sampling { temperature: 0.0, top_p: 1.0, top_k: None, seed: 0 },
            stop: StopRules { max_new_tokens, strings: vec![], token_ids: vec![], ignore_eos: true },
            logprobs: None,
            arrived: Instant::now(),
            counted: true,
            events: unbounded_channel().0,
        })
    }

    fn requests(sizes: &[(usize, usize)]) -> Requests {
        let mut requests = Requests::new(1.0);
        requests.waiting = (0..).zip(sizes).map(|(id, (prompt, new))| sequence(id, *prompt, *new)).collect();
        requests
    }

    fn ids<'a>(sequences: impl IntoIterator<Item = &'a Sequence>) -> Vec<u64> {
        sequences.into_iter().map(|s| s.request.id).collect()
    }

    fn cache(pages: usize) -> KvCache {
        KvCache::new(&ModelConfig::tiny(), pages, 16).unwrap()
    }

    /// As if the prompt had been computed and `generated` tokens chosen.
    fn decoding(sequence: &mut Sequence, generated: usize) {
        sequence.tokens.extend(vec![2; generated]);
        sequence.computed = sequence.tokens.len() - 1;
    }

    #[test]
    fn the_first_that_does_not_fit_holds_those_behind_it() {
        let mut requests = requests(&[(20, 10), (400, 10), (5, 1)]);
        let mut kv = cache(16);
        assert_eq!(requests.admit(&mut kv, &EngineSettings::default()), 1);
        assert_eq!(ids(&requests.running), [0]);
        assert_eq!(ids(&requests.waiting), [1, 2]);
        assert_eq!(kv.used_pages(), 2, "20 tokens in pages of 16");
    }

    #[test]
    fn admission_stops_at_requests_and_at_prompt_tokens() {
        let sizes = [(10, 5), (10, 5), (10, 5), (10, 5)];
        let mut few = requests(&sizes);
        let settings = EngineSettings { max_running_requests: 2, ..EngineSettings::default() };
        assert_eq!(few.admit(&mut cache(64), &settings), 2);
        let mut short = requests(&sizes);
        let settings = EngineSettings { chunked_prefill_size: Some(15), ..EngineSettings::default() };
        // The second prompt is cut, so no third begins.
        assert_eq!(short.admit(&mut cache(64), &settings), 2);
        let mut longest = requests(&[(10, 5), (10, 50)]);
        let settings = EngineSettings {
            schedule_policy: SchedulePolicy::Lof,
            max_running_requests: 1,
            ..EngineSettings::default()
        };
        longest.admit(&mut cache(64), &settings);
        assert_eq!(ids(&longest.running), [1]);
    }

    #[test]
    fn promises_to_running_requests_are_kept_free() {
        // 160 tokens; the first has 16 and may generate 100, of which 70 are kept free.
        let mut requests = requests(&[(16, 100), (16, 58), (16, 57)]);
        let mut kv = cache(10);
        assert_eq!(requests.admit(&mut kv, &EngineSettings::default()), 1);
        requests.waiting.pop_front();
        assert_eq!(requests.admit(&mut kv, &EngineSettings::default()), 1, "16 + 57 < 144 - 70");
    }

    #[test]
    fn who_generated_least_gives_way_and_keeps_its_tokens() {
        let mut requests = requests(&[(16, 100), (16, 100), (16, 100)]);
        let mut kv = cache(4);
        let settings = EngineSettings { conservativeness: 0.01, ..EngineSettings::default() };
        requests.ratio.now = 0.0;
        for (sequence, generated) in requests.waiting.iter_mut().zip([3, 1, 2]) {
            kv.reserve(&mut sequence.table, 16).unwrap();
            decoding(sequence, generated);
        }
        requests.running = requests.waiting.drain(..).collect();
        // Each needs a second page for its next token, and one is free.
        let retraction = requests.make_room(&mut kv).unwrap();
        assert_eq!((retraction.requests, retraction.output_tokens), (1, 1));
        assert_eq!(ids(&requests.running), [0, 2]);
        let gone = requests.waiting.front().unwrap();
        assert_eq!((gone.request.id, gone.computed, gone.tokens.len(), gone.retracted), (1, 0, 17, true));
        assert_eq!(kv.free_pages(), 0, "the freed page and the free one went to the others");
        assert!(requests.ratio.now > 0.0);
        assert_eq!(requests.make_room(&mut kv), None, "once is enough");
        assert_eq!(requests.admit(&mut kv, &settings), 0, "no page is left");
    }

    #[test]
    fn the_ratio_falls_to_its_least_and_no_further() {
        let mut ratio = Ratio::new(1.0);
        for _ in 0..1000 {
            ratio.decay();
        }
        assert!((ratio.now - 0.098).abs() < 1e-9, "{}", ratio.now);
        ratio.reset();
        assert_eq!(ratio.now, 0.7);
    }
}
