//! The surveyed defects of the layer tool in use, each as a test that ours does not have it.

mod common;

use std::fmt::Write as _;

use common::{Made, catalogs};
use perfwright_trace::input::read_text;
use perfwright_trace::pipeline::config::ModelLayers;
use perfwright_trace::pipeline::report::{Bounds, Pipeline};
use perfwright_trace::pipeline::{PipelineOptions, pipeline, pipeline_store};
use perfwright_trace::steps::Class;
use xtask::tracegen::{self, Engine, Extent, Options};

/// A trace of these kernels: (name, duration us, stream), 1 us apart, with labelled passes of so many kernels.
struct Text {
    events: String,
    at: i64,
}

impl Text {
    fn new() -> Self {
        Self { events: String::new(), at: 1_000 }
    }

    fn kernel(&mut self, name: &str, dur: i64, stream: i64) {
        let at = self.at;
        let _ = writeln!(
            self.events,
            r#",{{"ph":"X","cat":"kernel","name":"{name}","pid":0,"tid":{stream},"ts":{at},"dur":{dur},"args":{{"stream":{stream}}}}}"#
        );
        self.at += dur + 1;
    }

    fn labelled(&mut self, label: &str, fill: impl FnOnce(&mut Self)) {
        let from = self.at;
        fill(self);
        let dur = self.at - from - 1;
        let _ = writeln!(
            self.events,
            r#",{{"ph":"X","cat":"gpu_user_annotation","name":"{label}","pid":0,"tid":7,"ts":{from},"dur":{dur},"args":{{}}}}"#
        );
        self.at += 50;
    }

    fn ask(&self, options: &PipelineOptions<'_>) -> Pipeline {
        let text = format!(
            r#"[{{"ph":"X","cat":"cpu_op","name":"aten::empty","pid":9,"tid":9,"ts":500,"dur":1,"args":{{}}}}{}]"#,
            self.events
        );
        let store = read_text(text.as_bytes()).expect("a trace");
        pipeline_store(store, catalogs(), options).expect("an answer")
    }
}

const DECODE: &str = "execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk32785sqsq32sqsk32785)";
const PREFILL: &str = "execute_512_context_1(sq512sk512sqsq262144sqsk262144)_generation_0(sq0sk0sqsq0sqsk0)";

fn attention_and_experts(t: &mut Text, layers: usize) {
    for _ in 0..layers {
        t.kernel("flash_fwd_splitkv_mla_fp8", 50, 7);
        t.kernel("mhc_post_tilelang_kernel", 5, 7);
        t.kernel("fused_moe_kernel", 80, 7);
        t.kernel("mhc_post_tilelang_kernel", 5, 7);
    }
}

fn dense(t: &mut Text, layers: usize, scale: i64) {
    t.kernel("vocab_parallel_embedding_kernel", 4, 7);
    for _ in 0..layers {
        t.kernel("vllm::rms_norm_kernel", 3, 7);
        t.kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 20 * scale, 7);
        t.kernel("flash_fwd_kernel", 30 * scale, 7);
        t.kernel("nvjet_tst_128x64_64x16_2x1_v_bz_TNT", 15 * scale, 7);
        t.kernel("vllm::rms_norm_kernel", 3, 7);
        t.kernel("nvjet_tst_192x64_64x16_2x1_v_bz_TNT", 40 * scale, 7);
        t.kernel("vllm::act_and_mul_kernel", 5, 7);
        t.kernel("nvjet_tst_256x64_64x16_2x1_v_bz_TNT", 30 * scale, 7);
    }
    t.kernel("vllm::rms_norm_kernel", 3, 7);
    t.kernel("nvjet_tst_448x64_64x16_2x1_v_bz_TNT", 90, 7);
}

/// P1: an anchor that ends a half-layer must not put experts into the attention half.
#[test]
fn p01_layers_are_whole() {
    let mut t = Text::new();
    attention_and_experts(&mut t, 12);
    let p = t.ask(&PipelineOptions { config: Some(&ModelLayers::plain(4)), ..PipelineOptions::default() });
    assert_eq!(p.layers.len(), 12);
    for l in &p.layers {
        assert_eq!((l.kernels, l.sum_ns, l.wall_ns), (4, 140_000, 143_000), "{l:?}");
    }
    assert_eq!(p.clusters.len(), 1);
    let flow: Vec<&str> = p.clusters[0].representative.kernels.iter().map(|k| k.kernel.as_str()).collect();
    assert_eq!(
        flow,
        [
            "flash_fwd_splitkv_mla_fp8",
            "mhc_post_tilelang_kernel",
            "fused_moe_kernel",
            "mhc_post_tilelang_kernel"
        ]
    );
    assert_eq!(p.clusters[0].name, "attention+moe");
}

/// P2: the last pass counts, and one pass alone is one.
#[test]
fn p02_the_last_pass_is_not_lost() {
    for passes in [1, 2, 3] {
        let mut t = Text::new();
        (0..passes).for_each(|_| t.labelled(DECODE, |t| dense(t, 6, 1)));
        let p = t.ask(&PipelineOptions::default());
        assert_eq!((p.passes.len(), p.layers.len()), (passes, passes * 6));
        assert_eq!(p.layers_per_pass, Some(6));
    }
}

/// P3: no hand-written profile and no anchor is needed, and nothing that can be read ends in an error.
#[test]
fn p03_no_profile_is_needed() {
    let mut t = Text::new();
    t.labelled(DECODE, |t| dense(t, 9, 1));
    assert_eq!(t.ask(&PipelineOptions::default()).layers_per_pass, Some(9));
    let mut t = Text::new();
    (0..20).for_each(|_| t.kernel("some_kernel_nobody_knows", 5, 7));
    let p = t.ask(&PipelineOptions::default());
    assert_eq!(p.layers_per_pass, None);
    assert!(p.layers_reason.contains("--anchor"), "{}", p.layers_reason);
}

/// P4: the score is normalised, so a long period has no advantage.
#[test]
fn p04_the_period_is_the_short_one() {
    let mut t = Text::new();
    attention_and_experts(&mut t, 12);
    let p = t.ask(&PipelineOptions { config: Some(&ModelLayers::plain(4)), ..PipelineOptions::default() });
    assert_eq!(p.layers_per_pass, Some(4), "{}", p.layers_reason);
    assert_eq!(p.passes.len(), 3);
    assert!(p.passes.iter().all(|r| r.bounds == Bounds::Config && r.layers == 4));
    assert!(p.evidence.iter().all(|e| e.agrees != Some(false)), "{:#?}", p.evidence);
    // Without the configuration nothing bounds a pass: that is said, not guessed.
    let p = t.ask(&PipelineOptions::default());
    assert_eq!((p.layers_per_pass, p.passes.len(), p.passes[0].layers), (None, 1, 12));
    assert!(p.passes[0].partial && p.layers_reason.contains("12"), "{}", p.layers_reason);
}

/// P5: output and input work between two passes is in no layer, nor is the time between them.
#[test]
fn p05_passes_end_where_they_end() {
    let mut t = Text::new();
    t.labelled(DECODE, |t| dense(t, 4, 1));
    t.at += 1_000_000;
    t.labelled(DECODE, |t| dense(t, 4, 1));
    let p = t.ask(&PipelineOptions::default());
    let walls: Vec<i64> = p.layers.iter().map(|l| l.wall_ns).collect();
    assert!(walls.iter().all(|&w| w == walls[0]), "{walls:?}");
    for pass in &p.passes {
        assert_eq!((pass.prologue.kernels, pass.prologue.sum_ns), (1, 4_000));
        assert_eq!((pass.epilogue.kernels, pass.epilogue.sum_ns), (2, 93_000));
    }
}

/// P6: a draft layer after the model shifts nothing and is told apart.
#[test]
fn p06_draft_layers_shift_nothing() {
    let mut t = Text::new();
    for drafts in [0, 1, 0, 2] {
        t.labelled(DECODE, |t| {
            dense(t, 6, 1);
            (0..drafts).for_each(|_| {
                t.kernel("argmax_kernel", 3, 7);
                dense(t, 1, 1);
            });
        });
    }
    let p = t.ask(&PipelineOptions::default());
    let counts: Vec<_> = p.passes.iter().map(|r| (r.layers, r.draft_layers)).collect();
    assert_eq!(counts, [(6, 0), (6, 1), (6, 0), (6, 2)]);
    assert_eq!(p.layers_per_pass, Some(6));
    let starts = |pass: u32| {
        let of: Vec<_> = p.layers.iter().filter(|l| l.pass == pass).map(|l| l.start_ns).collect();
        of.iter().take(6).map(|s| s - of[0]).collect::<Vec<_>>()
    };
    assert_eq!(starts(0), starts(1));
    assert_eq!(starts(0), starts(3));
}

/// P7: cold is what deviates, wherever it stands; decode passes have a steady state too.
#[test]
fn p07_cold_is_a_deviation() {
    let mut t = Text::new();
    for scale in [1, 1, 9, 1, 1] {
        t.labelled(DECODE, |t| dense(t, 4, scale));
    }
    let p = t.ask(&PipelineOptions::default());
    let cold: Vec<bool> = p.passes.iter().map(|r| r.cold).collect();
    assert_eq!(cold, [false, false, true, false, false]);
    assert_eq!((p.steady.len(), p.steady[0].class, p.steady[0].cold), (1, Class::Decode, 1));
    assert_eq!(p.steady[0].median_ns, p.passes[0].duration_ns);
}

/// P8: a prefill among decodes is neither cold nor growing: classes are apart.
#[test]
fn p08_classes_are_apart() {
    let mut t = Text::new();
    for (label, scale) in [(DECODE, 1), (DECODE, 1), (PREFILL, 20), (DECODE, 1), (PREFILL, 20), (PREFILL, 20)]
    {
        t.labelled(label, |t| dense(t, 4, scale));
    }
    let p = t.ask(&PipelineOptions::default());
    assert!(p.passes.iter().all(|r| !r.cold));
    assert_eq!(p.steady.len(), 2);
    assert!(
        p.clusters.iter().any(|c| c.class == Class::Prefill)
            && p.clusters.iter().any(|c| c.class == Class::Decode)
    );
    assert_eq!(p.layers_per_pass, Some(4));
}

/// P9: passes and layers are numbers from 0; others are refused (negative ones already by the command line).
#[test]
fn p09_no_wrapping_numbers() {
    let mut t = Text::new();
    t.labelled(DECODE, |t| dense(t, 4, 1));
    let text = format!("[{}]", &t.events.trim_start()[1..]);
    let store = || read_text(text.as_bytes()).expect("a trace");
    for options in [
        PipelineOptions { layer: Some(4), ..PipelineOptions::default() },
        PipelineOptions { layer: Some(u32::MAX), ..PipelineOptions::default() },
        PipelineOptions { layer: Some(0), pass: Some(1), ..PipelineOptions::default() },
    ] {
        assert!(pipeline_store(store(), catalogs(), &options).is_err());
    }
    let p = t.ask(&PipelineOptions::default());
    assert!(p.layers.iter().all(|l| l.wall_ns > 0));
}

/// P10: a comparison is part of the one JSON document.
#[test]
fn p10_comparison_is_json() {
    let mut t = Text::new();
    t.labelled(DECODE, |t| dense(t, 4, 1));
    let p = t.ask(&PipelineOptions { layer: Some(0), compare_layer: Some(3), ..PipelineOptions::default() });
    let value = serde_json::to_value(&p).expect("JSON");
    assert_eq!(value["comparison"]["b"], 3);
    assert_eq!(value["selected"]["kernels"].as_array().map(Vec::len), Some(8));
}

/// P11: shapes come from the operator that launched the kernel.
#[test]
fn p11_input_dims_are_filled() {
    let made = Made::new(&Options { layers: 3, extent: Extent::Passes(2), ..Options::default() });
    let p = pipeline(&made.path, catalogs(), &PipelineOptions::default()).expect("an answer");
    let gemms: Vec<_> =
        p.clusters.iter().flat_map(|c| &c.representative.kernels).filter(|k| k.category == "gemm").collect();
    assert!(
        !gemms.is_empty()
            && gemms.iter().all(|k| k.input_dims.as_deref().is_some_and(|d| d.starts_with('[')))
    );
}

/// P12: matrix products and attention of every library are recognised, so layers have their families.
#[test]
fn p12_families_of_every_library() {
    for gpu in [tracegen::Gpu::Nvidia, tracegen::Gpu::Amd] {
        let made = Made::new(&Options { gpu, layers: 3, extent: Extent::Passes(2), ..Options::default() });
        let p = pipeline(&made.path, catalogs(), &PipelineOptions::default()).expect("an answer");
        for c in &p.clusters {
            assert_eq!(c.name, "attention+mlp");
            assert!(c.shares["gemm"] > 0.2 && c.shares["attention"] > 0.01, "{:?}", c.shares);
        }
    }
}

/// P13: every layer is in a cluster, and clusters come from structure, not from one vendor's configuration.
#[test]
fn p13_no_layer_is_dropped() {
    let mut t = Text::new();
    t.labelled(DECODE, |t| {
        t.kernel("vocab_parallel_embedding_kernel", 4, 7);
        for layer in 0..12 {
            t.kernel("vllm::rms_norm_kernel", 3, 7);
            t.kernel("nvjet_tst_64x64_64x16_2x1_v_bz_TNT", 20, 7);
            t.kernel(
                if layer % 4 == 3 {
                    "flash_fwd_kernel"
                } else {
                    "fused_recurrent_gated_delta_rule_fwd_kernel"
                },
                30,
                7,
            );
            t.kernel("nvjet_tst_128x64_64x16_2x1_v_bz_TNT", 15, 7);
            t.kernel("vllm::rms_norm_kernel", 3, 7);
            if layer < 2 {
                t.kernel("nvjet_tst_192x64_64x16_2x1_v_bz_TNT", 40, 7);
                t.kernel("vllm::act_and_mul_kernel", 5, 7);
                t.kernel("nvjet_tst_256x64_64x16_2x1_v_bz_TNT", 30, 7);
            } else {
                t.kernel("fused_moe_kernel", 80, 7);
            }
        }
        t.kernel("vllm::rms_norm_kernel", 3, 7);
        t.kernel("nvjet_tst_448x64_64x16_2x1_v_bz_TNT", 90, 7);
    });
    let p = t.ask(&PipelineOptions::default());
    assert_eq!(p.layers_per_pass, Some(12), "{:#?}", p.evidence);
    let mut found: Vec<_> = p.clusters.iter().map(|c| (c.name.as_str(), c.layer_indices.clone())).collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("attention+moe", vec![3, 7, 11]),
            ("linear_attention+mlp", vec![0, 1]),
            ("linear_attention+moe", vec![2, 4, 5, 6, 8, 9, 10])
        ]
    );
    assert_eq!(p.clusters.iter().map(|c| c.count).sum::<u64>(), p.layers.len() as u64);
}

/// P14: devices and streams are not mixed, copies count, and no list is cut off.
#[test]
fn p14_streams_devices_copies_and_many_passes() {
    let o = Options {
        layers: 2,
        tp: 2,
        ranks: 2,
        engine: Engine::Vllm,
        extent: Extent::Passes(45),
        ..Options::default()
    };
    let made = Made::new(&o);
    let p = pipeline(&made.path, catalogs(), &PipelineOptions::default()).expect("an answer");
    assert_eq!(p.passes.len(), 45);
    assert_eq!(p.layers.len(), 90);
    // Copies into the inputs of a pass are part of it.
    assert!(p.passes.iter().all(|r| r.prologue.shares.contains_key("memory")));
    let streams: std::collections::BTreeSet<_> = p.layers.iter().map(|l| l.stream.as_str()).collect();
    assert_eq!(streams.len(), 1, "layers lie on the main stream, collectives beside them");
}

/// P15: all views of a trace come from one reading; the same store answers a second question.
#[test]
fn p15_one_reading_for_all_views() {
    let made = Made::new(&Options { layers: 4, extent: Extent::Passes(3), ..Options::default() });
    let options = PipelineOptions { layer: Some(1), compare_layer: Some(2), ..PipelineOptions::default() };
    let p = pipeline(&made.path, catalogs(), &options).expect("an answer");
    assert_eq!(p.inputs.len(), 1);
    assert!(!p.passes.is_empty() && !p.layers.is_empty() && !p.clusters.is_empty());
    assert!(p.selected.is_some() && p.comparison.is_some());
}
