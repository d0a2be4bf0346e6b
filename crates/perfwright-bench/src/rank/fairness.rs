//! What makes a comparison unfair although workload and SLA agree.

use crate::rows::{Framework, Row};

/// Acceptance lengths further apart than this are different workloads: 2 %.
pub const ACCEPT_TOLERANCE: f64 = 0.02;

/// Tokens per verify step, with the token that the target model gives by itself.
///
/// SGLang and vLLM count that token; TensorRT-LLM does not (InferenceX, golden_al_distribution/README.md: its switch
/// takes the length minus one). A row may state its way with `counts_bonus_token`.
#[must_use]
pub fn accept_length(row: &Row) -> Option<f64> {
    let counted = row
        .spec_decode
        .counts_bonus_token
        .unwrap_or(Framework::parse(&row.framework) != Some(Framework::TensorrtLlm));
    row.spec_decode.mean_accept_length.map(|length| if counted { length } else { length + 1.0 })
}

/// Why a row is unfair by itself.
#[must_use]
pub fn unfair(row: &Row) -> Option<String> {
    let says_no = |key: &str| {
        row.carried.get("normalization").and_then(|n| n.get(key)).and_then(serde_json::Value::as_bool)
            == Some(false)
    };
    for (key, what) in [
        ("same_model_weights", "other weights"),
        ("same_tokenizer", "another tokenizer"),
        ("same_endpoint", "another endpoint"),
    ] {
        if says_no(key) {
            return Some(format!("the row says it used {what}"));
        }
    }
    if row.spec_decode.enabled != Some(false)
        && let Some(length) = accept_length(row)
        && length < 1.0
    {
        return Some(format!(
            "an acceptance length of {length} is impossible: the target model gives one token each step"
        ));
    }
    match row.carried.get("validity").and_then(|v| v.get("verdict")).and_then(serde_json::Value::as_str) {
        None | Some("valid" | "ok") => None,
        Some(verdict) => Some(format!("the load generator says {verdict}")),
    }
}

/// Why rows may not be compared with each other: they speculate with unequal acceptance.
#[must_use]
pub fn unequal_acceptance(rows: &[&Row]) -> Option<String> {
    let lengths: Vec<(&Row, f64)> = rows
        .iter()
        .filter(|r| r.spec_decode.enabled != Some(false))
        .filter_map(|r| Some((*r, accept_length(r)?)))
        .collect();
    let by_length = |a: &&(&Row, f64), b: &&(&Row, f64)| a.1.total_cmp(&b.1);
    let (low, high) = (lengths.iter().min_by(by_length)?, lengths.iter().max_by(by_length)?);
    (high.1 > low.1 * (1.0 + ACCEPT_TOLERANCE)).then(|| {
        format!(
            "acceptance length {:.3} of {} {} against {:.3} of {} {}: the accepted tokens are part of the workload",
            high.1, high.0.framework, high.0.candidate_id, low.1, low.0.framework, low.0.candidate_id
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Status;

    fn row(framework: &str, length: f64) -> Row {
        let mut row = Row::new(framework, "c", Status::Ok);
        row.spec_decode.mean_accept_length = Some(length);
        row
    }

    #[test]
    fn the_bonus_token_is_counted_by_all_or_none() {
        let (trt, sgl) = (row("trtllm", 1.8), row("sglang", 2.8));
        assert_eq!(unequal_acceptance(&[&trt, &sgl]), None, "1.8 drafted and one of its own are 2.8");
        let mut stated = trt.clone();
        stated.spec_decode.counts_bonus_token = Some(true);
        assert!(unequal_acceptance(&[&stated, &sgl]).is_some());
        assert!(unequal_acceptance(&[&row("sglang", 2.8), &row("vllm", 2.9)]).is_some());
        let mut off = row("vllm", 1.0);
        off.spec_decode.enabled = Some(false);
        assert_eq!(unequal_acceptance(&[&sgl, &off]), None);
    }

    #[test]
    fn an_acceptance_below_one_is_impossible() {
        assert!(unfair(&row("sglang", 0.0)).is_some());
        assert!(unfair(&row("trtllm", 0.0)).is_none(), "nothing drafted was accepted");
    }
}
