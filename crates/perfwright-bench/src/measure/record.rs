//! One line for each request. Times are nanoseconds from the start of the run (of the warm-up, for its requests).

use perfwright_client::exchange::Exchange;
use serde::{Deserialize, Serialize};

use crate::workload::Turn;

/// Which part of a run a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the measurement.
    Warmup,
    /// Measured.
    Measured,
}

/// What happened to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Session.
    pub session: u64,
    /// Turn in the session.
    pub turn: u32,
    /// Part of the run.
    pub phase: Phase,
    /// When it was meant to be sent; in a closed loop, when its slot was free.
    pub intended_ns: u64,
    /// When the client took it up. The difference is the client's own lateness.
    pub picked_ns: u64,
    /// When it left the queue that `max_concurrency` makes.
    pub started_ns: u64,
    /// When it was handed to the connection that answered.
    pub sent_ns: Option<u64>,
    /// When the head of the answer was there.
    pub head_ns: Option<u64>,
    /// First token of either kind.
    pub first_token_ns: Option<u64>,
    /// First token of content.
    pub first_content_ns: Option<u64>,
    /// Last token.
    pub last_token_ns: Option<u64>,
    /// Last event.
    pub end_ns: Option<u64>,
    /// Gaps between events that carry tokens.
    pub gaps_ns: Vec<u64>,
    /// Events that carry content.
    pub content_chunks: u64,
    /// Events that carry reasoning only.
    pub reasoning_chunks: u64,
    /// Why it is no success; absent for a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What the server or the system said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// Words of the prompt, without what came before in the session.
    pub input_nominal: u64,
    /// Tokens asked for.
    pub output_asked: u64,
    /// Tokens of the prompt as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens generated as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Tokens from a prefix cache as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Milliseconds in the server's queue as it stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<f64>,
    /// Milliseconds of the prompt as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_prompt_ms: Option<f64>,
    /// Milliseconds of generation as the server stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_decode_ms: Option<f64>,
    /// Verification steps of speculative decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_steps: Option<u64>,
    /// Drafted tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafted: Option<u64>,
    /// Accepted drafted tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Finish reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// `[DONE]` was seen.
    pub done: bool,
    /// Retries on a fresh connection.
    pub retries: u32,
    /// The connection had been used before.
    pub reused: bool,
}

impl Record {
    /// The record of an exchange. Without a scheduled time the request was meant to be sent when it was picked up.
    pub(crate) fn new(
        session: u64,
        turn_number: u32,
        phase: Phase,
        scheduled_ns: Option<u64>,
        picked_ns: u64,
        turn: &Turn,
        ex: Exchange,
    ) -> Self {
        Self {
            session,
            turn: turn_number,
            phase,
            intended_ns: scheduled_ns.unwrap_or(picked_ns),
            picked_ns,
            started_ns: ex.started_ns,
            sent_ns: ex.sent_ns,
            head_ns: ex.head_ns,
            first_token_ns: ex.first_token_ns,
            first_content_ns: ex.first_content_ns,
            last_token_ns: ex.last_token_ns,
            end_ns: ex.end_ns,
            gaps_ns: ex.gaps_ns,
            content_chunks: ex.content_chunks,
            reasoning_chunks: ex.reasoning_chunks,
            failure: ex.failure.as_ref().map(|f| f.class.to_string()),
            detail: ex.failure.map(|f| f.detail),
            http: ex.http,
            input_nominal: u64::from(turn.input_nominal),
            output_asked: u64::from(turn.output),
            prompt_tokens: ex.usage.prompt_tokens,
            completion_tokens: ex.usage.completion_tokens,
            cached_tokens: ex.usage.cached_tokens,
            queue_ms: ex.extras.queue_ms,
            server_prompt_ms: ex.extras.server_prompt_ms,
            server_decode_ms: ex.extras.server_decode_ms,
            verify_steps: ex.extras.verify_steps,
            drafted: ex.extras.drafted,
            accepted: ex.extras.accepted,
            finish: ex.finish,
            done: ex.done,
            retries: ex.retries,
            reused: ex.reused,
        }
    }

    /// True for an answer that came whole and does not contradict itself.
    pub fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    /// Tokens generated: as stated, else one for each event that carried some.
    pub fn output_tokens(&self) -> u64 {
        self.completion_tokens.unwrap_or(self.content_chunks + self.reasoning_chunks)
    }

    /// Tokens of the prompt: as stated, else its words.
    pub fn input_tokens(&self) -> u64 {
        self.prompt_tokens.unwrap_or(self.input_nominal)
    }

    /// Milliseconds from the intended send time to the first token.
    pub fn ttft_ms(&self) -> Option<f64> {
        ms(self.intended_ns, self.first_token_ns)
    }

    /// Milliseconds from the intended send time to the last event.
    pub fn e2e_ms(&self) -> Option<f64> {
        ms(self.intended_ns, self.end_ns)
    }

    /// Mean milliseconds of each token after the first: `(E2E - TTFT) / (tokens - 1)`. None for a single token.
    pub fn tpot_ms(&self) -> Option<f64> {
        let tokens = self.output_tokens();
        let span = ms(self.first_token_ns?, self.end_ns)?;
        (tokens > 1).then(|| span / (tokens - 1) as f64)
    }
}

/// Milliseconds between two times.
pub(super) fn ms(from: u64, to: Option<u64>) -> Option<f64> {
    Some((i128::from(to?) - i128::from(from)) as f64 / 1e6)
}

/// One line of JSON for each record.
pub fn write_records(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.push(b'\n');
    }
    Ok(out)
}

/// The records of such lines.
///
/// # Errors
/// The number of the line that is no record, and why.
pub fn read_records(bytes: &[u8]) -> Result<Vec<Record>, (usize, serde_json::Error)> {
    let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty());
    lines.map(|(i, line)| serde_json::from_slice(line).map_err(|e| (i + 1, e))).collect()
}
