//! A request while the engine holds it.

use std::time::Instant;

use rand_chacha::ChaCha8Rng;

use super::request::Submission;
use super::text::OutputText;
use crate::{BlockTable, Decoder, SamplingParams, sampling_rng};

/// A request with its tokens, pages and times.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) request: Submission,
    /// The prompt and what was generated.
    pub(super) tokens: Vec<u32>,
    /// Tokens of the prompt.
    pub(super) prompt: usize,
    /// Tokens whose keys and values are in the cache.
    pub(super) computed: usize,
    pub(super) table: BlockTable,
    pub(super) params: SamplingParams,
    pub(super) rng: ChaCha8Rng,
    pub(super) decoder: Decoder,
    pub(super) text: OutputText,
    /// When it last entered the waiting queue.
    pub(super) queued: Instant,
    pub(super) first_token: Option<Instant>,
    pub(super) last_token: Option<Instant>,
    /// Its pages were taken back and it waits again.
    pub(super) retracted: bool,
    /// It has ended and leaves with the pass.
    pub(super) done: bool,
}

impl Sequence {
    pub(super) fn new(mut request: Submission) -> Self {
        let tokens = std::mem::take(&mut request.input_ids);
        let sampling = &request.sampling;
        let params = SamplingParams {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k.unwrap_or(0),
            min_p: 0.0,
            seed: sampling.seed,
        };
        Self {
            prompt: tokens.len(),
            tokens,
            computed: 0,
            table: BlockTable::new(),
            rng: sampling_rng(params.seed),
            params,
            decoder: Decoder::new(),
            text: OutputText::default(),
            queued: Instant::now(),
            first_token: None,
            last_token: None,
            retracted: false,
            done: false,
            request,
        }
    }

    /// Tokens generated so far.
    pub(super) fn generated(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// Tokens that it may still generate.
    pub(super) fn remaining(&self) -> usize {
        self.request.stop.max_new_tokens.saturating_sub(self.generated())
    }

    /// Tokens to compute before the next can be chosen; one while it decodes.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether its prompt (or, after a retraction, all it had) is not computed yet.
    pub(super) fn prefilling(&self) -> bool {
        self.generated() == 0 || self.pending() > 1
    }
}
