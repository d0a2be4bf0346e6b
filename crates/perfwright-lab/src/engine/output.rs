//! From a chosen token to what the client gets.

use std::time::Instant;

use super::request::{Chunk, Finish, TokenLogprob};
use super::sequence::Sequence;
use super::shared::Shared;
use crate::{TokenLogprobs, Tokenizer};

/// Appends a token to a request and sends it. Returns false when nobody listens any more.
pub(super) fn push_token(
    sequence: &mut Sequence,
    token: u32,
    alternatives: Option<TokenLogprobs>,
    tokenizer: Tokenizer,
    shared: &Shared,
) -> bool {
    sequence.tokens.push(token);
    note_times(sequence, shared);
    let chunk = chunk(sequence, token, alternatives, tokenizer);
    sequence.done = chunk.finish.is_some();
    let heard = sequence.request.events.send(chunk).is_ok();
    shared.note_output();
    heard
}

fn chunk(
    sequence: &mut Sequence,
    token: u32,
    alternatives: Option<TokenLogprobs>,
    tokenizer: Tokenizer,
) -> Chunk {
    let mut chunk = Chunk { ids: vec![token], ..Chunk::default() };
    if let Some(TokenLogprobs { chosen, top }) = alternatives {
        chunk.logprobs.push(TokenLogprob { id: token, logprob: chosen, top });
    }
    let stop = &sequence.request.stop;
    let ends = stop.token_ids.contains(&token) || (!stop.ignore_eos && tokenizer.is_end(token));
    if ends {
        let rest = sequence.decoder.finish().unwrap_or_default();
        chunk.text = sequence.text.finish(&rest);
        chunk.finish = Some(Finish::StopToken(token));
        return chunk;
    }
    let decoded = sequence.decoder.push(token).unwrap_or_default();
    let pushed = sequence.text.push(&decoded, &stop.strings);
    chunk.text = pushed.text;
    if let Some(text) = pushed.stopped {
        chunk.finish = Some(Finish::StopString(text));
    } else if sequence.tokens.len() - sequence.prompt >= stop.max_new_tokens {
        let rest = sequence.decoder.finish().unwrap_or_default();
        chunk.text.push_str(&sequence.text.finish(&rest));
        chunk.finish = Some(Finish::Length(stop.max_new_tokens));
    }
    chunk
}

fn note_times(sequence: &mut Sequence, shared: &Shared) {
    let now = Instant::now();
    let metrics = &shared.metrics;
    let counted = sequence.request.counted;
    match sequence.last_token.replace(now) {
        None => {
            sequence.first_token = Some(now);
            if counted {
                metrics.ttft.observe((now - sequence.request.arrived).as_secs_f64());
            }
        }
        Some(last) if counted => metrics.itl.observe((now - last).as_secs_f64()),
        Some(_) => {}
    }
}

/// Counts a request that ended, for whatever reason.
pub(super) fn count_end(sequence: &Sequence, aborted: bool, shared: &Shared) {
    use std::sync::atomic::Ordering;
    shared.open.fetch_sub(1, Ordering::AcqRel);
    if !sequence.request.counted {
        return;
    }
    let metrics = &shared.metrics;
    metrics.requests.one();
    metrics.prompt_tokens.add(sequence.prompt as f64);
    metrics.generation_tokens.add(sequence.generated() as f64);
    if aborted {
        metrics.aborted.one();
        return;
    }
    metrics.prompt_lengths.observe(sequence.prompt as f64);
    metrics.generation_lengths.observe(sequence.generated() as f64);
    metrics.e2e.observe(sequence.request.arrived.elapsed().as_secs_f64());
    if let (Some(first), Some(last)) = (sequence.first_token, sequence.last_token) {
        let decode = (last - first).as_secs_f64();
        if sequence.generated() > 1 {
            metrics.tpot.observe(decode / (sequence.generated() - 1) as f64);
            metrics.stages.decode_forward.observe(decode);
        }
    }
}
