//! Generated rows against rows of real traces: nothing may be written that a real profiler does not write.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde_json::Value;
use xtask::tracegen::{Class, Comm, Extent, Gpu, Options, capture_options, generate};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/trace/");

type Keys = BTreeMap<(String, String), BTreeSet<String>>;

/// Per phase and category: keys of the row and of its `args`.
fn keys(text: &[u8], into: &mut Keys) {
    let doc: Value = serde_json::from_slice(text).unwrap();
    for e in doc["traceEvents"].as_array().unwrap() {
        let word = |key: &str| e[key].as_str().unwrap_or("").to_owned();
        let found = into.entry((word("ph"), word("cat"))).or_default();
        found.extend(e.as_object().unwrap().keys().cloned());
        if let Some(args) = e["args"].as_object() {
            found.extend(args.keys().map(|k| format!("args.{k}")));
        }
    }
}

fn real(paths: &[&str]) -> Keys {
    let mut found = Keys::new();
    for path in paths {
        let file = std::fs::File::open(format!("{DATA}{path}")).unwrap();
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
        keys(&text, &mut found);
    }
    found
}

fn generated(gpu: Gpu) -> Keys {
    let mut found = Keys::new();
    let base = Options {
        gpu,
        tp: 2,
        ranks: 2,
        layers: 1,
        extent: Extent::Passes(3),
        comm: Comm::Nccl,
        graph_decode: true,
        pattern: vec![Class::Prefill, Class::Decode, Class::Verify],
        ..Options::default()
    };
    for o in [capture_options(&base), base] {
        let mut text = Vec::new();
        generate(&o, &mut text).unwrap();
        keys(&text, &mut found);
    }
    found
}

/// Row kinds the given real traces hold none of; their layout follows other traces.
const NOT_SEEN: [&str; 1] = ["cuda_sync"];

fn compare(gpu: Gpu, paths: &[&str]) {
    let (real, ours) = (real(paths), generated(gpu));
    let mut compared = 0;
    for ((phase, category), have) in &ours {
        let Some(allowed) = real.get(&(phase.clone(), category.clone())) else {
            assert!(
                phase != "X" || NOT_SEEN.contains(&category.as_str()),
                "real traces have no {phase} {category}"
            );
            continue;
        };
        let extra: Vec<_> = have.difference(allowed).collect();
        assert!(extra.is_empty(), "{gpu:?} {phase} {category}: real traces have no {extra:?}");
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} kinds of rows compared");
}

#[test]
#[ignore = "needs ../shared/data"]
fn rows_of_nvidia_traces_have_the_keys_of_real_ones() {
    compare(Gpu::Nvidia, &["b200/eager_trace.json.gz", "h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz"]);
}

#[test]
#[ignore = "needs ../shared/data"]
fn rows_of_amd_traces_have_the_keys_of_real_ones() {
    let paths = [
        "sglang/capture_bs_32_rank0.json.gz",
        "sglang/sglang_Qwen3-8B_decode.json.gz",
        "sglang/sglang_Qwen3-8B_prefilldecode.json.gz",
        "mi300/resnet_act_checkpoint.json.gz",
        "vllm/vllm_decode_full_graph_capture_rank_0.pt.trace.json.gz",
    ];
    compare(Gpu::Amd, &paths);
}
