//! Passes and layers of generated traces, whose truth is known.

mod common;

use common::{Made, catalogs};
use perfwright_trace::pipeline::config::{Block, ModelLayers};
use perfwright_trace::pipeline::report::{EvidenceKind, LayerKind, Pipeline};
use perfwright_trace::pipeline::{PipelineOptions, pipeline};
use perfwright_trace::steps::Class;
use xtask::tracegen::{self, Annotation, Attention, Comm, Engine, Extent, Gpu, Options};

fn ask(made: &Made) -> Pipeline {
    ask_with(made, &PipelineOptions::default())
}

fn ask_with(made: &Made, options: &PipelineOptions<'_>) -> Pipeline {
    pipeline(&made.path, catalogs(), options).unwrap_or_else(|e| panic!("{e}"))
}

/// Every piece of device work is in one part of one pass, or outside.
fn tiles(p: &Pipeline, what: &str) {
    for pass in &p.passes {
        let of = |l: &&perfwright_trace::pipeline::report::LayerRow| l.pass == pass.index;
        let sum: i64 = p.layers.iter().filter(of).map(|l| l.sum_ns).sum();
        let kernels: u64 = p.layers.iter().filter(of).map(|l| l.kernels).sum();
        assert_eq!(
            pass.device_ns,
            pass.prologue.sum_ns + sum + pass.epilogue.sum_ns,
            "{what}: pass {} does not add up",
            pass.index
        );
        assert_eq!(pass.kernels, pass.prologue.kernels + kernels + pass.epilogue.kernels, "{what}");
        for l in p.layers.iter().filter(of) {
            assert!(l.kernels > 0 && l.wall_ns > 0 && l.sum_ns > 0, "{what}: {l:?}");
            assert!(l.start_ns >= pass.start_ns && l.end_ns <= pass.start_ns + pass.duration_ns, "{what}");
            let shares: f64 = l.shares.values().sum();
            assert!((shares - 1.0).abs() < 1e-9, "{what}: shares add to {shares}");
        }
    }
    let in_passes: i64 = p.passes.iter().map(|r| r.device_ns).sum();
    let total: i64 = p.inputs.iter().map(|i| i.totals.device_ns()).sum();
    assert_eq!(total, in_passes + p.outside.total_ns, "{what}");
}

fn found(o: &Options, what: &str) -> Pipeline {
    let made = Made::new(o);
    let p = ask(&made);
    assert_eq!(p.layers_per_pass, Some(o.layers), "{what}: {} {:#?}", p.layers_reason, p.evidence);
    tiles(&p, what);
    for pass in p.passes.iter().filter(|r| !matches!(r.class, Class::Draft | Class::Capture)) {
        assert_eq!((pass.layers, pass.draft_layers, pass.partial), (o.layers, 0, false), "{what}");
        assert!(pass.prologue.kernels > 0 && pass.epilogue.kernels > 0, "{what}");
    }
    p
}

#[test]
fn layer_counts_of_every_engine_and_gpu() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        for gpu in [Gpu::Nvidia, Gpu::Amd] {
            for moe in [false, true] {
                for layers in [1, 2, 5, 12] {
                    let o =
                        Options { engine, gpu, moe, layers, extent: Extent::Passes(3), ..Options::default() };
                    let p = found(&o, &format!("{engine:?} {gpu:?} moe {moe} {layers}"));
                    let name = if moe { "attention+moe" } else { "attention+mlp" };
                    assert!(p.clusters.iter().all(|c| c.name == name), "{:?}", p.clusters);
                }
            }
        }
    }
}

#[test]
fn many_layers() {
    let o = Options { layers: 61, moe: true, extent: Extent::Passes(2), ..Options::default() };
    let p = found(&o, "61 layers");
    assert!(p.evidence.iter().all(|e| e.agrees != Some(false)), "{:#?}", p.evidence);
    assert!(p.evidence.iter().any(|e| e.kind == EvidenceKind::ModuleFrames && e.layers == Some(61)));
    assert!(p.evidence.iter().any(|e| e.kind == EvidenceKind::Repetition && e.agrees == Some(true)));
}

#[test]
fn kernels_alone_tell_without_frames() {
    for layers in [1, 2, 5, 12] {
        for moe in [false, true] {
            let o = Options { layers, moe, stack: false, extent: Extent::Passes(3), ..Options::default() };
            let p = found(&o, &format!("no frames, {layers}"));
            assert!(p.evidence.iter().all(|e| e.kind != EvidenceKind::ModuleFrames));
        }
    }
}

/// With frames and without, the same kernels are in the same layer.
#[test]
fn frames_and_kernels_give_the_same_boundaries() {
    for fp8 in [false, true] {
        for tp in [1, 2] {
            let o =
                Options { layers: 4, fp8, tp, ranks: tp, extent: Extent::Passes(2), ..Options::default() };
            let with = found(&o, "with frames");
            let without = found(&Options { stack: false, ..o }, "without frames");
            let sums = |p: &Pipeline| p.layers.iter().map(|l| (l.index, l.kernels)).collect::<Vec<_>>();
            assert_eq!(sums(&with), sums(&without), "fp8 {fp8} tp {tp}");
        }
    }
}

#[test]
fn graph_replays() {
    for graph_streams in [1, 2] {
        for graph_node_ids in [false, true] {
            for layers in [1, 2, 12] {
                let o = Options {
                    graph_decode: true,
                    graph_streams,
                    graph_node_ids,
                    layers,
                    extent: Extent::Passes(4),
                    ..Options::default()
                };
                let p = found(&o, &format!("graph {graph_streams} {graph_node_ids} {layers}"));
                let graph =
                    p.evidence.iter().find(|e| e.kind == EvidenceKind::GraphNodes).expect("a graph row");
                assert!(graph.agrees != Some(false), "{graph:?}");
            }
        }
    }
}

#[test]
fn collectives_on_their_own_stream_are_in_their_layer() {
    for comm in [Comm::Nccl, Comm::OneShot, Comm::Multimem] {
        let o = Options { layers: 6, tp: 2, ranks: 2, comm, extent: Extent::Passes(3), ..Options::default() };
        let p = found(&o, &format!("{comm:?}"));
        // Two reductions a layer; the communication share is in every layer.
        assert!(p.layers.iter().all(|l| l.shares.contains_key("communication")), "{comm:?}");
    }
}

#[test]
fn mixed_verify_and_draft_passes() {
    for engine in [Engine::Sglang, Engine::Vllm] {
        for graph_decode in [false, true] {
            use tracegen::Class::{Decode, Draft, Mixed, Prefill, Verify};
            let o = Options {
                engine,
                graph_decode,
                layers: 8,
                pattern: vec![Prefill, Draft, Verify, Draft, Verify, Mixed, Decode],
                extent: Extent::Passes(7),
                ..Options::default()
            };
            let p = found(&o, &format!("{engine:?} graph {graph_decode}"));
            let draft: Vec<_> = p.passes.iter().filter(|r| r.class == Class::Draft).collect();
            assert!(!draft.is_empty());
            for pass in draft {
                // A draft pass runs its one layer once a drafted token, and never counts as the model.
                assert_eq!(pass.layers, 0, "{pass:?}");
                assert!(pass.draft_layers >= 1 && pass.draft_layers <= o.draft_steps, "{pass:?}");
            }
            assert!(p.layers.iter().any(|l| l.kind == LayerKind::Draft));
            assert!(p.evidence.iter().all(|e| e.agrees != Some(false)), "{:#?}", p.evidence);
        }
    }
}

#[test]
fn unfused_kernels_and_other_attention() {
    let fusions = tracegen::Fusions {
        residual_norm: false,
        qk_norm_rope: false,
        act_mul: false,
        allreduce_norm: false,
        norm_quant: false,
        rope_kv_store: false,
    };
    for attention in [Attention::Fa3, Attention::FlashInfer] {
        for stack in [true, false] {
            let o = Options {
                layers: 7,
                attention,
                fusions,
                stack,
                extent: Extent::Passes(3),
                ..Options::default()
            };
            found(&o, &format!("unfused {attention:?} {stack}"));
        }
    }
    let all = tracegen::Fusions {
        residual_norm: true,
        qk_norm_rope: true,
        act_mul: true,
        allreduce_norm: true,
        norm_quant: true,
        rope_kv_store: true,
    };
    for (tp, fp8) in [(1, false), (2, false), (2, true)] {
        for stack in [true, false] {
            let o = Options {
                layers: 7,
                tp,
                ranks: tp,
                fp8,
                fusions: all,
                stack,
                extent: Extent::Passes(3),
                ..Options::default()
            };
            found(&o, &format!("fused tp {tp} fp8 {fp8} {stack}"));
        }
    }
}

#[test]
fn plain_pytorch_and_traces_without_labels() {
    for moe in [false, true] {
        let o = Options {
            engine: Engine::Torch,
            moe,
            layers: 6,
            pattern: vec![tracegen::Class::Prefill],
            extent: Extent::Passes(2),
            ..Options::default()
        };
        found(&o, &format!("torch moe {moe}"));
    }
    let o =
        Options { annotation: Annotation::None, layers: 6, extent: Extent::Passes(4), ..Options::default() };
    found(&o, "no labels");
}

#[test]
fn launches_without_a_record() {
    for percent in [10, 30] {
        let o =
            Options { unlinked_percent: percent, layers: 9, extent: Extent::Passes(3), ..Options::default() };
        found(&o, &format!("{percent} % unlinked"));
    }
}

#[test]
fn config_agrees_or_is_reported() {
    let made = Made::new(&Options { layers: 5, extent: Extent::Passes(2), ..Options::default() });
    let config = |n| {
        let p = ask_with(
            &made,
            &PipelineOptions { config: Some(&ModelLayers::plain(n)), ..PipelineOptions::default() },
        );
        let row = p.evidence.iter().find(|e| e.kind == EvidenceKind::Config).cloned().expect("a config row");
        (p.layers_per_pass, row.agrees, p.warnings.iter().any(|w| w.contains("disagrees")))
    };
    assert_eq!(config(5), (Some(5), Some(true), false));
    // The configuration is evidence, not an order: what the trace shows stays.
    assert_eq!(config(6), (Some(5), Some(false), true));
}

#[test]
fn an_anchor_overrides() {
    let made = Made::new(&Options { layers: 5, extent: Extent::Passes(2), ..Options::default() });
    let with = |name| ask_with(&made, &PipelineOptions { anchor: Some(name), ..PipelineOptions::default() });
    let p = with("Rotary");
    assert_eq!(p.layers_per_pass, Some(5), "{}", p.layers_reason);
    tiles(&p, "anchor");
    let p = with("no_such_kernel");
    assert_eq!(p.layers_per_pass, None);
    assert!(p.warnings.iter().any(|w| w.contains("no_such_kernel")));
    tiles(&p, "no anchor");
}

#[test]
fn flows_and_differences() {
    let made = Made::new(&Options { layers: 5, extent: Extent::Passes(3), ..Options::default() });
    let p = ask_with(
        &made,
        &PipelineOptions { layer: Some(1), compare_layer: Some(2), ..PipelineOptions::default() },
    );
    let flow = p.selected.as_ref().expect("a flow");
    let row = p.layers.iter().find(|l| (l.pass, l.index) == (flow.pass, 1)).expect("the layer");
    assert_eq!(flow.kernels.iter().map(|k| k.duration_ns).sum::<i64>(), row.sum_ns);
    assert_eq!(flow.kernels.len() as u64, row.kernels);
    assert!(flow.kernels.iter().any(|k| k.source.is_some() && k.cpu_op.is_some() && k.input_dims.is_some()));
    let c = p.comparison.as_ref().expect("a comparison");
    assert_eq!(c.rows.iter().map(|r| r.delta_ns).sum::<i64>(), c.sum_ns[1] - c.sum_ns[0]);
    for (options, what) in [
        (PipelineOptions { layer: Some(5), ..PipelineOptions::default() }, "layer 5"),
        (PipelineOptions { layer: Some(0), pass: Some(99), ..PipelineOptions::default() }, "pass 99"),
    ] {
        let e = pipeline(&made.path, catalogs(), &options).expect_err("no such part");
        assert!(e.to_string().contains(what), "{e}");
    }
}

#[test]
fn the_same_bytes_give_the_same_answer() {
    let made =
        Made::new(&Options { layers: 4, tp: 2, ranks: 2, extent: Extent::Passes(4), ..Options::default() });
    let text = || serde_json::to_string(&ask(&made)).expect("serialises");
    assert_eq!(text(), text());
}

/// Layers of one structure are told apart by what the configuration calls them; other counts name nothing.
#[test]
fn the_config_names_the_layers() {
    let made = Made::new(&Options { layers: 6, moe: true, extent: Extent::Passes(3), ..Options::default() });
    let block =
        |name: &str, experts| Block { name: name.into(), attention: true, recurrence: false, experts };
    let (sliding, full) = (block("sliding attention + MoE", true), block("full attention + MoE", true));
    let of = |blocks: Vec<Block>| ModelLayers { stated: blocks.len() as u32, blocks, drafts: 1 };
    let alternating: Vec<Block> =
        (0..6).map(|i| if i % 2 == 0 { sliding.clone() } else { full.clone() }).collect();
    let asked = |config: &ModelLayers| {
        let p = ask_with(&made, &PipelineOptions { config: Some(config), ..PipelineOptions::default() });
        tiles(&p, "named");
        p
    };
    let p = asked(&of(alternating.clone()));
    assert!(p.warnings.is_empty(), "{:?}", p.warnings);
    for c in &p.clusters {
        assert!(c.configured && c.structure == "attention+moe", "{}: {}", c.name, c.structure);
        let even = c.name == sliding.name;
        assert!(even || c.name == full.name, "{}", c.name);
        assert!(c.layer_indices.iter().all(|l| (l % 2 == 0) == even), "{}: {:?}", c.name, c.layer_indices);
    }
    let row = p.evidence.iter().find(|e| e.kind == EvidenceKind::Config).expect("a config row");
    assert_eq!(
        row.detail,
        "the configuration has 6 layers (3 sliding attention + MoE, 3 full attention + MoE) and 1 draft (MTP); the \
         trace shows no draft layer"
    );
    // Kernels of experts where the configuration has none.
    let p = asked(&of(vec![block("full attention + MLP", false); 6]));
    assert!(p.warnings.iter().any(|w| w.contains("its kernels show experts")), "{:?}", p.warnings);
    // Seven layers in the configuration: which of them are the trace's six is not known.
    let p = asked(&of([alternating, vec![sliding]].concat()));
    assert!(p.clusters.iter().all(|c| !c.configured && c.name == "attention+moe"));
    assert!(p.warnings.iter().any(|w| w.contains("7 layers") && w.contains("the trace 6 layers")));
}
