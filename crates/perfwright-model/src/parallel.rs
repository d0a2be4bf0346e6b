//! How ranks share a model.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::{Architecture, Ffn, KeyValue, Mixer};
use crate::error::ModelError;

/// Most ranks in one dimension.
const MAX_RANKS: u64 = 1 << 16;

/// How ranks share a model.
///
/// Attention is cut among `tp` ranks and repeated on `dp` replicas, which have their own requests. Experts are spread
/// over all `tp * dp` ranks: `ep` groups of whole experts, each expert cut among `tp * dp / ep` ranks. `pp` stages
/// follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Parallel {
    /// Ranks that share attention and dense parts.
    pub tp: u64,
    /// Groups that hold whole experts.
    pub ep: u64,
    /// Replicas of attention with requests of their own.
    pub dp: u64,
    /// Stages.
    pub pp: u64,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { tp: 1, ep: 1, dp: 1, pp: 1 }
    }
}

impl Parallel {
    /// Ranks one expert is cut among.
    pub fn expert_tp(&self) -> u64 {
        (self.tp.saturating_mul(self.dp) / self.ep.max(1)).max(1)
    }

    /// All ranks.
    pub fn ranks(&self) -> u64 {
        self.tp.saturating_mul(self.dp).saturating_mul(self.pp)
    }

    /// Layers of each stage: even, the first stages take the remainder.
    pub fn stages(&self, layers: usize) -> Vec<Range<usize>> {
        let stages = self.pp.clamp(1, MAX_RANKS) as usize;
        let (each, more) = (layers / stages, layers % stages);
        let mut start = 0;
        (0..stages)
            .map(|stage| {
                let end = start + each + usize::from(stage < more);
                let range = start..end;
                start = end;
                range
            })
            .collect()
    }

    /// Whether the model can be cut like that.
    ///
    /// # Errors
    /// Where a number is 0 or too large, or does not divide what it cuts.
    pub fn check(&self, model: &Architecture) -> Result<(), ModelError> {
        let no = |text: String| Err(ModelError::Question(text));
        for (name, n) in [("tp", self.tp), ("ep", self.ep), ("dp", self.dp), ("pp", self.pp)] {
            if n == 0 || n > MAX_RANKS {
                return no(format!("--{name} {n} is not from 1 to {MAX_RANKS}"));
            }
        }
        if self.pp > model.layers.len() as u64 {
            return no(format!("--pp {} is more than the model's {} layers", self.pp, model.layers.len()));
        }
        if !(self.tp * self.dp).is_multiple_of(self.ep) {
            return no(format!(
                "--ep {} does not divide the {} ranks of a stage",
                self.ep,
                self.tp * self.dp
            ));
        }
        for layer in &model.layers {
            for mixer in &layer.mixers {
                let Mixer::Attention(a) = mixer else { continue };
                if a.heads % self.tp != 0 {
                    return no(format!("--tp {} does not divide the {} attention heads", self.tp, a.heads));
                }
                if let KeyValue::Heads { heads, .. } = a.kv
                    && heads % self.tp != 0
                    && !self.tp.is_multiple_of(heads)
                {
                    return no(format!(
                        "--tp {} and the {heads} key and value heads do not divide each other",
                        self.tp
                    ));
                }
            }
            for ffn in &layer.ffns {
                if let Ffn::Moe(moe) = ffn
                    && self.ep > moe.experts
                {
                    return no(format!("--ep {} is more than the {} experts", self.ep, moe.experts));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_even_and_cover_all_layers() {
        let stages = Parallel { pp: 4, ..Parallel::default() }.stages(10);
        assert_eq!(stages, [0..3, 3..6, 6..8, 8..10]);
    }
}
