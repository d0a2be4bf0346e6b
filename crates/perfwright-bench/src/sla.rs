//! Bounds on figures, and whether a row meets them. What a row says of itself is compared, never believed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::rows::read::{Number, number};
use crate::rows::row::Row;

/// Statistics that a bound can be about, as they stand in the names of figures.
pub const STATISTICS: [&str; 13] =
    ["mean", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "min", "max"];
/// Latencies that have statistics. `ttft`, `tpot`, `itl`, `e2e` and `queue` without a unit mean milliseconds.
pub const LATENCIES: [&str; 6] = ["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "queue_ms", "ttfo_ms"];
/// Figures without statistics.
pub const PLAIN: [&str; 6] = [
    "success_rate",
    "slo_attainment",
    "request_throughput",
    "output_token_throughput",
    "total_token_throughput",
    "request_goodput",
];

/// Which side of the limit is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The figure must not be above.
    Max,
    /// The figure must not be below.
    Min,
}

/// One bound.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Bound {
    /// Name of the figure: `p50_ttft_ms`, `success_rate`.
    pub metric: String,
    /// Which side is good.
    pub side: Side,
    /// The limit, in the figure's unit.
    pub limit: f64,
}

impl Bound {
    /// The name of the bound: `max_p50_ttft_ms`, `min_success_rate`.
    #[must_use]
    pub fn key(&self) -> String {
        let side = if self.side == Side::Max { "max" } else { "min" };
        format!("{side}_{}", self.metric)
    }

    /// Reads a name and a limit. `max_p99_itl_ms` bounds a statistic, `max_ttft_ms` the mean, `min_success_rate` a
    /// figure without statistics.
    ///
    /// # Errors
    /// What is wrong with the name, with a hint.
    pub fn parse(key: &str, limit: f64) -> Result<Self, String> {
        let (side, rest) = match key.split_once('_') {
            Some(("max", rest)) => (Side::Max, rest),
            Some(("min", rest)) => (Side::Min, rest),
            _ => return Err(format!("{key:?} begins with neither max_ nor min_")),
        };
        if !limit.is_finite() || limit < 0.0 {
            return Err(format!("the limit of {key} is {limit}"));
        }
        let metric = metric(rest).ok_or_else(|| {
            format!("{key:?} names no figure: after {}_ stands a statistic and a latency, such as p50_ttft_ms, or one of {}",
                if side == Side::Max { "max" } else { "min" }, PLAIN.join(", "))
        })?;
        if metric == "success_rate" && limit > 1.0 {
            return Err(format!("the limit of {key} is {limit}, a share is at most 1"));
        }
        Ok(Self { metric, side, limit })
    }

    /// Value over limit on a scale where above 1 is bad; for a lower bound the quotient is turned round.
    #[must_use]
    pub fn pressure(&self, value: f64) -> f64 {
        match self.side {
            Side::Max => value / self.limit,
            Side::Min => self.limit / value,
        }
    }

    fn holds(&self, value: f64) -> bool {
        match self.side {
            Side::Max => value <= self.limit,
            Side::Min => value >= self.limit,
        }
    }
}

/// The full name of a figure: a latency without a statistic means its mean, one without a unit milliseconds.
#[must_use]
pub fn metric(name: &str) -> Option<String> {
    if PLAIN.contains(&name) {
        return Some(name.to_owned());
    }
    let latency = |name: &str| {
        let with_unit = if name.ends_with("_ms") { name.to_owned() } else { format!("{name}_ms") };
        LATENCIES.contains(&with_unit.as_str()).then_some(with_unit)
    };
    if let Some(latency) = latency(name) {
        return Some(format!("mean_{latency}"));
    }
    let (statistic, rest) = name.split_once('_')?;
    let statistic = match statistic {
        "median" => "p50",
        "avg" => "mean",
        other => other,
    };
    STATISTICS.contains(&statistic).then(|| latency(rest)).flatten().map(|l| format!("{statistic}_{l}"))
}

/// The bounds of a row or plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Sla {
    /// The bounds, by name.
    pub bounds: Vec<Bound>,
    /// What the row said of itself.
    pub claimed: Option<bool>,
}

/// Whether bounds are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every bound is met.
    Passed,
    /// There are no bounds.
    NotStated,
    /// A bound is on a figure that the row does not have.
    Unproven,
    /// A bound is not met.
    Failed,
}

/// One bound against one row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BoundResult {
    /// Name of the bound.
    pub bound: String,
    /// The limit.
    pub limit: f64,
    /// The figure.
    pub value: Option<f64>,
    /// Whether it is met; none without the figure.
    pub holds: Option<bool>,
    /// Whether it is met with 99 % confidence; none where the row does not let one tell.
    pub certified: Option<bool>,
}

/// All bounds against one row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SlaAnswer {
    /// All bounds together.
    pub state: State,
    /// Each bound.
    pub bounds: Vec<BoundResult>,
    /// What the row said of itself.
    pub claimed: Option<bool>,
    /// The row said otherwise.
    pub contradicts_claim: bool,
}

impl SlaAnswer {
    /// The bounds that are not met or unproven, as one sentence.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let parts: Vec<String> = self
            .bounds
            .iter()
            .filter(|b| b.holds != Some(true))
            .map(|b| match b.value {
                Some(value) => format!("{} is {}, the row has {value}", b.bound, b.limit),
                None => format!("{} is {}, the row has no such figure", b.bound, b.limit),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Sla {
    /// Bounds in the order of their names.
    ///
    /// # Errors
    /// Two bounds of one name.
    pub fn new(mut bounds: Vec<Bound>) -> Result<Self, String> {
        bounds.sort_by_key(Bound::key);
        if let Some(pair) = bounds.windows(2).find(|w| w[0].key() == w[1].key()) {
            return Err(format!("{} is given twice", pair[0].key()));
        }
        Ok(Self { bounds, claimed: None })
    }

    /// The bounds of a row, in the flat names or as this program writes them. Bounds it cannot read are problems: a
    /// row whose conditions are unknown cannot win.
    pub(crate) fn from_row(object: Option<&Map<String, Value>>, problems: &mut Vec<String>) -> Self {
        let mut bounds: BTreeMap<String, Bound> = BTreeMap::new();
        let mut claimed = None;
        let mut add = |key: &str, value: &Value, problems: &mut Vec<String>| match number(Some(value)) {
            Number::Missing => {}
            Number::Finite(limit) => match Bound::parse(key, limit) {
                Ok(bound) => {
                    bounds.insert(bound.key(), bound);
                }
                Err(e) => problems.push(format!("sla: {e}")),
            },
            Number::Infinite | Number::Bad(_) => problems.push(format!("sla.{key} is not a number")),
        };
        for (key, value) in object.into_iter().flatten() {
            match key.as_str() {
                "passed" => claimed = value.as_bool(),
                "claimed" => claimed = claimed.or_else(|| value.as_bool()),
                "bounds" => {
                    for bound in value.as_array().into_iter().flatten() {
                        let side = bound.get("side").and_then(Value::as_str).unwrap_or("max");
                        let metric = bound.get("metric").and_then(Value::as_str).unwrap_or_default();
                        let limit = bound.get("limit").unwrap_or(&Value::Null);
                        add(&format!("{side}_{metric}"), limit, problems);
                    }
                }
                key if key.starts_with("max_") || key.starts_with("min_") => add(key, value, problems),
                _ => {}
            }
        }
        Self { bounds: bounds.into_values().collect(), claimed }
    }

    /// The worst figure over its bound: up to 1 the bounds are met, 0 without bounds, infinite where a figure is
    /// missing.
    #[must_use]
    pub fn pressure(&self, row: &Row) -> f64 {
        let each =
            self.bounds.iter().map(|b| figure(row, &b.metric).map_or(f64::INFINITY, |v| b.pressure(v)));
        each.map(|p| if p.is_nan() { f64::INFINITY } else { p }).fold(0.0, f64::max)
    }

    /// Holds a row against the bounds.
    #[must_use]
    pub fn evaluate(&self, row: &Row) -> SlaAnswer {
        let bounds: Vec<BoundResult> = self
            .bounds
            .iter()
            .map(|bound| {
                let value = figure(row, &bound.metric);
                BoundResult {
                    bound: bound.key(),
                    limit: bound.limit,
                    value,
                    holds: value.map(|v| bound.holds(v)),
                    certified: certified(row, bound),
                }
            })
            .collect();
        let state = if bounds.is_empty() {
            State::NotStated
        } else if bounds.iter().any(|b| b.holds == Some(false)) {
            State::Failed
        } else if bounds.iter().any(|b| b.holds.is_none()) {
            State::Unproven
        } else {
            State::Passed
        };
        let contradicts_claim = self.claimed.is_some_and(|claim| claim != (state == State::Passed));
        SlaAnswer { state, bounds, claimed: self.claimed, contradicts_claim }
    }
}

/// A figure of a row. The success rate follows from the requests where they are counted.
fn figure(row: &Row, metric: &str) -> Option<f64> {
    match row.requests {
        Some(r) if metric == "success_rate" && r.sent > 0 => Some(r.succeeded as f64 / r.sent as f64),
        _ => row.metric(metric),
    }
}

/// A bound on a percentile holds with 99 % confidence where the row's own 99 % bound (`upper99_...`) says so.
fn certified(row: &Row, bound: &Bound) -> Option<bool> {
    let prefix = if bound.side == Side::Max { "upper99" } else { "lower99" };
    row.metric(&format!("{prefix}_{}", bound.metric)).map(|v| bound.holds(v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Status;

    #[test]
    fn names_old_and_new() {
        for (name, meant) in [
            ("max_p50_ttft_ms", "max_p50_ttft_ms"),
            ("max_median_ttft_ms", "max_p50_ttft_ms"),
            ("max_ttft_ms", "max_mean_ttft_ms"),
            ("max_p999_itl", "max_p999_itl_ms"),
            ("min_success_rate", "min_success_rate"),
            ("min_slo_attainment", "min_slo_attainment"),
        ] {
            assert_eq!(Bound::parse(name, 0.5).map(|b| b.key()), Ok(meant.to_owned()));
        }
        for name in ["p50_ttft_ms", "max_p51_ttft_ms", "max_ttf_ms", "max_", "min_success_rate_ms"] {
            assert!(Bound::parse(name, 0.5).is_err(), "{name}");
        }
        assert!(Bound::parse("min_success_rate", 99.0).is_err());
        assert!(Bound::parse("max_ttft_ms", f64::NAN).is_err());
    }

    #[test]
    fn the_claim_is_not_believed_and_a_missing_figure_is_no_pass() {
        let sla = Sla { bounds: vec![Bound::parse("max_p50_ttft_ms", 100.0).unwrap()], claimed: Some(true) };
        let mut row = Row::new("x", "c", Status::Ok);
        assert_eq!(sla.evaluate(&row).state, State::Unproven);
        row.metrics.insert("p50_ttft_ms".into(), 9999.0);
        let answer = sla.evaluate(&row);
        assert_eq!((answer.state, answer.contradicts_claim), (State::Failed, true));
        row.metrics.insert("p50_ttft_ms".into(), 100.0);
        assert_eq!(sla.evaluate(&row).state, State::Passed);
        assert_eq!(Sla::default().evaluate(&row).state, State::NotStated);
    }
}
