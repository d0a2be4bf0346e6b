//! How engines turn free memory into tokens of cache. Formulas read in SGLang's and vLLM's sources and checked against
//! their logs.

use crate::kv::Kv;

const GIB: f64 = (1u64 << 30) as f64;

/// What SGLang keeps for states and for windows; its defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SglangOptions {
    /// `--swa-full-tokens-ratio`: tokens of the window pool per token of the full pool.
    pub swa_ratio: f64,
    /// `--mamba-full-memory-ratio`: memory for states per memory for keys and values.
    pub mamba_ratio: f64,
    /// Tokens of a page.
    pub page: u64,
}

impl Default for SglangOptions {
    fn default() -> Self {
        Self { swa_ratio: 0.8, mamba_ratio: 0.9, page: 1 }
    }
}

/// What SGLang makes of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SglangPool {
    /// Tokens of the full pool, `max_total_num_tokens`.
    pub tokens: u64,
    /// Tokens of the window pool; 0 without windows.
    pub window_tokens: u64,
    /// Requests whose states fit; 0 without states.
    pub state_slots: u64,
}

/// SGLang's memory for pools in bytes: what is free after loading, less the share `1 - fraction` of what was free
/// before. Both in GiB, as its logs print them.
pub fn sglang_rest(before_gib: f64, after_gib: f64, fraction: f64) -> f64 {
    ((after_gib - before_gib * (1.0 - fraction)) * GIB).max(0.0)
}

/// SGLang's pools from `rest` bytes.
pub fn sglang(kv: &Kv, rest: f64, options: &SglangOptions) -> SglangPool {
    let mut rest = rest.max(0.0);
    let mut state_slots = 0;
    if kv.state_per_request > 0 {
        let share = rest * options.mamba_ratio / (1.0 + options.mamba_ratio);
        state_slots = (share / kv.state_per_request as f64) as u64;
        rest -= share;
    }
    let window_cell: u64 = kv.windows.iter().map(|w| w.bytes_per_token).sum();
    let full_cell = kv.per_token_unbounded.saturating_add(kv.indexer_per_token);
    let cell = full_cell as f64 + options.swa_ratio * window_cell as f64;
    let page = options.page.max(1);
    let aligned = |tokens: f64| tokens as u64 / page * page;
    let tokens = if cell > 0.0 { aligned(rest / cell) } else { 0 };
    let window_tokens = if window_cell > 0 { aligned(tokens as f64 * options.swa_ratio) } else { 0 };
    SglangPool { tokens, window_tokens, state_slots }
}

/// Tokens of vLLM's cache in a model whose layers all keep every token, from `available` bytes: blocks of 16 tokens.
pub fn vllm_tokens(kv: &Kv, available: f64) -> u64 {
    let block = kv.per_token.saturating_add(kv.indexer_per_token).saturating_mul(16);
    if block == 0 { 0 } else { (available.max(0.0) / block as f64) as u64 * 16 }
}

/// vLLM's memory for keys and values in bytes: the share of the GPU less weights, peak activations and what is not
/// PyTorch's. All in GiB.
pub fn vllm_available(
    total_gib: f64,
    utilization: f64,
    weights_gib: f64,
    activations_gib: f64,
    other_gib: f64,
) -> f64 {
    ((total_gib * utilization - weights_gib - activations_gib - other_gib) * GIB).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(per_token: u64) -> Kv {
        Kv {
            per_token,
            per_token_unbounded: per_token,
            indexer_per_token: 0,
            windows: Vec::new(),
            state_per_request: 0,
        }
    }

    #[test]
    fn sglang_on_an_rtx_3090_within_a_thousandth() {
        // DeepSeek-R1-Distill-Qwen-7B, fraction 0.88: 8.37 GiB free after loading, 22.76 before; log: 105,531 tokens.
        let pool = sglang(&plain(57_344), sglang_rest(22.76, 8.37, 0.88), &SglangOptions::default());
        assert!((pool.tokens as f64 / 105_531.0 - 1.0).abs() < 1e-3, "{pool:?}");
    }

    #[test]
    fn vllm_on_an_h100_to_the_block() {
        // Llama-3.1-8B, TP 4, utilisation 0.95: 75.23 - 3.77 - 1.89 - 2.13 GiB; log: 2,209,792 tokens.
        let kv = plain(32_768);
        let available = vllm_available(79.19, 0.95, 3.77, 1.89, 2.13);
        assert!((vllm_tokens(&kv, available) as f64 / 2_209_792.0 - 1.0).abs() < 1e-4);
        assert_eq!(vllm_tokens(&plain(0), available), 0);
    }

    /// The fraction is of the memory before loading and covers weights and pools (known defect C11: read as a share of
    /// what the weights leave).
    #[test]
    fn trap_c11_the_fraction_counts_from_before_the_weights() {
        let rest = sglang_rest(93.58, 57.01, 0.60) / GIB;
        assert!((rest - 19.58).abs() < 0.01, "{rest}");
        assert!((rest - 57.01 * 0.60).abs() > 1.0);
    }
}
