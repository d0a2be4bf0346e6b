//! Whether the target is behind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Range {
    /// As percent with a sign.
    #[must_use]
    pub fn percent(&self) -> String {
        format!("{:+.1} % ({:+.1} to {:+.1})", 100.0 * self.value, 100.0 * self.low, 100.0 * self.high)
    }
}

/// Where a target stands against the best competitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// The competitor is better by more than the threshold.
    Behind,
    /// They differ by less.
    Level,
    /// The target is better by more.
    Ahead,
    /// Not decided: more repeats, or a quieter machine.
    Open,
}

impl Gap {
    /// The word as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Level => "level",
            Self::Ahead => "ahead",
            Self::Open => "open",
        }
    }
}

/// Decides from the gain of the competitor over the target and its interval. Only an interval that excludes the
/// threshold decides.
#[must_use]
pub fn decide(gain: Option<Range>, threshold: f64) -> Gap {
    match gain {
        Some(g) if !(g.low.is_finite() && g.high.is_finite()) => Gap::Open,
        Some(g) if g.low > threshold => Gap::Behind,
        Some(g) if g.high < -threshold => Gap::Ahead,
        Some(g) if g.low > -threshold && g.high < threshold => Gap::Level,
        _ => Gap::Open,
    }
}

/// What an A/B run's answer says: the gain of B over A and the verdict that its own rules allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// `better`, `worse`, `same` or `inconclusive`.
    pub verdict: String,
    /// Gain of B.
    pub gain: Option<Range>,
    /// Threshold that was asked for.
    pub threshold: f64,
    /// The figure.
    pub metric: String,
    /// Why the verdict is not stronger.
    pub reasons: Vec<String>,
}

/// Reads an A/B answer.
#[must_use]
pub fn compared(answer: &Value) -> Option<Compared> {
    let gain = match answer.get("gain") {
        None | Some(Value::Null) => None,
        Some(g) => serde_json::from_value(g.clone()).ok(),
    };
    let texts = |v: &Value| v.as_str().map(str::to_owned);
    Some(Compared {
        verdict: answer.get("verdict")?.as_str()?.to_owned(),
        gain,
        threshold: answer.get("threshold")?.as_f64()?,
        metric: answer.get("metric")?.as_str()?.to_owned(),
        reasons: answer
            .get("reasons")
            .and_then(Value::as_array)
            .map(|r| r.iter().filter_map(texts).collect())
            .unwrap_or_default(),
    })
}

impl Compared {
    /// Where the target (A) stands against the competitor (B): open, unless the measurement may claim something.
    #[must_use]
    pub fn gap(&self, threshold: f64) -> Gap {
        match decide(self.gain, threshold) {
            Gap::Behind if self.verdict == "better" => Gap::Behind,
            Gap::Ahead if self.verdict == "worse" => Gap::Ahead,
            Gap::Level if self.verdict == "same" => Gap::Level,
            _ => Gap::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_interval_beyond_the_threshold_decides() {
        let r = |low, high| Some(Range { value: (low + high) / 2.0, low, high });
        for (gain, is) in [
            (r(0.011, 0.2), Gap::Behind),
            (r(0.009, 0.2), Gap::Open),
            (r(-0.2, -0.02), Gap::Ahead),
            (r(-0.009, 0.009), Gap::Level),
            (r(-0.5, 0.5), Gap::Open),
            (r(0.02, f64::NAN), Gap::Open),
            (r(0.02, f64::INFINITY), Gap::Open),
            (None, Gap::Open),
        ] {
            assert_eq!(decide(gain, 0.01), is, "{gain:?}");
        }
    }

    #[test]
    fn figures_that_may_claim_nothing_are_open() {
        let answer = |verdict: &str| {
            compared(&json!({"verdict": verdict, "threshold": 0.01, "metric": "m",
                "gain": {"value": 0.3, "low": 0.2, "high": 0.4}, "reasons": ["busy"]}))
            .unwrap()
        };
        assert_eq!(answer("better").gap(0.01), Gap::Behind);
        assert_eq!(answer("inconclusive").gap(0.01), Gap::Open);
        assert_eq!(answer("worse").gap(0.01), Gap::Open, "verdict and figures contradict each other");
    }
}
