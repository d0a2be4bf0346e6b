//! What a change can give at most: Amdahl's law over the recorded step times of the target.
//!
//! With the time of the named categories gone altogether, `T / (T - t)` is the end-to-end bound; with it as short as the
//! competitor's, the same with the shown differences is what to hope for. Time outside of steps only lowers both.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::explain::Explanation;

/// The bound of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The categories that the round changes.
    pub categories: Vec<String>,
    /// Part of the target's step time in them.
    pub share: f64,
    /// Gain with that time gone, relative.
    pub at_most: f64,
    /// Gain with that time as short as the competitor's, relative.
    pub as_competitor: f64,
    /// What a round has to be able to give.
    pub threshold: f64,
    /// The round may start.
    pub starts: bool,
}

/// The bound of a round that changes `categories`.
///
/// # Errors
/// What the comparison lacks.
pub fn bound(
    compare: &Value,
    explanation: &Explanation,
    categories: &[String],
    threshold: f64,
) -> Result<Bound, String> {
    let rows = |name: &str| {
        compare.get(name).and_then(Value::as_array).ok_or_else(|| format!("the comparison lists no {name}"))
    };
    let number = |row: &Value, name: &str| {
        row.get(name).and_then(Value::as_f64).ok_or_else(|| format!("a row has no {name}"))
    };
    let class = |row: &Value| row.get("class").and_then(Value::as_str).unwrap_or("").to_owned();
    let mut steps = std::collections::BTreeMap::new();
    let mut whole = 0.0;
    for row in rows("classes")? {
        let n = number(row, "a_steps")?;
        whole += n * number(row, "a_ns_per_step")?;
        steps.insert(class(row), n);
    }
    let mut part = 0.0;
    for row in rows("gaps")? {
        let name = row.get("category").and_then(Value::as_str).or_else(|| row.get("part")?.as_str());
        if name.is_some_and(|name| categories.iter().any(|c| c == name)) {
            part += steps.get(&class(row)).copied().unwrap_or(0.0) * number(row, "a_ns_per_step")?;
        }
    }
    if whole <= 0.0 || part < 0.0 || part > whole * 1.000_001 {
        return Err("the step times of the target do not add up".to_owned());
    }
    let shown: f64 = explanation
        .parts
        .iter()
        .filter(|p| p.shown && categories.contains(&p.category))
        .map(|p| p.ns_per_step * steps.get(&p.class).copied().unwrap_or(0.0))
        .sum();
    let gain = |saved: f64| if saved < whole { whole / (whole - saved) - 1.0 } else { f64::MAX };
    let at_most = gain(part);
    Ok(Bound {
        categories: categories.to_vec(),
        share: part / whole,
        at_most,
        as_competitor: gain(shown.clamp(0.0, part)),
        threshold,
        starts: at_most > threshold,
    })
}

#[cfg(test)]
mod tests {
    use super::super::explain::explain;
    use super::super::explain::tests::compare;
    use super::*;

    #[test]
    fn a_round_that_can_give_too_little_does_not_start() {
        let recorded = compare(70.0, 20.0);
        let explanation = explain(&recorded, 0.5, 0.1).unwrap();
        let of = |names: &[&str], threshold| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            bound(&recorded, &explanation, &names, threshold).unwrap()
        };
        // 12000 ns in all, 4000 of them attention, of which the competitor saves 700.
        let attention = of(&["attention"], 0.01);
        assert!((attention.share - 1.0 / 3.0).abs() < 1e-9);
        assert!((attention.at_most - 0.5).abs() < 1e-9);
        assert!((attention.as_competitor - (12000.0 / 11300.0 - 1.0)).abs() < 1e-9);
        assert!(attention.starts);
        assert!(!of(&["attention"], 0.6).starts, "half as fast again at most, 60 % asked for");
        assert!(!of(&["norm"], 0.01).starts, "nothing to gain where no time is spent");
    }
}
