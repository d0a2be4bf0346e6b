//! Proofs that a candidate cannot meet the bounds, from what the model needs and the GPU has. They use upper bounds of
//! the hardware only, so a proof never depends on how good an engine is.

use perfwright_model::arch::Architecture;
use perfwright_model::format::KvDtype;
use perfwright_model::hardware::Gpu;
use perfwright_model::memory::{MemoryOptions, memory};
use perfwright_model::ops::{Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::report::{OpsOptions, ops};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::plan::check::same;
use crate::plan::types::Scenario;
use crate::sla::{Side, Sla};

/// Why a candidate is not run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Proof {
    /// `memory`, `ttft` or `tpot`.
    pub kind: &'static str,
    /// Least that is needed: bytes or milliseconds.
    pub least: f64,
    /// Most that there is: bytes or milliseconds.
    pub limit: f64,
    /// For people.
    pub sentence: String,
}

/// How the flags of a candidate share the model. Flags that are not there mean 1.
#[must_use]
pub fn parallel(flags: &[(String, Value)]) -> Parallel {
    let get = |names: &[&str]| {
        let found = flags.iter().find(|(k, _)| names.iter().any(|n| same(k, n)));
        found.and_then(|(_, v)| v.as_u64()).filter(|n| *n > 0).unwrap_or(1)
    };
    Parallel {
        tp: get(&["tp_size", "tensor_parallel_size", "tp", "tensor_parallel"]),
        ep: get(&["ep_size", "expert_parallel_size", "ep"]),
        dp: 1,
        pp: get(&["pp_size", "pipeline_parallel_size", "pp"]),
    }
}

/// A proof that a candidate with these flags cannot run, or cannot meet `sla`; none where nothing is proven.
///
/// Memory: the weights of the fullest rank are more than the whole GPU. TTFT: one prompt alone, nothing cached, at the
/// peak of the hardware. TPOT: one request alone; not where flags speak of speculation, which gives several tokens a
/// step. Flags that change weights (quantisation) or data parallelism prove nothing here.
#[must_use]
pub fn prove(
    model: &Architecture,
    gpu: &Gpu,
    sla: &Sla,
    flags: &[(String, Value)],
    scenario: &Scenario,
) -> Option<Proof> {
    let speaks_of = |word: &str| flags.iter().any(|(k, v)| k.contains(word) && !v.is_null());
    if speaks_of("quant") || speaks_of("data_parallel") || speaks_of("dp_size") || speaks_of("offload") {
        return None;
    }
    let parallel = parallel(flags);
    let options = MemoryOptions {
        parallel,
        kv_dtype: KvDtype::Fp4,
        weights: None,
        gpu: Some(gpu),
        fraction: 1.0,
        context: None,
    };
    let fit = memory(model, &options).ok()?;
    let ranks = fit.gpu.as_ref()?;
    if !ranks.weights_fit {
        let least = fit.weight_bytes as f64 / parallel.ranks() as f64;
        return Some(Proof {
            kind: "memory",
            least,
            limit: ranks.memory_bytes as f64,
            sentence: format!(
                "the weights of a rank do not fit: {:.1} GiB on average, {} has {:.1} GiB",
                least / f64::from(1 << 30),
                ranks.name,
                ranks.memory_bytes as f64 / f64::from(1 << 30)
            ),
        });
    }
    let least_ms = |phase: Phase, tokens: u64, context: u64| {
        let step = Step { phase, batch: 1, tokens, context, parallel, kv_dtype: KvDtype::Fp4 };
        let options = OpsOptions { step, weights: None, gpu, launch_us: 0.0, measured_us: None };
        ops(model, &options).ok().map(|r| r.roofline.overlapped_us / 1000.0)
    };
    let cases = [
        ("ttft", least_ms(Phase::Prefill, scenario.input_len, 0)),
        ("tpot", least_ms(Phase::Decode, 1, scenario.input_len).filter(|_| !speaks_of("spec"))),
    ];
    for (kind, least) in cases {
        let bound =
            sla.bounds.iter().filter(|b| b.side == Side::Max && b.metric.ends_with(&format!("_{kind}_ms")));
        let limit = bound.map(|b| b.limit).fold(f64::INFINITY, f64::min);
        if let Some(least) = least.filter(|l| *l > limit) {
            return Some(Proof {
                kind,
                least,
                limit,
                sentence: format!(
                    "{kind} is at least {least:.2} ms at the peak of {}, the bound is {limit} ms",
                    gpu.name
                ),
            });
        }
    }
    None
}
