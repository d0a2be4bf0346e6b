//! `trace compare` on the real traces beside the checkout. Not part of the repository, so ignored where the folder is
//! absent.

mod common;

use std::path::PathBuf;

use common::catalogs;
use perfwright_trace::compare::report::{Scope, Status};
use perfwright_trace::compare::{CompareOptions, Comparison, compare};

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/trace")).join(name)
}

fn ask(a: &str, b: &str) -> Comparison {
    let c = compare(&file(a), &file(b), catalogs(), &CompareOptions::default()).expect("readable");
    assert!(c.verdict.len() < 10, "{:?}", c.verdict);
    for k in &c.classes {
        let gaps = c.gaps.iter().filter(|g| g.class == k.class);
        let delta: f64 = gaps.map(|g| g.time.delta_ns_per_step).sum();
        assert!((delta - k.wall.delta_ns_per_step).abs() < 1.0, "{a} {b}: {delta} {:?}", k.wall);
    }
    c
}

#[test]
#[ignore = "needs ../shared/data"]
fn the_planted_kernel_of_the_slow_pair() {
    let c = ask("synth/synth-8-TP-0.trace.json.gz", "synth/synth-slow-fa3-8-TP-0.trace.json.gz");
    assert_eq!(c.classes.iter().map(|k| (k.matched, k.exact)).collect::<Vec<_>>(), [(1, 1), (5, 5)]);
    let found: Vec<_> = c.rows.iter().filter(|r| r.time.excludes_zero()).collect();
    assert_eq!(found.len(), 2, "one a class: {found:?}");
    for r in found {
        assert!(r.kernel.contains("FlashAttnFwdSm90"), "{}", r.kernel);
        assert!((r.time.ratio.expect("in both") - 1.3).abs() < 0.001, "{r:?}");
        assert_eq!(r.time.status, Status::Slower);
    }
    let others = c.rows.iter().filter(|r| !r.kernel.contains("FlashAttnFwdSm90"));
    assert!(others.clone().count() > 15);
    assert!(others.clone().all(|r| r.time.status == Status::Same));
    assert!(c.unexplained_share.is_some_and(|s| s < 0.05), "{:?}", c.unexplained_share);
}

#[test]
#[ignore = "needs ../shared/data"]
fn every_trace_against_itself() {
    for name in [
        "synth/synth-8-TP-0.trace.json.gz",
        "hta/trace_diff/control.json.gz",
        "hta/trace_diff/test.json.gz",
        "sglang/sglang_Qwen3-8B_decode.json.gz",
        "sglang/sglang_Qwen3-8B_prefilldecode.json.gz",
        "vllm/vllm_decode_full_graph_execution.json.gz",
        "h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz",
        "mi300/resnet_act_checkpoint.json.gz",
        "b200/eager_trace.json.gz",
        "misc/gpu_only_trace.json.gz",
    ] {
        let c = ask(name, name);
        assert!(!c.rows.is_empty(), "{name}: {:?}", c.stop);
        for r in &c.rows {
            let t = r.time;
            assert_eq!((t.status, t.ratio), (Status::Same, Some(1.0)), "{name}: {r:?}");
            assert_eq!((t.ci_low, t.ci_high), (Some(0.0), Some(0.0)), "{name}: {r:?}");
        }
        assert_eq!(c.unexplained_share, Some(0.0), "{name}");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn the_pair_on_which_rivals_crash_or_know_names_only() {
    let c = ask("hta/trace_diff/control.json.gz", "hta/trace_diff/test.json.gz");
    assert_eq!((c.method.scope, c.classes[0].matched), (Scope::Extents, 6));
    let count = |status| c.rows.iter().filter(|r| r.time.status == status).count();
    let renamed = c.rows.iter().filter(|r| r.renamed_to.is_some()).count();
    // Exact names: 27 added and 66 deleted in the whole files; a joined name is one of each. Names that occur only
    // outside of the profiler's extents are not compared.
    let (new, gone) = (count(Status::Appeared) + renamed, count(Status::Vanished) + renamed);
    assert!((25..=30).contains(&new), "{new} new names");
    assert!((62..=68).contains(&gone), "{gone} names gone");
    assert!(c.unexplained_share.is_some());
    assert!(c.warnings.iter().any(|w| w.contains("GPU differs")));
}

#[test]
#[ignore = "needs ../shared/data"]
fn two_vendors_give_rows_and_the_rest_is_stated() {
    let c = ask("h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", "mi300/resnet_act_checkpoint.json.gz");
    assert!(!c.rows.is_empty() && !c.gaps.is_empty());
    assert!(c.unexplained_share.is_some_and(|s| s > 0.0));
    assert!(c.warnings.iter().any(|w| w.contains("GPU maker differs: nvidia / amd")), "{:?}", c.warnings);
    // One pass of prompts and one of single tokens are never compared.
    let c = ask("sglang/sglang_Qwen3-8B_decode.json.gz", "sglang/sglang_Qwen3-8B_prefilldecode.json.gz");
    assert_eq!(c.stop.as_ref().map(|s| s.code.as_str()), Some("PW0208"));
    assert!(c.rows.is_empty() && c.unmatched.len() == 2);
}
