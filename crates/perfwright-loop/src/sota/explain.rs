//! Which parts of a step carry the gap: the difference of step times, split by class and category, with intervals.
//!
//! Input is the recorded answer of `trace compare`, target first. Only classes whose step time differs beyond its
//! interval count, and only parts whose own interval lies on that side explain anything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`Explanation`].
pub const EXPLANATION_SCHEMA: &str = "perfwright.sota-explanation/v1";

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Explained {
    /// The named categories carry most of the gap.
    Explained,
    /// Most of the gap is in no part whose interval shows it.
    NotExplained,
    /// The profiles show no gap of step time.
    NoGap,
}

impl Explained {
    /// The word as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Explained => "explained",
            Self::NotExplained => "not explained",
            Self::NoGap => "no gap in step time",
        }
    }
}

/// One class of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassGap {
    /// `prefill`, `decode`, ...
    pub class: String,
    /// Matched steps.
    pub steps: u64,
    /// How much longer a step of the target takes, in nanoseconds.
    pub ns_per_step: f64,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The interval shows that the target is slower.
    pub counts: bool,
}

/// One part of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartGap {
    /// The class.
    pub class: String,
    /// Category of kernels, or what else the time is: `host-bound`, `idle`, ...
    pub category: String,
    /// How much longer the target takes in a step, in nanoseconds.
    pub ns_per_step: f64,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Part of the whole gap.
    pub share: f64,
    /// Its interval shows it.
    pub shown: bool,
}

/// A category that carries the gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// The category.
    pub category: String,
    /// Part of the whole gap.
    pub share: f64,
    /// It is made of kernels, so a patch of kernels can change it.
    pub kernels: bool,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// [`EXPLANATION_SCHEMA`].
    pub schema: String,
    /// The answer.
    pub answer: Explained,
    /// The gap over all matched steps of the classes that count, in nanoseconds.
    pub gap_ns: f64,
    /// Classes.
    pub classes: Vec<ClassGap>,
    /// Parts of the classes that count, largest first.
    pub parts: Vec<PartGap>,
    /// Part of the gap in parts whose interval shows it.
    pub explained_share: f64,
    /// What has to be explained.
    pub needed_share: f64,
    /// Categories that carry it, largest first.
    pub carriers: Vec<Carrier>,
    /// Why, in one sentence.
    pub reason: String,
}

fn number(row: &Value, name: &str) -> Option<f64> {
    row.get(name)?.as_f64().filter(|v| v.is_finite())
}

/// The gap of a row: positive where the target (A) takes longer, with its interval turned accordingly.
fn longer(row: &Value) -> Option<(f64, Option<f64>, Option<f64>)> {
    let delta = number(row, "delta_ns_per_step")?;
    Some((-delta, number(row, "ci_high").map(|v| -v), number(row, "ci_low").map(|v| -v)))
}

/// Splits the gap of a recorded comparison.
///
/// # Errors
/// What the comparison lacks.
pub fn explain(compare: &Value, needed_share: f64, carrier_share: f64) -> Result<Explanation, String> {
    if let Some(code) = compare.pointer("/stop/code").and_then(Value::as_str) {
        return Err(format!("the comparison stopped with {code}"));
    }
    let rows = |name: &str| {
        compare.get(name).and_then(Value::as_array).ok_or_else(|| format!("the comparison lists no {name}"))
    };
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut classes = Vec::new();
    for row in rows("classes")? {
        let (ns_per_step, low, high) = longer(row).ok_or("a class has no difference")?;
        classes.push(ClassGap {
            class: text(row, "class"),
            steps: row.get("matched").and_then(Value::as_u64).ok_or("a class states no matched steps")?,
            ns_per_step,
            low,
            high,
            counts: low.is_some_and(|l| l > 0.0),
        });
    }
    let steps: BTreeMap<&str, f64> =
        classes.iter().filter(|c| c.counts).map(|c| (c.class.as_str(), c.steps as f64)).collect();
    let gap_ns: f64 = classes.iter().filter(|c| c.counts).map(|c| c.ns_per_step * c.steps as f64).sum();
    let mut parts = Vec::new();
    for row in rows("gaps")? {
        let class = text(row, "class");
        let Some(n) = steps.get(class.as_str()) else { continue };
        let (ns_per_step, low, high) = longer(row).ok_or("a part has no difference")?;
        let category = row.get("category").and_then(Value::as_str);
        parts.push(PartGap {
            share: if gap_ns > 0.0 { ns_per_step * n / gap_ns } else { 0.0 },
            category: category.map_or_else(|| text(row, "part"), str::to_owned),
            shown: low.is_some_and(|l| l > 0.0) || high.is_some_and(|h| h < 0.0),
            class,
            ns_per_step,
            low,
            high,
        });
    }
    parts.sort_by(|a, b| b.share.total_cmp(&a.share));
    let explained_share: f64 = parts.iter().filter(|p| p.shown).map(|p| p.share).sum();
    let mut by_category: BTreeMap<&str, f64> = BTreeMap::new();
    for part in parts.iter().filter(|p| p.shown) {
        *by_category.entry(&part.category).or_default() += part.share;
    }
    let kernels = |name: &str| {
        let of = |r: &&Value| r.get("category").and_then(Value::as_str) == Some(name);
        rows("gaps").is_ok_and(|g| g.iter().find(of).is_some())
    };
    let mut carriers: Vec<Carrier> = by_category
        .into_iter()
        .filter(|(_, share)| *share >= carrier_share)
        .map(|(name, share)| Carrier { category: name.to_owned(), share, kernels: kernels(name) })
        .collect();
    carriers.sort_by(|a, b| b.share.total_cmp(&a.share));
    let percent = |s: f64| format!("{:.0} %", 100.0 * s);
    let (answer, reason) = if gap_ns <= 0.0 {
        (Explained::NoGap, "no class of steps is slower in the target beyond its interval".to_owned())
    } else if explained_share < needed_share || carriers.is_empty() {
        let why = format!(
            "{} of the gap is in parts whose interval shows it, {} are needed",
            percent(explained_share),
            percent(needed_share)
        );
        (Explained::NotExplained, why)
    } else {
        let names: Vec<String> =
            carriers.iter().map(|c| format!("{} {}", c.category, percent(c.share))).collect();
        (Explained::Explained, format!("carried by {}", names.join(", ")))
    };
    if answer != Explained::Explained {
        carriers.clear();
    }
    Ok(Explanation {
        schema: EXPLANATION_SCHEMA.to_owned(),
        answer,
        gap_ns,
        classes,
        parts,
        explained_share,
        needed_share,
        carriers,
        reason,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A comparison with a decode gap of 100 ns a step; attention 70 and gemm `gemm` of it are shown.
    pub(crate) fn compare(attention: f64, gemm: f64) -> Value {
        let row = |class: &str, category: Value, a: f64, delta: f64, half: f64| {
            json!({"class": class, "part": "compute", "category": category, "a_ns_per_step": a,
                "b_ns_per_step": a + delta, "delta_ns_per_step": delta, "ci_low": delta - half, "ci_high": delta + half})
        };
        json!({
            "classes": [
                {"class": "decode", "matched": 10, "a_steps": 10, "a_ns_per_step": 1000.0, "delta_ns_per_step": -100.0,
                 "ci_low": -120.0, "ci_high": -80.0},
                {"class": "prefill", "matched": 4, "a_steps": 4, "a_ns_per_step": 500.0, "delta_ns_per_step": 5.0,
                 "ci_low": -20.0, "ci_high": 30.0},
            ],
            "gaps": [
                row("decode", json!("attention"), 400.0, -attention, 5.0),
                row("decode", json!("gemm"), 500.0, -gemm, 5.0),
                row("decode", Value::Null, 100.0, -(100.0 - attention - gemm), 500.0),
                row("prefill", json!("gemm"), 500.0, -300.0, 1.0),
            ],
        })
    }

    #[test]
    fn the_categories_that_carry_the_gap_are_named() {
        let found = explain(&compare(70.0, 20.0), 0.5, 0.1).unwrap();
        assert_eq!(found.answer, Explained::Explained, "{found:#?}");
        let names: Vec<&str> = found.carriers.iter().map(|c| c.category.as_str()).collect();
        assert_eq!(names, ["attention", "gemm"]);
        assert!((found.gap_ns - 1000.0).abs() < 1e-9, "prefill shows no difference and does not count");
        assert!((found.explained_share - 0.9).abs() < 1e-9);
        assert!(found.carriers.iter().all(|c| c.kernels));
    }

    #[test]
    fn a_gap_that_is_mostly_elsewhere_is_not_explained() {
        let found = explain(&compare(30.0, 10.0), 0.5, 0.1).unwrap();
        assert_eq!(found.answer, Explained::NotExplained);
        assert!(found.carriers.is_empty(), "nothing may be patched");
    }

    #[test]
    fn no_gap_and_no_comparison_are_answers_of_their_own() {
        let mut same = compare(70.0, 20.0);
        same["classes"][0]["ci_high"] = json!(10.0);
        assert_eq!(explain(&same, 0.5, 0.1).unwrap().answer, Explained::NoGap);
        assert!(explain(&json!({}), 0.5, 0.1).is_err());
        assert!(explain(&json!({"stop": {"code": "PW0220"}}), 0.5, 0.1).unwrap_err().contains("PW0220"));
    }
}
