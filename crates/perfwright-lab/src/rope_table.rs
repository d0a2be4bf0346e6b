//! Cosines and sines of the rotary positions, computed once.

use crate::config::ModelConfig;

/// `cos(p * f_i)` and `sin(p * f_i)` with `f_i = theta^(-2i / head_dim)`, a row of `head_dim / 2` for each position
/// (Su et al., "RoFormer", in the half-split form of Llama checkpoints on Hugging Face).
#[derive(Debug)]
pub(crate) struct RopeTable {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    pub(crate) half: usize,
}

impl RopeTable {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let half = config.head_dim / 2;
        let frequencies: Vec<f64> =
            (0..half).map(|i| config.rope_theta.powf(-2.0 * i as f64 / config.head_dim as f64)).collect();
        let rows = config.max_position_embeddings;
        let (mut cos, mut sin) = (Vec::with_capacity(rows * half), Vec::with_capacity(rows * half));
        for position in 0..rows {
            for f in &frequencies {
                let (s, c) = (position as f64 * f).sin_cos();
                cos.push(c as f32);
                sin.push(s as f32);
            }
        }
        Self { cos, sin, half }
    }

    /// Cosines and sines of a position.
    pub(crate) fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.cos.len() + self.sin.len()) * size_of::<f32>()
    }
}
