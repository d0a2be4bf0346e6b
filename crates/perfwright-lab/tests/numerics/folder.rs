//! Folders of weights: what is written is read back, what is hostile is refused.

use std::path::Path;

use crate::common::run_chunks;
use perfwright_lab::{LabError, Model, ModelConfig, ModelOptions, Weights};
use proptest::prelude::*;

fn config() -> ModelConfig {
    ModelConfig {
        hidden_size: 16,
        intermediate_size: 24,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: 1,
        ..ModelConfig::tiny()
    }
}

fn logits(weights: Weights) -> Vec<f32> {
    let mut model = Model::new(weights, ModelOptions { threads: 1, ..ModelOptions::default() }).unwrap();
    run_chunks(&mut model, 16, &[&[1, 2, 3, 250]]).remove(0)
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let variants = [
        config(),
        ModelConfig { qk_norm: true, ..config() },
        ModelConfig { qkv_bias: true, ..config() },
        ModelConfig { tie_word_embeddings: true, ..config() },
    ];
    for (i, config) in variants.into_iter().enumerate() {
        let weights = Weights::from_seed(&config, 5).unwrap();
        let dir = dir.path().join(i.to_string());
        weights.write_safetensors(&dir).unwrap();
        let again = Weights::from_safetensors(&dir).unwrap();
        assert_eq!(again.config(), &config);
        assert_eq!(logits(again), logits(weights));
    }
}

#[test]
fn several_files_and_half_precision_are_read() {
    let dir = tempfile::tempdir().unwrap();
    Weights::from_seed(&config(), 5).unwrap().write_safetensors(dir.path()).unwrap();
    let whole = logits(Weights::from_safetensors(dir.path()).unwrap());
    let single = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&single).unwrap();
    std::fs::remove_file(&single).unwrap();
    let (header, data) = split(&bytes);
    let mut map = serde_json::Map::new();
    for (i, (name, entry)) in header.as_object().unwrap().iter().enumerate() {
        let at = |k: usize| entry["data_offsets"][k].as_u64().unwrap() as usize;
        // BF16 keeps the upper half of a float.
        let half: Vec<u8> = data[at(0)..at(1)].chunks(4).flat_map(|x| [x[2], x[3]]).collect();
        let one = serde_json::json!({name: {"dtype": "BF16", "shape": entry["shape"], "data_offsets": [0, half.len()]}});
        let file = format!("part-{i}.safetensors");
        std::fs::write(dir.path().join(&file), join(&one, &half)).unwrap();
        map.insert(name.clone(), file.into());
    }
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
    let parts = logits(Weights::from_safetensors(dir.path()).unwrap());
    let error = whole.iter().zip(&parts).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(error > 0.0 && error < 0.5, "{error}");

    map.insert("x".into(), "../model.safetensors".into());
    std::fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
    assert!(matches!(Weights::from_safetensors(dir.path()), Err(LabError::Malformed { .. })));
}

fn split(bytes: &[u8]) -> (serde_json::Value, &[u8]) {
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + len]).unwrap(), &bytes[8 + len..])
}

fn join(header: &serde_json::Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

fn refused(dir: &Path, bytes: &[u8]) -> String {
    std::fs::write(dir.join("model.safetensors"), bytes).unwrap();
    match Weights::from_safetensors(dir) {
        Ok(_) => panic!("was read"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn hostile_headers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    Weights::from_seed(&config(), 5).unwrap().write_safetensors(dir.path()).unwrap();
    let good = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    let (header, data) = split(&good);
    let name = "model.norm.weight";
    let edited = |field: &str, value: serde_json::Value| {
        let mut header = header.clone();
        header[name][field] = value;
        join(&header, data)
    };
    let offsets = &header[name]["data_offsets"];
    let cases = [
        ("empty", Vec::new(), "byte 0"),
        ("huge header", [&u64::MAX.to_le_bytes()[..], &good[8..]].concat(), "a header of"),
        ("header past the end", (1u64 << 20).to_le_bytes().to_vec(), "a header of"),
        ("no JSON", join(&serde_json::json!(7), data), "not an object"),
        ("past the end", edited("data_offsets", serde_json::json!([offsets[0], 1u64 << 40])), "outside"),
        ("reversed", edited("data_offsets", serde_json::json!([offsets[1], offsets[0]])), "outside"),
        ("overlap", edited("data_offsets", serde_json::json!([0, 64])), "starts at byte"),
        ("overflow", edited("shape", serde_json::json!([u64::MAX, u64::MAX])), "do not hold"),
        ("negative", edited("shape", serde_json::json!([-16])), "not whole numbers"),
        ("wrong shape", edited("shape", serde_json::json!([4, 4])), "config.json asks for"),
        ("many dimensions", edited("shape", serde_json::json!(vec![1; 99])), "dimensions"),
        ("rest", [&good[..], b"more"].concat(), "belong to no tensor"),
        ("truncated", good[..good.len() - 4].to_vec(), "outside"),
    ];
    for (what, bytes, message) in cases {
        let said = refused(dir.path(), &bytes);
        assert!(said.contains(message), "{what}: {said}");
    }
    let mut without = header.clone();
    without[name]["dtype"] = "F8_E4M3".into();
    assert!(refused(dir.path(), &join(&without, data)).contains("not supported"));
}

#[test]
fn hostile_configurations_are_refused() {
    let path = Path::new("config.json");
    let good: serde_json::Value = serde_json::from_str(&config().to_json()).unwrap();
    assert_eq!(ModelConfig::from_json(good.to_string().as_bytes(), path).unwrap(), config());
    for (field, value) in [
        ("model_type", serde_json::json!("mamba")),
        ("hidden_size", serde_json::json!(0)),
        ("hidden_size", serde_json::json!(u64::MAX)),
        ("hidden_size", serde_json::json!(-5)),
        ("num_attention_heads", serde_json::json!(0)),
        ("num_key_value_heads", serde_json::json!(3)),
        ("head_dim", serde_json::json!(12)),
        ("rms_norm_eps", serde_json::json!("small")),
        ("rope_theta", serde_json::json!(0.0)),
        ("vocab_size", serde_json::json!(100)),
        ("hidden_act", serde_json::json!("gelu")),
        ("rope_scaling", serde_json::json!({"rope_type": "llama3"})),
        ("attention_bias", serde_json::json!(true)),
        ("num_hidden_layers", serde_json::json!(1e9)),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value;
        assert!(ModelConfig::from_json(wrong.to_string().as_bytes(), path).is_err(), "{wrong}");
    }
    for junk in ["", "[]", "{", "{}", &"[".repeat(10_000)] {
        assert!(ModelConfig::from_json(junk.as_bytes(), path).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_change_of_bytes_makes_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), in_header in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        Weights::from_seed(&config(), 5).unwrap().write_safetensors(dir.path()).unwrap();
        let path = dir.path().join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        let range = if in_header { header } else { bytes.len() };
        for (at, byte) in changes {
            bytes[at.index(range)] = byte;
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(weights) = Weights::from_safetensors(dir.path()) {
            prop_assert_eq!(logits(weights).len(), 260);
        }
    }
}
