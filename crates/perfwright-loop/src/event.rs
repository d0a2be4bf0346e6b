//! What happens in a campaign. Each event is one ledger line of kind `loop`; the state is a function of them.

use perfwright_evidence::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::Limits;
use crate::usage::Usage;

/// What was judged: a commit and the tree in it. Two commits with one tree are the same work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Commit id.
    pub commit: String,
    /// Tree id of that commit.
    pub tree: String,
}

/// Who moves the campaign on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// `loop start` starts executor and reviewer itself.
    Owner,
    /// The stop hook of an agent's session.
    Hooks,
    /// A goal in an agent's session; `loop check` judges.
    Goal,
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ended {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended because its time was over.
    Timeout,
    /// It could not be started.
    NotStarted,
    /// The agent's session ended its turn.
    Turn,
    /// Nobody knows: the engine itself was ended meanwhile.
    Interrupted,
}

/// What a gate's failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// Another round.
    Block,
    /// Another round, which first has to plan anew.
    Replan,
    /// The end of the campaign.
    Stop,
    /// Waiting for a person or for resources.
    Wait,
    /// Nothing but a line in the report.
    Warn,
}

/// What one gate said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateLine {
    /// The gate's id in the plan or the catalogue.
    pub id: String,
    /// The kind of check.
    pub kind: String,
    /// What it said.
    pub outcome: Outcome,
    /// What a failure leads to.
    pub on_fail: OnFail,
    /// Whether it ran something or read a measurement, rather than looking at form.
    pub machine: bool,
    /// Measured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Value>,
    /// Threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Value>,
    /// Why, in one sentence.
    pub reason: String,
}

impl GateLine {
    /// Whether it keeps the campaign from going on.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self.outcome, Outcome::Fail | Outcome::HardStop) && self.on_fail != OnFail::Warn
    }
}

/// When a gate was evaluated. Times count from the beginning of the judgement, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateTime {
    /// The gate's id.
    pub id: String,
    /// When its evaluation began.
    pub start_ms: u64,
    /// How long it took.
    pub wall_ms: u64,
    /// The command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildTime>,
}

/// When a gate's command ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChildTime {
    /// When it began, from the beginning of the judgement.
    pub start_ms: u64,
    /// How long it took.
    pub wall_ms: u64,
    /// How it ended.
    pub ended: Ended,
}

/// Memory in use on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceMemory {
    /// Number on this machine.
    pub index: u32,
    /// Bytes in use.
    pub used_bytes: u64,
}

/// What a reviewer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// Nothing is left to do.
    Complete,
    /// Go on.
    Continue,
    /// Going on makes no sense.
    Stop,
}

/// Whether the goal came nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It did.
    Advanced,
    /// It did not.
    Stalled,
    /// It is further away.
    Regressed,
}

/// What came of one review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReviewResult {
    /// An answer of the right form, to the right question, about the right tree.
    Answer {
        /// What it asks for.
        verdict: ReviewVerdict,
        /// Whether the goal came nearer.
        progress: Progress,
        /// Findings that block.
        blocking: u32,
        /// Findings that do not.
        queued: u32,
        /// Hash over the blocking findings, so that a repetition is seen.
        findings_sha256: String,
        /// Acceptance criteria that are not met.
        open_criteria: Vec<String>,
        /// Questions to a person.
        questions: Vec<String>,
    },
    /// No usable answer.
    Invalid {
        /// Why.
        reason: String,
    },
    /// The tree changed while the reviewer looked at it.
    TreeChanged,
}

/// One event. Fields that end in `_ms` are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The plan is locked and the first round may begin.
    Started {
        /// Who moves it on.
        driver: Driver,
        /// What it may cost.
        limits: Limits,
        /// What it starts from.
        base: Mark,
        /// Acceptance criteria of the plan.
        criteria: Vec<String>,
    },
    /// A session took the campaign, for hooks.
    Claimed {
        /// The host's session id.
        session: String,
        /// `claude` or `codex`.
        host: String,
    },
    /// An executor works.
    ExecutorStarted {
        /// Counted over the campaign.
        attempt: u32,
        /// Process id, 0 for a session.
        pid: u32,
        /// Start time of the process in clock ticks, so that a reused id is not mistaken.
        pid_start: u64,
        /// What it starts from.
        mark: Mark,
        /// Memory in use before it; empty where no tool tells.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        devices: Vec<DeviceMemory>,
    },
    /// The executor says that it is done, or was ended.
    ExecutorEnded {
        /// As in [`Event::ExecutorStarted`].
        attempt: u32,
        /// How.
        ended: Ended,
        /// What it cost.
        usage: Usage,
        /// How long it took.
        wall_ms: u64,
    },
    /// The gates of a round were evaluated.
    Judged {
        /// What was judged.
        mark: Mark,
        /// What they said.
        gates: Vec<GateLine>,
        /// How long it took.
        wall_ms: u64,
        /// When each of them was evaluated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        times: Vec<GateTime>,
    },
    /// A reviewer works.
    ReviewStarted {
        /// Counted over the campaign.
        attempt: u32,
        /// Hash of the number that its answer must repeat.
        nonce_sha256: String,
        /// Process id.
        pid: u32,
        /// As in [`Event::ExecutorStarted`].
        pid_start: u64,
        /// What it judges.
        mark: Mark,
    },
    /// The reviewer answered, or not.
    Reviewed {
        /// As in [`Event::ReviewStarted`].
        attempt: u32,
        /// What came of it.
        result: ReviewResult,
        /// What it cost.
        usage: Usage,
        /// How long it took.
        wall_ms: u64,
    },
    /// A stop hook answered.
    StopAnswered {
        /// Whether the session may end its turn.
        allow: bool,
        /// Tool calls of the session so far.
        calls: u64,
        /// What stood in the tree.
        mark: Mark,
    },
    /// Something from outside is missing.
    Blocked {
        /// What.
        reason: String,
    },
    /// It is there now, or a person answered.
    Unblocked {
        /// What a person said, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
    },
    /// A person raised the limits of a campaign that came to them.
    Raised {
        /// The new limits.
        limits: Limits,
        /// How the person was known: `terminal` or `token`.
        by: String,
    },
    /// A person ended it.
    Cancelled {
        /// How the person was known: `terminal` or `token`.
        by: String,
    },
    /// The tree changed after the verdict.
    Reopened {
        /// What stands there now.
        mark: Mark,
    },
}

impl Event {
    /// The event's name, as it is stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Claimed { .. } => "claimed",
            Self::ExecutorStarted { .. } => "executor_started",
            Self::ExecutorEnded { .. } => "executor_ended",
            Self::Judged { .. } => "judged",
            Self::ReviewStarted { .. } => "review_started",
            Self::Reviewed { .. } => "reviewed",
            Self::StopAnswered { .. } => "stop_answered",
            Self::Blocked { .. } => "blocked",
            Self::Unblocked { .. } => "unblocked",
            Self::Raised { .. } => "raised",
            Self::Cancelled { .. } => "cancelled",
            Self::Reopened { .. } => "reopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_earlier_versions_read() {
        let mark = r#"{"commit":"c","tree":"t"}"#;
        for (text, empty) in [
            (
                format!(r#"{{"attempt":1,"mark":{mark},"pid":1,"pid_start":1,"type":"executor_started"}}"#),
                "devices",
            ),
            (format!(r#"{{"gates":[],"mark":{mark},"type":"judged","wall_ms":1}}"#), "times"),
        ] {
            let event: Event = serde_json::from_str(&text).expect("an event");
            let again = serde_json::to_string(&event).expect("JSON");
            assert!(!again.contains(empty), "{again}");
        }
    }
}
