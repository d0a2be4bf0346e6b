//! The engine against a forward pass in NumPy; `reference/README.md` says how its numbers are made.

use perfwright_lab::{Model, ModelConfig, ModelOptions, OpTable, Weights};

use crate::common::run_chunks;

#[test]
fn logits_agree_with_numpy() {
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("../../reference/expected.json")).unwrap();
    let prompt: Vec<u32> = serde_json::from_value(expected["prompt"].clone()).unwrap();
    let variants = [
        ("tiny", ModelConfig::tiny()),
        ("tiny-qwen2", ModelConfig { qkv_bias: true, tie_word_embeddings: true, ..ModelConfig::tiny() }),
        ("tiny-qwen3", ModelConfig { qk_norm: true, ..ModelConfig::tiny() }),
    ];
    for (name, config) in variants {
        let logits: Vec<f64> = serde_json::from_value(expected["logits"][name].clone()).unwrap();
        for ops in [OpTable::naive(), OpTable::fused()] {
            let options = ModelOptions { threads: 1, ops, simd: None };
            let mut model = Model::new(Weights::from_seed(&config, 7).unwrap(), options).unwrap();
            let ours = run_chunks(&mut model, 16, &[&prompt[..40], &prompt[40..]]).remove(1);
            assert_eq!(ours.len(), logits.len());
            let worst = ours.iter().zip(&logits).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            let largest = logits.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            println!("{name} {}: {worst:.2e} of {largest:.2}", model.ops().attention.label());
            assert!(worst <= 1e-4, "{name}: {worst}");
        }
    }
}
