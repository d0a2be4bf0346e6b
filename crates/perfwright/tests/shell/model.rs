//! `perfwright model`.

use super::{Ran, Shell};

pub(crate) const QWEN3_8B: &str = r#"{
  "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36,
  "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288,
  "vocab_size": 151936, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "hidden_act": "silu"
}"#;

fn with_config(args: &[&str], config: &str) -> Ran {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("config.json"), config).unwrap();
    shell.run(args)
}

fn json(args: &[&str]) -> serde_json::Value {
    let ran = with_config(&[args, &["--config", "config.json", "--format", "json"]].concat(), QWEN3_8B);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn memory_names_what_scripts_read() {
    let value = json(&["model", "memory"]);
    assert_eq!(value["schema"], "perfwright.model-memory/v1");
    assert_eq!(value["params"]["total"], 8_190_735_360u64);
    assert_eq!(value["params"]["active"], 8_190_735_360u64 - 151_936 * 4096);
    assert_eq!(value["params"]["mtp"], 0);
    assert_eq!(value["kv_bytes_per_token"], 147_456);
    let cut = json(&["model", "memory", "--tp", "16", "--kv-dtype", "fp8"]);
    assert_eq!(cut["kv_bytes_per_token"], 147_456);
    assert_eq!(cut["kv_bytes_per_token_per_rank"], 36 * 2 * 128);
}

#[test]
fn ops_names_what_scripts_read() {
    let value = json(&[
        "model",
        "ops",
        "--phase",
        "prefill",
        "--batch",
        "1",
        "--tokens",
        "128",
        "--context",
        "0",
        "--gpu",
        "h100",
    ]);
    assert_eq!(value["schema"], "perfwright.model-ops/v1");
    let layer = 4096 * (32 + 2 * 8) * 128 + 4096 * 4096 + 3 * 4096 * 12288;
    let attention = 4 * 32 * 128 * (128 * 129 / 2);
    let flops: u64 = 36 * (2 * 128 * layer + attention) + 2 * 4096 * 151_936;
    assert_eq!(value["totals"]["flops"], flops);
    assert_eq!(value["totals"]["comm_bytes"], 0);
    assert!(value["totals"]["bytes"].as_u64().unwrap() > 2 * 7_500_000_000);
    let ops = value["ops"].as_array().unwrap();
    assert_eq!(ops.iter().map(|op| op["flops"].as_u64().unwrap()).sum::<u64>(), flops);
    let times: f64 = ops.iter().map(|op| op["time_us"].as_f64().unwrap()).sum();
    assert!((value["roofline"]["time_us"].as_f64().unwrap() / times - 1.0).abs() < 1e-9);
    assert_eq!(value["roofline"]["bound"], "memory");
}

#[test]
fn whatif_and_show_answer() {
    let value =
        json(&["model", "whatif", "--gpu", "h200", "--tp", "1,3,8", "--batch", "1", "--context", "4096"]);
    assert_eq!(value["schema"], "perfwright.model-whatif/v1");
    assert_eq!(value["rows"].as_array().unwrap().len(), 4, "two cuts, two formats of the cache");
    assert_eq!(value["refused"][0]["parallel"]["tp"], 3);
    assert_eq!(json(&["model", "show"])["kinds"][0]["layers"], 36);
    let ran = with_config(&["model", "show", "--config", "config.json", "--mermaid"], QWEN3_8B);
    assert!(ran.stdout.starts_with("flowchart TD\n") && ran.stdout.contains("36 x"), "{}", ran.stdout);
}

#[test]
fn an_impossible_time_is_a_hard_stop_without_shares() {
    let args = [
        "model",
        "ops",
        "--config",
        "config.json",
        "--phase",
        "decode",
        "--batch",
        "1",
        "--gpu",
        "h100",
        "--measured-us",
        "900",
        "--format",
        "json",
    ];
    let ran = with_config(&args, QWEN3_8B);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.starts_with("error[PW0403]"), "{}", ran.stderr);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["measured"]["mbu"], serde_json::Value::Null);
}

#[test]
fn a_bad_field_is_named() {
    let ran = with_config(
        &["model", "memory", "--config", "config.json"],
        &QWEN3_8B.replace("\"num_attention_heads\": 32", "\"num_attention_heads\": \"many\""),
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    insta::assert_snapshot!(ran.stderr, @r#"
error[PW0401]: a field of the config has an unusable value
  --> config.json: field num_attention_heads
  cause: expected a whole number of at most 16384, found "many"
"#);
}

#[test]
fn what_was_not_understood_is_told() {
    let config = QWEN3_8B.replace("\"hidden_act\"", "\"warp_width\": 77, \"hidden_act\"");
    let ran = with_config(&["model", "show", "--config", "config.json"], &config);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("PW0402") && ran.stderr.contains("warp_width"), "{}", ran.stderr);
}

#[test]
fn an_unknown_gpu_or_format_is_a_usage_error_with_the_known_ones() {
    let gpu = with_config(&["model", "whatif", "--config", "config.json", "--gpu", "h900"], QWEN3_8B);
    assert!(gpu.code == 2 && gpu.stderr.contains("h200-sxm-141gb"), "{}", gpu.stderr);
    let dtype = with_config(&["model", "memory", "--config", "config.json", "--kv-dtype", "fp7"], QWEN3_8B);
    assert!(dtype.code == 2 && dtype.stderr.contains("known: bf16"), "{}", dtype.stderr);
}

#[test]
fn the_nearest_gpu_is_named() {
    let ask =
        |gpu: &str| with_config(&["model", "whatif", "--config", "config.json", "--gpu", gpu], QWEN3_8B);
    for (typed, meant) in [("h1000", "did you mean `h100`?"), ("MI300", "did you mean `mi300x`?")] {
        let ran = ask(typed);
        assert!(ran.code == 2 && ran.stderr.contains(meant), "{}", ran.stderr);
    }
    let ran = ask("abacus");
    assert!(ran.code == 2 && !ran.stderr.contains("did you mean"), "{}", ran.stderr);
}

#[test]
fn what_is_no_time_and_no_request_is_a_usage_error() {
    let ops =
        ["model", "ops", "--config", "config.json", "--phase", "decode", "--batch", "1", "--gpu", "h100"];
    for time in ["-5", "0", "NaN", "inf"] {
        let measured = format!("--measured-us={time}");
        let ran = with_config(&[&ops[..], &[measured.as_str()]].concat(), QWEN3_8B);
        assert_eq!(ran.code, 2, "{time}: {}", ran.stderr);
    }
    let memory = ["model", "memory", "--config", "config.json", "--gpu", "h100", "--context", "0"];
    assert_eq!(with_config(&memory, QWEN3_8B).code, 2);
}

#[test]
fn a_broken_file_beside_the_config_is_one_error() {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("config.json"), QWEN3_8B).unwrap();
    std::fs::write(shell.dir.path().join("hf_quant_config.json"), "{\"quant").unwrap();
    let ran = shell.run(&["model", "memory", "--config", "."]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("hf_quant_config.json") && ran.stderr.matches("error[").count() == 1,
        "{}",
        ran.stderr
    );
}
