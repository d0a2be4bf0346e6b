//! Whether accepted changes work together. Their gains are never added: all of them are measured together, and once more
//! with each left out.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gap::Range;

/// Schema name of [`Composition`].
pub const COMPOSITION_SCHEMA: &str = "perfwright.sota-composition/v1";

/// A measured set of changes against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The changes that are switched on.
    pub on: BTreeSet<String>,
    /// Gain over the baseline.
    pub gain: Range,
    /// The run or file that shows it.
    pub evidence: String,
}

/// One change's place in the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The change.
    pub change: String,
    /// Gain of all without it; none where it is the only one, and what is left is the baseline.
    pub without: Option<Range>,
    /// It carries its part: without it the whole is worse beyond both intervals.
    pub carries: bool,
    /// Switched off it is the baseline.
    pub off_is_baseline: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Composition {
    /// [`COMPOSITION_SCHEMA`].
    pub schema: String,
    /// Gain of all changes together.
    pub together: Option<Range>,
    /// The changes.
    pub members: Vec<Member>,
    /// All changes together are better beyond the threshold, and each has an off position that is the baseline.
    pub holds: bool,
    /// Changes that do not carry their part; they are left out of what is delivered.
    pub interactions: Vec<String>,
    /// Why, in one sentence.
    pub reason: String,
}

/// Judges what was measured of `changes`. `off` names those whose off position was found equal to the baseline.
#[must_use]
pub fn compose(
    changes: &BTreeSet<String>,
    measured: &[Measured],
    off: &BTreeSet<String>,
    threshold: f64,
) -> Composition {
    let of = |on: &BTreeSet<String>| measured.iter().find(|m| m.on == *on).map(|m| m.gain);
    let together = of(changes);
    let mut members = Vec::new();
    let mut unmeasured = Vec::new();
    for change in changes {
        let rest: BTreeSet<String> = changes.iter().filter(|c| *c != change).cloned().collect();
        let without = if rest.is_empty() { None } else { of(&rest) };
        if !rest.is_empty() && without.is_none() {
            unmeasured.push(format!("all without {change}"));
        }
        let carries = match (together, without) {
            (Some(all), None) => rest.is_empty() && all.low > threshold,
            (Some(all), Some(less)) => all.low > less.high,
            (None, _) => false,
        };
        members.push(Member {
            change: change.clone(),
            without,
            carries,
            off_is_baseline: off.contains(change),
        });
    }
    let interactions: Vec<String> = members.iter().filter(|m| !m.carries).map(|m| m.change.clone()).collect();
    let no_off: Vec<&str> =
        members.iter().filter(|m| !m.off_is_baseline).map(|m| m.change.as_str()).collect();
    let better = together.is_some_and(|g| g.low > threshold);
    let (holds, reason) = if changes.is_empty() {
        (false, "no change was accepted".to_owned())
    } else if together.is_none() {
        (false, "the accepted changes were not measured together".to_owned())
    } else if !unmeasured.is_empty() {
        (false, format!("not measured: {}", unmeasured.join(", ")))
    } else if !no_off.is_empty() {
        (false, format!("switched off not the baseline: {}", no_off.join(", ")))
    } else if !better {
        (false, "together they are not better beyond the threshold, whatever each gave alone".to_owned())
    } else if !interactions.is_empty() {
        (false, format!("without effect in the whole: {}", interactions.join(", ")))
    } else {
        (true, "measured together, and each carries its part".to_owned())
    };
    Composition { schema: COMPOSITION_SCHEMA.to_owned(), together, members, holds, interactions, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn measured(on: &[&str], low: f64, high: f64) -> Measured {
        let gain = Range { value: (low + high) / 2.0, low, high };
        Measured { on: set(on), gain, evidence: String::new() }
    }

    #[test]
    fn gains_that_do_not_add_up_are_seen() {
        let both = set(&["a", "b"]);
        let alone = [measured(&["a"], 0.09, 0.11), measured(&["b"], 0.09, 0.11)];
        let missing = compose(&both, &alone, &both, 0.01);
        assert!(
            !missing.holds && missing.reason.contains("together"),
            "two gains of 10 % are not one of 20 %"
        );
        let clash = [alone[0].clone(), alone[1].clone(), measured(&["a", "b"], -0.02, 0.005)];
        let clash = compose(&both, &clash, &both, 0.01);
        assert!(!clash.holds && clash.interactions == ["a", "b"], "{clash:?}");
        let idle =
            [measured(&["a"], 0.09, 0.11), measured(&["b"], 0.0, 0.02), measured(&["a", "b"], 0.09, 0.12)];
        let idle = compose(&both, &idle, &both, 0.01);
        assert_eq!((idle.holds, idle.interactions), (false, vec!["b".to_owned()]));
        let fine =
            [measured(&["a"], 0.09, 0.11), measured(&["b"], 0.04, 0.06), measured(&["a", "b"], 0.14, 0.16)];
        assert!(compose(&both, &fine, &both, 0.01).holds);
        let off = compose(&both, &fine, &set(&["a"]), 0.01);
        assert!(!off.holds && off.reason.contains("switched off"));
        let half = compose(&both, &fine[1..], &both, 0.01);
        assert!(half.reason.contains("all without b"), "{}", half.reason);
    }

    #[test]
    fn one_change_is_its_own_composition() {
        let one = set(&["a"]);
        assert!(compose(&one, &[measured(&["a"], 0.05, 0.07)], &one, 0.01).holds);
        assert!(!compose(&one, &[measured(&["a"], 0.005, 0.07)], &one, 0.01).holds);
        assert!(!compose(&BTreeSet::new(), &[], &one, 0.01).holds);
    }
}
