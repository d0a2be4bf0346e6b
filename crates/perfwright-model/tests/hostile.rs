//! Configs that somebody made to hurt: no panic, no overflow, an answer or an error.

use std::path::Path;

use perfwright_model::format::KvDtype;
use perfwright_model::memory::{MemoryOptions, memory};
use perfwright_model::ops::{self, Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::{config, report, show};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names that the reader knows, so that random values reach its branches.
const NAMES: [&str; 60] = [
    "hidden_size",
    "vocab_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "model_type",
    "layer_types",
    "layers_block_type",
    "hybrid_override_pattern",
    "sliding_window",
    "use_sliding_window",
    "sliding_window_pattern",
    "num_experts",
    "n_routed_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "n_shared_experts",
    "first_k_dense_replace",
    "moe_layer_freq",
    "kv_lora_rank",
    "q_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "index_topk",
    "index_n_heads",
    "index_head_dim",
    "compress_ratios",
    "linear_attn_config",
    "linear_num_value_heads",
    "linear_num_key_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "ssm_state_size",
    "mamba_num_heads",
    "mamba_head_dim",
    "expand",
    "conv_kernel",
    "n_groups",
    "attention_chunk_size",
    "block_configs",
    "quantization_config",
    "tie_word_embeddings",
    "torch_dtype",
    "num_nextn_predict_layers",
    "mtp_num_hidden_layers",
    "full_attention_interval",
    "text_config",
    "num_kv_shared_layers",
    "moe_latent_size",
    "shared_expert_intermediate_size",
    "mlp_layer_types",
    "mlp_only_layers",
    "decoder_sparse_step",
    "o_lora_rank",
    "o_groups",
    "sparse_attention_config",
    "attn_layer_period",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0u64..200).prop_map(Value::from),
        prop_oneof![Just(0u64), Just(1 << 14), Just(1 << 16), Just(1 << 26), Just(100_000), Just(u64::MAX)]
            .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop_oneof![
            Just("linear_attention"),
            Just("full_attention"),
            Just("sliding_attention"),
            Just("mamba"),
            Just("moe"),
            Just("M*-E"),
            Just("fp8"),
            Just("re:.*(a|b"),
            Just("model.layers.7.mlp*"),
            Just("qwen3_5_text"),
            Just("nemotron_h"),
            Just("longcat_flash"),
            Just("deepseek_v4"),
            Just("float32"),
            Just("gelu"),
        ]
        .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// A config that reads, before some of its fields are replaced.
fn base() -> Value {
    json!({
        "hidden_size": 64, "vocab_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16,
        "num_key_value_heads": 2, "intermediate_size": 128,
    })
}

fn ask_everything(value: &Value) {
    let Ok(model) = config::from_value(Path::new("config.json"), value, None) else { return };
    let shown = show::show(&model);
    assert!(serde_json::to_vec(&shown).is_ok());
    for parallel in [Parallel::default(), Parallel { tp: 2, ep: 2, dp: 2, pp: 2 }] {
        let options = MemoryOptions {
            parallel,
            kv_dtype: KvDtype::Fp4,
            weights: None,
            gpu: None,
            fraction: 0.9,
            context: Some(u64::MAX),
        };
        let _ = memory(&model, &options);
        for (phase, batch, tokens, context) in [
            (Phase::Prefill, 1 << 20, 1 << 24, 1 << 30),
            (Phase::Decode, 1, 1, 0),
            (Phase::Decode, 1 << 20, 4, 1 << 30),
        ] {
            let step = Step { phase, batch, tokens, context, parallel, kv_dtype: KvDtype::Fp8 };
            if let Ok(list) = ops::of(&model, &step) {
                let totals = report::totals(&list);
                assert!(totals.flops < u128::MAX, "a figure saturated");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_fields_in_a_good_config(
        fields in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..6)
    ) {
        let mut config = base();
        for (name, field) in fields {
            config[name] = field;
        }
        ask_everything(&config);
    }

    #[test]
    fn random_json(value in value()) {
        ask_everything(&value);
    }

    #[test]
    fn random_quantisation(block in value(), quant in value()) {
        let mut config = base();
        config["quantization_config"] = block;
        ask_everything(&config);
        let beside = json!({ "quantization": quant });
        let _ = config::from_value(Path::new("c.json"), &base(), Some((Path::new("q.json"), &beside)));
    }
}

/// As many layers as are allowed answer in reasonable time.
#[test]
fn very_many_layers() {
    let mut config = base();
    config["num_hidden_layers"] = json!(100_000);
    ask_everything(&config);
}

/// Everything at its largest at once: no figure overflows.
#[test]
fn very_large_dimensions() {
    let config = json!({
        "hidden_size": 1 << 26, "vocab_size": 1 << 26, "num_hidden_layers": 100_000, "num_attention_heads": 1 << 14,
        "num_key_value_heads": 1 << 14, "head_dim": 1 << 16, "intermediate_size": 1 << 26, "n_routed_experts": 1 << 16,
        "num_experts_per_tok": 4096, "moe_intermediate_size": 1 << 26, "n_shared_experts": 1,
    });
    ask_everything(&config);
}
