//! A campaign as its run folder tells it: every event with its moment, every file with its hash.

use std::path::Path;

use perfwright_evidence::{Evidence, timestamp_ms};

use super::status::{Status, status_of};
use crate::error::LoopError;
use crate::event::{Event, GateLine, Mark, ReviewResult};
use crate::journal::{KIND, Read, checked_ledger, events_of, read_checked};
use crate::registry::{Look, Registry};
use crate::spec::Spec;
use crate::state::{Phase, State};
use crate::transition::apply;

/// A campaign with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The contract.
    pub spec: Spec,
    /// Where it stands.
    pub state: State,
    /// The same, as `loop status` answers it.
    pub status: Status,
    /// Its events in their order.
    pub moments: Vec<Moment>,
    /// Its files in the order of recording.
    pub evidence: Vec<Recorded>,
    /// What was checked to read this.
    pub chain: Chain,
}

/// One event, and where the campaign stood before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Line in the ledger, from 1.
    pub line: u64,
    /// The phase.
    pub phase: Phase,
    /// The round.
    pub round: u32,
    /// What happened.
    pub event: Event,
}

/// One recorded file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Line in the ledger, from 1.
    pub line: u64,
    /// Name, size, hash and basis.
    pub evidence: Evidence,
}

/// What the ledger's chain comes to. An account is only given of a chain that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Lines, each hashed with the line before it.
    pub lines: u64,
    /// SHA-256 of the last one.
    pub head: String,
    /// Whether it ends there by the head outside of the work tree, rather than one event before.
    pub at_head: bool,
    /// Whether the run is closed.
    pub closed: bool,
}

/// Reads the campaign of the folder `dir`.
///
/// # Errors
/// There is no campaign, or its records are damaged.
pub fn account(registry: &Registry, dir: &Path) -> Result<Account, LoopError> {
    let head = match registry.look(dir) {
        Look::Known(head) => head,
        Look::Damaged { why, .. } => return Err(LoopError::Tampered(why)),
        Look::None => return Err(LoopError::None(dir.to_owned())),
    };
    let ledger = checked_ledger(&head.run_dir, Some(&head))?;
    let Read { spec, state, .. } = read_checked(&head.run_dir, &ledger)?;
    let status = status_of(registry, &head)?;
    let chain = Chain {
        lines: ledger.lines,
        head: ledger.head.clone(),
        at_head: ledger.head == head.head,
        closed: ledger.closed,
    };
    let mut evidence = Vec::new();
    let mut moments = Vec::new();
    let (mut events, mut stands) = (events_of(&ledger), State::new());
    for entry in &ledger.events {
        let at_ms = timestamp_ms(&entry.at).unwrap_or_default();
        if entry.kind == "evidence" {
            let read = entry.data.read::<Evidence>().map_err(|e| {
                LoopError::Tampered(format!("line {} of the ledger records no file: {e}", entry.line))
            })?;
            evidence.push(Recorded { at_ms, line: entry.line, evidence: read });
        } else if entry.kind == KIND
            && let Some(event) = events.next()
        {
            let event = event?;
            let next = apply(&stands, &event)?;
            moments.push(Moment { at_ms, line: entry.line, phase: stands.phase, round: stands.round, event });
            stands = next;
        }
    }
    Ok(Account { spec, state, status, moments, evidence, chain })
}

/// What happened in one round.
#[derive(Debug, Default)]
pub(super) struct RoundStory<'a> {
    pub(super) round: u32,
    /// Of the first event; begin and end of the round.
    pub(super) phase: Option<Phase>,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Each judgement with its line in the ledger.
    pub(super) judged: Vec<(u64, &'a Mark, &'a [GateLine])>,
    pub(super) reviewed: Vec<(u64, &'a ReviewResult)>,
}

impl Account {
    /// When it began, in milliseconds since 1970.
    #[must_use]
    pub fn start_ms(&self) -> i64 {
        self.moments.first().map_or(0, |m| m.at_ms)
    }

    /// The rounds, each up to where the next one begins.
    pub(super) fn rounds(&self) -> Vec<RoundStory<'_>> {
        let mut rounds: Vec<RoundStory> = Vec::new();
        for moment in self.moments.iter().filter(|m| m.phase != Phase::Plan) {
            if rounds.last().is_none_or(|r| r.round != moment.round) {
                let (round, phase) = (moment.round, Some(moment.phase));
                let before = rounds.last().map_or(self.start_ms(), |r| r.end_ms);
                rounds.push(RoundStory {
                    round,
                    phase,
                    start_ms: before,
                    end_ms: moment.at_ms,
                    ..RoundStory::default()
                });
            }
            let Some(round) = rounds.last_mut() else { continue };
            round.end_ms = round.end_ms.max(moment.at_ms);
            match &moment.event {
                Event::Judged { mark, gates, .. } => round.judged.push((moment.line, mark, gates)),
                Event::Reviewed { result, .. } => round.reviewed.push((moment.line, result)),
                _ => {}
            }
        }
        rounds
    }
}
