//! Which kernels may be worked on: enough time, in a category that carries the gap, with something to check against.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::explain::Carrier;

/// Least part of its class's device time that a kernel takes, alone or with its family.
pub const LEAST_SHARE: f64 = 0.01;

/// One kernel of the target's profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Class of steps.
    pub class: String,
    /// The kernel.
    pub kernel: String,
    /// Its category.
    pub category: String,
    /// Part of the class's device time.
    pub share: f64,
    /// Launches.
    pub launches: u64,
    /// Where it is launched from.
    pub source: Option<String>,
    /// It may be worked on.
    pub eligible: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Rows of a recorded triage: class, kernel, category, launches and share.
pub(crate) fn rows(triage: &Value) -> Result<Vec<Kernel>, String> {
    if let Some(code) = triage.pointer("/stop/code").and_then(Value::as_str) {
        return Err(format!("the triage stopped with {code}"));
    }
    let rows =
        triage.pointer("/tables/kernels").and_then(Value::as_array).ok_or("the triage has no kernels")?;
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    rows.iter()
        .map(|row| {
            Some(Kernel {
                class: text(row, "class")?,
                kernel: text(row, "kernel")?,
                category: text(row, "category")?,
                share: row.get("share")?.as_f64()?,
                launches: row.get("launches")?.as_u64()?,
                source: text(row, "source"),
                eligible: false,
                reason: String::new(),
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| "a kernel of the triage lacks a field".to_owned())
}

/// The kernels of a recorded triage with what may be done with them. `reference` says whether there is something that a
/// changed kernel's results can be held against.
///
/// # Errors
/// What the triage lacks.
pub fn eligible(triage: &Value, carriers: &[Carrier], reference: bool) -> Result<Vec<Kernel>, String> {
    let mut out = rows(triage)?;
    let mut families = std::collections::BTreeMap::new();
    for k in &out {
        *families.entry((k.class.clone(), k.category.clone())).or_insert(0.0) += k.share;
    }
    for k in &mut out {
        let family = families.get(&(k.class.clone(), k.category.clone())).copied().unwrap_or(0.0);
        let (eligible, reason) = if !carriers.iter().any(|c| c.category == k.category) {
            (false, "its category does not carry the gap")
        } else if k.share < LEAST_SHARE && family < LEAST_SHARE {
            (false, "it and its family take under 1 % of the device time")
        } else if k.source.is_none() {
            (false, "nothing says where it is launched from")
        } else if !reference {
            (false, "there is nothing to hold its results against")
        } else {
            (true, "carries the gap, takes time, has a source and a reference")
        };
        (k.eligible, k.reason) = (eligible, reason.to_owned());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kernels_without_time_or_reference_are_left_alone() {
        let row = |kernel: &str, category: &str, share: f64, source: Value| {
            json!({"class": "decode", "kernel": kernel, "category": category, "share": share, "launches": 3,
                "source": source})
        };
        let triage = json!({"tables": {"kernels": [
            row("big", "attention", 0.5, json!("a.py:1")),
            row("tiny", "norm", 0.001, json!("a.py:1")),
            row("other", "gemm", 0.4, json!("a.py:1")),
            row("lost", "attention", 0.2, Value::Null),
        ]}});
        let carrier = |name: &str| Carrier { category: name.to_owned(), share: 0.5, kernels: true };
        let carriers = [carrier("attention"), carrier("norm")];
        let is = |reference| {
            let all = eligible(&triage, &carriers, reference).unwrap();
            all.iter().map(|k| k.eligible).collect::<Vec<_>>()
        };
        assert_eq!(is(true), [true, false, false, false]);
        assert_eq!(is(false), [false; 4]);
        assert!(eligible(&json!({}), &carriers, true).is_err());
    }
}
