//! `model whatif`: memory and the least time per token over parallelism, formats, batch and context.

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::Architecture;
use crate::error::ModelError;
use crate::format::{Format, KvDtype};
use crate::hardware::Gpu;
use crate::kv;
use crate::ops::{self, Phase, Step};
use crate::parallel::Parallel;
use crate::params;
use crate::roofline;
use crate::show::{self, Summary};

/// Schema name of [`WhatIf`].
pub const SCHEMA: &str = "perfwright.model-whatif/v1";

/// Most rows of an answer.
pub const MAX_ROWS: usize = 20_000;

/// What is varied. Every combination is a row.
#[derive(Debug, Clone)]
pub struct WhatIfOptions<'a> {
    /// Ways to share the model.
    pub parallel: Vec<Parallel>,
    /// Formats of the weights; `None` is the checkpoint's.
    pub weights: Vec<Option<Format>>,
    /// Formats of the cache.
    pub kv_dtypes: Vec<KvDtype>,
    /// Requests.
    pub batches: Vec<u64>,
    /// Tokens in the cache.
    pub contexts: Vec<u64>,
    /// The GPU.
    pub gpu: &'a Gpu,
    /// Share of its memory for weights and cache.
    pub fraction: f64,
}

/// The answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhatIf {
    /// `perfwright.model-whatif/v1`.
    pub schema: &'static str,
    /// What the config describes.
    pub model: Summary,
    /// The GPU.
    pub gpu: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Share of it for weights and cache.
    pub fraction: f64,
    /// The combinations.
    pub rows: Vec<WhatIfRow>,
    /// Combinations the model cannot be cut into, with the reason.
    pub refused: Vec<Refused>,
    /// What was assumed or could not be modelled.
    pub notes: Vec<String>,
}

/// One combination.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhatIfRow {
    /// How ranks share the model.
    pub parallel: Parallel,
    /// Format of the weights; `checkpoint` where it is that of the config.
    pub dtype: String,
    /// Format of the cache.
    pub kv_dtype: KvDtype,
    /// Requests, over all replicas.
    pub batch: u64,
    /// Tokens of each in the cache.
    pub context: u64,
    /// Bytes of weights on the fullest rank.
    pub weights_per_rank: u128,
    /// Bytes per token on a rank, every layer at full context, with indexers.
    pub kv_bytes_per_token_per_rank: u64,
    /// Tokens that fit beside the weights, one replica, every layer keeping every token.
    pub max_tokens: u64,
    /// Bytes of the cache that batch and context need on a rank.
    pub kv_bytes_needed: u64,
    /// Weights and that cache fit.
    pub fits: bool,
    /// Least time per token in microseconds, operators one after another.
    pub tpot_us: f64,
    /// What limits most of it.
    pub bound: roofline::Bound,
    /// Tokens per second and GPU at that time: an upper bound.
    pub tokens_per_second_per_gpu: f64,
}

/// A combination that cannot be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Refused {
    /// The combination.
    pub parallel: Parallel,
    /// Why.
    pub reason: String,
}

/// Fills the table.
///
/// # Errors
/// Where a number is out of bounds or the table would have more than [`MAX_ROWS`] rows.
pub fn whatif(model: &Architecture, options: &WhatIfOptions<'_>) -> Result<WhatIf, ModelError> {
    let sizes = [
        options.parallel.len(),
        options.weights.len(),
        options.kv_dtypes.len(),
        options.batches.len(),
        options.contexts.len(),
    ];
    let count = sizes.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    if count.is_none_or(|count| count > MAX_ROWS) {
        return Err(ModelError::Question(format!("the table would have more than {MAX_ROWS} rows")));
    }
    if !(options.fraction > 0.0 && options.fraction <= 1.0) {
        return Err(ModelError::Question(format!(
            "the fraction {} is not above 0 and at most 1",
            options.fraction
        )));
    }
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    for weights in &options.weights {
        let changed;
        let model = match weights {
            Some(format) => {
                changed =
                    Architecture { quantization: model.quantization.replaced(*format), ..model.clone() };
                &changed
            }
            None => model,
        };
        for parallel in &options.parallel {
            if let Err(error) = parallel.check(model) {
                if refused.iter().all(|r: &Refused| r.parallel != *parallel) {
                    refused.push(Refused { parallel: *parallel, reason: error.to_string() });
                }
                continue;
            }
            let on_rank = params::rank_bytes(model, parallel).total;
            let left = (options.gpu.memory_bytes.value as f64 * options.fraction - on_rank as f64).max(0.0);
            for kv_dtype in &options.kv_dtypes {
                let cache = kv::on_rank(model, *kv_dtype, parallel);
                let cell = cache.per_token.saturating_add(cache.indexer_per_token);
                let max_tokens = if cell > 0 { (left / cell as f64) as u64 } else { 0 };
                for batch in &options.batches {
                    for context in &options.contexts {
                        let step = Step {
                            phase: Phase::Decode,
                            batch: *batch,
                            tokens: 1,
                            context: *context,
                            parallel: *parallel,
                            kv_dtype: *kv_dtype,
                        };
                        let list = ops::of(model, &step)?;
                        let times: Vec<_> =
                            list.iter().map(|op| roofline::time(op, options.gpu, 0.0)).collect();
                        let time = roofline::step(&times);
                        let requests = batch.div_ceil(parallel.dp);
                        let needed = cache.request(*context).saturating_mul(requests);
                        let per_second = *batch as f64 / (time.time_us * 1e-6);
                        rows.push(WhatIfRow {
                            parallel: *parallel,
                            dtype: weights.map_or("checkpoint", |f| f.name).to_owned(),
                            kv_dtype: *kv_dtype,
                            batch: *batch,
                            context: *context,
                            weights_per_rank: on_rank,
                            kv_bytes_per_token_per_rank: cell,
                            max_tokens,
                            kv_bytes_needed: needed,
                            fits: left > 0.0 && needed as f64 <= left,
                            tpot_us: time.time_us,
                            bound: time.bound,
                            // Stages work on different batches at the same time, so they do not divide the rate again.
                            tokens_per_second_per_gpu: per_second / (parallel.tp * parallel.dp) as f64,
                        });
                    }
                }
            }
        }
    }
    Ok(WhatIf {
        schema: SCHEMA,
        model: show::summary(model),
        gpu: options.gpu.name.clone(),
        memory_bytes: options.gpu.memory_bytes.value,
        fraction: options.fraction,
        rows,
        refused,
        notes: model
            .notes
            .iter()
            .cloned()
            .chain(options.contexts.iter().max().and_then(|longest| model.beyond(*longest)))
            .collect(),
    })
}
