//! Fusion rows of the real traces beside the checkout. Ignored where the folder is absent.

#![allow(clippy::print_stdout, reason = "figures for the report, shown with --nocapture")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use perfwright_trace::fusion::{
    FusionCatalog, FusionContext, FusionRow, KernelInfo, LaunchView, State, find,
};
use perfwright_trace::names::{Catalog, Symbol};
use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/trace");

/// Rows of a whole trace taken as one step and one class, with the displays of their evidence.
fn rows(file: &str) -> Vec<(FusionRow, Vec<String>)> {
    let mut bytes = fs::read(format!("{DATA}/{file}")).expect("trace");
    if file.ends_with(".gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("gzip");
        bytes = text;
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.retain(|c| !c.is_control());
    let root: Value = serde_json::from_str(&text).expect("json");
    let catalog = Catalog::builtin().expect("catalogue");
    let mut index: BTreeMap<String, u32> = BTreeMap::new();
    let mut kernels: Vec<KernelInfo> = Vec::new();
    let mut lanes: BTreeMap<String, u32> = BTreeMap::new();
    let mut launches = Vec::new();
    for e in root["traceEvents"].as_array().expect("events") {
        let cat = e["cat"].as_str().unwrap_or_default();
        let dur = e["dur"].as_f64().unwrap_or_default();
        if !matches!(cat, "kernel" | "Kernel" | "gpu_memcpy" | "gpu_memset") || dur <= 0.0 {
            continue;
        }
        let name = e["name"].as_str().unwrap_or_default();
        let kernel = *index.entry(name.to_owned()).or_insert_with(|| {
            let symbol = Symbol::parse(name);
            let class = catalog.classify(&symbol, None);
            kernels.push(KernelInfo { symbol, class });
            u32::try_from(kernels.len() - 1).expect("few")
        });
        let lane = format!("{} {}", e["pid"], e["args"]["stream"]);
        let next = u32::try_from(lanes.len()).expect("few");
        let stream = *lanes.entry(lane).or_insert(next);
        let ns = |v: f64| (v * 1000.0).round() as i64;
        launches.push(LaunchView {
            kernel,
            start_ns: ns(e["ts"].as_f64().unwrap_or_default()),
            dur_ns: ns(dur),
            stream,
            class: 0,
            step: 0,
            layer: None,
            cpu_op: None,
        });
    }
    launches.sort_by_key(|l| (l.stream, l.start_ns));
    let total: i64 = launches.iter().map(|l| l.dur_ns).sum();
    let found =
        find(&FusionCatalog::builtin().expect("fusions"), &kernels, &launches, &FusionContext::default());
    println!("== {file}");
    found
        .into_iter()
        .map(|row| {
            let proof: Vec<String> =
                row.evidence.iter().map(|k| kernels[*k as usize].symbol.display.clone()).collect();
            println!(
                "{:8} {:28} {:5.1} % {:6} launches {:5} sites, at most {:5.2} %: {}",
                format!("{:?}", row.state),
                row.pattern,
                row.related_ns as f64 * 100.0 / total as f64,
                row.launches,
                row.sites,
                row.upper_bound_saving_ns as f64 * 100.0 / total as f64,
                proof.join(" | ")
            );
            (row, proof)
        })
        .collect()
}

fn state(rows: &[(FusionRow, Vec<String>)], pattern: &str) -> Option<State> {
    rows.iter().find(|(r, _)| r.pattern == pattern).map(|(r, _)| r.state)
}

#[test]
#[ignore = "needs ../shared/data"]
fn full_graph_decode_has_no_quantisation_rows() {
    let rows = rows("vllm/vllm_decode_full_graph_execution.json.gz");
    assert!(!rows.iter().any(|(r, _)| r.pattern.contains("quant")), "{rows:?}");
    assert_eq!(state(&rows, "gemm-activation-epilogue"), Some(State::Active));
}

#[test]
#[ignore = "needs ../shared/data"]
fn dense_bf16_traces_have_no_expert_or_quantisation_rows() {
    for file in [
        "synth/synth-8-TP-0.trace.json.gz",
        "synth/synth-graph-8-TP-0.trace.json.gz",
        "sglang/sglang_Qwen3-8B_decode.json.gz",
        "sglang/sglang_Qwen3-8B_prefilldecode.json.gz",
    ] {
        let rows = rows(file);
        assert!(
            !rows.iter().any(|(r, _)| r.pattern.contains("quant") || r.pattern.contains("moe")),
            "{file}: {rows:?}"
        );
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn eager_tensor_parallel_decode_misses_the_all_reduce_fusion() {
    let rows = rows("b200/eager_trace.json.gz");
    assert_eq!(state(&rows, "allreduce-residual-rmsnorm"), Some(State::Missing));
    assert_eq!(state(&rows, "residual-add-rmsnorm"), Some(State::Active));
}

#[test]
#[ignore = "needs ../shared/data"]
fn training_and_recommender_traces_have_no_serving_fusions() {
    for file in [
        "hta/multirank/sampled_rank-0.json.gz",
        "hta/trace_diff/control.json.gz",
        "hta/trace_diff/test.json.gz",
        "mi300/resnet_act_checkpoint.json.gz",
        "hta/nccl_data.json.gz",
    ] {
        let rows = rows(file);
        let serving = ["kv", "indexer", "moe", "sampling", "rope", "mla"];
        assert!(!rows.iter().any(|(r, _)| serving.iter().any(|s| r.pattern.contains(s))), "{file}: {rows:?}");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn eager_and_diffusion_traces_show_their_unfused_chains() {
    let eager = rows("h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz");
    assert_eq!(state(&eager, "act-and-mul"), Some(State::Missing));
    let diffusion = rows("diffusion/xdit_sd_3.5_rank_0.json.gz");
    assert!(state(&diffusion, "group-norm-silu").is_some());
    rows("h100/gaunernst_bert-small-uncased__1016001.json.gz");
}
