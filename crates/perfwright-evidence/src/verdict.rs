//! Rules that combine gate results into a verdict. A rule is named and versioned, and never changes under its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Basis, Evidence, GateRecord, Outcome, VerdictOutcome, VerdictRecord};
use crate::verify::faults::{Fault, planted};

/// The combination rules this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rule {
    /// For claims: every applicable gate passes, each on evidence of which some was measured here.
    #[serde(rename = "all-pass/v1")]
    AllPassV1,
    /// For questions: no gate refuses. The good outcome is `answered`, which claims nothing.
    #[serde(rename = "answered/v1")]
    AnsweredV1,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::AllPassV1, Self::AnsweredV1];

    /// The name that a verdict stores.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllPassV1 => "all-pass/v1",
            Self::AnsweredV1 => "answered/v1",
        }
    }

    /// The rule of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Combines gate results. Only `outcome`, `basis`, `id` and `version` of the records matter.
    ///
    /// In this order: a hard stop decides; then a failure; then, where no gate passes, nothing is decided; then, for
    /// [`Rule::AllPassV1`], a gate that passes without measured evidence leaves the run inconclusive, because
    /// imported and declared evidence alone never supports a pass.
    #[must_use]
    pub fn combine(self, gates: &[GateRecord]) -> VerdictRecord {
        let labels = |keep: &dyn Fn(&GateRecord) -> bool| -> Vec<String> {
            gates.iter().filter(|g| keep(g)).map(GateRecord::label).collect()
        };
        let with = |outcome: Outcome| labels(&|g| g.outcome == outcome);
        let (stopped, failed, passed) = (with(Outcome::HardStop), with(Outcome::Fail), with(Outcome::Pass));
        let unproven = labels(&|g| g.outcome == Outcome::Pass && g.basis != Some(Basis::Measured));
        let (outcome, because) = if !stopped.is_empty() {
            (VerdictOutcome::HardStop, stopped)
        } else if !failed.is_empty() {
            (VerdictOutcome::Fail, failed)
        } else if passed.is_empty() {
            (VerdictOutcome::Inconclusive, Vec::new())
        } else if self == Self::AnsweredV1 {
            (VerdictOutcome::Answered, passed)
        } else if !unproven.is_empty() && !planted(Fault::SkipBasisRule) {
            (VerdictOutcome::Inconclusive, unproven)
        } else {
            (VerdictOutcome::Pass, passed)
        };
        // `None` sorts before every basis: one passing gate without evidence leaves the verdict without a basis.
        let basis = gates.iter().filter(|g| g.outcome == Outcome::Pass).map(|g| g.basis).min().flatten();
        VerdictRecord { rule: self.name().to_owned(), outcome, basis, because }
    }
}

/// The strongest basis among the evidence that a gate read.
///
/// # Errors
/// The name in `used` that the run does not hold.
pub(crate) fn basis_of(used: &[String], evidence: &[Evidence]) -> Result<Option<Basis>, String> {
    let mut strongest = None;
    for name in used {
        let entry = evidence.iter().find(|e| e.name == *name).ok_or_else(|| name.clone())?;
        strongest = strongest.max(Some(entry.basis));
    }
    Ok(strongest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(id: &str, outcome: Outcome, basis: Option<Basis>) -> GateRecord {
        GateRecord {
            id: id.to_owned(),
            version: 1,
            outcome,
            measured: None,
            threshold: None,
            reason: String::new(),
            used: Vec::new(),
            basis,
        }
    }

    #[test]
    fn rules_in_their_order() {
        let m = Some(Basis::Measured);
        let i = Some(Basis::Imported);
        use Outcome::{Fail, HardStop, NotApplicable, Pass};
        type Gates<'a> = &'a [(Outcome, Option<Basis>)];
        let cases: [(Gates, VerdictOutcome, VerdictOutcome, Option<Basis>); 8] = [
            (&[], VerdictOutcome::Inconclusive, VerdictOutcome::Inconclusive, None),
            (&[(NotApplicable, None)], VerdictOutcome::Inconclusive, VerdictOutcome::Inconclusive, None),
            (&[(Pass, m), (NotApplicable, None)], VerdictOutcome::Pass, VerdictOutcome::Answered, m),
            (&[(Pass, m), (Pass, i)], VerdictOutcome::Inconclusive, VerdictOutcome::Answered, i),
            (&[(Pass, None)], VerdictOutcome::Inconclusive, VerdictOutcome::Answered, None),
            (&[(Pass, m), (Fail, m)], VerdictOutcome::Fail, VerdictOutcome::Fail, m),
            (&[(Fail, m), (HardStop, i)], VerdictOutcome::HardStop, VerdictOutcome::HardStop, None),
            (
                &[(Pass, Some(Basis::Declared)), (Pass, m)],
                VerdictOutcome::Inconclusive,
                VerdictOutcome::Answered,
                Some(Basis::Declared),
            ),
        ];
        for (gates, all_pass, answered, basis) in cases {
            let gates: Vec<_> = gates.iter().map(|&(outcome, basis)| gate("g", outcome, basis)).collect();
            let verdict = Rule::AllPassV1.combine(&gates);
            assert_eq!((verdict.outcome, verdict.basis), (all_pass, basis), "{gates:?}");
            assert_eq!(Rule::AnsweredV1.combine(&gates).outcome, answered, "{gates:?}");
        }
        let unproven = Rule::AllPassV1.combine(&[gate("a", Pass, m), gate("b", Pass, i)]);
        assert_eq!(unproven.because, ["b/v1"]);
        assert_eq!(Rule::by_name("all-pass/v1"), Some(Rule::AllPassV1));
        assert_eq!(Rule::by_name("any-pass/v1"), None);
    }
}
