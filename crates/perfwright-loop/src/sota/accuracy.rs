//! Whether the changed target still says the same, and says what the baseline says when the change is switched off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schema name of [`Outputs`].
pub const OUTPUTS_SCHEMA: &str = "perfwright.sota-outputs/v1";
/// Schema name of [`Accuracy`].
pub const ACCURACY_SCHEMA: &str = "perfwright.sota-accuracy/v1";

/// Greedy answers to the fixed prompts, as token ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// [`OUTPUTS_SCHEMA`].
    pub schema: String,
    /// The prompts.
    pub prompts: Vec<String>,
    /// Answers of the baseline.
    pub baseline: Vec<Vec<u64>>,
    /// Answers of the changed target.
    pub candidate: Vec<Vec<u64>>,
    /// Answers of the changed target with the change switched off.
    pub off: Vec<Vec<u64>>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// [`ACCURACY_SCHEMA`].
    pub schema: String,
    /// Tokens compared.
    pub tokens: u64,
    /// Part of the candidate's tokens that are the baseline's, place by place.
    pub same: f64,
    /// Least part that is allowed.
    pub min_same: f64,
    /// Prompts answered alike to the last token.
    pub identical: u64,
    /// With the change switched off every token is the baseline's.
    pub off_is_baseline: bool,
    /// Both hold.
    pub passes: bool,
    /// Why, in one sentence.
    pub reason: String,
}

fn compare(a: &[Vec<u64>], b: &[Vec<u64>]) -> (u64, u64, u64) {
    let (mut tokens, mut same, mut identical) = (0_u64, 0_u64, 0_u64);
    for i in 0..a.len().max(b.len()) {
        let (x, y) = (a.get(i).map_or(&[][..], Vec::as_slice), b.get(i).map_or(&[][..], Vec::as_slice));
        tokens += x.len().max(y.len()) as u64;
        same += x.iter().zip(y).filter(|(x, y)| x == y).count() as u64;
        identical += u64::from(x == y);
    }
    (tokens, same, identical)
}

/// Judges recorded outputs.
#[must_use]
pub fn judge(outputs: &Outputs, prompts: &[String], min_same: f64) -> Accuracy {
    let (tokens, same, identical) = compare(&outputs.baseline, &outputs.candidate);
    let (off_tokens, off_same, _) = compare(&outputs.baseline, &outputs.off);
    let off_is_baseline = off_tokens > 0 && off_same == off_tokens;
    let share = if tokens > 0 { same as f64 / tokens as f64 } else { 0.0 };
    let whole = |side: &[Vec<u64>]| side.len() == prompts.len() && side.iter().all(|a| !a.is_empty());
    let answered = [&outputs.baseline, &outputs.candidate, &outputs.off].iter().all(|s| whole(s));
    let (passes, reason) = if outputs.prompts != prompts {
        (false, "the prompts are not the locked ones".to_owned())
    } else if !answered {
        (false, "a prompt was not answered".to_owned())
    } else if share < min_same {
        (false, format!("{same} of {tokens} tokens are the baseline's"))
    } else if !off_is_baseline {
        (false, format!("switched off, {off_same} of {off_tokens} tokens are the baseline's"))
    } else {
        (true, format!("{same} of {tokens} tokens are the baseline's, and switched off all of them"))
    };
    Accuracy {
        schema: ACCURACY_SCHEMA.to_owned(),
        tokens,
        same: share,
        min_same,
        identical,
        off_is_baseline,
        passes,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(candidate: &[&[u64]], off: &[&[u64]]) -> Outputs {
        let own = |side: &[&[u64]]| side.iter().map(|a| a.to_vec()).collect::<Vec<_>>();
        Outputs {
            schema: OUTPUTS_SCHEMA.to_owned(),
            prompts: vec!["p".to_owned(), "q".to_owned()],
            baseline: vec![vec![1, 2], vec![3, 4]],
            candidate: own(candidate),
            off: own(off),
        }
    }

    #[test]
    fn other_answers_missing_answers_and_other_prompts_fail() {
        let prompts = ["p".to_owned(), "q".to_owned()];
        let same: &[&[u64]] = &[&[1, 2], &[3, 4]];
        let near: &[&[u64]] = &[&[1, 2], &[3, 9]];
        assert!(judge(&outputs(same, same), &prompts, 1.0).passes);
        assert!(!judge(&outputs(near, same), &prompts, 1.0).passes);
        assert!(judge(&outputs(near, same), &prompts, 0.75).passes, "within the stated tolerance");
        assert!(
            !judge(&outputs(same, near), &prompts, 0.5).passes,
            "off has to be the baseline to the token"
        );
        assert!(!judge(&outputs(&[&[1, 2]], same), &prompts, 0.1).passes, "one prompt is missing");
        assert!(!judge(&outputs(&[&[1, 2], &[]], same), &prompts, 0.1).passes);
        assert!(!judge(&outputs(same, same), &prompts[..1], 1.0).passes, "other prompts");
    }
}
