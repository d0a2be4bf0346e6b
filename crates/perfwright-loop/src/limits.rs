//! What a campaign may cost before it ends by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// Bounds of a campaign. They are part of the contract: nothing inside the campaign can raise them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rounds.
    pub max_rounds: u32,
    /// Reviews, of any kind.
    pub max_reviews: u32,
    /// Tokens of executor and reviewer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Cost in micro-dollars, so that sums are exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Working time in milliseconds: executor, gates and reviewer, without waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Rounds in a row without progress, by the reviewer's word or by repeated findings.
    pub stall_rounds: u32,
    /// Rounds in a row that leave the tree as it was.
    pub stagnant_rounds: u32,
    /// Refused stops in a row without a tool call between. Claude Code overrides the ninth, so this stays below 8.
    pub idle_blocks: u32,
    /// Unusable answers of the reviewer in a row.
    pub review_retries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rounds: 42,
            max_reviews: 100,
            tokens: None,
            micro_usd: None,
            wall_ms: None,
            stall_rounds: 3,
            stagnant_rounds: 3,
            idle_blocks: 6,
            review_retries: 3,
        }
    }
}

/// What Claude Code 2.1.197 allows in a row before it overrides a stop hook (measured).
pub const HOST_BLOCK_CAP: u32 = 8;

impl Limits {
    /// The first limit that `usage` is beyond.
    #[must_use]
    pub fn exceeded(&self, usage: &Usage) -> Option<String> {
        let beyond = |what: &str, used: u64, limit: Option<u64>| {
            limit.filter(|limit| used > *limit).map(|limit| format!("{what}: {used} of {limit}"))
        };
        beyond("tokens", usage.tokens(), self.tokens)
            .or_else(|| beyond("micro-dollars", usage.micro_usd, self.micro_usd))
            .or_else(|| beyond("milliseconds", usage.wall_ms, self.wall_ms))
    }

    /// What is wrong with these numbers.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.max_rounds == 0 || self.max_reviews == 0 || self.review_retries == 0 {
            return Some("max_rounds, max_reviews and review_retries must be at least 1");
        }
        if self.stall_rounds == 0 || self.stagnant_rounds == 0 {
            return Some("stall_rounds and stagnant_rounds must be at least 1");
        }
        if self.idle_blocks == 0 || self.idle_blocks >= HOST_BLOCK_CAP {
            return Some("idle_blocks must be between 1 and 7, below the cap of the host");
        }
        None
    }

    /// Applies one `NAME=VALUE` of the command line: `tokens`, `usd`, `wall` (with `s`, `m` or `h`), `reviews`,
    /// `rounds`.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let expected = "expected tokens=N, usd=X, wall=30m, reviews=N or rounds=N".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(|| expected.clone())?;
        let whole = || value.parse::<u64>().map_err(|_| format!("{value:?} is not a whole number"));
        let small = || value.parse::<u32>().map_err(|_| format!("{value:?} is not a whole number"));
        match name {
            "tokens" => self.tokens = Some(whole()?),
            "usd" => {
                let usd: f64 = value.parse().map_err(|_| format!("{value:?} is not an amount"))?;
                if !(0.0..=1e9).contains(&usd) {
                    return Err(format!("{value:?} is not an amount"));
                }
                self.micro_usd = Some((usd * 1e6).round() as u64);
            }
            "wall" => self.wall_ms = Some(duration_ms(value)?),
            "reviews" => self.max_reviews = small()?,
            "rounds" => self.max_rounds = small()?,
            _ => return Err(expected),
        }
        Ok(())
    }
}

/// `90`, `90s`, `30m` or `2h` in milliseconds.
///
/// # Errors
/// What is expected instead.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{text:?} is not a duration such as 90s, 30m or 2h")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not a duration such as 90s, 30m or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_kept() {
        let mut limits = Limits::default();
        for text in ["tokens=5", "usd=0.25", "wall=2m", "reviews=7", "rounds=3"] {
            limits.set(text).expect(text);
        }
        assert_eq!(
            (limits.tokens, limits.micro_usd, limits.wall_ms, limits.max_reviews, limits.max_rounds),
            (Some(5), Some(250_000), Some(120_000), 7, 3)
        );
        for bad in ["tokens", "tokens=x", "usd=-1", "wall=3d", "other=1", "wall=99999999999999999999h"] {
            assert!(limits.set(bad).is_err(), "{bad}");
        }
        let used = Usage { output_tokens: 6, ..Usage::default() };
        assert_eq!(limits.exceeded(&used).as_deref(), Some("tokens: 6 of 5"));
        assert_eq!(limits.exceeded(&Usage { output_tokens: 5, ..Usage::default() }), None);
        assert!(Limits { idle_blocks: 8, ..Limits::default() }.problem().is_some());
        assert_eq!(Limits::default().problem(), None);
    }
}
