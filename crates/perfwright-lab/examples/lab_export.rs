//! Writes the weights of a model as a folder that other engines and `reference/reference.py` read.
//!
//! `cargo run -p perfwright-lab --example lab_export -- MODEL SEED DIR`, with MODEL one of tiny, small, or
//! tiny-qwen2 and tiny-qwen3: `tiny` with biases and a tied head, and with head norms.
#![expect(clippy::print_stdout, reason = "a command")]

use std::path::Path;
use std::process::ExitCode;

use perfwright_lab::{ModelConfig, Weights};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, seed, dir] = &args[..] else {
        println!("MODEL SEED DIR");
        return ExitCode::from(2);
    };
    let config = match model.as_str() {
        "tiny-qwen2" => {
            Some(ModelConfig { qkv_bias: true, tie_word_embeddings: true, ..ModelConfig::tiny() })
        }
        "tiny-qwen3" => Some(ModelConfig { qk_norm: true, ..ModelConfig::tiny() }),
        name => ModelConfig::preset(name),
    };
    let (Some(config), Ok(seed)) = (config, seed.parse()) else {
        println!("no such model, or the seed is not a number");
        return ExitCode::from(2);
    };
    let written = Weights::from_seed(&config, seed).and_then(|w| w.write_safetensors(Path::new(dir)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}
