//! The whole answer about generated traces, against the truth that the generator writes: sums, categories,
//! communication, sources.

mod common;

use common::{Made, ask_with, by_name, check_sums, class, rows_of, short};
use perfwright_trace::report::Triage;
use perfwright_trace::triage::TriageOptions;
use xtask::tracegen::truth::KernelTruth;
use xtask::tracegen::{Attention, Class, Comm, Engine, Extent, Fusions, Gpu, Options, capture_options};

const ALL_STEPS: [Class; 7] =
    [Class::Prefill, Class::Decode, Class::Mixed, Class::Draft, Class::Verify, Class::Draft, Class::Capture];

fn fused(on: bool) -> Fusions {
    Fusions {
        residual_norm: on,
        qk_norm_rope: on,
        act_mul: on,
        allreduce_norm: on,
        norm_quant: on,
        rope_kv_store: on,
    }
}

fn total(k: &KernelTruth) -> (u64, i64) {
    k.by_class.values().fold((0, 0), |a, t| (a.0 + t.count, a.1 + t.total_ns))
}

/// Kernels of which neither name nor operator decides between our category and the truth's: the generator means the
/// cast to FP8 of a compiled model, but a cast, a clamp and a product are in other fused element-wise code too.
const ARGUED: &[(&str, &str)] = &[("triton_poi_fused__to_copy_clamp_mul_6", "elementwise")];

/// Totals, every kernel's launches and time, and every kernel's category.
fn check_kernels(made: &Made, t: &Triage, what: &str) {
    check_sums(t, what);
    let mut faults: Vec<String> = Vec::new();
    let ours = [
        ("kernel", t.totals.kernel),
        ("gpu_memcpy", t.totals.gpu_memcpy),
        ("gpu_memset", t.totals.gpu_memset),
    ];
    for (cat, total) in ours {
        let truth = made.truth.device.get(cat).map_or((0, 0), |t| (t.count, t.total_ns));
        assert_eq!((total.count, total.total_ns), truth, "{what}: {cat}");
    }
    assert_eq!(t.inputs[0].events, made.truth.events, "{what}");
    assert_eq!(t.inputs[0].text_bytes, made.truth.bytes, "{what}");
    let sums = by_name(t);
    for (name, k) in &made.truth.kernels {
        let sum = sums.get(name).unwrap_or_else(|| panic!("{what}: no row for {name}"));
        assert_eq!((sum.count, sum.total_ns), total(k), "{what}: {name}");
        for r in rows_of(t, name).filter(|r| !k.category.split('|').any(|c| c == r.category)) {
            if ARGUED.contains(&(*name, r.category.as_str())) {
                continue;
            }
            faults.push(format!("{name} is {}, not {}", r.category, k.category));
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
    let kernels: u64 = made.truth.kernels.values().map(|k| total(k).0).sum();
    assert_eq!(kernels, t.totals.kernel.count, "{what}");
}

#[test]
fn kernels_and_categories_over_engines_vendors_and_attention() {
    let mut rounds = 0;
    for engine in [Engine::Sglang, Engine::Vllm, Engine::Torch] {
        for gpu in [Gpu::Nvidia, Gpu::Amd] {
            for attention in [Attention::Fa3, Attention::FlashInfer] {
                for bits in 0..8_u32 {
                    let on = |bit: u32| bits >> bit & 1 == 1;
                    let torch = engine == Engine::Torch;
                    let o = Options {
                        engine,
                        gpu,
                        attention,
                        pattern: if torch { vec![Class::Prefill, Class::Decode] } else { ALL_STEPS.to_vec() },
                        extent: Extent::Passes(7),
                        stack: on(0),
                        moe: on(1),
                        fp8: on(2),
                        fusions: fused(on(0)),
                        tp: 2,
                        ranks: 2,
                        ..short()
                    };
                    if o.check().is_err() {
                        continue; // no real trace has this combination
                    }
                    let made = Made::new(&o);
                    check_kernels(&made, &made.ask(), &format!("{o:?}"));
                    rounds += 1;
                }
            }
        }
    }
    assert_eq!(rounds, 80);
}

const COLLECTIVES: [Comm; 7] = [
    Comm::Nccl,
    Comm::OneShot,
    Comm::TwoShot,
    Comm::Multimem,
    Comm::UserBuffers,
    Comm::NcclSymmetric,
    Comm::Rccl,
];

#[test]
fn communication_of_every_kind_is_found_to_the_nanosecond() {
    for gpu in [Gpu::Nvidia, Gpu::Amd] {
        for comm in COLLECTIVES {
            for allreduce_norm in [false, true] {
                let fusions = Fusions { allreduce_norm, ..Options::default().fusions };
                let o = Options { gpu, comm, tp: 2, ranks: 2, fusions, ..short() };
                let made = Made::new(&o);
                let t = made.ask();
                let what = format!("{gpu:?} {comm:?} {allreduce_norm}");
                let truth: i64 = made
                    .truth
                    .kernels
                    .values()
                    .filter(|k| k.category.split('|').any(|c| c == "communication"))
                    .map(|k| total(k).1)
                    .sum();
                assert!(truth > 0, "{what}: the generator wrote no collective");
                let table: i64 = t
                    .tables
                    .kernels
                    .iter()
                    .filter(|r| r.category == "communication")
                    .map(|r| r.total_ns)
                    .sum();
                assert_eq!(table, truth, "{what}: kernel table");
                let overlap: i64 = t
                    .tables
                    .overlap
                    .iter()
                    .filter(|r| r.category == "communication")
                    .map(|r| r.total_ns)
                    .sum();
                assert_eq!(overlap, truth, "{what}: overlap table");
                // Passes do not overlap on the device, so the exposed time of a class is the sum over its passes.
                for c in [Class::Prefill, Class::Decode] {
                    let exposed: i64 = made.truth.of(c).map(|s| s.exposed_communication_ns).sum();
                    let budget = t.budget.iter().find(|b| b.class == Some(class(c)));
                    assert_eq!(budget.map(|b| b.exposed_communication_ns), Some(exposed), "{what}: {c:?}");
                    let rows: i64 = t
                        .tables
                        .overlap
                        .iter()
                        .filter(|r| r.class == class(c) && r.category == "communication")
                        .map(|r| r.exposed_ns)
                        .sum();
                    assert_eq!(rows, exposed, "{what}: overlap rows of {c:?}");
                }
            }
        }
    }
}

#[test]
fn budgets_follow_the_truth_of_each_class() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        let o = Options {
            engine,
            tp: 2,
            ranks: 2,
            pattern: vec![Class::Prefill, Class::Decode, Class::Decode],
            ..short()
        };
        let made = Made::new(&o);
        let t = made.ask();
        for c in [Class::Prefill, Class::Decode] {
            let b = t.budget.iter().find(|b| b.class == Some(class(c))).expect("a row");
            let of = |get: fn(&xtask::tracegen::Step) -> i64| made.truth.of(c).map(get).sum::<i64>();
            assert_eq!(b.steps, made.truth.of(c).count() as u64);
            assert_eq!(b.wall_ns, of(|s| s.duration_ns));
            assert_eq!(b.compute_ns + b.exposed_communication_ns + b.copies_ns, of(|s| s.busy_ns));
            assert_eq!(b.exposed_communication_ns, of(|s| s.exposed_communication_ns));
        }
    }
}

/// `torch/nn/modules/linear.py` says nothing about which of the model's many layers it is: the model's own line is
/// shown instead, where it is one of these.
const GENERIC: &str = "torch/nn/";

/// The sources of one kernel name in a trace of one class, against those of the truth.
fn check_sources(made: &Made, t: &Triage, what: &str) {
    let mut checked = 0;
    for (name, k) in &made.truth.kernels {
        let all = total(k).1;
        let best = k.sources.values().map(|s| s.total_ns).max().unwrap_or(0);
        if k.sources.keys().any(|s| s.starts_with(GENERIC)) {
            for r in rows_of(t, name) {
                assert!(
                    r.source.as_deref().is_some_and(|s| s.starts_with("transformers/models/")),
                    "{what}: {r:?}"
                );
            }
            continue;
        }
        for r in rows_of(t, name) {
            assert_eq!(r.total_ns, all, "{what}: the trace has one class: {r:?}");
            assert_eq!(r.sources as usize, k.sources.len(), "{what}: {name}: {r:?} of {:?}", k.sources);
            let Some(ours) = &r.source else {
                assert!(k.sources.is_empty(), "{what}: {name} has no source, truth {:?}", k.sources);
                continue;
            };
            let theirs =
                k.sources.get(ours).unwrap_or_else(|| panic!("{what}: {name}: {ours} of {:?}", k.sources));
            assert_eq!(theirs.total_ns, best, "{what}: {name}: {ours} is not the largest of {:?}", k.sources);
            assert!((r.source_share - best as f64 / all as f64).abs() < 1e-12, "{what}: {name}: {r:?}");
            checked += 1;
        }
    }
    assert!(checked > 5, "{what}: {checked}");
}

#[test]
fn launched_kernels_have_the_source_of_the_truth() {
    for engine in [Engine::Sglang, Engine::Vllm, Engine::Torch] {
        for gpu in [Gpu::Nvidia, Gpu::Amd] {
            for one in [Class::Prefill, Class::Decode, Class::Mixed] {
                for moe in [false, true] {
                    let o = Options {
                        engine,
                        gpu,
                        moe,
                        tp: 2,
                        ranks: 2,
                        pattern: vec![one],
                        extent: Extent::Passes(2),
                        ..short()
                    };
                    if o.check().is_err() {
                        continue;
                    }
                    let made = Made::new(&o);
                    let t = made.ask();
                    let what = format!("{engine:?} {gpu:?} {one:?} moe {moe}");
                    check_sources(&made, &t, &what);
                    let a = &t.attribution;
                    let kernels = &made.truth.device["kernel"];
                    assert!(a.by_method["launch"].count >= kernels.count, "{what}: {a:?}");
                    assert!(a.share_of_launched.is_some_and(|s| s >= 0.95), "{what}: {a:?}");
                }
            }
        }
    }
}

#[test]
fn work_without_a_launch_is_a_visible_row_of_its_method() {
    let o =
        Options { unlinked_percent: 30, pattern: vec![Class::Prefill], extent: Extent::Passes(3), ..short() };
    let made = Made::new(&o);
    let t = made.ask();
    check_kernels(&made, &t, "unlinked");
    check_sources(&made, &t, "unlinked");
    let (count, ns) =
        made.truth.kernels.values().fold((0, 0), |a, k| (a.0 + k.unlinked.count, a.1 + k.unlinked.total_ns));
    assert!(count > 0);
    let row = &t.attribution.by_method["unlinked"];
    assert_eq!((row.count, row.total_ns, row.attributes), (count, ns, false));
    let device = t.totals.device_ns() as f64;
    assert!((row.share - ns as f64 / device).abs() < 1e-12);
    // Only what has a launch record counts in the second share; the first is of all device time.
    let attributed: i64 = t.attribution.by_method.values().filter(|m| m.attributes).map(|m| m.total_ns).sum();
    assert!((t.attribution.share - attributed as f64 / device).abs() < 1e-12);
    let launched = device - ns as f64;
    let share = t.attribution.share_of_launched.expect("some have launches");
    assert!((share - attributed as f64 / launched).abs() < 1e-12, "{share}");
}

#[test]
fn without_stacks_operators_remain_and_count_in_neither_share() {
    let o = Options { stack: false, pattern: vec![Class::Prefill], extent: Extent::Passes(2), ..short() };
    let made = Made::new(&o);
    let t = made.ask();
    check_kernels(&made, &t, "no stacks");
    let a = &t.attribution;
    assert_eq!((a.share, a.share_of_launched), (0.0, Some(0.0)));
    assert!(a.by_method["cpu-op"].count > 0 && !a.by_method["cpu-op"].attributes);
    assert!(a.by_method.keys().all(|m| ["cpu-op", "launch-only", "unlinked"].contains(&m.as_str())), "{a:?}");
    assert!(t.tables.kernels.iter().all(|r| r.source.is_none()));
    assert!(t.tables.kernels.iter().any(|r| r.cpu_op.is_some()));
}

fn replay(engine: Engine, gpu: Gpu, graph_streams: u32) -> Options {
    Options {
        engine,
        gpu,
        graph_streams,
        graph_decode: true,
        pattern: vec![Class::Decode],
        extent: Extent::Passes(3),
        batch: Some(32),
        ..short()
    }
}

#[test]
fn graph_kernels_without_a_capture_trace_count_in_neither_share() {
    let made = Made::new(&replay(Engine::Sglang, Gpu::Amd, 1));
    let t = made.ask();
    check_kernels(&made, &t, "graph");
    let (count, ns) =
        made.truth.kernels.values().fold((0, 0), |a, k| (a.0 + k.in_graph.count, a.1 + k.in_graph.total_ns));
    let row = &t.attribution.by_method["graph-launch"];
    assert_eq!((row.count, row.total_ns, row.attributes), (count, ns, false));
    assert_eq!((t.attribution.graph_kernels_attributed, t.attribution.graph_kernels), (0, count));
    assert!(t.attribution.share < 0.2, "{:?}", t.attribution);
    assert!(t.warnings.iter().any(|w| w.contains("--capture")), "{:?}", t.warnings);
}

/// Every graph kernel gets the source that the truth of the graph states, node by node.
fn check_graph(engine: Engine, gpu: Gpu, graph_streams: u32) {
    let what = format!("{engine:?} {gpu:?} {graph_streams} streams");
    let options = replay(engine, gpu, graph_streams);
    let (made, capture) = (Made::new(&options), Made::new(&capture_options(&options)));
    let t = ask_with(&made.path, &TriageOptions { capture: Some(&capture.path), ..TriageOptions::default() });
    assert_eq!(t.stop, None, "{what}");
    check_kernels(&made, &t, &what);
    let count: u64 = made.truth.kernels.values().map(|k| k.in_graph.count).sum();
    let a = &t.attribution;
    assert_eq!((a.graph_kernels_attributed, a.graph_kernels), (count, count), "{what}");
    assert!(!a.by_method.contains_key("graph-launch"), "{what}");
    let nodes = &made.truth.graphs[&Class::Decode];
    for (name, k) in made.truth.kernels.iter().filter(|(_, k)| k.in_graph.count == total(k).0) {
        // All launches of this kernel are in the graph, so the nodes say all its sources.
        let mut sources: Vec<&str> =
            nodes.iter().filter(|n| n.kernel == *name).map(|n| n.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        assert!(!sources.is_empty(), "{what}: {name} is no node: {k:?}");
        for r in rows_of(&t, name) {
            assert!(
                r.source.as_deref().is_some_and(|s| sources.contains(&s)),
                "{what}: {r:?} of {sources:?}"
            );
            assert_eq!(r.sources as usize, sources.len(), "{what}: {r:?} of {sources:?}");
            assert_eq!(r.method, "capture", "{what}: {r:?}");
        }
    }
}

#[test]
fn a_capture_trace_with_names_gives_every_node_its_source() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        for streams in [1, 2] {
            check_graph(engine, Gpu::Amd, streams);
        }
    }
}

/// CUDA names no kernel on a launch: order is all there is.
#[test]
fn a_capture_trace_without_names_gives_every_node_its_source() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        check_graph(engine, Gpu::Nvidia, 1);
    }
}

#[test]
fn a_capture_trace_without_names_holds_for_two_streams() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        check_graph(engine, Gpu::Nvidia, 2);
    }
}

#[test]
fn a_capture_trace_of_another_model_is_refused() {
    let made = Made::new(&replay(Engine::Sglang, Gpu::Nvidia, 1));
    let other = Made::new(&capture_options(&Options { layers: 3, ..replay(Engine::Sglang, Gpu::Nvidia, 1) }));
    let t = ask_with(&made.path, &TriageOptions { capture: Some(&other.path), ..TriageOptions::default() });
    let stop = t.stop.expect("three layers do not fit two");
    assert_eq!(stop.code, "PW0204", "{stop:?}");
    let eager = Made::new(&short());
    let t = ask_with(&made.path, &TriageOptions { capture: Some(&eager.path), ..TriageOptions::default() });
    assert_eq!(t.stop.map(|s| s.code).as_deref(), Some("PW0203"));
}

#[test]
fn an_eager_mapping_trace_names_graph_kernels() {
    let options = replay(Engine::Sglang, Gpu::Nvidia, 1);
    let made = Made::new(&options);
    let eager = Made::new(&Options { graph_decode: false, extent: Extent::Passes(1), ..options });
    let t = ask_with(&made.path, &TriageOptions { mapping: Some(&eager.path), ..TriageOptions::default() });
    assert_eq!(t.stop, None);
    check_kernels(&made, &t, "mapping");
    let a = &t.attribution;
    assert!(a.by_method["mapping"].attributes && a.by_method["mapping"].count > 0, "{a:?}");
    assert!(a.share > 0.95, "{a:?}");
    for (name, k) in made.truth.kernels.iter().filter(|(_, k)| k.in_graph.count == total(k).0) {
        for r in rows_of(&t, name) {
            let source = r.source.as_deref();
            let eager = &eager.truth.kernels[name].sources;
            assert!(source.is_some_and(|s| eager.contains_key(s)), "{r:?} of {eager:?} ({k:?})");
        }
    }
}
