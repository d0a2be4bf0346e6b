//! Known wrong answers of other tools for the same questions, as values that must not come out here. The names are
//! those of the defects in the notes this crate was written from.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::Path;

use perfwright_model::arch::{Architecture, Ffn, Mixer};
use perfwright_model::error::ModelError;
use perfwright_model::format::KvDtype;
use perfwright_model::ops::{self, Category, Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::{config, kv, params, report};
use serde_json::{Value, json};

fn read(value: &Value) -> Architecture {
    config::from_value(Path::new("config.json"), value, None).unwrap()
}

fn error(value: &Value) -> String {
    config::from_value(Path::new("config.json"), value, None).unwrap_err().to_string()
}

fn tp(tp: u64) -> Parallel {
    Parallel { tp, ..Parallel::default() }
}

fn gqa(layers: u64, hidden: u64, heads: u64, kv: u64, dim: u64) -> Value {
    json!({
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv, "head_dim": dim, "intermediate_size": 4 * hidden, "vocab_size": 128_256,
    })
}

fn deepseek_v3() -> Value {
    json!({
        "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
        "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "moe_layer_freq": 1, "vocab_size": 129_280, "num_nextn_predict_layers": 1,
    })
}

fn with(mut value: Value, mut fields: Value) -> Value {
    let object = value.as_object_mut().unwrap();
    for (key, field) in std::mem::take(fields.as_object_mut().unwrap()) {
        object.insert(key, field);
    }
    value
}

fn decode(model: &Architecture, context: u64, parallel: Parallel) -> Vec<ops::Op> {
    let step = Step { phase: Phase::Decode, batch: 1, tokens: 1, context, parallel, kv_dtype: KvDtype::Bf16 };
    ops::of(model, &step).unwrap()
}

/// C6: 2 x layers x rank = 124,928 bytes for DeepSeek-V3. The latent is stored once, with its rotated part.
#[test]
fn c6_latent_cache() {
    let model = read(&deepseek_v3());
    let bytes = kv::whole(&model, KvDtype::Bf16).per_token;
    assert_eq!(bytes, 70_272);
    assert_ne!(bytes, 124_928);
    for ranks in [2, 8, 16] {
        assert_eq!(
            kv::on_rank(&model, KvDtype::Bf16, &tp(ranks)).per_token,
            70_272,
            "the same on every rank"
        );
    }
    assert_eq!(kv::whole(&model, KvDtype::Fp8).per_token, 61 * 576);
}

/// C7: all heads on every rank once there are fewer heads than ranks.
#[test]
fn c7_heads_repeat_one_by_one() {
    let cases = [
        (gqa(80, 8192, 64, 8, 128), 16, 40_960, 327_680),
        (gqa(94, 4096, 64, 4, 128), 8, 48_128, 192_512),
        (gqa(94, 4096, 64, 4, 128), 4, 48_128, 192_512),
        (gqa(6, 2688, 32, 2, 128), 4, 3_072, 6_144),
    ];
    for (config, ranks, right, wrong) in cases {
        let bytes = kv::on_rank(&read(&config), KvDtype::Bf16, &tp(ranks)).per_token;
        assert_eq!(bytes, right, "TP {ranks}");
        assert_ne!(bytes, wrong);
    }
}

/// C8: a nested text model read as no layers and no bytes; null key and value heads raise an error.
#[test]
fn c8_nested_text_models() {
    for name in ["text_config", "language_config", "llm_config"] {
        let nested =
            json!({ "model_type": "vlm", name: gqa(2, 256, 4, 2, 64), "vision_config": { "depth": 3 } });
        let model = read(&nested);
        assert_eq!(kv::whole(&model, KvDtype::Bf16).per_token, 2 * 2 * 2 * 64 * 2, "{name}");
        assert_eq!(model.towers.len(), 1);
    }
    let block = |group: Value, off: bool| json!({ "attention": { "n_heads_in_group": group, "no_op": off }, "ffn": { "ffn_mult": 2.625 } });
    let nas = with(
        gqa(2, 8192, 64, 8, 128),
        json!({
            "num_key_value_heads": null, "intermediate_size": null,
            "block_configs": [block(json!(8), false), block(Value::Null, true)],
        }),
    );
    let model = read(&nas);
    assert_eq!(kv::whole(&model, KvDtype::Bf16).per_token, 2 * 8 * 128 * 2, "one layer has no attention");
    // 2.625 x 2/3 x 8192, rounded up to 256.
    assert!(
        model.layers.iter().all(|layer| matches!(layer.ffns[..], [Ffn::Dense { intermediate: 14_336, .. }]))
    );
}

fn nemotron() -> Value {
    json!({
        "model_type": "nemotron_h", "hidden_size": 2688, "head_dim": 128, "num_attention_heads": 32,
        "num_key_value_heads": 2, "vocab_size": 131_072, "ssm_state_size": 128, "mamba_num_heads": 64,
        "mamba_head_dim": 64, "n_groups": 8, "conv_kernel": 4, "expand": 2, "mlp_hidden_act": "relu2",
        "n_routed_experts": 128, "num_experts_per_tok": 6, "moe_intermediate_size": 1856, "n_shared_experts": 1,
        "moe_shared_expert_intermediate_size": 3712, "intermediate_size": 1856,
        "hybrid_override_pattern": "MEM*EME*",
    })
}

/// C9: every layer of a hybrid counted as attention: 53,248 bytes for 6,144 in Nemotron-3-Nano.
#[test]
fn c9_only_attention_layers_have_a_cache() {
    let model = read(&nemotron());
    let cache = kv::whole(&model, KvDtype::Bf16);
    assert_eq!(cache.per_token, 2 * 1024, "two of eight layers");
    assert_ne!(cache.per_token, 8 * 1024);
    // Three states of 64 x 64 x 128 in 16 bits and the last three inputs of 64 x 64 + 2 x 8 x 128 channels.
    assert_eq!(cache.state_per_request, 3 * (64 * 64 * 128 * 2 + (4096 + 2048) * 3 * 2));
    assert_eq!(cache.request(0), cache.request(1000) - 1000 * 2048);
}

/// C9 again: sliding layers keep a window, counted apart; `per_token` has them at full context.
#[test]
fn c9_windows_are_apart() {
    let kinds: Vec<&str> =
        (0..36).map(|i| if i % 2 == 0 { "sliding_attention" } else { "full_attention" }).collect();
    let model = read(&with(gqa(36, 2880, 64, 8, 64), json!({ "sliding_window": 128, "layer_types": kinds })));
    let cache = kv::whole(&model, KvDtype::Bf16);
    assert_eq!((cache.per_token, cache.per_token_unbounded), (73_728, 36_864));
    assert_eq!(cache.request(10_000), 36_864 * 10_000 + 36_864 * 128);
}

/// C10: models whose experts are named otherwise are read as dense.
#[test]
fn c10_experts_under_every_name() {
    for name in ["num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"] {
        let fields = json!({ name: 16, "num_experts_per_tok": 2, "moe_intermediate_size": 64 });
        let model = read(&with(gqa(2, 256, 4, 2, 64), fields));
        assert!(
            model.layers.iter().all(|l| matches!(&l.ffns[..], [Ffn::Moe(moe)] if moe.experts == 16)),
            "{name}"
        );
    }
}

/// C17: fp8 halves the cache of heads, but rows of sparse MLA go from 1152 to 656 bytes.
#[test]
fn c17_fp8_does_not_always_halve() {
    let sparse = json!({ "index_topk": 2048, "index_n_heads": 64, "index_head_dim": 128 });
    let model = read(&with(deepseek_v3(), sparse));
    let (bf16, fp8) = (kv::whole(&model, KvDtype::Bf16), kv::whole(&model, KvDtype::Fp8));
    assert_eq!((bf16.per_token, fp8.per_token), (61 * 1152, 61 * 656));
    assert_eq!(bf16.indexer_per_token, 61 * 132, "apart, whatever the format of the cache");
}

/// S3 and S6: an index of models with wrong dimensions (55.2 B active in DeepSeek-V3), dense-first layers ignored.
#[test]
fn s3_s6_dimensions_come_from_the_config() {
    let model = read(&deepseek_v3());
    let counted = params::count(&model);
    assert_eq!(counted.total / 1_000_000, 671_026);
    assert_eq!(counted.active / 1_000_000, 36_625);
    let experts = model.layers.iter().filter(|l| matches!(l.ffns[..], [Ffn::Moe(_)])).count();
    assert_eq!(experts, 58);
    let flops = report::totals(&decode(&model, 0, Parallel::default())).flops;
    assert!((flops as f64 / 2e9 - 36.6).abs() < 0.5, "{flops} is not twice the active parameters");
}

/// S4: `head_dim` of MLA made up as hidden / heads (56).
#[test]
fn s4_mla_dimensions() {
    let model = read(&with(deepseek_v3(), json!({ "head_dim": 64 })));
    let Mixer::Attention(attention) = &model.layers[0].mixers[0] else { panic!("no attention") };
    assert_eq!((attention.qk_dim(), attention.v_dim()), (192, 128));
}

/// S5: sparse attention as a copy of grouped attention, without an indexer.
#[test]
fn s5_sparse_attention_is_capped_and_has_an_indexer() {
    let sparse = json!({ "index_topk": 2048, "index_n_heads": 64, "index_head_dim": 128 });
    let model = read(&with(deepseek_v3(), sparse));
    let flops = |context: u64, category: Category| -> u128 {
        decode(&model, context, Parallel::default())
            .iter()
            .filter(|o| o.category == category)
            .map(|o| o.flops)
            .sum()
    };
    assert_eq!(flops(100_000, Category::Attention), flops(4000, Category::Attention));
    assert_eq!(flops(2047, Category::Attention), flops(1023, Category::Attention) * 2);
    assert_eq!(flops(99_999, Category::Indexer), 61 * 2 * 64 * 128 * 100_000);
}

/// S7: the head on every prompt token; serving needs the last one.
#[test]
fn s7_the_head_runs_on_the_last_token() {
    let model = read(&gqa(2, 256, 4, 2, 64));
    let step = Step {
        phase: Phase::Prefill,
        batch: 3,
        tokens: 100,
        context: 0,
        parallel: tp(1),
        kv_dtype: KvDtype::Bf16,
    };
    let list = ops::of(&model, &step).unwrap();
    let head = list.iter().find(|op| op.name == "lm_head").unwrap();
    assert_eq!(head.flops, 2 * 3 * 128_256 * 256);
}

/// Biases, gates and widths that fields alone do not show.
#[test]
fn traps_of_single_families() {
    let attention = |model: &Architecture| match &model.layers.last().unwrap().mixers[0] {
        Mixer::Attention(a) => a.clone(),
        Mixer::Linear(_) => panic!("no attention"),
    };
    let qkv = |value: &Value| {
        let model = read(value);
        let weights = perfwright_model::weights::of(model.layers.last().unwrap(), model.hidden);
        weights.matrices.iter().find(|m| m.name == "qkv_proj").map(|m| (m.output, m.bias)).unwrap()
    };
    let plain = gqa(2, 256, 4, 2, 64);
    assert_eq!(qkv(&plain), (512, 0));
    // Qwen3.5's query projection gives the gate too; Qwen2 has biases that no field states.
    assert_eq!(qkv(&with(plain.clone(), json!({ "model_type": "qwen3_5_text" }))), (768, 0));
    assert_eq!(qkv(&with(plain.clone(), json!({ "model_type": "qwen2" }))), (512, 512));
    assert!(!attention(&read(&with(plain.clone(), json!({ "model_type": "qwen2" })))).out_bias);
    // relu^2 has two matrices; an expert of Nemotron-3-Super is as wide as its latent.
    let latent = read(&with(nemotron(), json!({ "moe_latent_size": 1024 })));
    let moe = latent.layers.iter().find(|layer| !layer.ffns.is_empty()).unwrap();
    let weights = perfwright_model::weights::of(moe, latent.hidden);
    let expert =
        |name: &str| weights.matrices.iter().find(|m| m.name == name).map(|m| (m.input, m.output)).unwrap();
    assert_eq!((expert("experts_up"), expert("experts_down")), ((1024, 1856), (1856, 1024)));
    assert_eq!(expert("shared_up_proj"), (2688, 3712));
    // Ultra gives a list of blocks and no number of layers.
    let mut listed = nemotron();
    listed.as_object_mut().unwrap().remove("hybrid_override_pattern");
    let listed = with(listed, json!({ "layers_block_type": ["mamba", "moe", "attention"] }));
    assert_eq!(read(&listed).layers.len(), 3);
    // Llama-4: every second layer has experts and a shared one; the others have the wide network.
    let llama4 = json!({
        "model_type": "llama4_text", "num_local_experts": 8, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2,
        "intermediate_size": 100, "intermediate_size_mlp": 300,
    });
    let llama4 = read(&with(plain, llama4));
    assert!(matches!(llama4.layers[0].ffns[..], [Ffn::Dense { intermediate: 300, .. }]));
    assert!(
        matches!(&llama4.layers[1].ffns[..], [Ffn::Moe(moe)] if moe.intermediate == 100 && moe.shared == 100)
    );
}

/// An unknown architecture is described as far as its fields go, and says what it could not read.
#[test]
fn unknown_fields_are_named() {
    let strange = with(
        gqa(2, 256, 4, 2, 64),
        json!({ "model_type": "nobody", "warp_drive_width": 4096, "some_token_id": 7 }),
    );
    let model = read(&strange);
    assert_eq!(model.unread, ["warp_drive_width"]);
    assert!(model.families.is_empty());
}

#[test]
fn errors_name_the_field_and_what_belongs_there() {
    let plain = gqa(2, 256, 4, 2, 64);
    let bad = |fields: Value| error(&with(plain.clone(), fields));
    assert_eq!(
        bad(json!({ "num_attention_heads": "many" })),
        "config.json: field `num_attention_heads`: expected a whole number of at most 16384, found \"many\""
    );
    assert!(bad(json!({ "num_hidden_layers": 1_000_000_000_000u64 })).contains("at most 100000"));
    assert!(bad(json!({ "hidden_size": -5 })).contains("hidden_size"));
    assert!(bad(json!({ "num_key_value_heads": 3 })).contains("a divisor of the 4 attention heads"));
    assert!(bad(json!({ "layer_types": ["full_attention"] })).contains("one entry for each of 2 layers"));
    assert!(error(&json!({ "hidden_size": 1 })).contains("missing field `vocab_size`"));
    assert!(error(&json!([1])).contains("expected an object"));
    assert!(error(&json!({ "text_config": 3 })).contains("text_config"));
}

/// A cut that engines refuse is refused, with the numbers.
#[test]
fn impossible_cuts_are_refused() {
    let model = read(&gqa(2, 256, 40, 8, 64));
    let refused = |parallel: Parallel| match parallel.check(&model) {
        Err(ModelError::Question(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(tp(16)), "--tp 16 does not divide the 40 attention heads");
    assert!(refused(tp(20)).contains("do not divide each other"));
    assert!(refused(Parallel { pp: 3, ..tp(1) }).contains("2 layers"));
    assert!(refused(Parallel { ep: 2, ..tp(1) }).contains("--ep 2"));
    assert!(refused(tp(0)).contains("--tp 0"));
}

/// All-reduces: two per layer, 2 (n - 1) / n of the activations each.
#[test]
fn communication_follows_its_formula() {
    let model = read(&gqa(2, 256, 8, 8, 32));
    let list = decode(&model, 10, tp(4));
    assert_eq!(report::totals(&list).comm_bytes, 2 * 2 * (2 * 3 * 256 * 2 / 4));
    assert_eq!(report::totals(&decode(&model, 10, tp(1))).comm_bytes, 0);
    let staged = decode(&model, 10, Parallel { pp: 2, ..tp(1) });
    assert_eq!(report::totals(&staged).comm_bytes, 256 * 2);
}

/// A folder stands for the config in it; a language model two levels down is found, with its own vision tower.
#[test]
fn folders_and_thinkers() {
    let text = serde_json::json!({
        "hidden_size": 256, "num_hidden_layers": 3, "vocab_size": 1000, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 512, "hidden_act": "silu", "model_type": "some_text",
        "max_position_embeddings": 100,
    });
    let omni = serde_json::json!({
        "model_type": "some_omni",
        "thinker_config": {"text_config": text, "vision_config": {"depth": 27, "hidden_size": 64}},
        "talker_config": {"num_hidden_layers": 9},
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), omni.to_string()).unwrap();
    let model = config::read(dir.path()).unwrap();
    assert_eq!((model.layers.len(), model.towers[0].layers), (3, Some(27)));

    // Times that are none, and more tokens than the config allows.
    let gpu = perfwright_model::hardware::find("h100").unwrap();
    let step = perfwright_model::ops::Step {
        phase: perfwright_model::ops::Phase::Decode,
        batch: 1,
        tokens: 1,
        context: 100,
        parallel: perfwright_model::parallel::Parallel { tp: 1, ep: 1, dp: 1, pp: 1 },
        kv_dtype: perfwright_model::format::KvDtype::Bf16,
    };
    let ask = |measured_us| {
        let gpu = &gpu;
        let options =
            perfwright_model::report::OpsOptions { step, weights: None, gpu, launch_us: 0.0, measured_us };
        perfwright_model::report::ops(&model, &options)
    };
    for bad in [-5.0, 0.0, f64::NAN, f64::INFINITY] {
        assert!(ask(Some(bad)).is_err(), "{bad}");
    }
    let notes = ask(Some(1e6)).unwrap().notes;
    assert!(
        notes.iter().any(|n| n == "101 tokens are more than the 100 that the config allows"),
        "{notes:?}"
    );
}
