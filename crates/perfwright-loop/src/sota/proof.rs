//! Whether the new path really ran: which kernels the changed target launched that the baseline did not, how often, and
//! whether they are the ones that the change was for.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kernel::{Kernel, rows};

/// Schema name of [`Proof`].
pub const PROOF_SCHEMA: &str = "perfwright.sota-execution/v1";

/// Launches of one kernel over all classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launches {
    /// The kernel.
    pub kernel: String,
    /// Its category.
    pub category: String,
    /// Launches.
    pub launches: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`PROOF_SCHEMA`].
    pub schema: String,
    /// The new path ran.
    pub proven: bool,
    /// Categories that the change was for.
    pub categories: Vec<String>,
    /// Kernels of the candidate that the baseline has not.
    pub appeared: Vec<Launches>,
    /// Kernels of the baseline that the candidate has not.
    pub vanished: Vec<Launches>,
    /// Launches of new kernels in the categories of the change.
    pub new_launches: u64,
    /// Why, in one sentence.
    pub reason: String,
}

fn launches(triage: &Value) -> Result<BTreeMap<(String, String), u64>, String> {
    let mut out = BTreeMap::new();
    for Kernel { kernel, category, launches, .. } in rows(triage)? {
        *out.entry((kernel, category)).or_insert(0) += launches;
    }
    Ok(out)
}

fn only_in(a: &BTreeMap<(String, String), u64>, b: &BTreeMap<(String, String), u64>) -> Vec<Launches> {
    a.iter()
        .filter(|((kernel, _), n)| **n > 0 && !b.iter().any(|((other, _), n)| other == kernel && *n > 0))
        .map(|((kernel, category), n)| Launches {
            kernel: kernel.clone(),
            category: category.clone(),
            launches: *n,
        })
        .collect()
}

/// Holds the recorded triage of the candidate against that of the baseline. `expected` are kernels that the change
/// brings, where that is known; each must have run.
///
/// # Errors
/// What a triage lacks.
pub fn prove(
    baseline: &Value,
    candidate: &Value,
    categories: &[String],
    expected: &[String],
) -> Result<Proof, String> {
    let (before, after) = (launches(baseline)?, launches(candidate)?);
    let appeared = only_in(&after, &before);
    let vanished = only_in(&before, &after);
    let ours: Vec<&Launches> = appeared.iter().filter(|k| categories.contains(&k.category)).collect();
    let moved: BTreeSet<&String> = ours.iter().map(|k| &k.category).collect();
    let new_launches = ours.iter().map(|k| k.launches).sum();
    let missing: Vec<&String> =
        expected.iter().filter(|e| !after.iter().any(|((k, _), n)| k == *e && *n > 0)).collect();
    let still: Vec<&String> = categories.iter().filter(|c| !moved.contains(c)).collect();
    let list = |names: &[&String]| names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ");
    let (proven, reason) = if !missing.is_empty() {
        (false, format!("never launched: {}", list(&missing)))
    } else if !still.is_empty() {
        (false, format!("no new kernel ran in {}", list(&still)))
    } else if categories.is_empty() {
        (false, "the change is for no category".to_owned())
    } else {
        let names: Vec<String> = ours.iter().map(|k| format!("{} x{}", k.kernel, k.launches)).collect();
        (true, format!("launched and not in the baseline: {}", names.join(", ")))
    };
    Ok(Proof {
        schema: PROOF_SCHEMA.to_owned(),
        proven,
        categories: categories.to_vec(),
        appeared,
        vanished,
        new_launches,
        reason,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn triage(kernels: &[(&str, &str, u64)]) -> Value {
        let row = |(kernel, category, launches): &(&str, &str, u64)| {
            json!({"class": "decode", "kernel": kernel, "category": category, "share": 0.5, "launches": launches,
                "source": "a.py:1"})
        };
        json!({"tables": {"kernels": kernels.iter().map(row).collect::<Vec<_>>()}})
    }

    #[test]
    fn a_path_that_did_not_run_is_not_proven() {
        let before = triage(&[("old_attention", "attention", 9), ("mm", "gemm", 5)]);
        let after = triage(&[("new_attention", "attention", 9), ("mm", "gemm", 5)]);
        let attention = ["attention".to_owned()];
        let proof = prove(&before, &after, &attention, &["new_attention".to_owned()]).unwrap();
        assert!(proof.proven, "{proof:?}");
        assert_eq!((proof.new_launches, proof.vanished[0].kernel.as_str()), (9, "old_attention"));
        let fallback = prove(&before, &before, &attention, &[]).unwrap();
        assert!(!fallback.proven, "the same kernels ran");
        let other = prove(&before, &after, &["gemm".to_owned()], &[]).unwrap();
        assert!(!other.proven, "a new kernel elsewhere proves nothing of gemm");
        let named = prove(&before, &after, &attention, &["flash".to_owned()]).unwrap();
        assert!(named.reason.contains("flash"));
        let never = triage(&[("new_attention", "attention", 0), ("old_attention", "attention", 9)]);
        assert!(!prove(&before, &never, &attention, &[]).unwrap().proven);
    }
}
