//! `model memory`: parameters, weights and cache.

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::Architecture;
use crate::engine::{self, SglangOptions};
use crate::error::ModelError;
use crate::format::{Format, KvDtype};
use crate::hardware::Gpu;
use crate::kv::{self, Kv, Window};
use crate::parallel::Parallel;
use crate::params::{self, Params, RankBytes};
use crate::show::{self, Summary};

/// Schema name of [`Memory`].
pub const SCHEMA: &str = "perfwright.model-memory/v1";

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions<'a> {
    /// How ranks share the model.
    pub parallel: Parallel,
    /// Format of the cache; bf16 where not stated.
    pub kv_dtype: KvDtype,
    /// Format of the weights instead of the checkpoint's.
    pub weights: Option<Format>,
    /// GPU whose memory is divided.
    pub gpu: Option<&'a Gpu>,
    /// Share of the GPU's memory that weights and cache may take.
    pub fraction: f64,
    /// Tokens of a request, for the number of requests that fit.
    pub context: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Memory {
    /// `perfwright.model-memory/v1`.
    pub schema: &'static str,
    /// What the config describes.
    pub model: Summary,
    /// Parameters.
    pub params: Params,
    /// Bytes of the main model's weights with their scales, all ranks of one replica together at TP 1.
    pub weight_bytes: u128,
    /// The same on the fullest rank.
    pub weights_per_rank: RankBytes,
    /// Bytes per token in bf16 on one rank (TP 1) with every layer at full context, without indexers.
    pub kv_bytes_per_token: u64,
    /// Bytes per token on the fullest rank as asked, every layer at full context, without indexers.
    pub kv_bytes_per_token_per_rank: u64,
    /// Format of the cache that `kv_bytes_per_token_per_rank` is for.
    pub kv_dtype: KvDtype,
    /// Of `kv_bytes_per_token_per_rank`, layers that keep every token.
    pub kv_bytes_per_token_unbounded_per_rank: u64,
    /// Bytes per token of the indexers' cache on a rank.
    pub indexer_bytes_per_token_per_rank: u64,
    /// Layers that keep at most a window, on a rank.
    pub windows: Vec<Window>,
    /// Bytes of recurrent states per request on a rank.
    pub state_bytes_per_request_per_rank: u64,
    /// How ranks share the model.
    pub parallel: Parallel,
    /// How often the ranks of a replica together hold a token's keys and values: above 1 where there are more ranks
    /// than heads, or a latent.
    pub kv_copies: f64,
    /// What fits on a GPU.
    pub gpu: Option<Fit>,
    /// What was assumed or could not be modelled.
    pub notes: Vec<String>,
    /// Fields of the config that look like dimensions and were not understood.
    pub unread: Vec<String>,
}

/// What fits on a GPU: an upper bound, because activations and graphs are not taken off.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Fit {
    /// The GPU.
    pub name: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Share that weights and cache may take.
    pub fraction: f64,
    /// Bytes for the cache; 0 where the weights do not fit.
    pub kv_bytes: u64,
    /// Whether the weights fit.
    pub weights_fit: bool,
    /// Tokens of a cache whose layers all keep every token, in vLLM's blocks of 16.
    pub tokens: u64,
    /// Tokens of SGLang's full pool with its default ratios for windows and states.
    pub sglang_tokens: u64,
    /// Requests of `context` tokens, each layer keeping what it must.
    pub requests: Option<u64>,
}

/// Counts.
///
/// # Errors
/// Where the model cannot be cut as asked.
pub fn memory(model: &Architecture, options: &MemoryOptions<'_>) -> Result<Memory, ModelError> {
    options.parallel.check(model)?;
    if !(options.fraction > 0.0 && options.fraction <= 1.0) {
        return Err(ModelError::Question(format!(
            "the fraction {} is not above 0 and at most 1",
            options.fraction
        )));
    }
    if options.context == Some(0) {
        return Err(ModelError::Question(
            "--context 0 is not a request: it needs a token at least".to_owned(),
        ));
    }
    let replaced;
    let model = match options.weights {
        Some(format) => {
            replaced = Architecture { quantization: model.quantization.replaced(format), ..model.clone() };
            &replaced
        }
        None => model,
    };
    let one = kv::whole(model, KvDtype::Bf16);
    let rank = kv::on_rank(model, options.kv_dtype, &options.parallel);
    let weights = params::rank_bytes(model, &options.parallel);
    let plain = kv::on_rank(model, options.kv_dtype, &Parallel { tp: 1, ..options.parallel });
    let copies = match plain.per_token {
        0 => 1.0,
        all => rank.per_token as f64 * options.parallel.tp as f64 / all as f64,
    };
    Ok(Memory {
        schema: SCHEMA,
        model: show::summary(model),
        params: params::count(model),
        weight_bytes: params::weight_bytes(model),
        weights_per_rank: weights,
        kv_bytes_per_token: one.per_token,
        kv_bytes_per_token_per_rank: rank.per_token,
        kv_dtype: options.kv_dtype,
        kv_bytes_per_token_unbounded_per_rank: rank.per_token_unbounded,
        indexer_bytes_per_token_per_rank: rank.indexer_per_token,
        windows: rank.windows.clone(),
        state_bytes_per_request_per_rank: rank.state_per_request,
        parallel: options.parallel,
        kv_copies: copies,
        gpu: options.gpu.map(|gpu| fit(gpu, options, &rank, &weights)),
        notes: model.notes.iter().cloned().chain(options.context.and_then(|c| model.beyond(c))).collect(),
        unread: model.unread.clone(),
    })
}

fn fit(gpu: &Gpu, options: &MemoryOptions<'_>, rank: &Kv, weights: &RankBytes) -> Fit {
    let allowed = gpu.memory_bytes.value as f64 * options.fraction;
    let left = allowed - weights.total as f64;
    let kv_bytes = left.max(0.0);
    let requests = options.context.map(|context| match rank.request(context) {
        0 => 0,
        bytes => (kv_bytes / bytes as f64) as u64,
    });
    Fit {
        name: gpu.name.clone(),
        memory_bytes: gpu.memory_bytes.value,
        fraction: options.fraction,
        kv_bytes: kv_bytes as u64,
        weights_fit: left >= 0.0,
        tokens: engine::vllm_tokens(rank, kv_bytes),
        sglang_tokens: engine::sglang(rank, kv_bytes, &SglangOptions::default()).tokens,
        requests,
    }
}
