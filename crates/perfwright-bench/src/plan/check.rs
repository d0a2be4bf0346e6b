//! What a plan that reads well gets wrong, and what it promises and cannot keep.

use serde_json::Value;

use super::node::Fault;
use super::types::{FrameworkPlan, Plan};
use crate::rows::Framework;
use crate::search::space;

/// The flag that bounds prompt and answer together.
#[must_use]
pub fn sequence_flag(kind: Framework) -> Option<&'static str> {
    match kind {
        Framework::Sglang => Some("context_length"),
        Framework::Vllm | Framework::Tokenspeed => Some("max_model_len"),
        Framework::TensorrtLlm => Some("max_seq_len"),
        Framework::Generic => None,
    }
}

/// A flag's name with one spelling of its separators.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.trim_start_matches('-').replace('-', "_");
    plain(a) == plain(b)
}

/// Faults between parts of the plan.
pub(super) fn faults(plan: &Plan) -> Vec<Fault> {
    let mut out = Vec::new();
    let longest = plan.scenarios.iter().map(|s| s.input_len + s.output_len).max().unwrap_or(0);
    for framework in plan.frameworks.iter().filter(|f| f.enabled) {
        let mut fault = |part: &str, cause: String, hint: &str| {
            let path = format!("frameworks.{}.{part}", framework.name);
            out.push(Fault { path, line: 0, cause, hint: Some(hint.to_owned()) });
        };
        if let Some(flag) = sequence_flag(framework.kind) {
            for (place, value) in values_of(framework, flag) {
                if let Some(limit) = value.as_u64().filter(|l| *l < longest) {
                    let hint = "raise it, or shorten the scenario";
                    fault(
                        &format!("{place}.{flag}"),
                        format!("{limit} tokens are below the longest request, {longest}"),
                        hint,
                    );
                }
            }
        }
        if framework.kind == Framework::TensorrtLlm {
            for (place, value) in values_of(framework, "backend") {
                if place == "search_space" || value.as_str() != Some("pytorch") {
                    let cause = "TensorRT-LLM runs on its PyTorch backend, which is not searched".to_owned();
                    fault(&format!("{place}.backend"), cause, "base_server_flags: {backend: pytorch}");
                }
            }
        }
    }
    out
}

fn values_of<'a>(
    framework: &'a FrameworkPlan,
    flag: &'a str,
) -> impl Iterator<Item = (&'static str, &'a Value)> {
    let base =
        framework.base.iter().filter(move |(k, _)| same(k, flag)).map(|(_, v)| ("base_server_flags", v));
    let space = framework.space.iter().filter(move |k| same(&k.name, flag));
    base.chain(space.flat_map(|k| k.values.iter().map(|v| ("search_space", v))))
}

/// Confidence with which percentiles are certified.
const CONFIDENCE: f64 = 0.99;

/// Fewest samples from which the `percentile` (0 to 1) can be certified with 99 % confidence while one sample may be
/// above it: the smallest n for which at most one of n independent samples lies above with probability below 1 %.
/// MLPerf's early stopping asks the same question.
#[must_use]
pub fn samples_needed(percentile: f64) -> u64 {
    let above = 1.0 - percentile;
    if !(above > 1e-6 && above < 1.0) {
        return u64::MAX;
    }
    let at_most_one = |n: f64| percentile.powf(n) + n * above * percentile.powf(n - 1.0);
    let (mut low, mut high) = (1_u64, 2_u64);
    while at_most_one(high as f64) > 1.0 - CONFIDENCE {
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = (low + high) / 2;
        if at_most_one(middle as f64) > 1.0 - CONFIDENCE { low = middle } else { high = middle }
    }
    high
}

/// What the plan promises and cannot keep; each is a sentence.
#[must_use]
pub fn doubts(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(qps) = plan.qps
        && qps.max_rounds < qps.needed_rounds()
    {
        // The first two rounds look at the ends of the range.
        let left = (qps.upper - qps.lower) / 2f64.powi(qps.max_rounds.saturating_sub(2).min(1000) as i32);
        out.push(format!(
            "{} rounds over {} to {} leave {left:.2} requests per second, not {}; {} rounds would do",
            qps.max_rounds,
            qps.lower,
            qps.upper,
            qps.tolerance,
            qps.needed_rounds()
        ));
    }
    for bound in &plan.sla.bounds {
        let Some(percent) = bound.metric.split('_').next().and_then(|s| s.strip_prefix('p')) else {
            continue;
        };
        let share = match percent {
            "999" => 0.999,
            p => p.parse::<f64>().map_or(0.0, |p| p / 100.0),
        };
        let needed = samples_needed(share);
        if share > 0.0 && plan.num_prompts < needed {
            out.push(format!(
                "{} is a bound on a percentile that needs {needed} requests to certify with 99 % confidence; a trial has {}",
                bound.key(),
                plan.num_prompts
            ));
        }
    }
    if plan.sla.bounds.is_empty() {
        out.push("no bounds are given: a search for the largest rate has nothing to look for".to_owned());
    }
    for framework in plan.frameworks.iter().filter(|f| f.enabled) {
        let candidates = space::candidates(framework, &plan.search);
        for missed in space::coverage(framework, &candidates).never_tried {
            out.push(format!(
                "{}: {} = {} is never tried with {} candidates; {} would try every value",
                framework.name,
                missed.knob,
                missed.value,
                candidates.len(),
                space::needed(framework)
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_for_a_percentile() {
        // P(X <= 1) with n = 64, q = 0.1 is 0.9^64 + 64 0.1 0.9^63 = 0.0096; with 63 it is 0.0105.
        assert_eq!(samples_needed(0.90), 64);
        assert!((128..=132).contains(&samples_needed(0.95)));
        assert!((655..=668).contains(&samples_needed(0.99)));
        assert!(samples_needed(0.92) > 80 && samples_needed(0.9199) < 82);
        assert_eq!(samples_needed(1.0), u64::MAX);
    }
}
