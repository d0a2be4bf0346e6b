//! Layer counts of real traces, found without being told.

mod common;

use std::path::PathBuf;

use common::catalogs;
use perfwright_trace::pipeline::config::ModelLayers;
use perfwright_trace::pipeline::report::{EvidenceKind, Pipeline};
use perfwright_trace::pipeline::{PipelineOptions, pipeline};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/trace");

fn ask_with(name: &str, options: &PipelineOptions<'_>) -> Pipeline {
    let p = pipeline(&PathBuf::from(DATA).join(name), catalogs(), options)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    for pass in &p.passes {
        let layers: i64 = p.layers.iter().filter(|l| l.pass == pass.index).map(|l| l.sum_ns).sum();
        assert_eq!(pass.device_ns, pass.prologue.sum_ns + layers + pass.epilogue.sum_ns, "{name}");
    }
    p
}

fn ask(name: &str) -> Pipeline {
    ask_with(name, &PipelineOptions::default())
}

fn agreed(name: &str, layers: u32) -> Pipeline {
    let p = ask(name);
    assert_eq!(p.layers_per_pass, Some(layers), "{name}: {} {:#?}", p.layers_reason, p.evidence);
    assert!(p.evidence.iter().all(|e| e.agrees != Some(false)), "{name}: {:#?}", p.evidence);
    p
}

fn names(p: &Pipeline) -> Vec<&str> {
    let mut names: Vec<&str> = p.clusters.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
#[ignore = "needs ../shared/data"]
fn sglang_qwen3_8b() {
    for name in ["sglang/sglang_Qwen3-8B_prefilldecode.json.gz", "sglang/sglang_Qwen3-8B_decode.json.gz"] {
        let p = agreed(name, 36);
        assert_eq!(names(&p), ["attention+mlp"]);
        // All layers do the same; each begins with the norm.
        assert_eq!(p.clusters.len(), 1);
        // One small kernel of another stream runs beside one of the layers.
        let mut kernels: Vec<u64> = p.layers.iter().map(|l| l.kernels).collect();
        kernels.sort_unstable();
        assert_eq!(kernels[0], kernels[34], "{kernels:?}");
        assert_eq!(p.clusters[0].representative.kernels[0].category, "norm");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn vllm_gpt_oss_20b_alternates_two_attentions() {
    let p = agreed("vllm/vllm_decode_full_graph_execution.json.gz", 24);
    assert_eq!(names(&p), ["attention+moe"]);
    let mut counts: Vec<u64> = p.clusters.iter().map(|c| c.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [12, 12]);
}

/// The capture trace gives the kernels of the replayed graph their layers and sources.
#[test]
#[ignore = "needs ../shared/data"]
fn a_capture_trace_agrees() {
    let capture = PathBuf::from(DATA).join("sglang/capture_bs_32_rank0.json.gz");
    let options = PipelineOptions { capture: Some(&capture), ..PipelineOptions::default() };
    let p = ask_with("sglang/sglang_Qwen3-8B_decode.json.gz", &options);
    let row = p.evidence.iter().find(|e| e.kind == EvidenceKind::Capture).expect("a capture row");
    assert_eq!((p.layers_per_pass, row.layers, row.agrees), (Some(36), Some(36), Some(true)));
    assert!(p.clusters[0].representative.kernels.iter().all(|k| k.source.is_some()));
}

#[test]
#[ignore = "needs ../shared/data"]
fn b200_gpt_oss_120b() {
    let p = agreed("b200/eager_trace.json.gz", 36);
    assert_eq!(names(&p), ["attention+moe"]);
    assert!(p.clusters.iter().all(|c| c.count == 18), "{:?}", p.clusters);
}

#[test]
#[ignore = "needs ../shared/data"]
fn transformers() {
    agreed("h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", 24);
    agreed("h100/gaunernst_bert-small-uncased__1016001.json.gz", 4);
}

#[test]
#[ignore = "needs ../shared/data"]
fn synthetic() {
    for name in [
        "synth/synth-8-TP-0.trace.json.gz",
        "synth/synth-8-TP-1.trace.json.gz",
        "synth/synth-graph-8-TP-0.trace.json.gz",
        "synth/synth-slow-fa3-8-TP-0.trace.json.gz",
    ] {
        agreed(name, 36);
    }
    let name = "synth/dsv4_half_label_case.json";
    let p = ask_with(
        name,
        &PipelineOptions { config: Some(&ModelLayers::plain(4)), ..PipelineOptions::default() },
    );
    assert_eq!((p.layers_per_pass, p.passes.len()), (Some(4), 3), "{}", p.layers_reason);
    assert_eq!(ask(name).layers_per_pass, None);
}

/// The configuration's pattern is that of the kernels: the layers it calls sliding run the sliding kernel.
#[test]
#[ignore = "needs ../shared/data"]
fn a_config_names_the_layers() {
    let model = |name: &str| {
        let path = format!("{DATA}/../model/configs/{name}_config.json");
        ModelLayers::of(&perfwright_model::config::read(path.as_ref()).unwrap_or_else(|e| panic!("{e}")))
    };
    let ask = |config: &ModelLayers| {
        let options = PipelineOptions { config: Some(config), ..PipelineOptions::default() };
        ask_with("b200/eager_trace.json.gz", &options)
    };
    let p = ask(&model("openai--gpt-oss-120b"));
    assert_eq!(names(&p), ["full attention + MoE", "sliding attention + MoE"]);
    for c in &p.clusters {
        let sliding = c.signature.iter().any(|k| k.contains("SlidingOrChunke"));
        assert_eq!(c.name.starts_with("sliding"), sliding, "{:?}", c.signature);
    }
    assert!(p.warnings.is_empty(), "{:?}", p.warnings);
    // As many layers, another model: the experts give it away.
    let p = ask(&model("Qwen--Qwen3-8B"));
    assert!(p.warnings.iter().any(|w| w.contains("its kernels show experts")), "{:?}", p.warnings);
    let p = ask(&model("Qwen--Qwen3-32B"));
    assert!(
        p.warnings.iter().any(|w| w.contains("64 layers") && w.contains("the trace 36")),
        "{:?}",
        p.warnings
    );
}

/// Traces of something else than a decoder: nothing is invented.
#[test]
#[ignore = "needs ../shared/data"]
fn no_layers_are_invented() {
    for name in [
        "mi300/resnet_act_checkpoint.json.gz",
        "misc/gpu_only_trace.json.gz",
        "hta/nccl_data.json.gz",
        "hta/ns_resolution_rank-0.pt.trace.json.gz",
        "hta/trace_diff/control.json.gz",
        "hta/trace_diff/test.json.gz",
        "hta/multirank/sampled_rank-0.json.gz",
        "hta/mi250_minitoy_train_ROCm6_2_kineto.json.gz",
        "hta/cuda_event_sync_multi_stream.json.gz",
    ] {
        let p = ask(name);
        assert_eq!(p.layers_per_pass, None, "{name}: {}", p.layers_reason);
        assert!(p.layers.is_empty(), "{name}: {} layers", p.layers.len());
        assert!(!p.layers_reason.is_empty());
    }
    // Several models in one step: their runs of layers are listed, no single count is given.
    let p = ask("diffusion/xdit_sd_3.5_rank_0.json.gz");
    assert_eq!(p.layers_per_pass, None, "{}", p.layers_reason);
}
