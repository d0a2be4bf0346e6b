//! The generator's truth against a slow and obvious reading of what it wrote.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;

use serde_json::Value;
use xtask::tracegen::sites::as_source;
use xtask::tracegen::{
    Annotation, Attention, Class, Comm, Engine, Extent, Fusions, Gpu, Options, Truth, capture_options,
    generate,
};

fn read(o: &Options) -> (Truth, Vec<Value>, Vec<u8>) {
    let mut bytes = Vec::new();
    let truth = generate(o, &mut bytes).unwrap();
    assert_eq!(truth.bytes, bytes.len() as u64);
    let document: Value = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{o:?}: {e}"));
    let events = document["traceEvents"].as_array().unwrap().clone();
    (truth, events, bytes)
}

/// Microseconds with at most three decimals as integer ns, through the shortest decimal text of the number.
fn ns(value: &Value) -> i64 {
    let text = value.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    assert!(part.len() <= 3, "{text}");
    whole.parse::<i64>().unwrap() * 1000 + format!("{part:0<3}").parse::<i64>().unwrap()
}

fn cat(e: &Value) -> &str {
    e["cat"].as_str().unwrap_or("")
}

fn is_device(e: &Value) -> bool {
    matches!(cat(e), "kernel" | "gpu_memcpy" | "gpu_memset")
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Compute,
    Communication,
    Transfer,
}

/// (busy, communication, exposed communication) in ns, stretch by stretch between neighbouring starts and ends.
fn overlap(rows: &[&(i64, i64, What)]) -> (i64, i64, i64) {
    let mut marks: Vec<i64> = rows.iter().flat_map(|r| [r.0, r.1]).collect();
    marks.sort_unstable();
    marks.dedup();
    let mut sums = (0, 0, 0);
    for pair in marks.windows(2) {
        let running = |what| rows.iter().any(|r| r.2 == what && r.0 <= pair[0] && pair[1] <= r.1);
        let (communication, compute) = (running(What::Communication), running(What::Compute));
        let length = pair[1] - pair[0];
        sums.0 += if communication || compute || running(What::Transfer) { length } else { 0 };
        sums.1 += if communication { length } else { 0 };
        sums.2 += if communication && !compute { length } else { 0 };
    }
    sums
}

/// Everything the truth says about device work, recomputed from the rows.
fn check(o: &Options) -> Truth {
    let (truth, events, _) = read(o);
    assert_eq!(truth.events, events.len() as u64, "{o:?}");
    let mut totals: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    let mut names: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    let mut rows: Vec<(i64, i64, What)> = Vec::new();
    for e in events.iter().filter(|e| is_device(e)) {
        let (ts, dur) = (ns(&e["ts"]), ns(&e["dur"]));
        assert!(dur > 0);
        let total = totals.entry(cat(e)).or_default();
        *total = (total.0 + 1, total.1 + dur);
        let name = e["name"].as_str().unwrap();
        if cat(e) == "kernel" {
            let total = names.entry(name).or_default();
            *total = (total.0 + 1, total.1 + dur);
        }
        let what = match cat(e) {
            "kernel" if truth.kernels[name].category == "communication" => What::Communication,
            "kernel" => What::Compute,
            _ => What::Transfer,
        };
        rows.push((ts, ts + dur, what));
    }
    let from_truth: BTreeMap<&str, (u64, i64)> =
        truth.device.iter().map(|(c, t)| (*c, (t.count, t.total_ns))).collect();
    assert_eq!(totals, from_truth, "{o:?}");
    for (name, total) in &names {
        let k = &truth.kernels[name];
        let by_class = k.by_class.values().fold((0, 0), |a, t| (a.0 + t.count, a.1 + t.total_ns));
        let places = k
            .sources
            .values()
            .chain([&k.in_graph, &k.unlinked])
            .fold((0, 0), |a, t| (a.0 + t.count, a.1 + t.total_ns));
        assert_eq!((*total, *total), (by_class, places), "{name}");
    }
    let mut last_end = i64::MIN;
    let mut counted = 0;
    for step in &truth.steps {
        let end = step.start_ns + step.duration_ns;
        assert!(step.start_ns >= last_end.saturating_add(40_000), "passes too close: {step:?}");
        last_end = end;
        let inside: Vec<_> = rows.iter().filter(|r| r.0 >= step.start_ns && r.1 <= end).collect();
        assert_eq!(inside.len() as u64, step.events, "{o:?} {step:?}");
        assert_eq!(inside.iter().map(|r| r.0).min().unwrap(), step.start_ns);
        assert_eq!(inside.iter().map(|r| r.1).max().unwrap(), end);
        assert_eq!(overlap(&inside), (step.busy_ns, step.communication_ns, step.exposed_communication_ns));
        counted += inside.len();
    }
    assert_eq!(counted, rows.len(), "device events outside every step: {o:?}");
    let annotated: Vec<(String, i64, i64)> = events
        .iter()
        .filter(|e| cat(e) == "gpu_user_annotation")
        .map(|e| (e["name"].as_str().unwrap().to_owned(), ns(&e["ts"]), ns(&e["dur"])))
        .collect();
    if o.gpu == Gpu::Nvidia && o.annotation != Annotation::None {
        let wanted: Vec<_> =
            truth.steps.iter().map(|s| (s.annotation.clone().unwrap(), s.start_ns, s.duration_ns)).collect();
        assert_eq!(annotated, wanted);
    }
    if o.annotation == Annotation::None {
        assert!(events.iter().all(|e| !cat(e).ends_with("annotation")));
    }
    truth
}

fn base() -> Options {
    Options { layers: 2, ..Options::default() }
}

const ALL_STEPS: [Class; 7] =
    [Class::Prefill, Class::Decode, Class::Mixed, Class::Draft, Class::Verify, Class::Draft, Class::Capture];

#[test]
fn truth_equals_a_naive_reading_over_a_round_of_options() {
    let mut rounds = 0;
    for engine in [Engine::Sglang, Engine::Vllm] {
        for gpu in [Gpu::Nvidia, Gpu::Amd] {
            for attention in [Attention::Fa3, Attention::FlashInfer] {
                for bits in 0..32_u32 {
                    let on = |bit: u32| bits >> bit & 1 == 1;
                    let o = Options {
                        engine,
                        gpu,
                        attention,
                        pattern: ALL_STEPS.to_vec(),
                        extent: Extent::Passes(7),
                        stack: on(0),
                        annotation: if on(1) { Annotation::Engine } else { Annotation::None },
                        graph_decode: on(2),
                        graph_streams: 1 + (bits >> 3 & 1),
                        graph_node_ids: on(3),
                        moe: on(4),
                        fp8: on(3),
                        shapes: on(1),
                        tp: if on(0) { 4 } else { 1 },
                        ranks: 4,
                        metadata_last: on(4),
                        seed: u64::from(bits),
                        ..base()
                    };
                    let truth = check(&o);
                    let classes: Vec<Class> = truth.steps.iter().map(|s| s.class).collect();
                    assert_eq!(classes, ALL_STEPS);
                    rounds += 1;
                }
            }
        }
    }
    assert_eq!(rounds, 256);
}

#[test]
fn every_collective_and_every_fusion_state_reads_back() {
    let fused = |f| Fusions {
        residual_norm: f,
        qk_norm_rope: f,
        act_mul: f,
        allreduce_norm: f,
        norm_quant: f,
        rope_kv_store: f,
    };
    for gpu in [Gpu::Nvidia, Gpu::Amd] {
        for comm in [
            Comm::Nccl,
            Comm::OneShot,
            Comm::TwoShot,
            Comm::Multimem,
            Comm::UserBuffers,
            Comm::NcclSymmetric,
            Comm::Rccl,
        ] {
            for on in [false, true] {
                let o = Options { gpu, comm, tp: 2, ranks: 2, fp8: true, fusions: fused(on), ..base() };
                let truth = check(&o);
                let communication: i64 = truth.steps.iter().map(|s| s.communication_ns).sum();
                assert!(communication > 0, "{comm:?} fused {on}");
                let exposed: i64 = truth.steps.iter().map(|s| s.exposed_communication_ns).sum();
                assert!(exposed <= communication);
                if comm != Comm::Nccl && comm != Comm::Rccl && comm != Comm::NcclSymmetric || on {
                    assert_eq!(exposed, communication, "one stream overlaps with nothing: {comm:?}");
                } else {
                    assert!(exposed < communication, "some collectives overlap: {comm:?}");
                }
            }
        }
    }
}

#[test]
fn plain_pytorch_old_and_step_only_annotations_read_back() {
    check(&Options { engine: Engine::Torch, ..base() });
    check(&Options { engine: Engine::Vllm, annotation: Annotation::Old, ..base() });
    check(&Options { annotation: Annotation::StepOnly, pattern: ALL_STEPS.to_vec(), ..base() });
}

/// A frame's source is what a reader finds: the innermost frame around the launch that is neither torch's call
/// machinery nor Triton's nor a built-in.
#[test]
fn sources_follow_from_the_frames_around_the_launch() {
    for engine in [Engine::Sglang, Engine::Vllm, Engine::Torch] {
        let o = Options { engine, ..base() };
        let (truth, events, _) = read(&o);
        let frames: Vec<&Value> = events.iter().filter(|e| cat(e) == "python_function").collect();
        let by_id: BTreeMap<i64, &Value> =
            frames.iter().map(|f| (f["args"]["Python id"].as_i64().unwrap(), *f)).collect();
        assert_eq!(by_id.len(), frames.len(), "Python ids are unique");
        let span = |e: &Value| (ns(&e["ts"]), ns(&e["ts"]) + ns(&e["dur"]));
        for f in &frames {
            if let Some(parent) = f["args"]["Python parent id"].as_i64() {
                let (inner, outer) = (span(f), span(by_id[&parent]));
                assert!(outer.0 <= inner.0 && inner.1 <= outer.1, "{f} not inside its parent");
            }
        }
        let launches: BTreeMap<i64, i64> = events
            .iter()
            .filter(|e| matches!(cat(e), "cuda_runtime" | "cuda_driver"))
            .map(|e| (e["args"]["correlation"].as_i64().unwrap(), ns(&e["ts"])))
            .collect();
        let machinery = ["torch/_ops.py", "torch/nn/modules/module.py", "triton/", "<", "nn.Module"];
        let mut found: BTreeMap<(String, String), i64> = BTreeMap::new();
        for e in events.iter().filter(|e| cat(e) == "kernel") {
            let at = launches[&e["args"]["correlation"].as_i64().unwrap()];
            let innermost = frames
                .iter()
                .filter(|f| span(f).0 <= at && at < span(f).1)
                .filter(|f| !machinery.iter().any(|m| f["name"].as_str().unwrap().starts_with(m)))
                .max_by_key(|f| span(f).0)
                .unwrap();
            let key =
                (e["name"].as_str().unwrap().to_owned(), as_source(innermost["name"].as_str().unwrap()));
            *found.entry(key).or_default() += ns(&e["dur"]);
        }
        let wanted: BTreeMap<(String, String), i64> = truth
            .kernels
            .iter()
            .flat_map(|(n, k)| k.sources.iter().map(|(s, t)| (((*n).to_owned(), s.clone()), t.total_ns)))
            .collect();
        assert_eq!(found, wanted, "{engine:?}");
    }
}

#[test]
fn a_capture_trace_lists_the_nodes_that_the_replay_runs() {
    for (engine, gpu) in [(Engine::Sglang, Gpu::Amd), (Engine::Vllm, Gpu::Amd), (Engine::Sglang, Gpu::Nvidia)]
    {
        for graph_streams in [1, 2] {
            let replay = Options {
                engine,
                gpu,
                graph_streams,
                graph_decode: true,
                pattern: vec![Class::Decode],
                extent: Extent::Passes(1),
                ..base()
            };
            let (truth, events, _) = read(&replay);
            let nodes: Vec<&str> = truth.graphs[&Class::Decode].iter().map(|n| n.kernel).collect();
            let launch = events
                .iter()
                .find(|e| e["name"].as_str().is_some_and(|n| n.ends_with("GraphLaunch")))
                .unwrap();
            let in_graph: Vec<&Value> = events
                .iter()
                .filter(|e| cat(e) == "kernel" && e["args"]["correlation"] == launch["args"]["correlation"])
                .collect();
            let names: Vec<&str> = in_graph.iter().map(|e| e["name"].as_str().unwrap()).collect();
            assert_eq!(names, nodes);
            assert!(in_graph.iter().all(|e| e["args"].get("External id").is_none()));
            let streams: std::collections::BTreeSet<i64> =
                in_graph.iter().map(|e| e["args"]["stream"].as_i64().unwrap()).collect();
            assert_eq!(streams.len() as u32, graph_streams);

            let (captured, events, _) = read(&capture_options(&replay));
            assert_eq!(captured.graphs[&Class::Capture], truth.graphs[&Class::Decode]);
            let run: Vec<i64> = events
                .iter()
                .filter(|e| cat(e) == "kernel")
                .map(|e| e["args"]["correlation"].as_i64().unwrap())
                .collect();
            assert!(!run.is_empty(), "warm-up launches run");
            let recorded = events
                .iter()
                .filter(|e| e["name"].as_str().is_some_and(|n| n.contains("Launch") && !n.contains("Graph")))
                .filter(|e| !run.contains(&e["args"]["correlation"].as_i64().unwrap()));
            if gpu == Gpu::Amd {
                let names: Vec<&str> = recorded.map(|e| e["args"]["kernel"].as_str().unwrap()).collect();
                assert_eq!(names, nodes);
            } else {
                assert_eq!(recorded.count(), nodes.len());
            }
        }
    }
}

#[test]
fn a_straggler_is_late_and_the_others_wait_for_it() {
    let rank = |rank| Options {
        rank,
        ranks: 2,
        tp: 2,
        straggler_ns: 50_000,
        comm: Comm::OneShot,
        pattern: vec![Class::Prefill],
        extent: Extent::Passes(1),
        ..base()
    };
    let collectives = |o: &Options| -> Vec<(i64, i64)> {
        let (truth, events, _) = read(o);
        events
            .iter()
            .filter(|e| {
                cat(e) == "kernel" && truth.kernels[e["name"].as_str().unwrap()].category == "communication"
            })
            .map(|e| (ns(&e["ts"]), ns(&e["ts"]) + ns(&e["dur"])))
            .collect()
    };
    let (early, late) = (collectives(&rank(0)), collectives(&rank(1)));
    assert_eq!(early.len(), 4);
    for (a, b) in early.iter().zip(&late) {
        assert_eq!(a.1, b.1, "a collective ends on all ranks at once");
        assert_eq!(b.0 - a.0, 50_000);
    }
}

#[test]
fn the_same_options_give_the_same_bytes_and_a_seed_changes_them() {
    let a = read(&base()).2;
    assert_eq!(a, read(&base()).2);
    assert_ne!(a, read(&Options { seed: 2, ..base() }).2);
}

#[test]
fn a_slow_kernel_takes_its_factor_longer() {
    let plain = check(&base());
    let slow = check(&Options { slow_kernel: Some(("attn_prefill".to_owned(), 1300)), ..base() });
    for (name, k) in &plain.kernels {
        let total = |t: &Truth| t.kernels[name].by_class.values().map(|t| t.total_ns).sum::<i64>();
        let ratio = total(&slow) * 1000 / total(&plain);
        let wanted = if name.contains("FlashAttnFwdSm90") && k.by_class.contains_key(&Class::Prefill) {
            1299..=1301
        } else {
            1000..=1000
        };
        assert!(wanted.contains(&ratio), "{name}: {ratio}");
    }
}

#[test]
fn unlinked_kernels_have_neither_launch_nor_external_id() {
    let o = Options { unlinked_percent: 30, ..base() };
    let truth = check(&o);
    let (_, events, _) = read(&o);
    let launches: std::collections::BTreeSet<i64> = events
        .iter()
        .filter(|e| matches!(cat(e), "cuda_runtime" | "cuda_driver"))
        .map(|e| e["args"]["correlation"].as_i64().unwrap())
        .collect();
    let alone: Vec<&Value> = events
        .iter()
        .filter(|e| cat(e) == "kernel" && !launches.contains(&e["args"]["correlation"].as_i64().unwrap()))
        .collect();
    let wanted: u64 = truth.kernels.values().map(|k| k.unlinked.count).sum();
    assert_eq!(alone.len() as u64, wanted);
    let all = truth.device["kernel"].count;
    assert!((all / 5..all * 2 / 5).contains(&wanted), "{wanted} of {all}");
    assert!(alone.iter().all(|e| e["args"].get("External id").is_none()));
}

#[test]
fn size_is_reached_and_not_much_exceeded() {
    let o = Options { extent: Extent::Bytes(3_000_000), ..base() };
    let bytes = check(&o).bytes;
    assert!((3_000_000..3_500_000).contains(&bytes), "{bytes}");
}
