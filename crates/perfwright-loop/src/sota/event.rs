//! What happens in a SOTA campaign. Each event is one ledger line of kind `sota`; the state is a function of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amdahl::Bound;
use super::explain::{Carrier, Explained};
use super::gap::{Gap, Range};
use super::technique::Failure;

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Boundary and baseline are locked.
    Boundary,
    /// Fair search of every framework.
    Search,
    /// Is the target behind?
    Gap,
    /// Profiles of target and competitor, tables and layers.
    Profile,
    /// Which parts carry the gap.
    Explain,
    /// Attempts: rounds of work and review.
    Attempts,
    /// Accepted changes together and each left out.
    Compose,
    /// Ended.
    End,
}

impl Stage {
    /// The word as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boundary => "boundary",
            Self::Search => "search",
            Self::Gap => "gap",
            Self::Profile => "profile",
            Self::Explain => "explain",
            Self::Attempts => "attempts",
            Self::Compose => "compose",
            Self::End => "end",
        }
    }
}

/// Why a campaign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// A gain is proven.
    Proven,
    /// The target is ahead or level: recorded, and nothing to do.
    NotBehind,
    /// The gap is not in what the target does.
    NotExplained,
    /// No attempt is left that could reach the threshold.
    NoDefensiblePatch,
    /// A budget is used up.
    Budget,
    /// The measurements decide nothing.
    Inconclusive,
}

impl Stop {
    /// The words as they are printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::NotBehind => "not behind",
            Self::NotExplained => "gap not explained",
            Self::NoDefensiblePatch => "no defensible patch",
            Self::Budget => "budget used up",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Where an idea is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idea {
    /// The source: a profile, a pull request, a paper, a person.
    pub source: String,
    /// What it says.
    pub says: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SotaEvent {
    /// Boundary, baseline and workload are locked.
    Opened {
        /// Commit that the work starts from.
        baseline: String,
        /// SHA-256 of the workload.
        workload_sha256: String,
    },
    /// A framework was searched.
    Searched {
        /// The framework.
        framework: String,
        /// The best candidate.
        winner: String,
        /// Its command.
        command: String,
        /// Candidates that were measured.
        candidates: u64,
        /// The run.
        run: String,
    },
    /// The gap was decided.
    GapDecided {
        /// The best competitor.
        competitor: String,
        /// The decision.
        gap: Gap,
        /// Gain of the competitor over the target.
        gain: Option<Range>,
        /// The run.
        run: String,
    },
    /// A side was profiled, with tables and layers.
    Profiled {
        /// `target`, `competitor` or `candidate`.
        side: String,
        /// Evidence of the tables.
        triage: String,
        /// Evidence of the layers; none where they were not cut.
        pipeline: Option<String>,
    },
    /// The gap was explained, or not.
    GapExplained {
        /// The answer.
        answer: Explained,
        /// Categories that carry it.
        carriers: Vec<Carrier>,
        /// The evidence.
        evidence: String,
    },
    /// An attempt begins.
    AttemptOpened {
        /// Counted over the campaign, from 1.
        attempt: u32,
        /// The technique.
        technique: String,
        /// What it can give.
        bound: Bound,
        /// Where the idea is from.
        idea: Idea,
        /// Commit that it starts from.
        parent: String,
    },
    /// An attempt was not begun.
    AttemptRefused {
        /// The technique.
        technique: String,
        /// Why.
        reason: String,
    },
    /// A try within an attempt was refused by gates, or the attempt failed.
    Failed {
        /// The attempt.
        attempt: u32,
        /// How.
        failure: Failure,
        /// What failed, in words that tell it from other failures.
        signature: String,
        /// What shows it.
        evidence: String,
    },
    /// An attempt was accepted.
    Accepted {
        /// The attempt.
        attempt: u32,
        /// The change.
        change: String,
        /// Its commit.
        commit: String,
        /// Gain over the baseline.
        gain: Range,
        /// The run.
        run: String,
        /// Launches of the new path.
        launches: u64,
    },
    /// A part of the accepted changes was measured against the baseline, the others switched off.
    SetMeasured {
        /// The changes that were on.
        on: Vec<String>,
        /// Gain over the baseline.
        gain: Range,
        /// The run.
        run: String,
    },
    /// Accepted changes were measured together.
    Composed {
        /// They hold together.
        holds: bool,
        /// Gain of all.
        together: Option<Range>,
        /// The evidence.
        evidence: String,
    },
    /// A stage needs a part that is not there.
    NotAvailable {
        /// What was not done.
        what: String,
        /// Why.
        why: String,
    },
    /// The end.
    Closed {
        /// Why.
        stop: Stop,
        /// In one sentence.
        reason: String,
    },
}

impl SotaEvent {
    /// The event's name, as it is stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Searched { .. } => "searched",
            Self::GapDecided { .. } => "gap_decided",
            Self::Profiled { .. } => "profiled",
            Self::GapExplained { .. } => "gap_explained",
            Self::AttemptOpened { .. } => "attempt_opened",
            Self::AttemptRefused { .. } => "attempt_refused",
            Self::Failed { .. } => "failed",
            Self::Accepted { .. } => "accepted",
            Self::SetMeasured { .. } => "set_measured",
            Self::Composed { .. } => "composed",
            Self::NotAvailable { .. } => "not_available",
            Self::Closed { .. } => "closed",
        }
    }
}
