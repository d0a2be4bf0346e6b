//! A live A/B as a function of its rows: what is measured next, when it ends, and what may be claimed.

use perfwright_bench::decide::ab::AbWord;
use perfwright_bench::decide::paired::{AB, Answer, Done, Ended, MACHINE, Slot, Step, Terms, judge, next};
use perfwright_bench::rows::{Basis, Row, Status};
use perfwright_stats::rng::Rng;
use serde_json::json;

fn terms(blocks: u64, control_blocks: u64) -> Terms {
    Terms {
        metric: "request_throughput".into(),
        threshold: 0.01,
        blocks,
        control_blocks,
        budget_s: None,
        launch_spread: None,
    }
}

fn row(slot: Slot, value: f64) -> Row {
    let mut row = Row::new("lab", if slot.is_a() || slot.control { "a" } else { "b" }, Status::Ok);
    row.basis = Basis::Measured;
    row.metrics.insert("request_throughput".into(), value);
    row.trial.block = Some(slot.block);
    row.trial.order = Some(slot.order);
    row.trial.launch = Some(slot.order + 1);
    row.carried.insert(AB.into(), slot.carried(2.0));
    row
}

/// Measures to the end with `value` for each launch.
fn measured(terms: &Terms, mut value: impl FnMut(Slot) -> Row) -> (Done, Vec<Slot>) {
    let (mut done, mut order) = (Done::new(), Vec::new());
    while let Step::Measure(slot) = next(terms, &done) {
        done.insert(slot.key(), value(slot));
        order.push(slot);
    }
    (done, order)
}

/// B gains `gain`, with `noise` on each launch.
fn drawn(gain: f64, noise: f64, seed: u64) -> impl FnMut(Slot) -> Row {
    let mut rng = Rng::new(seed);
    move |slot| {
        let even = (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
        let gain = if slot.is_a() || slot.control { 0.0 } else { gain };
        row(slot, 10.0 * (1.0 + gain) * (noise * even).exp())
    }
}

fn compared(terms: &Terms, done: &Done) -> perfwright_bench::decide::ab::AbReport {
    match judge(terms, done) {
        Answer::Compared(report) => *report,
        Answer::Refused(faults) => panic!("{faults:?}"),
    }
}

#[test]
fn the_order_is_a_b_b_a_with_the_control_beside_the_first_blocks() {
    let terms = terms(4, 2);
    let (_, order) = measured(&terms, drawn(0.0, 0.05, 1));
    let text: Vec<String> = order
        .iter()
        .map(|s| format!("{}{}", if s.control { "control " } else { "" }, if s.is_a() { "A" } else { "B" }))
        .collect();
    assert_eq!(
        text.join(", "),
        "A, B, control A, control B, B, A, control B, control A, A, B, B, A",
        "A is first in even blocks"
    );
    assert!(order.windows(2).all(|w| w[0].order < w[1].order));
}

#[test]
fn a_large_gain_is_found_at_the_first_look_and_an_undecided_one_takes_all_blocks() {
    let terms = terms(32, 4);
    let (done, _) = measured(&terms, drawn(0.2, 0.01, 2));
    let answer = compared(&terms, &done);
    assert_eq!(answer.verdict, AbWord::Better, "{answer:#?}");
    let series = answer.series.expect("measured here");
    assert_eq!((series.ended, answer.blocks, done.len()), (Ended::Decided, 8, 2 * 8 + 2 * 4));
    assert_eq!(series.seconds, 2.0 * done.len() as f64);
    let (done, _) = measured(&terms, drawn(0.01, 0.02, 3));
    let answer = compared(&terms, &done);
    assert_eq!((answer.verdict, answer.blocks), (AbWord::Inconclusive, 32));
    assert_eq!(answer.series.map(|s| s.ended), Some(Ended::Blocks));
}

#[test]
fn in_any_state_the_rows_alone_decide_what_is_next() {
    let terms = terms(8, 2);
    let (done, order) = measured(&terms, drawn(0.3, 0.01, 4));
    for n in 0..order.len() {
        let part: Done = order[..n].iter().map(|s| (s.key(), done[&s.key()].clone())).collect();
        assert_eq!(next(&terms, &part), Step::Measure(order[n]));
    }
}

#[test]
fn no_block_is_begun_that_would_end_behind_the_budget() {
    let terms = Terms { budget_s: Some(21.0), ..terms(32, 0) };
    let (done, _) = measured(&terms, drawn(0.0, 0.05, 5));
    // A block takes 4 s.
    assert_eq!(done.len(), 2 * 5);
    let answer = compared(&terms, &done);
    assert_eq!(answer.verdict, AbWord::Inconclusive, "the first look is after 8 blocks");
    assert_eq!(answer.series.map(|s| s.ended), Some(Ended::Time));
}

#[test]
fn a_control_that_finds_a_difference_takes_the_claim_away() {
    let terms = terms(32, 4);
    let mut normal = drawn(0.2, 0.002, 6);
    let (done, _) = measured(&terms, |slot| match slot.control {
        // The second launch is always faster: a cache somewhere keeps what the first one asked.
        true => row(slot, if slot.is_a() { 10.0 } else { 10.8 + 0.01 * slot.block as f64 }),
        false => normal(slot),
    });
    let answer = compared(&terms, &done);
    assert_eq!((answer.verdict, answer.figures_say), (AbWord::Inconclusive, AbWord::Better));
    assert!(answer.reasons.iter().any(|r| r.contains("A differs from itself")), "{:?}", answer.reasons);
}

#[test]
fn an_a_a_trial_claims_nothing() {
    let terms = terms(32, 4);
    let claims = (0..200)
        .filter(|seed| {
            let (done, _) = measured(&terms, drawn(0.0, 0.02, 100 + seed));
            matches!(compared(&terms, &done).verdict, AbWord::Better | AbWord::Worse)
        })
        .count();
    assert!(claims <= 2, "{claims} of 200");
}

#[test]
fn three_percent_at_two_percent_of_noise_is_found() {
    let terms = Terms { threshold: 0.01, ..terms(32, 4) };
    let found = (0..200)
        .filter(|seed| {
            let (done, _) = measured(&terms, drawn(0.03, 0.02, 1000 + seed));
            compared(&terms, &done).verdict == AbWord::Better
        })
        .count();
    assert!(found >= 180, "{found} of 200");
}

#[test]
fn failures_versions_and_a_busy_machine_are_told() {
    let terms = terms(32, 0);
    let mut normal = drawn(0.2, 0.01, 7);
    let fail = |slot: Slot| {
        let mut row = row(slot, 1.0);
        row.status = Status::Oom;
        row.failure_reason = Some("the server ended with signal 9".into());
        row.metrics.clear();
        row
    };
    // One failed launch: its block is left out, and nothing is claimed.
    let (done, _) =
        measured(&terms, |slot| if slot.block == 2 && !slot.is_a() { fail(slot) } else { normal(slot) });
    let answer = compared(&terms, &done);
    assert_eq!((answer.verdict, answer.figures_say), (AbWord::Inconclusive, AbWord::Better));
    assert!(
        answer.reasons[0].starts_with("1 of 9 launches of B failed: the server ended"),
        "{:?}",
        answer.reasons
    );
    // A side that never runs is given up.
    let (done, order) = measured(&terms, |slot| if slot.is_a() { normal(slot) } else { fail(slot) });
    assert_eq!(order.len(), 6, "three blocks");
    let Answer::Refused(faults) = judge(&terms, &done) else { panic!("compared") };
    assert!(faults.iter().any(|f| f.contains("3 of 3 launches of B failed")), "{faults:?}");
    let mut releases = drawn(0.2, 0.01, 8);
    let (done, _) = measured(&terms, |slot| {
        let mut row = releases(slot);
        row.framework_version = Some(if slot.block < 2 { "0.5.1" } else { "0.5.2" }.into());
        row.carried.insert(MACHINE.into(), json!({ "busy": ["foreign processes keep 1 CPU busy"] }));
        row
    });
    let answer = compared(&terms, &done);
    assert!(answer.reasons.iter().any(|r| r == "A ran as versions 0.5.1 and 0.5.2"), "{:?}", answer.reasons);
    assert_eq!(answer.series.map(|s| s.busy), Some(done.len() as u64));
}
