//! What has been tried, and what exhausted it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::Budgets;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A machine, server or tool failed; says nothing of the idea.
    Infrastructure,
    /// The attempt broke a rule: changed workload, forged review, path that did not run.
    Invalid,
    /// It was measured, and does not help or is not accurate.
    Scientific,
}

impl Failure {
    /// The word as it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Invalid => "invalid",
            Self::Scientific => "scientific",
        }
    }
}

/// One technique.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Technique {
    /// Attempts with it.
    pub attempts: u32,
    /// How many were accepted.
    pub accepted: u32,
    /// Signatures of what failed scientifically; another attempt has to answer them.
    pub signatures: Vec<String>,
    /// What exhausted it.
    pub exhausted: Option<String>,
}

/// All techniques, and how often each kind of failure came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// By name.
    pub techniques: BTreeMap<String, Technique>,
    /// Failures by kind.
    pub failures: BTreeMap<Failure, u32>,
}

impl Register {
    /// Why no attempt with `technique` may begin.
    #[must_use]
    pub fn refuses(&self, technique: &str, budgets: &Budgets) -> Option<String> {
        if let Some(why) = self.techniques.get(technique).and_then(|t| t.exhausted.as_ref()) {
            return Some(format!("{technique} is exhausted: {why}"));
        }
        self.over(budgets)
    }

    /// The budget that is used up.
    #[must_use]
    pub fn over(&self, budgets: &Budgets) -> Option<String> {
        let kinds = [
            (Failure::Infrastructure, budgets.infrastructure),
            (Failure::Invalid, budgets.invalid),
            (Failure::Scientific, budgets.scientific),
        ];
        let used = |kind| self.failures.get(&kind).copied().unwrap_or(0);
        kinds
            .into_iter()
            .find(|(kind, budget)| used(*kind) > *budget)
            .map(|(kind, budget)| format!("{} failures: {} of {budget}", kind.name(), used(kind)))
    }

    /// Counts a failure. Only a scientific one counts against the technique.
    pub fn failed(&mut self, technique: &str, kind: Failure, signature: &str, budgets: &Budgets) {
        *self.failures.entry(kind).or_default() += 1;
        let t = self.techniques.entry(technique.to_owned()).or_default();
        if kind != Failure::Scientific {
            return;
        }
        t.attempts += 1;
        let repeated = t.signatures.iter().any(|s| s == signature);
        t.signatures.push(signature.to_owned());
        if repeated {
            t.exhausted = Some(format!("failed twice alike: {signature}"));
        } else if t.attempts >= budgets.per_technique {
            t.exhausted = Some(format!("{} attempts, last: {signature}", t.attempts));
        }
    }

    /// Counts an attempt that was accepted.
    pub fn accepted(&mut self, technique: &str) {
        let t = self.techniques.entry(technique.to_owned()).or_default();
        t.attempts += 1;
        t.accepted += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_own_budget() {
        let budgets = Budgets { infrastructure: 1, invalid: 1, scientific: 3, per_technique: 2 };
        let mut register = Register::default();
        register.failed("fuse", Failure::Infrastructure, "no port", &budgets);
        assert_eq!(register.refuses("fuse", &budgets), None);
        assert_eq!(register.techniques["fuse"].attempts, 0, "a dead server is not the idea's fault");
        register.failed("fuse", Failure::Scientific, "slower", &budgets);
        assert_eq!(register.refuses("fuse", &budgets), None);
        register.failed("fuse", Failure::Scientific, "not accurate", &budgets);
        assert!(register.refuses("fuse", &budgets).unwrap().contains("exhausted"));
        assert_eq!(register.refuses("tile", &budgets), None);
        register.failed("tile", Failure::Scientific, "slower", &budgets);
        register.failed("other", Failure::Invalid, "x", &budgets);
        assert_eq!(register.over(&budgets), None);
        register.failed("other", Failure::Invalid, "x", &budgets);
        assert!(register.over(&budgets).unwrap().contains("invalid failures: 2 of 1"));
    }

    #[test]
    fn the_same_failure_twice_exhausts() {
        let budgets = Budgets { infrastructure: 9, invalid: 9, scientific: 9, per_technique: 9 };
        let mut register = Register::default();
        register.failed("fuse", Failure::Scientific, "slower", &budgets);
        register.failed("fuse", Failure::Scientific, "slower", &budgets);
        assert!(register.techniques["fuse"].exhausted.as_ref().unwrap().contains("twice"));
        register.accepted("tile");
        assert_eq!(register.techniques["tile"].accepted, 1);
    }
}
