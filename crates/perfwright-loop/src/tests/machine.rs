//! Every transition, found by walking from the start with every kind of event, and held against `transitions.txt`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use perfwright_evidence::Outcome;
use proptest::prelude::*;

use crate::event::{Driver, Ended, Event, GateLine, Mark, OnFail, Progress, ReviewResult, ReviewVerdict};
use crate::limits::Limits;
use crate::state::{Action, Phase, State, Step, next};
use crate::transition::{apply, replay};
use crate::usage::Usage;

fn mark(n: u32) -> Mark {
    Mark { commit: format!("c{n}"), tree: format!("t{n}") }
}

fn limits() -> Limits {
    Limits {
        max_rounds: 3,
        max_reviews: 4,
        tokens: Some(100),
        stall_rounds: 2,
        stagnant_rounds: 2,
        idle_blocks: 2,
        review_retries: 2,
        ..Limits::default()
    }
}

fn gate(outcome: Outcome, on_fail: OnFail) -> Vec<GateLine> {
    let line = |id: &str, outcome, on_fail, machine| GateLine {
        id: id.to_owned(),
        kind: "command".to_owned(),
        outcome,
        on_fail,
        machine,
        measured: None,
        threshold: None,
        reason: "why".to_owned(),
    };
    vec![line("tests", Outcome::Pass, OnFail::Block, true), line("other", outcome, on_fail, false)]
}

fn answer(
    verdict: ReviewVerdict,
    progress: Progress,
    blocking: u32,
    open: &[&str],
    questions: &[&str],
) -> ReviewResult {
    let all = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    ReviewResult::Answer {
        verdict,
        progress,
        blocking,
        queued: 0,
        findings_sha256: format!("f{blocking}"),
        open_criteria: all(open),
        questions: all(questions),
    }
}

/// One event of every kind that makes a difference in `state`, each with a name.
fn events(state: &State) -> Vec<(String, Event)> {
    let tree = state.judged.clone().unwrap_or_else(|| mark(1));
    let other = if tree == mark(1) { mark(2) } else { mark(1) };
    let (attempt, review) = (state.attempts, state.reviews);
    let mut out: Vec<(String, Event)> = Vec::new();
    let mut add = |name: &str, event: Event| out.push((name.to_owned(), event));
    add(
        "started",
        Event::Started {
            driver: Driver::Owner,
            limits: limits(),
            base: mark(0),
            criteria: vec!["AC-1".to_owned()],
        },
    );
    add("claimed", Event::Claimed { session: "s".to_owned(), host: "claude".to_owned() });
    add("claimed without id", Event::Claimed { session: String::new(), host: "claude".to_owned() });
    add(
        "executor_started",
        Event::ExecutorStarted {
            attempt: attempt + 1,
            pid: 1,
            pid_start: 1,
            mark: tree.clone(),
            devices: Vec::new(),
        },
    );
    let ended = |ended, tokens| Event::ExecutorEnded {
        attempt,
        ended,
        usage: Usage { output_tokens: tokens, ..Usage::default() },
        wall_ms: 1,
    };
    add("executor_ended", ended(Ended::Exit(0), 0));
    add("executor_ended interrupted", ended(Ended::Interrupted, 0));
    add("executor_ended over budget", ended(Ended::Exit(0), 1000));
    for (name, outcome, on_fail) in [
        ("pass", Outcome::Pass, OnFail::Block),
        ("fail", Outcome::Fail, OnFail::Block),
        ("hard stop", Outcome::HardStop, OnFail::Block),
        ("fail replan", Outcome::Fail, OnFail::Replan),
        ("fail stop", Outcome::Fail, OnFail::Stop),
        ("fail wait", Outcome::Fail, OnFail::Wait),
        ("fail warn", Outcome::Fail, OnFail::Warn),
    ] {
        for (which, mark) in [("same tree", &tree), ("other tree", &other)] {
            let event = Event::Judged {
                mark: mark.clone(),
                gates: gate(outcome, on_fail),
                wall_ms: 1,
                times: Vec::new(),
            };
            add(&format!("judged {name}, {which}"), event);
        }
    }
    let nonce = "0".repeat(64);
    for (which, mark) in [("judged tree", &tree), ("other tree", &other)] {
        let event = Event::ReviewStarted {
            attempt: review + 1,
            nonce_sha256: nonce.clone(),
            pid: 1,
            pid_start: 1,
            mark: mark.clone(),
        };
        add(&format!("review_started {which}"), event);
    }
    use {Progress::*, ReviewVerdict::*};
    for (name, result) in [
        ("complete", answer(Complete, Advanced, 0, &[], &[])),
        ("complete with findings", answer(Complete, Advanced, 1, &[], &[])),
        ("complete with open criteria", answer(Complete, Advanced, 0, &["AC-1"], &[])),
        ("complete with question", answer(Complete, Advanced, 0, &[], &["?"])),
        ("continue advanced", answer(Continue, Advanced, 0, &["AC-1"], &[])),
        ("continue stalled", answer(Continue, Stalled, 0, &["AC-1"], &[])),
        ("stop", answer(Stop, Stalled, 0, &[], &[])),
        ("invalid", ReviewResult::Invalid { reason: "no answer".to_owned() }),
        ("tree changed", ReviewResult::TreeChanged),
    ] {
        add(
            &format!("reviewed {name}"),
            Event::Reviewed { attempt: review, result, usage: Usage::default(), wall_ms: 1 },
        );
    }
    for (name, allow) in [("allow", true), ("refuse", false)] {
        add(&format!("stop_answered {name}"), Event::StopAnswered { allow, calls: 0, mark: tree.clone() });
    }
    add("blocked", Event::Blocked { reason: "gpu".to_owned() });
    add("unblocked", Event::Unblocked { answer: None });
    add(
        "raised",
        Event::Raised {
            limits: Limits { max_rounds: 40, max_reviews: 50, tokens: None, ..limits() },
            by: "token".to_owned(),
        },
    );
    add("cancelled", Event::Cancelled { by: "token".to_owned() });
    for (which, mark) in [("judged tree", &tree), ("other tree", &other)] {
        add(&format!("reopened {which}"), Event::Reopened { mark: mark.clone() });
    }
    out
}

/// What tells states apart for the walk: everything that decides, without costs.
fn key(s: &State) -> String {
    format!(
        "{:?}",
        (
            (
                s.phase,
                s.step,
                s.round.min(5),
                s.reviews.min(6),
                s.stalled,
                s.stagnant,
                s.idle,
                s.invalid_reviews
            ),
            (s.running.as_ref().map(|r| &r.role), &s.judged, &s.clean, &s.last_tree, s.session.is_some()),
            (s.back, s.limits.max_rounds, &s.findings_sha256, s.usage.tokens() > 100, s.questions.len()),
            s.last_stop.as_ref().map(|l| &l.tree),
        )
    )
}

fn place(s: &State) -> String {
    let step = match s.step {
        Step::Execute => "execute",
        Step::Gates => "gates",
        Step::Review => "review",
    };
    match (s.phase.is_active(), &s.running) {
        (true, Some(running)) => format!("{} {step} ({})", s.phase.name(), running.role),
        (true, None) => format!("{} {step}", s.phase.name()),
        (false, _) => s.phase.name().to_owned(),
    }
}

/// Walks from the start, at most `most` states, and gives every transition by its places.
fn walk(most: usize) -> (BTreeMap<(String, String), BTreeSet<String>>, usize) {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([State::new()]);
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    while let Some(state) = queue.pop_front() {
        for (name, event) in events(&state) {
            let Ok(to) = apply(&state, &event) else { continue };
            check(&state, &event, &to);
            found.entry((place(&state), name)).or_default().insert(place(&to));
            if seen.len() < most && seen.insert(key(&to)) {
                queue.push_back(to);
            }
        }
    }
    (found, seen.len())
}

/// What must hold for every transition, whatever the table says.
fn check(from: &State, event: &Event, to: &State) {
    assert!(to.round >= from.round, "rounds only grow");
    assert_eq!(to.events, from.events + 1);
    if to.phase == Phase::Done && from.phase != Phase::Done {
        let judged = to.judged.as_ref().map(|m| &m.tree);
        assert_eq!(to.clean.as_ref().map(|m| &m.tree), judged, "the verdict names the tree that was judged");
        assert_eq!(from.phase, Phase::Finalize, "only finalize ends in done");
        assert!(to.refusing().is_empty(), "no gate refuses");
        assert!(to.gates.iter().any(|g| g.machine && g.outcome == Outcome::Pass), "something was run");
    }
    if from.phase.is_terminal() {
        let known =
            matches!(event, Event::StopAnswered { .. } | Event::Raised { .. } | Event::Reopened { .. });
        assert!(known, "{} after the end", event.name());
    }
    if to.phase == Phase::Blocked || to.phase == Phase::BudgetLimited {
        assert!(to.back.is_some() && to.reason.is_some());
    }
    if to.phase == Phase::Stopped {
        assert!(to.reason.is_some() && next(to) == Action::End);
    }
    if to.session != from.session {
        assert!(from.session.is_none(), "a claimed campaign changes its session never");
    }
    assert!(to.limits == from.limits || matches!(event, Event::Started { .. } | Event::Raised { .. }));
}

#[test]
fn every_transition_is_the_written_one() {
    let (found, states) = walk(20_000);
    let mut text = String::new();
    for ((from, event), to) in &found {
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        text.push_str(&format!("{from} | {event} | {}\n", to.join(", ")));
    }
    let written = include_str!("transitions.txt");
    if text != written {
        let path = std::env::temp_dir().join("perfwright-transitions.txt");
        std::fs::write(&path, &text).unwrap();
        let first = text.lines().zip(written.lines()).find(|(a, b)| a != b);
        panic!("{} differs from transitions.txt, first {first:?}", path.display());
    }
    assert!(states > 1000 && found.len() > 100, "{states} states, {} transitions", found.len());
    // Every phase is reached, and every event is at home somewhere.
    for phase in Phase::ALL.iter().filter(|p| **p != Phase::Plan) {
        assert!(found.values().flatten().any(|to| to.starts_with(phase.name())), "{phase:?}");
    }
    for (name, event) in events(&State::new()) {
        let never = ["claimed without id", "review_started other tree", "reopened judged tree"];
        if !never.contains(&name.as_str()) {
            assert!(found.keys().any(|(_, n)| *n == name), "{} is never accepted", event.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was accepted replays, from the ledger's form too, to the same state after every event.
    #[test]
    fn every_prefix_replays_to_the_same_state(choices in proptest::collection::vec(any::<prop::sample::Index>(), 1..60)) {
        let mut state = State::new();
        let mut log: Vec<Event> = Vec::new();
        for choice in choices {
            let possible: Vec<Event> =
                events(&state).into_iter().map(|(_, e)| e).filter(|e| apply(&state, e).is_ok()).collect();
            if possible.is_empty() {
                break;
            }
            let event = choice.get(&possible).clone();
            let stored = serde_json::to_vec(&event).expect("stores");
            let event: Event = serde_json::from_slice(&stored).expect("reads");
            state = apply(&state, &event).expect("accepted");
            log.push(event);
            prop_assert_eq!(&replay(&log).expect("replays"), &state);
        }
    }
}
