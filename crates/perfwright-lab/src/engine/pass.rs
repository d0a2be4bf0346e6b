//! One pass of the model: which tokens it holds, its run, the tokens it gives.

use std::panic::Location;
use std::time::{Duration, Instant};

use super::queue::Requests;
use super::sequence::Sequence;
use crate::kineto::recorder::{Profile, Sampled};
use crate::settings::EngineSettings;
use crate::{KvCache, LabError, Model, SeqChunk, TokenLogprobs, logprobs, sample_with};

/// What kind of pass it is; names are SGLang's forward modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Prompts, or pieces of prompts.
    Extend,
    /// One token of each request.
    Decode,
    /// Both.
    Mixed,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Extend => "EXTEND",
            Self::Decode => "DECODE",
            Self::Mixed => "MIXED",
        }
    }
}

/// A request's part in a pass.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Which of the running requests.
    at: usize,
    tokens: usize,
    prefill: bool,
}

/// What a pass computes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) mode: Mode,
    parts: Vec<Part>,
}

/// What a pass did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) mode: Mode,
    /// Prompt tokens computed.
    pub(super) prefill_tokens: usize,
    /// Requests that decoded a token.
    pub(super) decoded: usize,
    pub(super) took: Duration,
    /// The next tokens: which of the running requests, token, log-probabilities.
    pub(super) chosen: Vec<(usize, u32, Option<TokenLogprobs>)>,
    /// Requests whose prompt is not finished after the pass.
    pub(super) unfinished: usize,
    /// Requests with prompt tokens in the pass.
    pub(super) prefilled: usize,
}

/// A pass over prompts, if any request has one left.
pub(super) fn plan_prefill(requests: &Requests, settings: &EngineSettings) -> Option<Plan> {
    let mut budget = settings.chunked_prefill_size.unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    for (at, sequence) in requests.running.iter().enumerate().filter(|(_, s)| s.prefilling()) {
        let tokens = sequence.pending().min(budget);
        if tokens == 0 {
            break;
        }
        budget -= tokens;
        parts.push(Part { at, tokens, prefill: true });
    }
    if parts.is_empty() {
        return None;
    }
    if settings.mixed_chunk {
        let ready = |(at, s): (usize, &Sequence)| (!s.prefilling()).then_some(at);
        let decoding = requests.running.iter().enumerate().filter_map(ready);
        parts.extend(decoding.map(|at| Part { at, tokens: 1, prefill: false }));
    }
    let mixed = parts.iter().any(|part| !part.prefill);
    Some(Plan { mode: if mixed { Mode::Mixed } else { Mode::Extend }, parts })
}

/// A pass that gives each running request its next token.
pub(super) fn plan_decode(requests: &Requests) -> Option<Plan> {
    let parts: Vec<Part> =
        (0..requests.running.len()).map(|at| Part { at, tokens: 1, prefill: false }).collect();
    (!parts.is_empty()).then_some(Plan { mode: Mode::Decode, parts })
}

impl Plan {
    /// SGLang's annotation of a pass: requests, query tokens, and for prompts (`c`) and generation (`g`) the sums of
    /// query and key lengths.
    fn label(&self, running: &[Sequence]) -> String {
        let sums = |prefill: bool| {
            let mut sums = (0, 0);
            for part in self.parts.iter().filter(|part| part.prefill == prefill) {
                sums.0 += part.tokens;
                sums.1 += running.get(part.at).map_or(0, |s| s.computed + part.tokens);
            }
            sums
        };
        let ((c_q, c_k), (g_q, g_k)) = (sums(true), sums(false));
        let mut label = format!("step[{} bs={} toks={}", self.mode.name(), self.parts.len(), c_q + g_q);
        if c_q > 0 {
            label.push_str(&format!(" c_sq={c_q} c_sk={c_k}"));
        }
        if g_q > 0 {
            label.push_str(&format!(" g_sq={g_q} g_sk={g_k}"));
        }
        label.push(']');
        label
    }

    /// Runs the pass and chooses tokens; the requests' tokens are extended by the caller.
    pub(super) fn run(
        &self,
        model: &mut Model,
        kv: &mut KvCache,
        requests: &mut Requests,
        slow: Option<Duration>,
        profile: Option<&mut Profile>,
    ) -> Result<Done, LabError> {
        let began = Instant::now();
        let has_prefill = self.mode != Mode::Decode;
        if let Some(slow) = slow.filter(|_| has_prefill) {
            std::thread::sleep(slow);
        }
        let running = &mut requests.running;
        let mut recording = profile.and_then(|profile| profile.begin(self.mode, || self.label(running)));
        let chunks: Vec<SeqChunk<'_>> = self
            .parts
            .iter()
            .filter_map(|part| {
                let sequence = running.get(part.at)?;
                let end = sequence.computed + part.tokens;
                Some(SeqChunk {
                    table: &sequence.table,
                    start: sequence.computed,
                    tokens: sequence.tokens.get(sequence.computed..end)?,
                    want_logits: end == sequence.tokens.len(),
                })
            })
            .collect();
        let observer = recording.as_mut().map(|recording| &mut recording.observer);
        let logits = model.forward(kv, &chunks, observer)?;
        drop(chunks);
        let sampling = recording.as_ref().map(|recording| recording.observer.now_ns());
        let kind = model.ops().sampling.clone();
        let mut rows = logits.rows();
        let mut chosen = Vec::new();
        for part in &self.parts {
            let Some(sequence) = running.get_mut(part.at) else { continue };
            sequence.computed += part.tokens;
            if sequence.computed < sequence.tokens.len() {
                continue;
            }
            let Some(row) = rows.next() else { continue };
            let token = sample_with(&kind, row, &sequence.params, &mut sequence.rng)?;
            let alternatives = sequence.request.logprobs.map(|top| logprobs(row, token, top));
            chosen.push((part.at, token, alternatives));
        }
        if let (Some(recording), Some(start)) = (recording, sampling) {
            let sampled = Sampled {
                start,
                rows: logits.len(),
                vocab: model.config().vocab_size,
                fused: kind.is_fused(),
            };
            recording.end(sampled, Location::caller());
        }
        let prefill = || self.parts.iter().filter(|part| part.prefill);
        let unfinished =
            prefill().filter(|part| running.get(part.at).is_some_and(|s| s.pending() > 0)).count();
        Ok(Done {
            mode: self.mode,
            prefill_tokens: prefill().map(|part| part.tokens).sum(),
            decoded: self.parts.iter().filter(|part| !part.prefill).count(),
            took: began.elapsed(),
            chosen,
            unfinished,
            prefilled: prefill().count(),
        })
    }
}
