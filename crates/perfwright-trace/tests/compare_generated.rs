//! `trace compare` on generated pairs, against what was planted in them.

mod common;

use common::{Made, catalogs, class, short};
use perfwright_trace::compare::limit::Limit;
use perfwright_trace::compare::report::{Interval, LimitResult, Row, Scope, Status};
use perfwright_trace::compare::{CompareOptions, Comparison, compare, render};
use xtask::scratch::Scratch;
use xtask::tracegen::{Annotation, Class, Engine, Extent, Fusions, Options, generate_file};

fn ask(a: &Made, b: &Made) -> Comparison {
    let c = compare(&a.path, &b.path, catalogs(), &CompareOptions::default()).expect("readable");
    check(&c);
    c
}

/// Decode passes of one batch size.
fn decodes(seed: u64) -> Options {
    let pattern = vec![Class::Decode];
    Options { pattern, extent: Extent::Passes(12), batch: Some(32), layers: 12, seed, ..Options::default() }
}

/// What must hold in every comparison: the gap rows add to the gap, kernel rows to the device time, intervals hold
/// their estimate, the verdict is short.
fn check(c: &Comparison) {
    assert!(c.verdict.len() < 10, "{:?}", c.verdict);
    for k in &c.classes {
        let parts = c.gaps.iter().filter(|g| g.class == k.class);
        let sums = parts.fold((0.0, 0.0), |s, g| (s.0 + g.time.a_ns_per_step, s.1 + g.time.b_ns_per_step));
        assert!((sums.0 - k.wall.a_ns_per_step).abs() < 1.0, "{:?}: {sums:?} {:?}", k.class, k.wall);
        assert!((sums.1 - k.wall.b_ns_per_step).abs() < 1.0, "{:?}: {sums:?} {:?}", k.class, k.wall);
        let of = |rows: Vec<f64>| rows.iter().sum::<f64>();
        let rows =
            of(c.rows.iter().filter(|r| r.class == k.class).map(|r| r.time.delta_ns_per_step).collect());
        let categories = of(c
            .categories
            .iter()
            .filter(|r| r.class == k.class)
            .map(|r| r.time.delta_ns_per_step)
            .collect());
        let device = k.b_device_ns_per_step - k.a_device_ns_per_step;
        assert!(
            (rows - device).abs() < 1.0 && (categories - device).abs() < 1.0,
            "{rows} {categories} {device}"
        );
    }
    for r in &c.rows {
        let t = r.time;
        let (Some(low), Some(high)) = (t.ci_low, t.ci_high) else {
            assert_eq!(t.interval, Interval::None);
            continue;
        };
        let slack = t.delta_ns_per_step.abs() * 1e-9 + 1e-6;
        assert!(low <= t.delta_ns_per_step + slack && t.delta_ns_per_step <= high + slack, "{r:?}");
    }
}

fn changed(c: &Comparison) -> Vec<&Row> {
    c.rows.iter().filter(|r| r.time.status != Status::Same).collect()
}

#[test]
fn a_trace_against_itself_shows_nothing() {
    let pattern =
        vec![Class::Prefill, Class::Decode, Class::Mixed, Class::Draft, Class::Verify, Class::Decode];
    let a = Made::new(&Options { pattern, extent: Extent::Passes(18), tp: 2, ..short() });
    let c = ask(&a, &a);
    assert!(c.rows.len() > 40, "{} rows", c.rows.len());
    for r in &c.rows {
        assert_eq!((r.time.status, r.time.ratio), (Status::Same, Some(1.0)), "{r:?}");
        assert_eq!((r.time.ci_low, r.time.ci_high), (Some(0.0), Some(0.0)), "{r:?}");
    }
    assert!(c.classes.iter().all(|k| k.wall.delta_ns_per_step == 0.0 && k.exact == k.a_steps));
    assert!(c.unmatched.is_empty());
    assert_eq!(c.unexplained_share, Some(0.0));
    assert_eq!(c.classes.len(), 5);
}

/// Every row of an engine's steps has its layers, and the planted kernel differs in all of them.
#[test]
fn a_difference_is_placed_in_the_layers() {
    let o = Options { extent: Extent::Passes(8), layers: 6, ..short() };
    let slow = Options { slow_kernel: Some(("attn_decode".to_owned(), 1300)), ..o.clone() };
    let (a, b) = (Made::new(&o), Made::new(&slow));
    let c = ask(&a, &b);
    assert!(c.classes.iter().all(|k| k.layers == Some(6)), "{:?}", c.classes);
    let planted: Vec<&Row> = c.rows.iter().filter(|r| r.time.status == Status::Slower).collect();
    assert!(!planted.is_empty());
    for r in &planted {
        assert_eq!(r.differs_in.as_deref(), Some("all 6 layers"), "{r:?}");
        let layers: Vec<Option<u32>> = r.positions.iter().map(|p| p.layer).collect();
        assert_eq!(layers, (0..6).map(Some).collect::<Vec<_>>());
    }
    for r in &c.rows {
        let sum: f64 = r.positions.iter().map(|p| p.a_ns_per_step).sum();
        assert!((sum - r.time.a_ns_per_step).abs() < 1.0, "{r:?}");
        let there = r.time.delta_ns_per_step != 0.0;
        assert_eq!(there, r.differs_in.as_deref() != Some(""), "{r:?}");
    }
    // Other numbers of layers do not align.
    let c = ask(&a, &Made::new(&Options { layers: 7, ..o }));
    assert!(c.rows.iter().all(|r| r.differs_in.is_none() && r.positions.is_empty()));
    assert!(c.classes.iter().all(|k| k.layers.is_none()));
}

#[test]
fn the_planted_kernel_is_found_and_nothing_else() {
    for (engine, graph_decode) in [(Engine::Sglang, false), (Engine::Vllm, true), (Engine::Torch, false)] {
        let o = Options { engine, graph_decode, extent: Extent::Passes(16), ..short() };
        let o = if engine == Engine::Torch { Options { extent: Extent::Passes(12), ..o } } else { o };
        let slow = Options { slow_kernel: Some(("attn_decode".to_owned(), 1300)), ..o.clone() };
        let (a, b) = (Made::new(&o), Made::new(&slow));
        let c = ask(&a, &b);
        let mut planted = 0;
        for r in &c.rows {
            if r.time.excludes_zero() {
                assert_eq!((r.category.as_str(), r.time.status), ("attention", Status::Slower), "{r:?}");
                let ratio = r.time.ratio.expect("in both");
                assert!((ratio - 1.3).abs() < 0.001, "{ratio}");
                planted += 1;
            } else {
                assert_eq!(r.time.delta_ns_per_step, 0.0, "{r:?}");
            }
        }
        // The truth: names and classes whose time differs.
        let mut differ = 0;
        for (name, k) in &a.truth.kernels {
            for (in_class, total) in &k.by_class {
                differ += usize::from(b.truth.kernels[name].by_class[in_class] != *total);
            }
        }
        if c.method.scope == Scope::Steps {
            assert_eq!(planted, differ, "{engine:?}");
        }
        assert!(planted > 0, "{engine:?}");
    }
}

#[test]
fn rows_are_the_truths_totals_over_the_matched_steps() {
    let (a, b) = (Made::new(&decodes(1)), {
        let slow_kernel = Some(("norm".to_owned(), 1100));
        Made::new(&Options { slow_kernel, ..decodes(1) })
    });
    let c = ask(&a, &b);
    let [k] = c.classes.as_slice() else { panic!("{:?}", c.classes) };
    assert_eq!((k.class, k.matched), (class(Class::Decode), 12), "{:?}", c.unmatched);
    let total = |m: &Made| -> i64 { m.truth.device.values().map(|t| t.total_ns).sum() };
    assert!((k.a_device_ns_per_step * 12.0 - total(&a) as f64).abs() < 1.0);
    assert!((k.b_device_ns_per_step * 12.0 - total(&b) as f64).abs() < 1.0);
    let wall: i64 = a.truth.steps.iter().map(|s| s.duration_ns).sum();
    assert!((k.wall.a_ns_per_step * 12.0 - wall as f64).abs() < 1.0);
}

#[test]
fn noise_alone_is_not_a_difference_and_a_planted_one_shows_through_it() {
    let (mut claimed, mut excluded, mut rows) = (0, 0, 0);
    for seed in 0..6 {
        let a = Made::new(&decodes(100 + seed));
        let b = Made::new(&decodes(200 + seed));
        let c = ask(&a, &b);
        rows += c.rows.len();
        claimed += changed(&c).len();
        excluded += c.rows.iter().filter(|r| r.time.excludes_zero()).count();
        let slow = Options { slow_kernel: Some(("attn_decode".to_owned(), 1300)), ..decodes(200 + seed) };
        let c = ask(&a, &Made::new(&slow));
        let found: Vec<_> = changed(&c).into_iter().filter(|r| r.category == "attention").collect();
        assert!(found.iter().any(|r| r.time.status == Status::Slower), "seed {seed}: {found:?}");
    }
    assert!(rows > 60, "{rows}");
    // 95 % intervals: one row in twenty may exclude zero by chance, and claims need 1 % more.
    assert!(excluded * 10 <= rows, "{excluded} of {rows} exclude zero");
    assert!(claimed * 33 <= rows, "{claimed} of {rows} are claimed");
}

#[test]
fn unequal_work_is_not_compared() {
    let a = Made::new(&decodes(1));
    let b = Made::new(&Options { batch: Some(64), ..decodes(1) });
    let c = ask(&a, &b);
    assert_eq!(c.stop.as_ref().map(|s| s.code.as_str()), Some("PW0208"));
    assert!(c.rows.is_empty() && c.classes.is_empty());
    assert_eq!(c.unmatched.len(), 24);
    assert!(c.unmatched.iter().all(|u| u.reason.contains("within 10 %")), "{:?}", c.unmatched[0]);
    let wide = CompareOptions { tolerance: 0.9, ..CompareOptions::default() };
    let c = compare(&a.path, &b.path, catalogs(), &wide).expect("readable");
    assert!(c.stop.is_none() && c.classes[0].nearest == 12 && c.classes[0].farthest >= 0.5);

    let prefill = Made::new(&Options { pattern: vec![Class::Prefill], ..decodes(1) });
    let c = ask(&a, &prefill);
    assert_eq!(c.stop.as_ref().map(|s| s.code.as_str()), Some("PW0208"));
    assert!(c.rows.is_empty(), "prefill against decode");
}

#[test]
fn fused_kernels_appear_and_the_unfused_vanish() {
    let base = decodes(1);
    let unfused = Fusions { residual_norm: false, act_mul: false, ..base.fusions };
    for graph_decode in [false, true] {
        let fused = Options { graph_decode, ..base.clone() };
        let a = Made::new(&Options { fusions: unfused, ..fused.clone() });
        let c = ask(&a, &Made::new(&fused));
        let of = |status| c.rows.iter().filter(|r| r.time.status == status).collect::<Vec<_>>();
        let (gone, new) = (of(Status::Vanished), of(Status::Appeared));
        assert!(gone.len() >= 2, "graph {graph_decode}: vanished {gone:?}");
        assert_eq!(new.len(), 2, "graph {graph_decode}: appeared {new:?}");
        assert!(c.rows.iter().all(|r| r.renamed_to.is_none()), "a fused kernel is not a renamed one");
        assert!(c.classes[0].b_device_ns_per_step < c.classes[0].a_device_ns_per_step);
    }
}

#[test]
fn a_renamed_kernel_is_one_row_with_both_names() {
    for graph_decode in [false, true] {
        let made = Made::new(&Options { graph_decode, ..decodes(1) });
        let c = ask(&made, &made);
        let gemm =
            c.rows.iter().find(|r| r.category == "gemm" && r.a_launches_per_step > 5.0).expect("a gemm");
        let name = gemm.kernel.split(['.', '#', '<']).next().expect("a name").to_owned();
        let text = std::fs::read_to_string(&made.path).expect("written");
        assert!(text.contains(&name), "{name}");
        let dir = Scratch::new("compare-renamed");
        dir.write("b.json", &text.replace(&name, "sm100_gemm_bf16_new_tile"));
        let path = dir.path().join("b.json");
        let c = compare(&made.path, &path, catalogs(), &CompareOptions::default()).expect("readable");
        let renamed: Vec<_> = c.rows.iter().filter(|r| r.renamed_to.is_some()).collect();
        assert!(!renamed.is_empty(), "graph {graph_decode}: {:?}", changed(&c));
        for r in &renamed {
            assert_eq!((r.time.ratio, r.time.status), (Some(1.0), Status::Same), "{r:?}");
            let by = if graph_decode { "kernels before and after" } else { "python source and operator" };
            assert_eq!(r.renamed_by.as_deref(), Some(by));
        }
        assert!(changed(&c).is_empty(), "{:?}", changed(&c));
    }
}

#[test]
fn graph_replay_moves_the_gaps_and_not_the_kernels() {
    let eager = Made::new(&decodes(1));
    let graph = Made::new(&Options { graph_decode: true, ..decodes(1) });
    let c = ask(&eager, &graph);
    let k = &c.classes[0];
    assert_eq!((k.matched, k.wall.status), (12, Status::Faster), "{k:?}");
    let host = c.gaps.iter().find(|g| g.part == "host-bound").expect("eager decode waits for the host");
    assert!(host.time.delta_ns_per_step < 0.0);
    assert!(host.time.delta_ns_per_step.abs() > 0.5 * k.wall.delta_ns_per_step.abs());
    assert!(c.rows.iter().all(|r| r.time.status == Status::Same), "{:?}", changed(&c));
}

#[test]
fn ranks_are_compared_with_their_own() {
    let folder = |slow: Option<(String, i64)>| {
        let dir = Scratch::new("compare-ranks");
        for rank in 0..2 {
            let o = Options { rank, ranks: 2, tp: 2, slow_kernel: slow.clone(), ..decodes(5) };
            generate_file(&o, &dir.path().join(format!("x-TP-{rank}.trace.json"))).expect("written");
        }
        dir
    };
    let (a, b) = (folder(None), folder(Some(("attn_decode".to_owned(), 1300))));
    let c = compare(a.path(), b.path(), catalogs(), &CompareOptions::default()).expect("readable");
    check(&c);
    assert_eq!((c.classes[0].matched, c.classes[0].exact), (24, 24));
    let slower: Vec<_> =
        c.rows.iter().filter(|r| r.category == "attention" && r.time.excludes_zero()).collect();
    let [row] = slower.as_slice() else { panic!("{slower:?}") };
    assert!((row.time.ratio.expect("in both") - 1.3).abs() < 0.001);
}

#[test]
fn traces_without_labels_and_engines_are_compared_and_stated() {
    // Unlabelled passes are told by structure, and have neither batch nor tokens.
    let o = Options { annotation: Annotation::None, extent: Extent::Passes(9), ..short() };
    let a = Made::new(&o);
    let c = ask(&a, &a);
    assert!(!c.classes.is_empty() && c.classes.iter().all(|k| k.matched_by == ["order"]));
    assert!(changed(&c).is_empty());
    // Two engines: rows for both, and the rest of the gap is stated.
    let vllm = Made::new(&Options { engine: Engine::Vllm, ..decodes(1) });
    let c = ask(&Made::new(&decodes(1)), &vllm);
    assert!(c.unexplained_share.is_some() && !c.rows.is_empty());
    assert!(c.warnings.iter().any(|w| w.contains("engine differs")), "{:?}", c.warnings);
    assert!(c.warnings.iter().any(|w| w.contains("path unknown")));
}

#[test]
fn limits_hold_against_the_low_end() {
    let o = Options { extent: Extent::Passes(16), ..short() };
    let slow = Options { slow_kernel: Some(("attn_decode".to_owned(), 1300)), ..o.clone() };
    let (a, b) = (Made::new(&o), Made::new(&slow));
    let results = |a: &Made, b: &Made| -> Vec<LimitResult> {
        let limits: Vec<Limit> = [
            "kernel>10%",
            "kernel>40%",
            "category.attention.decode>5%",
            "category.norm>1%",
            "kernel>5ms",
            "step.verify>1%",
        ]
        .iter()
        .map(|t| t.parse().expect("a limit"))
        .collect();
        let options = CompareOptions { limits: &limits, ..CompareOptions::default() };
        let c = compare(&a.path, &b.path, catalogs(), &options).expect("readable");
        c.limits.iter().map(|l| l.result).collect()
    };
    use LimitResult::{Exceeded, Unproven, Within};
    assert_eq!(results(&a, &b), [Exceeded, Within, Exceeded, Within, Within, Unproven]);
    assert_eq!(results(&a, &a), [Within, Within, Within, Within, Within, Unproven]);
}

#[test]
fn the_same_question_has_the_same_answer() {
    let (a, b) = (Made::new(&decodes(1)), Made::new(&decodes(2)));
    let json = || serde_json::to_string(&ask(&a, &b)).expect("plain data");
    assert_eq!(json(), json());
    let c = ask(&a, &b);
    let text = perfwright_report::markdown::document(
        &render::document(&c, Some(render::CUT_OFF)),
        perfwright_report::markdown::Options::default(),
    );
    let before =
        text.lines().take_while(|l| !l.contains("Wall time of a step")).filter(|l| !l.trim().is_empty());
    assert!(before.count() <= 12, "{text}");
}
