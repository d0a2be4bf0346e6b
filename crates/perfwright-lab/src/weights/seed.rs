//! Parameters drawn from a seed, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::layout::Weights;
use crate::config::ModelConfig;
use crate::error::LabError;
use crate::tokenizer::{EOS, is_readable};

impl Weights {
    /// Parameters drawn from `seed`: each tensor from a stream of ChaCha8 of its own, named by the tensor, so that
    /// values do not depend on the order in which tensors are made.
    ///
    /// # Errors
    /// When the configuration is not one that is run here.
    pub fn from_seed(config: &ModelConfig, seed: u64) -> Result<Self, LabError> {
        config.check(std::path::Path::new("(preset)"))?;
        Self::build(config, &|name, shape| Ok(draw(config, seed, name, shape)))
    }
}

fn draw(config: &ModelConfig, seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let len = shape.iter().product();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name.as_bytes()));
    if name.ends_with("norm.weight") {
        return (0..len).map(|_| 0.9 + 0.2 * unit(rng.next_u32())).collect();
    }
    // A uniform distribution on (-a, a) has the standard deviation a / sqrt(3).
    let range = gain(name) * 3f32.sqrt() / (shape.last().copied().unwrap_or(1) as f32).sqrt();
    let mut values: Vec<f32> = (0..len).map(|_| (unit(rng.next_u32()) * 2.0 - 1.0) * range).collect();
    let head = if config.tie_word_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" };
    if name == head {
        quiet_unreadable(&mut values, config.hidden_size);
    }
    values
}

/// A number from 0 to 1, from the 24 bits a float holds exactly.
fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// Standard deviation times the square root of the number of inputs. Attention gets sharp scores and a strong say, so
/// that the next token depends on the whole context and greedy output does not fall into a short cycle.
fn gain(name: &str) -> f32 {
    match name.rsplit_once('.').map_or(name, |(stem, _)| stem).rsplit('.').next() {
        Some("embed_tokens") => 8.0,
        Some("q_proj" | "k_proj") => 1.8,
        Some("o_proj") => 2.0,
        Some("lm_head") => 3.0,
        _ => 1.0,
    }
}

/// Rows of the output head for bytes that are not readable text count less, so that random weights print text that
/// can be looked at; the end of a sequence keeps its weight.
fn quiet_unreadable(head: &mut [f32], width: usize) {
    for (token, row) in head.chunks_exact_mut(width).enumerate() {
        if !is_readable(token as u32) && token as u32 != EOS {
            row.iter_mut().for_each(|x| *x *= 0.25);
        }
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
