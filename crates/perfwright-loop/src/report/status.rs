//! What `loop status`, `check` and `report` answer.

use std::fmt::Write as _;
use std::path::Path;

use perfwright_evidence::Outcome;
use perfwright_report::{Cell, Column, Document, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::{shown, usd};
use crate::error::LoopError;
use crate::event::{GateLine, Mark, OnFail};
use crate::git;
use crate::journal::read_campaign;
use crate::registry::{HeadFile, Look, Registry};
use crate::review::outcome;
use crate::spec::Spec;
use crate::state::{Phase, RoundCost, State};
use crate::usage::Usage;

/// Schema name of [`Status`].
pub const STATUS_SCHEMA: &str = "perfwright.loop-status/v1";

/// What a campaign comes to at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Done, and the tree is still the one that was judged.
    Done,
    /// Done once; the tree has changed since, so the verdict does not hold for it.
    Reopened,
    /// Not decided yet.
    Open,
    /// Ended without success.
    Stopped,
    /// A limit was reached.
    BudgetLimited,
    /// Something from outside is missing.
    Blocked,
}

/// The verdict and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What it comes to.
    pub standing: Standing,
    /// The commit and tree it names, where it names one.
    pub judged: Option<Mark>,
    /// What stands there now.
    pub now: Option<Mark>,
    /// Why.
    pub reason: Option<String>,
}

/// One round's cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// The round.
    pub round: u32,
    /// What it cost.
    pub cost: RoundCost,
}

/// Answer of `loop status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// [`STATUS_SCHEMA`].
    pub schema: String,
    /// The campaign's name.
    pub campaign: String,
    /// A few words.
    pub title: String,
    /// Top of the work tree.
    pub root: String,
    /// The run folder.
    pub run_dir: String,
    /// The phase.
    pub phase: Phase,
    /// What the phase waits for: `execute`, `gates`, `review`, or `none`.
    pub step: String,
    /// The round, from 0.
    pub round: u32,
    /// Gates of the last judgement, then the limits of the campaign.
    pub gates: Vec<GateLine>,
    /// What it comes to.
    pub verdict: Verdict,
    /// Criteria that are open.
    pub open_criteria: Vec<String>,
    /// Open questions to a person.
    pub questions: Vec<String>,
    /// The session that owns it.
    pub session: Option<String>,
    /// Tool calls that hooks let pass.
    pub calls: u64,
    /// What everything cost.
    pub usage: Usage,
    /// Cost by round.
    pub rounds: Vec<Round>,
    /// Events so far.
    pub events: u64,
    /// Whether the run is closed.
    pub closed: bool,
}

/// Reads a campaign's status for the folder `dir`.
///
/// # Errors
/// There is no campaign, or its records are damaged.
pub fn status(registry: &Registry, dir: &Path) -> Result<Status, LoopError> {
    let head = match registry.look(dir) {
        Look::Known(head) => head,
        Look::Damaged { why, .. } => return Err(LoopError::Tampered(why)),
        Look::None => return Err(LoopError::None(dir.to_owned())),
    };
    status_of(registry, &head)
}

pub(super) fn status_of(registry: &Registry, head: &HeadFile) -> Result<Status, LoopError> {
    let read = read_campaign(&head.run_dir, Some(head))?;
    let (s, spec) = (&read.state, &read.spec);
    let now = git::mark(&head.root).ok();
    let mut gates = s.gates.clone();
    gates.extend(limit_lines(s));
    Ok(Status {
        schema: STATUS_SCHEMA.to_owned(),
        campaign: spec.campaign.clone(),
        title: spec.title.clone(),
        root: spec.root.clone(),
        run_dir: head.run_dir.to_string_lossy().into_owned(),
        phase: s.phase,
        step: if s.phase.is_active() { format!("{:?}", s.step).to_lowercase() } else { "none".to_owned() },
        round: s.round,
        gates,
        verdict: verdict(s, now),
        open_criteria: s.open_criteria.clone(),
        questions: s.questions.clone(),
        session: s.session.as_ref().map(|s| s.id.clone()),
        calls: registry.calls(&head.root),
        usage: s.usage,
        rounds: s.rounds.iter().map(|(round, cost)| Round { round: *round, cost: cost.clone() }).collect(),
        events: s.events,
        closed: head.closed,
    })
}

/// What a state comes to, with `now` in the tree.
pub(crate) fn verdict(s: &State, now: Option<Mark>) -> Verdict {
    let same = match (&s.clean, &now) {
        (Some(clean), Some(now)) => clean.tree == now.tree,
        _ => false,
    };
    let standing = match s.phase {
        Phase::Done if same => Standing::Done,
        Phase::Done => Standing::Reopened,
        Phase::Stopped => Standing::Stopped,
        Phase::BudgetLimited => Standing::BudgetLimited,
        Phase::Blocked => Standing::Blocked,
        Phase::Plan | Phase::Rounds | Phase::CodeReview | Phase::Finalize => Standing::Open,
    };
    let reason = match standing {
        Standing::Reopened => Some("the tree is not the one that was judged".to_owned()),
        _ => s.reason.clone(),
    };
    let judged = if s.phase == Phase::Done { s.clean.clone() } else { s.judged.clone() };
    Verdict { standing, judged, now, reason }
}

/// The limits of the campaign as gate lines: what is used, and what there is.
pub(crate) fn limit_lines(s: &State) -> Vec<GateLine> {
    let l = &s.limits;
    let line = |id: &str, used: u64, limit: Option<u64>, holds: bool, what: &str| GateLine {
        id: id.to_owned(),
        kind: "limit".to_owned(),
        outcome: match (limit, holds) {
            (None, _) => Outcome::NotApplicable,
            (Some(_), true) => Outcome::Pass,
            (Some(_), false) => Outcome::Fail,
        },
        on_fail: OnFail::Stop,
        machine: false,
        measured: Some(used.into()),
        threshold: limit.map(Into::into),
        reason: what.to_owned(),
    };
    let most = |id: &str, used: u64, limit: Option<u64>, what: &str| {
        line(id, used, limit, limit.is_none_or(|limit| used <= limit), what)
    };
    let below = |id: &str, used: u32, limit: u32, what: &str| {
        line(id, used.into(), Some(limit.into()), used < limit, what)
    };
    vec![
        most("budget-tokens", s.usage.tokens(), l.tokens, "tokens of executor and reviewer"),
        most("budget-usd", s.usage.micro_usd, l.micro_usd, "micro-dollars as the hosts state them"),
        most("budget-wall", s.usage.wall_ms, l.wall_ms, "milliseconds of work"),
        most("budget-reviews", s.reviews.into(), Some(l.max_reviews.into()), "reviews"),
        below("max-rounds", s.round, l.max_rounds, "rounds"),
        below("stagnation", s.stagnant, l.stagnant_rounds, "rounds in a row that left the tree as it was"),
        below("drift", s.stalled, l.stall_rounds, "rounds in a row without progress"),
        below("idle-blocks", s.idle, l.idle_blocks, "refused stops in a row without work between"),
    ]
}

/// The status as a document.
#[must_use]
pub fn document(status: &Status) -> Document {
    let mut doc = Document::new("Campaign");
    doc.fact("campaign", Cell::text(format!("{} {}", status.campaign, status.title)));
    doc.fact("work tree", Cell::text(&status.root));
    doc.fact("run", Cell::text(&status.run_dir));
    doc.fact(
        "phase",
        Cell::text(format!("{}, round {}, next {}", status.phase.name(), status.round, status.step)),
    );
    doc.fact("verdict", Cell::word(&status.verdict.standing));
    if let Some(mark) = &status.verdict.judged {
        doc.fact("judged tree", Cell::text(format!("{} (commit {})", mark.tree, mark.commit)));
    }
    if let Some(reason) = &status.verdict.reason {
        doc.fact("reason", Cell::text(reason));
    }
    doc.fact("open criteria", Cell::text(status.open_criteria.join(", ")));
    doc.fact("tokens", Cell::count(status.usage.tokens()));
    doc.fact("cost", Cell::text(usd(status.usage.micro_usd)));
    doc.fact("work", Cell::duration_ns(status.usage.wall_ms.saturating_mul(1_000_000)));
    for question in &status.questions {
        doc.warnings.push(format!("open question: {question}"));
    }
    doc.tables.extend([gates_table(&status.gates), cost_table(&status.rounds)]);
    doc
}

/// What gates said.
pub(super) fn gates_table(lines: &[GateLine]) -> Table {
    let mut gates = Table::new(
        "gates",
        "Gates",
        vec![
            Column::text("gate", "Gate"),
            Column::text("outcome", "Outcome"),
            Column::text("on_fail", "On failure"),
            Column::text("measured", "Measured"),
            Column::text("threshold", "Threshold"),
            Column::text("reason", "Reason"),
        ],
    );
    for gate in lines {
        gates.push(vec![
            Cell::text(&gate.id),
            Cell::text(outcome(gate.outcome)),
            Cell::word(&gate.on_fail),
            shown(gate.measured.as_ref()),
            shown(gate.threshold.as_ref()),
            Cell::text(&gate.reason),
        ]);
    }
    gates
}

/// What each round cost.
pub(super) fn cost_table(costs: &[Round]) -> Table {
    let mut rounds = Table::new(
        "rounds",
        "Cost by round",
        vec![
            Column::number("round", "Round"),
            Column::number("executor_tokens", "Executor tokens"),
            Column::number("reviewer_tokens", "Reviewer tokens"),
            Column::text("usd", "USD"),
            Column::number("work", "Work"),
        ],
    );
    for round in costs {
        let both = round.cost.executor.plus(&round.cost.reviewer);
        let work = both.wall_ms.saturating_add(round.cost.gates_ms);
        rounds.push(vec![
            Cell::count(round.round.into()),
            Cell::count(round.cost.executor.tokens()),
            Cell::count(round.cost.reviewer.tokens()),
            Cell::text(usd(both.micro_usd)),
            Cell::duration_ns(work.saturating_mul(1_000_000)),
        ]);
    }
    rounds
}

/// The report that a closed campaign holds.
pub(crate) fn markdown(s: &State, spec: &Spec) -> String {
    let mut out = format!("# {}\n\n", spec.title);
    let found = verdict(s, s.clean.clone());
    let _ = writeln!(
        out,
        "Verdict: {} after {} rounds and {} reviews.",
        Cell::word(&found.standing).shown(),
        s.round + 1,
        s.reviews
    );
    if let Some(reason) = &s.reason {
        let _ = writeln!(out, "Reason: {reason}.");
    }
    let _ = writeln!(out, "Base: commit {} (tree {}).", spec.base.commit, spec.base.tree);
    if let Some(mark) = &found.judged {
        let _ = writeln!(out, "Judged: commit {} (tree {}).", mark.commit, mark.tree);
    }
    let _ = writeln!(
        out,
        "Cost: {} tokens, {} micro-dollars, {} ms.",
        s.usage.tokens(),
        s.usage.micro_usd,
        s.usage.wall_ms
    );
    out.push_str("\n## Criteria\n\n");
    for criterion in &spec.criteria {
        let state = if s.open_criteria.contains(&criterion.id) { "open" } else { "met" };
        let _ = writeln!(out, "- {} ({state}): {}", criterion.id, criterion.text);
    }
    out.push_str("\n## Last gates\n\n");
    for gate in &s.gates {
        let _ = writeln!(out, "- {}: {} ({})", gate.id, outcome(gate.outcome), gate.reason);
    }
    out
}
