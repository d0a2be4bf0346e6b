//! The one transition function. It is pure: a state and an event give the next state or a refusal, and replaying the
//! ledger gives the state that whoever wrote it had.

use perfwright_evidence::Outcome;

use crate::event::{Ended, Event, GateLine, Mark, OnFail, Progress, ReviewResult, ReviewVerdict};
use crate::state::{LastStop, Phase, Running, Session, State, Step};
use crate::usage::Usage;

/// An event that does not belong to the state it came in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not belong into phase {phase}, step {step}: {why}")]
pub struct Refused {
    /// The event's name.
    pub event: &'static str,
    /// The phase's name.
    pub phase: &'static str,
    /// The step.
    pub step: String,
    /// Why.
    pub why: &'static str,
}

/// The state after `event`.
///
/// # Errors
/// The event does not belong here; the state is then unchanged.
pub fn apply(state: &State, event: &Event) -> Result<State, Refused> {
    let mut next = state.clone();
    match step(&mut next, event) {
        Ok(()) => {
            next.events += 1;
            Ok(next)
        }
        Err(why) => Err(Refused {
            event: event.name(),
            phase: state.phase.name(),
            step: format!("{:?}", state.step).to_lowercase(),
            why,
        }),
    }
}

/// The state after all of `events`.
///
/// # Errors
/// The number of the first event that does not belong, from 0, and why.
pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<State, (usize, Refused)> {
    let mut state = State::new();
    for (n, event) in events.into_iter().enumerate() {
        advance(&mut state, event).map_err(|refused| (n, refused))?;
    }
    Ok(state)
}

/// As [`apply`], in place: after a refusal the state is half done and of no use, so whoever replays stops there.
pub(crate) fn advance(state: &mut State, event: &Event) -> Result<(), Refused> {
    if let Err(why) = step(state, event) {
        let (phase, at) = (state.phase.name(), format!("{:?}", state.step).to_lowercase());
        return Err(Refused { event: event.name(), phase, step: at, why });
    }
    state.events += 1;
    Ok(())
}

fn step(s: &mut State, event: &Event) -> Result<(), &'static str> {
    match event {
        Event::Started { driver, limits, base, criteria } => {
            need(s.phase == Phase::Plan, "the campaign has started already")?;
            s.driver = *driver;
            s.limits = limits.clone();
            s.base = Some(base.clone());
            s.last_tree = Some(base.tree.clone());
            s.criteria.clone_from(criteria);
            s.open_criteria.clone_from(criteria);
            go(s, Phase::Rounds, Step::Execute);
        }
        Event::Claimed { session, host } => {
            need(s.phase.is_active() || s.phase == Phase::Blocked, "nothing is under way")?;
            need(!session.is_empty(), "a session without an id claims nothing")?;
            need(s.session.is_none(), "another session has claimed it")?;
            s.session = Some(Session { id: session.clone(), host: host.clone() });
        }
        Event::ExecutorStarted { attempt, pid, pid_start, mark, devices } => {
            active(s, Step::Execute)?;
            need(s.running.is_none(), "a command is at work")?;
            need(*attempt == s.attempts + 1, "attempts are counted one by one")?;
            s.attempts = *attempt;
            s.running = Some(running("executor", *attempt, *pid, *pid_start, mark));
            // The least of all attempts: what one of them left behind is not where the next one starts from.
            for device in devices {
                match s.devices.iter_mut().find(|d| d.index == device.index) {
                    Some(known) => known.used_bytes = known.used_bytes.min(device.used_bytes),
                    None => s.devices.push(device.clone()),
                }
            }
        }
        Event::ExecutorEnded { attempt, ended, usage, wall_ms } => {
            active(s, Step::Execute)?;
            at_work(s, "executor", *attempt)?;
            s.running = None;
            s.answer = None;
            let cost = with_time(usage, *wall_ms);
            s.executor_usage = s.executor_usage.plus(&cost);
            let round = s.rounds.entry(s.round).or_default();
            round.executor = round.executor.plus(&cost);
            // An attempt that the engine's own end cut short is made again; it counts only as cost.
            if *ended != Ended::Interrupted {
                s.step = Step::Gates;
            }
            charge(s, &cost);
        }
        Event::Judged { mark, gates, wall_ms, times: _ } => {
            active(s, Step::Gates)?;
            s.gates.clone_from(gates);
            s.judged = Some(mark.clone());
            s.rounds.entry(s.round).or_default().gates_ms += wall_ms;
            judged(s, mark, gates);
            charge(s, &Usage { wall_ms: *wall_ms, ..Usage::default() });
        }
        Event::ReviewStarted { attempt, nonce_sha256, pid, pid_start, mark } => {
            active(s, Step::Review)?;
            need(s.running.is_none(), "a command is at work")?;
            need(*attempt == s.reviews + 1, "reviews are counted one by one")?;
            need(nonce_sha256.len() == 64, "a review without a nonce")?;
            need(s.judged.as_ref() == Some(mark), "the gates judged another tree")?;
            s.reviews = *attempt;
            s.running = Some(running("reviewer", *attempt, *pid, *pid_start, mark));
        }
        Event::Reviewed { attempt, result, usage, wall_ms } => {
            active(s, Step::Review)?;
            at_work(s, "reviewer", *attempt)?;
            let mark = s.running.take().map(|r| r.mark);
            let cost = with_time(usage, *wall_ms);
            let round = s.rounds.entry(s.round).or_default();
            round.reviewer = round.reviewer.plus(&cost);
            reviewed(s, result, mark);
            charge(s, &cost);
        }
        Event::StopAnswered { allow, calls, mark } => {
            need(s.phase != Phase::Plan, "the campaign has not started")?;
            stop_answered(s, *allow, *calls, mark);
        }
        Event::Blocked { reason } => {
            need(s.phase.is_active(), "nothing is under way")?;
            block(s, reason.clone());
        }
        Event::Unblocked { answer } => {
            need(s.phase == Phase::Blocked, "nothing is blocked")?;
            if answer.is_some() {
                s.questions.clear();
                s.answer.clone_from(answer);
            }
            s.invalid_reviews = 0;
            let (phase, at) = s.back.take().unwrap_or((Phase::Rounds, Step::Execute));
            go(s, phase, at);
        }
        Event::Raised { limits, .. } => {
            need(s.phase == Phase::BudgetLimited, "no limit was reached")?;
            s.limits = limits.clone();
            let (phase, at) = s.back.take().unwrap_or((Phase::Rounds, Step::Execute));
            go(s, phase, at);
            charge(s, &Usage::default());
        }
        Event::Cancelled { by } => {
            need(!s.phase.is_terminal() && s.phase != Phase::Plan, "nothing is under way")?;
            s.running = None;
            stop(s, format!("cancelled by a person ({by})"));
        }
        Event::Reopened { mark } => {
            need(s.phase == Phase::Done, "only a finished campaign is reopened")?;
            need(
                s.clean.as_ref().map(|m| &m.tree) != Some(&mark.tree),
                "the tree is the one that was judged",
            )?;
            s.clean = None;
            s.judged = None;
            next_round(s, Phase::CodeReview);
            if s.phase == Phase::CodeReview {
                s.step = Step::Gates;
            }
        }
    }
    Ok(())
}

fn need(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}

fn active(s: &State, at: Step) -> Result<(), &'static str> {
    need(s.phase.is_active(), "no phase with work in it")?;
    need(s.step == at, "another step is due")
}

fn at_work(s: &State, role: &str, attempt: u32) -> Result<(), &'static str> {
    let same = s.running.as_ref().is_some_and(|r| r.role == role && r.attempt == attempt);
    need(same, "no such command is at work")
}

fn running(role: &str, attempt: u32, pid: u32, pid_start: u64, mark: &Mark) -> Running {
    Running { role: role.to_owned(), attempt, pid, pid_start, mark: mark.clone() }
}

fn with_time(usage: &Usage, wall_ms: u64) -> Usage {
    Usage { wall_ms, ..*usage }
}

fn go(s: &mut State, phase: Phase, at: Step) {
    s.phase = phase;
    s.step = at;
    s.reason = None;
}

fn stop(s: &mut State, reason: String) {
    s.phase = Phase::Stopped;
    s.reason = Some(reason);
    s.back = None;
}

fn block(s: &mut State, reason: String) {
    s.back = Some((s.phase, s.step));
    s.phase = Phase::Blocked;
    s.reason = Some(reason);
}

fn limited(s: &mut State, reason: String) {
    if s.phase.is_active() {
        s.back = Some((s.phase, s.step));
        s.phase = Phase::BudgetLimited;
        s.reason = Some(reason);
    }
}

/// Adds a cost, and ends the campaign where it is beyond a budget. A campaign that reached its goal with the last
/// token it had is done all the same.
fn charge(s: &mut State, cost: &Usage) {
    s.usage = s.usage.plus(cost);
    if let Some(what) = s.limits.exceeded(&s.usage) {
        limited(s, what);
    } else if s.step == Step::Review && s.running.is_none() && s.reviews >= s.limits.max_reviews {
        limited(s, format!("reviews: {} of {}", s.reviews, s.limits.max_reviews));
    }
}

/// Another round of work in `phase`, unless there have been enough.
fn next_round(s: &mut State, phase: Phase) {
    s.round += 1;
    go(s, phase, Step::Execute);
    if s.round >= s.limits.max_rounds {
        limited(s, format!("rounds: {} of {}", s.round, s.limits.max_rounds));
    }
}

fn judged(s: &mut State, mark: &Mark, gates: &[GateLine]) {
    let refusing: Vec<&GateLine> = gates.iter().filter(|g| g.refuses()).collect();
    let of = |kind: OnFail| refusing.iter().find(|g| g.on_fail == kind);
    if let Some(gate) = of(OnFail::Stop) {
        return stop(s, format!("gate {}: {}", gate.id, gate.reason));
    }
    if let Some(gate) = of(OnFail::Wait) {
        let reason = format!("gate {}: {}", gate.id, gate.reason);
        return block(s, reason);
    }
    let same_tree = s.last_tree.as_ref() == Some(&mark.tree);
    s.last_tree = Some(mark.tree.clone());
    if refusing.is_empty() {
        s.stagnant = 0;
        s.replan = false;
        s.step = Step::Review;
        // Finalize that changed nothing leaves the tree that the code review found clean.
        let clean = s.clean.as_ref().is_some_and(|clean| clean.tree == mark.tree);
        if s.phase == Phase::Finalize && clean {
            done(s, mark);
        }
        return;
    }
    s.stagnant = if same_tree { s.stagnant + 1 } else { 0 };
    if s.stagnant >= s.limits.stagnant_rounds {
        return stop(s, format!("{} rounds left the tree as it was", s.stagnant));
    }
    s.replan = of(OnFail::Replan).is_some();
    next_round(s, s.phase);
}

fn done(s: &mut State, mark: &Mark) {
    go(s, Phase::Done, Step::Execute);
    s.clean = Some(mark.clone());
}

fn reviewed(s: &mut State, result: &ReviewResult, mark: Option<Mark>) {
    match result {
        ReviewResult::TreeChanged => s.step = Step::Gates,
        ReviewResult::Invalid { reason } => {
            s.invalid_reviews += 1;
            s.invalid_reason = Some(reason.clone());
            if s.invalid_reviews >= s.limits.review_retries {
                block(s, format!("the reviewer gave no usable answer: {reason}"));
            }
        }
        ReviewResult::Answer {
            verdict,
            progress,
            blocking,
            findings_sha256,
            open_criteria,
            questions,
            ..
        } => {
            s.invalid_reviews = 0;
            s.invalid_reason = None;
            s.open_criteria.clone_from(open_criteria);
            s.questions.clone_from(questions);
            if *verdict == ReviewVerdict::Stop {
                return stop(s, "the reviewer sees no sense in going on".to_owned());
            }
            let repeated = *blocking > 0 && s.findings_sha256.as_ref() == Some(findings_sha256);
            s.findings_sha256 = Some(findings_sha256.clone());
            // Only a machine gate can carry a campaign to its end; a reviewer's word alone never does.
            let machine = s.gates.iter().any(|g| g.machine && g.outcome == Outcome::Pass);
            let clean = *verdict == ReviewVerdict::Complete && *blocking == 0 && machine;
            let met = s.criteria.iter().all(|c| !open_criteria.contains(c)) && open_criteria.is_empty();
            if clean && met && !questions.is_empty() {
                // A question is answered by a person before anything counts as finished.
                s.step = Step::Execute;
                return block(s, format!("open question: {}", questions[0]));
            }
            match (s.phase, clean && met) {
                (Phase::Rounds, true) => {
                    s.stalled = 0;
                    go(s, Phase::CodeReview, Step::Review);
                }
                (Phase::CodeReview, true) => {
                    s.clean = mark;
                    go(s, Phase::Finalize, Step::Execute);
                }
                (Phase::Finalize, true) => {
                    if let Some(mark) = mark {
                        done(s, &mark);
                    }
                }
                (phase, _) => {
                    let moved = *progress == Progress::Advanced && !repeated;
                    s.stalled = if moved { 0 } else { s.stalled + 1 };
                    if s.stalled >= s.limits.stall_rounds {
                        return stop(s, format!("{} rounds without progress", s.stalled));
                    }
                    s.replan = s.stalled >= 2;
                    s.clean = None;
                    let phase = if phase == Phase::Finalize { Phase::CodeReview } else { phase };
                    next_round(s, phase);
                }
            }
        }
    }
}

fn stop_answered(s: &mut State, allow: bool, calls: u64, mark: &Mark) {
    let same = s.last_stop.as_ref().is_some_and(|last| last.calls == calls && last.tree == mark.tree);
    s.last_stop = Some(LastStop { allow, calls, tree: mark.tree.clone() });
    if allow || !s.phase.is_active() {
        s.idle = 0;
        return;
    }
    s.idle = if same { s.idle + 1 } else { 1 };
    if s.idle >= s.limits.idle_blocks {
        stop(s, format!("{} refused stops in a row without any work between", s.idle));
    }
}
