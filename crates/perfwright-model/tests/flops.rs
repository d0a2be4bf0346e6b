//! FLOPs and parameters against PyTorch's own counter: `tests/flops/README.md` says how the numbers came about.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::Path;

use perfwright_model::arch::Architecture;
use perfwright_model::format::KvDtype;
use perfwright_model::ops::{self, Category, Op, Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::{config, params};
use serde_json::Value;

struct Counted {
    model: Architecture,
    json: Value,
}

fn counted(name: &str) -> Counted {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/flops/{name}.json"));
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Counted { model: config::from_value(Path::new(name), &json["config"], None).unwrap(), json }
}

fn case<'a>(counted: &'a Counted, phase: &str) -> &'a Value {
    counted.json["cases"].as_array().unwrap().iter().find(|case| case["phase"] == phase).unwrap()
}

fn list(counted: &Counted, phase: Phase, case: &Value) -> Vec<Op> {
    let number = |key: &str| case[key].as_u64().unwrap();
    let step = Step {
        phase,
        batch: number("batch"),
        tokens: number("tokens"),
        context: number("context"),
        parallel: Parallel::default(),
        kv_dtype: KvDtype::Bf16,
    };
    ops::of(&counted.model, &step).unwrap()
}

fn flops(list: &[Op], categories: &[Category]) -> u128 {
    list.iter().filter(|op| categories.contains(&op.category)).map(|op| op.flops).sum()
}

const PRODUCTS: [Category; 2] = [Category::Gemm, Category::Moe];
const ALL: [&str; 12] = [
    "llama",
    "qwen2",
    "qwen3",
    "mixtral",
    "qwen3_moe",
    "deepseek_v3",
    "gemma2",
    "gemma3_text",
    "gpt_oss",
    "minimax_m2",
    "qwen3_next",
    "mamba2",
];

#[test]
fn prefill_products_are_exact() {
    for name in ALL {
        let counted = counted(name);
        let case = case(&counted, "prefill");
        let ours = flops(&list(&counted, Phase::Prefill, case), &PRODUCTS);
        assert_eq!(ours, u128::from(case["gemm"].as_u64().unwrap()), "{name}");
    }
}

#[test]
fn decode_products_are_exact() {
    // PyTorch's MLA makes keys and values of the whole context again; engines do not, see `absorbed_mla_is_exact`.
    for name in ALL.into_iter().filter(|name| !matches!(*name, "deepseek_v3" | "mamba2")) {
        let counted = counted(name);
        let case = case(&counted, "decode");
        let ours = flops(&list(&counted, Phase::Decode, case), &PRODUCTS);
        assert_eq!(ours, u128::from(case["gemm"].as_u64().unwrap()), "{name}");
    }
}

/// Eager attention computes the whole square; ours computes the pairs at and below the diagonal.
#[test]
fn prefill_attention_is_the_causal_part_of_the_square() {
    for name in ["llama", "qwen2", "qwen3", "mixtral", "qwen3_moe", "deepseek_v3", "minimax_m2"] {
        let counted = counted(name);
        let case = case(&counted, "prefill");
        let tokens = u128::from(case["tokens"].as_u64().unwrap());
        let ours = flops(&list(&counted, Phase::Prefill, case), &[Category::Attention]);
        let square = u128::from(case["bmm"].as_u64().unwrap());
        assert_eq!(ours * 2 * tokens, square * (tokens + 1), "{name}");
    }
}

#[test]
fn decode_attention_is_exact_with_and_without_windows() {
    for name in [
        "llama",
        "qwen2",
        "qwen3",
        "mixtral",
        "qwen3_moe",
        "gemma2",
        "gemma3_text",
        "gpt_oss",
        "minimax_m2",
        "qwen3_next",
    ] {
        let counted = counted(name);
        let case = case(&counted, "decode");
        let ours = flops(&list(&counted, Phase::Decode, case), &[Category::Attention]);
        assert_eq!(ours, u128::from(case["bmm"].as_u64().unwrap()), "{name}");
    }
}

#[test]
fn absorbed_mla_is_exact() {
    let counted = counted("deepseek_v3");
    let case = case(&counted, "absorbed_decode");
    let list = list(&counted, Phase::Decode, case);
    let ours: u128 =
        list.iter().filter(|op| op.name == "attention" || op.name == "kv_b_proj").map(|op| op.flops).sum();
    assert_eq!(ours, u128::from(case["bmm"].as_u64().unwrap()));
}

/// The same models as PyTorch builds them, parameter by parameter.
#[test]
fn parameters_equal_those_of_the_built_models() {
    for name in ALL.into_iter().chain(["llama4_text"]) {
        let counted = counted(name);
        assert_eq!(
            params::count(&counted.model).total,
            u128::from(counted.json["params"].as_u64().unwrap()),
            "{name}"
        );
    }
}

/// Known defects S1 and S2: FLOPs per token equal at every length, and a decode step that does not know its context.
#[test]
fn trap_s1_s2_attention_grows_with_length() {
    let counted = counted("llama");
    let at = |phase: Phase, tokens: u64, context: u64| {
        let step =
            Step { phase, batch: 1, tokens, context, parallel: Parallel::default(), kv_dtype: KvDtype::Bf16 };
        flops(&ops::of(&counted.model, &step).unwrap(), &[Category::Attention])
    };
    // Twice the tokens, four times the pairs (but for the diagonal).
    let (one, two) = (at(Phase::Prefill, 4096, 0), at(Phase::Prefill, 8192, 0));
    assert_eq!(two * 4096 * 4097, one * 8192 * 8193);
    assert_eq!(at(Phase::Decode, 1, 8191), at(Phase::Decode, 1, 0) * 8192);
}
