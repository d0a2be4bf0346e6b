//! Real traces joined to the operators of their models.

mod common;

use std::path::PathBuf;

use common::catalogs;
use perfwright_model::config;
use perfwright_model::format::KvDtype;
use perfwright_model::hardware::find;
use perfwright_model::ops::Category;
use perfwright_model::parallel::Parallel;
use perfwright_trace::map::report::{Basis, Kind, TokensFrom, TraceMap};
use perfwright_trace::map::{MapOptions, map};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn ask(trace: &str, config: &str, gpu: &str, tp: Option<u64>, kv: &str) -> TraceMap {
    let data = PathBuf::from(DATA);
    let model =
        config::read(&data.join("model/configs").join(format!("{config}_config.json"))).expect("a config");
    let gpu = find(gpu).expect("a GPU");
    let options = MapOptions {
        model: &model,
        gpu: &gpu,
        parallel: Parallel { tp: tp.unwrap_or(1), ..Parallel::default() },
        tp_given: tp.is_some(),
        kv_dtype: KvDtype::named(kv).expect("a format"),
        weights: None,
        phase: None,
        pass: None,
        batch: None,
        tokens: None,
        context: None,
        capture: None,
        cache_dir: None,
        rank: None,
    };
    let m = map(&data.join("trace").join(trace), catalogs(), &options).unwrap_or_else(|e| panic!("{e}"));
    for class in &m.classes {
        let of = m.operators.iter().filter(|r| r.class == class.class).map(|r| r.time_ns);
        let rest = m.unmapped.iter().filter(|r| r.class == class.class).map(|r| r.time_ns);
        assert_eq!(of.chain(rest).sum::<i64>(), class.device_ns, "{trace}");
    }
    m
}

const PREFILL: &str = "sglang/sglang_Qwen3-8B_prefilldecode.json.gz";
const DECODE: &str = "sglang/sglang_Qwen3-8B_decode.json.gz";
const B200: &str = "b200/eager_trace.json.gz";
const FULL: &str = "vllm/vllm_decode_full_graph_execution.json.gz";

/// Known defect S11: a linear counted as linear, matmul and mm, three times over.
#[test]
#[ignore = "needs ../shared/data"]
fn trap_s11_products_of_a_prefill_count_once() {
    let m = ask(PREFILL, "Qwen--Qwen3-8B", "mi300x", None, "bf16");
    assert_eq!(m.passes.len(), 1);
    let gemm = m.passes[0].gemm;
    assert_eq!(gemm.recorded, 4 * 36 + 1);
    // 2 x 15,360 tokens x 36 layers x their matrices, and the head on the last token of 15 prompts.
    let layer = 4096 * 6144 + 4096 * 4096 + 4096 * 24_576 + 12_288 * 4096;
    let by_hand: u128 = 2 * 15_360 * 36 * layer + 2 * 15 * 4096 * 151_936;
    assert_eq!(
        (gemm.recorded_flops, gemm.model_flops, gemm.model_all_flops),
        (by_hand, Some(by_hand), Some(by_hand))
    );
    assert!(m.disagreements.is_empty(), "{:?}", m.disagreements);
    let attention = m.operators.iter().find(|r| r.name == "attention").unwrap();
    assert_eq!(attention.basis, Basis::StepAnnotation);
    // 15 prompts of 1,024: the sums of the label give the pairs exactly.
    assert_eq!(attention.figures.flops, Some(36 * 4 * 32 * 128 * 15 * (1024 * 1025 / 2)));
    assert!(m.stop.is_none() && m.classes[0].figures.mfu.is_some_and(|s| s > 0.2));
}

#[test]
#[ignore = "needs ../shared/data"]
fn b200_dense_products_are_recorded_and_experts_modelled() {
    for (tp, kv) in [(None, "bf16"), (Some(8), "fp8")] {
        let m = ask(B200, "openai--gpt-oss-120b", "b200", tp, kv);
        assert_eq!(m.question.parallel.tp, 8);
        let gemm = m.passes[0].gemm;
        assert_eq!(gemm.recorded, 3 * 36 + 1);
        assert!(gemm.ratio.is_some_and(|r| (r - 1.0).abs() < 0.01), "{gemm:?}");
        let experts: Vec<_> = m.operators.iter().filter(|r| r.category == Category::Moe).collect();
        assert_eq!(experts.iter().map(|r| r.layers).sum::<u64>(), 2 * 36);
        assert!(experts.iter().all(|r| r.basis == Basis::Modelled && r.figures.flops > Some(0)));
        // The attention kernels name the format of the cache.
        let dtype = m.disagreements.iter().any(|d| d.kind == Kind::Dtype && d.subject == "attention");
        assert_eq!(dtype, kv == "bf16", "{:?}", m.disagreements);
    }
    let wrong = ask(B200, "openai--gpt-oss-120b", "b200", Some(4), "fp8");
    let row = wrong.disagreements.iter().find(|d| d.kind == Kind::TensorParallel).unwrap();
    assert_eq!((row.expected.as_str(), row.found.as_str()), ("--tp 4", "--tp 8"));
}

/// Known defect S12: no FLOPs at all in a trace of a graph replay.
#[test]
#[ignore = "needs ../shared/data"]
fn trap_s12_replays_are_joined_through_the_order_of_kernels() {
    let dense = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "attention", "lm_head"];
    let experts = ["qkv_proj", "o_proj", "router", "experts_gate_up", "experts_down", "attention", "lm_head"];
    for (trace, config, layers, operators) in [
        (DECODE, "Qwen--Qwen3-8B", 36, dense.as_slice()),
        (FULL, "openai--gpt-oss-20b", 24, experts.as_slice()),
    ] {
        let m = ask(trace, config, "mi300x", Some(1), "bf16");
        assert!(m.disagreements.is_empty(), "{trace}: {:?}", m.disagreements);
        for &name in operators {
            let rows: Vec<_> = m.operators.iter().filter(|r| r.name == name).collect();
            let expected = if name == "lm_head" { 1 } else { layers };
            assert_eq!(rows.iter().map(|r| r.layers).sum::<u64>(), expected, "{trace} {name}");
            let basis = if name == "attention" { Basis::StepAnnotation } else { Basis::Modelled };
            for row in rows {
                assert!(row.basis == basis || name == "lm_head", "{trace} {name}: {row:?}");
                assert!(row.figures.flops > Some(0) && row.figures.mbu.is_some(), "{trace} {name}");
            }
        }
        let class = &m.classes[0];
        assert!(
            class.mapped_ns * 100 > class.device_ns * 85,
            "{trace}: {} of {}",
            class.mapped_ns,
            class.device_ns
        );
        assert_eq!(m.passes[0].tokens_from, TokensFrom::Label);
    }
    // 32 requests with 32,785 keys between them.
    let m = ask(DECODE, "Qwen--Qwen3-8B", "mi300x", Some(1), "bf16");
    let attention = m.operators.iter().find(|r| r.name == "attention").unwrap();
    assert_eq!(attention.figures.flops, Some(36 * 4 * 32 * 128 * 32_785));
}

#[test]
#[ignore = "needs ../shared/data"]
fn other_models_and_gpus_are_not_believed() {
    let layers = ask(DECODE, "Qwen--Qwen3-32B", "mi300x", Some(1), "bf16");
    assert!(layers.disagreements.iter().any(|d| d.kind == Kind::LayerCount && d.found == "36 layers"));
    for trace in [PREFILL, DECODE] {
        let small = ask(trace, "Qwen--Qwen3-8B", "l4", None, "bf16");
        assert_eq!(small.stop.as_ref().map(|s| s.code.as_str()), Some("PW0220"), "{trace}");
        assert!(small.disagreements.iter().any(|d| d.kind == Kind::Gpu && d.found == "--gpu mi300x"));
        assert!(small.operators.iter().all(|r| r.figures.mfu.is_none_or(|s| s <= 1.0)));
    }
    let other = ask(PREFILL, "meta-llama--Meta-Llama-3.1-8B", "mi300x", None, "bf16");
    assert!(
        other.disagreements.iter().any(|d| d.kind == Kind::KernelWithoutOperator),
        "{:?}",
        other.disagreements
    );
    let none = ask("mi300/resnet_act_checkpoint.json.gz", "Qwen--Qwen3-8B", "mi300x", None, "bf16");
    assert_eq!(none.stop.as_ref().map(|s| s.code.as_str()), Some("PW0221"));
}
