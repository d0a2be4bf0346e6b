//! Where a campaign stands: plain data that [`crate::transition::apply`] computes from events, and nothing else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{DeviceMemory, Driver, GateLine, Mark};
use crate::limits::Limits;
use crate::usage::Usage;

/// The phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The plan is being made; nothing is locked.
    Plan,
    /// Rounds of work and review towards the criteria.
    Rounds,
    /// The whole change is reviewed as code.
    CodeReview,
    /// Last simplifications, reviewed too.
    Finalize,
    /// Every gate passed and the reviewer found nothing on the tree that the verdict names.
    Done,
    /// Ended without success.
    Stopped,
    /// A budget is used up.
    BudgetLimited,
    /// Something from outside is missing.
    Blocked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 8] = [
        Self::Plan,
        Self::Rounds,
        Self::CodeReview,
        Self::Finalize,
        Self::Done,
        Self::Stopped,
        Self::BudgetLimited,
        Self::Blocked,
    ];

    /// Work goes on in it.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Rounds | Self::CodeReview | Self::Finalize)
    }

    /// The campaign has ended, unless a person or a change of the tree brings it back.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Stopped | Self::BudgetLimited)
    }

    /// The name as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Rounds => "rounds",
            Self::CodeReview => "code-review",
            Self::Finalize => "finalize",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::BudgetLimited => "budget-limited",
            Self::Blocked => "blocked",
        }
    }
}

/// What an active phase waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Work of the executor.
    Execute,
    /// The gates.
    Gates,
    /// The reviewer.
    Review,
}

/// A command of ours that was running when the ledger was last written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Running {
    /// `executor` or `reviewer`.
    pub role: String,
    /// Attempt number.
    pub attempt: u32,
    /// Process id, 0 for a session.
    pub pid: u32,
    /// Start time in clock ticks.
    pub pid_start: u64,
    /// What it works on.
    pub mark: Mark,
}

/// The session that moves a campaign on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The host's session id.
    pub id: String,
    /// `claude` or `codex`.
    pub host: String,
}

/// The last stop that a hook answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastStop {
    /// Whether the session could end its turn.
    pub allow: bool,
    /// Tool calls then.
    pub calls: u64,
    /// Tree then.
    pub tree: String,
}

/// Cost of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoundCost {
    /// The executor's.
    pub executor: Usage,
    /// The reviewer's.
    pub reviewer: Usage,
    /// Of the gates, in milliseconds.
    pub gates_ms: u64,
}

/// Where a campaign stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// The phase.
    pub phase: Phase,
    /// What the phase waits for, where it is active.
    pub step: Step,
    /// The round, from 0.
    pub round: u32,
    /// Who moves it on.
    pub driver: Driver,
    /// What it may cost.
    pub limits: Limits,
    /// What it started from.
    pub base: Option<Mark>,
    /// Acceptance criteria of the plan.
    pub criteria: Vec<String>,
    /// Criteria that the last review saw open; all of them before the first.
    pub open_criteria: Vec<String>,
    /// Questions of the last review to a person.
    pub questions: Vec<String>,
    /// What a person answered, for the next prompt.
    pub answer: Option<String>,
    /// The session that owns it, for hooks.
    pub session: Option<Session>,
    /// Attempts of the executor.
    pub attempts: u32,
    /// Reviews begun.
    pub reviews: u32,
    /// Unusable reviews in a row.
    pub invalid_reviews: u32,
    /// Why the last review was unusable.
    pub invalid_reason: Option<String>,
    /// Rounds in a row without progress.
    pub stalled: u32,
    /// Rounds in a row that left the tree as it was.
    pub stagnant: u32,
    /// Refused stops in a row without a tool call or a change between.
    pub idle: u32,
    /// The next round has to plan anew.
    pub replan: bool,
    /// Hash of the last blocking findings.
    pub findings_sha256: Option<String>,
    /// The gates of the last judgement.
    pub gates: Vec<GateLine>,
    /// What they judged.
    pub judged: Option<Mark>,
    /// The tree of the judgement before, for stagnation.
    pub last_tree: Option<String>,
    /// What the code review, and in the end the verdict, found clean.
    pub clean: Option<Mark>,
    /// A command of ours at work.
    pub running: Option<Running>,
    /// The least memory in use on each device before an attempt; empty where no tool tells.
    pub devices: Vec<DeviceMemory>,
    /// What everything cost.
    pub usage: Usage,
    /// Of that, the executor: what a session's transcript is compared with.
    pub executor_usage: Usage,
    /// Cost by round.
    pub rounds: BTreeMap<u32, RoundCost>,
    /// The last stop that was answered.
    pub last_stop: Option<LastStop>,
    /// Where to go on after [`Phase::Blocked`], [`Phase::BudgetLimited`] or a limit.
    pub back: Option<(Phase, Step)>,
    /// Why it is where it is, for phases that need a reason.
    pub reason: Option<String>,
    /// Events so far.
    pub events: u64,
}

impl State {
    /// Before the first event.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Phase::Plan,
            step: Step::Execute,
            round: 0,
            driver: Driver::Owner,
            limits: Limits::default(),
            base: None,
            criteria: Vec::new(),
            open_criteria: Vec::new(),
            questions: Vec::new(),
            answer: None,
            session: None,
            attempts: 0,
            reviews: 0,
            invalid_reviews: 0,
            invalid_reason: None,
            stalled: 0,
            stagnant: 0,
            idle: 0,
            replan: false,
            findings_sha256: None,
            gates: Vec::new(),
            judged: None,
            last_tree: None,
            clean: None,
            running: None,
            devices: Vec::new(),
            usage: Usage::default(),
            executor_usage: Usage::default(),
            rounds: BTreeMap::new(),
            last_stop: None,
            back: None,
            reason: None,
            events: 0,
        }
    }

    /// Ids of the gates that refuse in the last judgement.
    #[must_use]
    pub fn refusing(&self) -> Vec<&GateLine> {
        self.gates.iter().filter(|g| g.refuses()).collect()
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// What has to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The plan has to be locked.
    Start,
    /// The executor has to work.
    Execute,
    /// The gates have to be evaluated.
    Judge,
    /// The reviewer has to look.
    Review,
    /// A person or a resource is needed.
    Wait,
    /// Nothing.
    End,
}

/// What has to happen next, as the state has it.
#[must_use]
pub fn next(state: &State) -> Action {
    match state.phase {
        Phase::Plan => Action::Start,
        Phase::Blocked => Action::Wait,
        Phase::Done | Phase::Stopped | Phase::BudgetLimited => Action::End,
        Phase::Rounds | Phase::CodeReview | Phase::Finalize => match state.step {
            Step::Execute => Action::Execute,
            Step::Gates => Action::Judge,
            Step::Review => Action::Review,
        },
    }
}
