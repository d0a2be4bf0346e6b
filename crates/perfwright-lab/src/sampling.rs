//! The choice of the next token from its logits.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::error::LabError;
use crate::ops::external::{TensorData, TensorView};
use crate::ops::table::OpKind;

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Keeps the most likely tokens that reach this probability together; 1 keeps all.
    pub top_p: f32,
    /// Keeps this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps tokens with at least this share of the highest probability; 0 keeps all.
    pub min_p: f32,
    /// Seed of the request.
    pub seed: u64,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed: 0 }
    }
}

impl SamplingParams {
    /// Always the most likely token.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Holds the values to their ranges.
    ///
    /// # Errors
    /// [`LabError::Setting`] with the first that has no meaning.
    pub fn check(&self) -> Result<(), LabError> {
        let wrong = |setting, cause: &str| Err(LabError::Setting { setting, cause: cause.to_owned() });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", "is not a number from 0 on");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p", "is not above 0 and at most 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return wrong("min_p", "is not from 0 to 1");
        }
        Ok(())
    }
}

/// Random numbers of a request. The same seed draws the same tokens from the same logits.
#[must_use]
pub fn sampling_rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The most likely token; of equal ones the first. A logit that is not a number is never chosen over one that is.
#[must_use]
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, x) in logits.iter().enumerate() {
        if *x > logits[best] || (logits[best].is_nan() && !x.is_nan()) {
            best = i;
        }
    }
    best as u32
}

/// Draws a token. One number is taken from `rng` unless the temperature is 0.
pub fn sample(logits: &[f32], params: &SamplingParams, rng: &mut ChaCha8Rng) -> u32 {
    if params.temperature == 0.0 || logits.is_empty() {
        return argmax(logits);
    }
    let mut candidates = candidates(logits, params.temperature);
    if params.top_k > 0 && params.top_k < candidates.len() {
        candidates.select_nth_unstable_by(params.top_k - 1, by_weight);
        candidates.truncate(params.top_k);
    }
    if params.top_p < 1.0 || params.min_p > 0.0 {
        candidates.sort_unstable_by(by_weight);
    } else {
        candidates.sort_unstable_by_key(|c| c.0);
    }
    draw(&candidates, params, rng)
}

/// As [`sample`], with the variant of the operator table: naive sorts the whole vocabulary first.
///
/// # Errors
/// When an operator from outside fails or chooses a token that does not exist.
pub fn sample_with(
    kind: &OpKind,
    logits: &[f32],
    params: &SamplingParams,
    rng: &mut ChaCha8Rng,
) -> Result<u32, LabError> {
    match kind {
        OpKind::Fused => Ok(sample(logits, params, rng)),
        OpKind::Naive if params.temperature == 0.0 || logits.is_empty() => Ok(argmax(logits)),
        OpKind::Naive => {
            let mut candidates = candidates(logits, params.temperature);
            candidates.sort_unstable_by(by_weight);
            if params.top_k > 0 {
                candidates.truncate(params.top_k);
            }
            if params.top_p >= 1.0 && params.min_p <= 0.0 {
                candidates.sort_unstable_by_key(|c| c.0);
            }
            Ok(draw(&candidates, params, rng))
        }
        OpKind::External(op) => {
            let mut token = [0i64];
            let mut tensors = [
                TensorView::dense(TensorData::F32(logits), &[logits.len()]),
                TensorView::dense(TensorData::I64Mut(&mut token), &[1]),
            ];
            op.call(&mut tensors, &[f64::from(params.temperature)])?;
            let chosen = usize::try_from(token[0]).ok().filter(|t| *t < logits.len());
            chosen.map(|t| t as u32).ok_or_else(|| LabError::External {
                name: op.name().to_owned(),
                cause: format!("chose token {} of {}", token[0], logits.len()),
            })
        }
    }
}

/// Tokens with weights `e^((logit - highest) / temperature)`; those that are not a number are left out.
fn candidates(logits: &[f32], temperature: f32) -> Vec<(u32, f32)> {
    let highest = logits.iter().copied().filter(|x| !x.is_nan()).fold(f32::NEG_INFINITY, f32::max);
    logits
        .iter()
        .enumerate()
        .filter(|(_, x)| !x.is_nan())
        .map(|(i, x)| {
            let weight = if *x == highest { 1.0 } else { ((x - highest) / temperature).exp() };
            (i as u32, weight)
        })
        .collect()
}

/// Heaviest first, of equal ones the lower token.
fn by_weight(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Applies `top_p` and `min_p` to candidates that are sorted if either is set, and draws one.
fn draw(candidates: &[(u32, f32)], params: &SamplingParams, rng: &mut ChaCha8Rng) -> u32 {
    let mut kept = candidates;
    if params.top_p < 1.0 {
        let goal = params.top_p * candidates.iter().map(|c| c.1).sum::<f32>();
        let mut sum = 0.0;
        let reach = candidates.iter().position(|c| {
            sum += c.1;
            sum >= goal
        });
        kept = &kept[..reach.map_or(kept.len(), |i| i + 1)];
    }
    if params.min_p > 0.0 {
        // The heaviest has weight 1.
        let end = kept.iter().position(|c| c.1 < params.min_p).unwrap_or(kept.len());
        kept = &kept[..end.max(1).min(kept.len())];
    }
    let total: f64 = kept.iter().map(|c| f64::from(c.1)).sum();
    let mut left = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
    for (token, weight) in kept {
        left -= f64::from(*weight);
        if left < 0.0 {
            return *token;
        }
    }
    kept.last().map_or(0, |c| c.0)
}

/// Log-probabilities of a chosen token and of the most likely ones.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// Natural logarithm of the probability of the token that was chosen, at temperature 1.
    pub chosen: f32,
    /// The most likely tokens with theirs, most likely first.
    pub top: Vec<(u32, f32)>,
}

/// Log-probabilities of `chosen` and of the `top` most likely tokens, from logits as they are (temperature 1).
#[must_use]
pub fn logprobs(logits: &[f32], chosen: u32, top: usize) -> TokenLogprobs {
    let highest = logits.iter().copied().filter(|x| !x.is_nan()).fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().filter(|x| !x.is_nan()).map(|x| f64::from(x - highest).exp()).sum();
    let norm = f64::from(highest) + sum.ln();
    let of = |x: f32| (f64::from(x) - norm) as f32;
    let mut all: Vec<(u32, f32)> = logits.iter().enumerate().map(|(i, x)| (i as u32, *x)).collect();
    let top = top.min(all.len());
    if top > 0 && top < all.len() {
        all.select_nth_unstable_by(top - 1, by_weight);
    }
    all.truncate(top);
    all.sort_unstable_by(by_weight);
    TokenLogprobs {
        chosen: logits.get(chosen as usize).map_or(f32::NEG_INFINITY, |x| of(*x)),
        top: all.into_iter().map(|(t, x)| (t, of(x))).collect(),
    }
}
