//! What a server must reach, such as `ttft.p99<=1500` or `success>=0.99`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One requirement. Latencies are milliseconds from the intended send time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sla {
    /// `ttft_ms`, `tpot_ms`, `itl_ms`, `e2e_ms` or `success_rate`.
    pub metric: String,
    /// `mean`, or `p` and a percentile above 0 and below 100; `rate` for `success_rate`.
    pub statistic: String,
    /// At most this, for a latency; at least this, for `success_rate`.
    pub bound: f64,
}

/// A text is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no requirement such as ttft.p99<=1500, tpot.mean<=30 or success>=0.99")]
pub struct SlaError(String);

impl FromStr for Sla {
    type Err = SlaError;

    fn from_str(text: &str) -> Result<Self, SlaError> {
        let wrong = || SlaError(text.chars().take(100).collect());
        let positive = |v: &str| v.trim().parse().ok().filter(|b: &f64| b.is_finite() && *b > 0.0);
        if let Some((name, bound)) = text.split_once(">=") {
            let bound = positive(bound).filter(|b| *b <= 1.0).ok_or_else(wrong)?;
            if !matches!(name.trim(), "success" | "success_rate") {
                return Err(wrong());
            }
            return Ok(Self { metric: "success_rate".to_owned(), statistic: "rate".to_owned(), bound });
        }
        let (name, bound) = text.split_once("<=").ok_or_else(wrong)?;
        let (metric, statistic) = name.trim().split_once('.').ok_or_else(wrong)?;
        let metric = match metric.trim_end_matches("_ms") {
            m @ ("ttft" | "tpot" | "itl" | "e2e") => format!("{m}_ms"),
            _ => return Err(wrong()),
        };
        let sla = Self { metric, statistic: statistic.to_owned(), bound: positive(bound).ok_or_else(wrong)? };
        if sla.statistic != "mean" && sla.percentile().is_none() {
            return Err(wrong());
        }
        Ok(sla)
    }
}

impl Sla {
    /// The percentile, for a requirement on one.
    pub fn percentile(&self) -> Option<f64> {
        self.statistic.strip_prefix('p')?.parse().ok().filter(|p| *p > 0.0 && *p < 100.0)
    }
}

impl fmt::Display for Sla {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.metric == "success_rate" {
            write!(f, "success_rate>={}", self.bound)
        } else {
            write!(f, "{}.{}<={}", self.metric, self.statistic, self.bound)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        for (text, shown) in [
            ("ttft.p99<=1500", "ttft_ms.p99<=1500"),
            ("tpot_ms.mean<=30.5", "tpot_ms.mean<=30.5"),
            ("itl.p99.9<=100", "itl_ms.p99.9<=100"),
            ("success>=0.99", "success_rate>=0.99"),
        ] {
            let sla: Sla = text.parse().unwrap();
            assert_eq!(sla.to_string(), shown);
            assert_eq!(shown.parse(), Ok(sla));
        }
        for bad in [
            "",
            "ttft",
            "ttft<=1",
            "ttft.p0<=1",
            "ttft.p100<=1",
            "ttft.pNaN<=1",
            "x.p50<=1",
            "ttft.p50<=-1",
            "ttft.p50>=1",
            "success>=1.5",
            "ttft.p50<=inf",
            "success<=0.9",
        ] {
            assert!(bad.parse::<Sla>().is_err(), "{bad}");
        }
    }
}
