//! A/B over recorded rows: what the figures say, and what may be claimed of them.

use perfwright_bench::decide::ab::{AbOptions, AbWord, ab};
use perfwright_bench::rows::{Basis, Row, Status};
use perfwright_stats::rng::Rng;

fn options() -> AbOptions {
    AbOptions { metric: "request_throughput".into(), threshold: 0.01, launch_spread: None, blocks: None }
}

/// Blocks A B, B A, ... with a launch each; `gain` is what B gains.
fn sides(blocks: u64, gain: f64, noise: f64, seed: u64) -> (Vec<Row>, Vec<Row>) {
    let mut rng = Rng::new(seed);
    let mut even = || (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0;
    let mut row = |block: u64, second: bool, mean: f64| {
        let mut row = Row::new("sglang", if mean > 10.0 { "b" } else { "a" }, Status::Ok);
        row.basis = Basis::Measured;
        row.trial.block = Some(block);
        row.trial.launch = Some(2 * block + u64::from(second));
        row.trial.order = Some(2 * block + u64::from(second));
        row.metrics.insert("request_throughput".into(), mean * (noise * even()).exp());
        row
    };
    let a = (0..blocks).map(|i| row(i, i % 2 == 1, 10.0)).collect();
    let b = (0..blocks).map(|i| row(i, i % 2 == 0, 10.0 * (1.0 + gain) + 1e-9)).collect();
    (a, b)
}

#[test]
fn better_worse_same_and_undecided() {
    let word = |blocks, gain, noise| {
        let (a, b) = sides(blocks, gain, noise, 7);
        ab(&a, &b, &options()).expect("comparable").verdict
    };
    assert_eq!(word(32, 0.05, 0.01), AbWord::Better);
    assert_eq!(word(32, -0.05, 0.01), AbWord::Worse);
    assert_eq!(word(32, 0.0, 0.003), AbWord::Same);
    assert_eq!(word(32, 0.01, 0.02), AbWord::Inconclusive);
    assert_eq!(word(3, 0.5, 0.01), AbWord::Inconclusive, "three blocks are before the first look");
}

#[test]
fn an_a_a_comparison_claims_nothing() {
    let wrong = (0..200)
        .filter(|seed| {
            let (a, b) = sides(32, 0.0, 0.02, *seed);
            let verdict = ab(&a, &b, &options()).expect("comparable").verdict;
            matches!(verdict, AbWord::Better | AbWord::Worse)
        })
        .count();
    assert!(wrong <= 2, "{wrong} of 200");
}

#[test]
fn what_is_not_proven_is_not_claimed() {
    let (a, b) = sides(32, 0.05, 0.01, 7);
    let changed = |change: &dyn Fn(&mut Row)| {
        let mut b = b.clone();
        b.iter_mut().for_each(change);
        ab(&a, &b, &options())
    };
    let weak = |change: &dyn Fn(&mut Row), why: &str| {
        let answer = changed(change).expect("comparable");
        assert_eq!(answer.verdict, AbWord::Inconclusive, "{why}");
        assert!(answer.reasons.iter().any(|r| r.contains(why)), "{:?}", answer.reasons);
    };
    weak(&|r| r.basis = Basis::Imported, "imported");
    weak(&|r| r.trial.launch = Some(1), "launches differ");
    weak(&|r| r.trial.launch = None, "which server launch");
    weak(&|r| r.trial.order = None, "in which order");
    weak(&|r| r.trial.order = r.trial.order.map(|o| o + 100), "not balanced");
    weak(&|r| r.trial.block = None, "not in blocks");
    weak(&|r| drop(r.carried.insert("validity".into(), serde_json::json!({"path_proven": false}))), "path");
    let refused = |change: &dyn Fn(&mut Row), why: &str| {
        let faults = changed(change).expect_err("refused");
        assert!(faults.iter().any(|f| f.contains(why)), "{faults:?}");
    };
    refused(&|r| r.workload.request_rate = Some(3.0), "request_rate");
    refused(&|r| r.hardware.gpu_count = Some(8), "gpu_count");
    refused(&|r| r.status = Status::Oom, "no usable row");
    // A known spread of launches widens the interval instead.
    let mut shared = b.clone();
    shared.iter_mut().for_each(|r| r.trial.launch = Some(1));
    let known = |spread: f64| {
        let options = AbOptions { launch_spread: Some(spread), ..options() };
        ab(&a, &shared, &options).expect("comparable").verdict
    };
    assert_eq!((known(0.005), known(0.03)), (AbWord::Better, AbWord::Inconclusive));
}
