//! From a trial of a plan to the load that is offered.

use std::collections::BTreeMap;
use std::path::Path;

use perfwright_evidence::sha256_hex;
use serde_json::{Map, Value, json};

use crate::arrival::Arrival;
use crate::load::{Conditions, Limits, Millis, Salt};
use crate::measure::Sla;
use crate::plan::Plan;
use crate::search::{Load, Trial};
use crate::workload::{InputFile, Spec, WorkloadError};

/// Requests before the measured ones of a trial.
const WARMUP: u32 = 2;
/// Threads that send and receive.
const CLIENT_THREADS: u32 = 1;

/// A plan that no load follows from.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The plan names something that there is no load for.
    #[error("{0}")]
    Plan(String),
    /// The file of requests.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
}

/// The workload of each scenario. `base` is the folder that relative paths of the plan start at.
///
/// # Errors
/// The kind of dataset or the endpoint is none that can be offered, or a file cannot be read.
pub fn workloads(plan: &Plan, base: &Path) -> Result<BTreeMap<String, Spec>, OfferError> {
    if endpoint(plan).is_none() {
        return Err(OfferError::Plan(format!("there is no load for the endpoint {}", plan.endpoint)));
    }
    if plan.scenarios.is_empty() {
        return Err(OfferError::Plan("the dataset names no lengths".to_owned()));
    }
    let file = plan.canonical_jsonl.as_ref().map(|f| InputFile::open(&base.join(f))).transpose()?;
    // The name of a model on a hub is no file; lengths are then nominal.
    let tokenizer = plan.model.tokenizer.as_ref().map(|t| base.join(t)).filter(|t| t.is_file());
    let tokenizer = tokenizer.map(|t| InputFile::open(&t)).transpose()?;
    let mut out = BTreeMap::new();
    for scenario in &plan.scenarios {
        let length = |n: u64| {
            u32::try_from(n).map_err(|_| OfferError::Plan(format!("{n} tokens are more than can be asked")))
        };
        let spec = match (&file, &tokenizer, plan.dataset_kind.as_str()) {
            (Some(file), _, _) => {
                Spec::Jsonl { file: file.clone(), output_len: Some(length(scenario.output_len)?) }
            }
            (None, Some(tokenizer), "random") => Spec::Exact {
                tokenizer: tokenizer.clone(),
                input_len: length(scenario.input_len)?,
                output_len: length(scenario.output_len)?,
                range_ratio: 1.0,
            },
            (None, None, "random") => Spec::Random {
                input_len: length(scenario.input_len)?,
                output_len: length(scenario.output_len)?,
                range_ratio: 1.0,
            },
            (None, _, kind) => {
                return Err(OfferError::Plan(format!(
                    "a dataset of kind {kind} needs a canonical_jsonl; only random is made here"
                )));
            }
        };
        out.insert(scenario.name.clone(), spec);
    }
    Ok(out)
}

/// What names the requests of each scenario: the workload and the seed that they follow from.
#[must_use]
pub fn hashes(plan: &Plan, workloads: &BTreeMap<String, Spec>) -> BTreeMap<String, String> {
    let hash = |spec: &Spec| {
        sha256_hex(
            json!({"workload": spec, "seed": plan.search.seed, "salt": "trial"}).to_string().as_bytes(),
        )
    };
    workloads.iter().map(|(name, spec)| (name.clone(), hash(spec))).collect()
}

fn endpoint(plan: &Plan) -> Option<&'static str> {
    match plan.endpoint.trim_start_matches('/') {
        "v1/completions" | "completions" => Some("completions"),
        "v1/chat/completions" | "chat/completions" | "chat" => Some("chat"),
        "generate" => Some("generate"),
        _ => None,
    }
}

/// What a plan offers at a load; the address is filled in later.
#[must_use]
pub fn conditions(plan: &Plan, load: Load, requests: u64, workload: &Spec) -> Conditions {
    let cap = load.max_concurrency.map(|c| u32::try_from(c).unwrap_or(u32::MAX));
    let all = u32::try_from(requests).unwrap_or(u32::MAX);
    let arrival = match load.request_rate {
        Some(rate) => Arrival::Poisson { rate },
        None => Arrival::Closed { concurrency: cap.unwrap_or(all).min(all) },
    };
    let sla = sla(plan);
    Conditions {
        question: "bench search".to_owned(),
        url: String::new(),
        endpoint: endpoint(plan).unwrap_or("completions").to_owned(),
        model: String::new(),
        workload: workload.clone(),
        max_concurrency: cap.filter(|_| arrival.is_open()),
        arrival,
        sessions: requests,
        seed: plan.search.seed,
        salt: Salt::Unique,
        warmup: WARMUP,
        cut_warmup: false,
        ignore_eos: true,
        extra_body: match &plan.extra_request_body {
            Value::Object(body) => body.clone(),
            _ => Map::new(),
        },
        timeouts: Millis::default(),
        limits: Limits::for_sla(&sla),
        sla,
        client_threads: CLIENT_THREADS,
        path: crate::measure::PathDemand::default(),
    }
}

/// The bounds that the load generator knows: goodput counts by them, and the limit on its lateness follows from them.
fn sla(plan: &Plan) -> Vec<Sla> {
    let one = |b: &crate::sla::Bound| -> Option<Sla> {
        let text = match b.metric.split_once('_') {
            _ if b.metric == "success_rate" => format!("success>={}", b.limit),
            Some((statistic, latency)) => {
                let statistic = if statistic == "p999" { "p99.9" } else { statistic };
                format!("{latency}.{statistic}<={}", b.limit)
            }
            None => return None,
        };
        text.parse().ok()
    };
    plan.sla.bounds.iter().filter_map(one).collect()
}

/// What the prompts of a trial are drawn with, beside the seed: the same for every candidate, another for every load and
/// repetition, so that no trial finds its prompts in a cache that an earlier one of the launch filled.
pub(super) fn salt(plan: &Plan, trial: &Trial, attempt: usize) -> u64 {
    let of = json!([
        plan.search.seed,
        trial.scenario.name,
        trial.rung,
        trial.load,
        trial.num_prompts,
        trial.repeat,
        attempt
    ]);
    let hash = sha256_hex(of.to_string().as_bytes());
    u64::from_str_radix(&hash[..16], 16).unwrap_or(1).max(1)
}
