//! What is fixed before the first measurement of a SOTA campaign.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`SotaSpec`].
pub const SOTA_SCHEMA: &str = "perfwright.sota-contract/v1";

/// A framework that is not compared, and why. Nothing is left out silently, and nothing added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// The framework.
    pub framework: String,
    /// Why.
    pub reason: String,
}

/// The target boundary: results hold for this and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// The model, as servers are told.
    pub model: String,
    /// The machine.
    pub hardware: String,
    /// Accelerators that every framework gets; 0 where there are none.
    pub gpus: u32,
    /// Precision and quantisation.
    pub precision: String,
    /// How it is cut among ranks.
    pub parallelism: String,
}

/// An open change of somebody that touches the hot files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenChange {
    /// What names it.
    pub id: String,
    /// A few words.
    pub title: String,
    /// The hot files that it touches.
    pub files: Vec<String>,
}

/// What the work starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The commit.
    pub commit: String,
    /// Files that decide the target's speed.
    pub hot_files: Vec<String>,
    /// Where the list of open changes is from: a file or a command.
    pub source: String,
    /// The open changes that touch them.
    pub open_changes: Vec<OpenChange>,
    /// Why there is none, where there is none.
    pub none_because: Option<String>,
    /// Which of them the baseline holds.
    pub includes: Vec<String>,
}

/// What counts as the same answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccuracyTerms {
    /// Prompts, decoded greedily.
    pub prompts: Vec<String>,
    /// Tokens of each answer.
    pub tokens: u32,
    /// Least share of tokens that must be the same, place by place; 1 for identical.
    pub min_same: f64,
}

/// How often each kind of failure may happen. Infrastructure is not charged to a technique, and a technique that does
/// not help is not charged to infrastructure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Machine, server or tool failed.
    pub infrastructure: u32,
    /// The attempt broke a rule.
    pub invalid: u32,
    /// The attempt was measured and does not help.
    pub scientific: u32,
    /// Attempts with one technique until it is exhausted.
    pub per_technique: u32,
}

/// Everything that is fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SotaSpec {
    /// [`SOTA_SCHEMA`].
    pub schema: String,
    /// A few words.
    pub title: String,
    /// The boundary.
    pub boundary: Boundary,
    /// The framework that is worked on.
    pub target: String,
    /// Those that it is held against.
    pub competitors: Vec<String>,
    /// Those that were left out.
    pub excluded: Vec<Excluded>,
    /// What the work starts from.
    pub baseline: Baseline,
    /// Load, seed and bounds; canonical JSON of it is what is hashed.
    pub workload: Value,
    /// SHA-256 over [`SotaSpec::workload`] as it lies in the target repository.
    pub workload_sha256: String,
    /// The figure that decides.
    pub metric: String,
    /// Relative difference that matters to nobody.
    pub threshold: f64,
    /// Part of the gap that has to be explained before a patch opens.
    pub explained_share: f64,
    /// Part of the gap below which a category does not carry it.
    pub carrier_share: f64,
    /// What counts as the same answers.
    pub accuracy: AccuracyTerms,
    /// Where the change may reach.
    pub paths: Vec<String>,
    /// Where it may be pushed; empty for nowhere.
    pub push: Vec<String>,
    /// Failures.
    pub budgets: Budgets,
}

impl SotaSpec {
    /// What is missing or contradicts itself; empty where the campaign may begin.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                out.push(what.to_owned());
            }
        };
        need(self.schema == SOTA_SCHEMA, "the schema is another one");
        let b = &self.boundary;
        for (name, value) in [
            ("model", &b.model),
            ("hardware", &b.hardware),
            ("precision", &b.precision),
            ("parallelism", &b.parallelism),
        ] {
            need(!value.trim().is_empty(), &format!("the boundary names no {name}"));
        }
        need(!self.target.is_empty(), "no target framework");
        need(!self.competitors.is_empty(), "nothing to compare the target with");
        need(!self.competitors.contains(&self.target), "the target is its own competitor");
        for e in &self.excluded {
            need(!e.reason.trim().is_empty(), &format!("{} is excluded without a reason", e.framework));
            let in_set = e.framework == self.target || self.competitors.contains(&e.framework);
            need(!in_set, &format!("{} is excluded and compared", e.framework));
        }
        out.extend(baseline_problems(&self.baseline));
        let mut need = |holds: bool, what: &str| {
            if !holds {
                out.push(what.to_owned());
            }
        };
        need(
            perfwright_evidence::is_sha256_hex(&self.workload_sha256),
            "the workload is not locked by a hash",
        );
        need(self.workload.is_object(), "no workload");
        need(self.threshold > 0.0 && self.threshold < 1.0, "the threshold is not between 0 and 1");
        let share = |x: f64| (0.0..=1.0).contains(&x);
        need(share(self.explained_share), "explained_share is no share");
        need(share(self.carrier_share), "carrier_share is no share");
        need(share(self.accuracy.min_same), "min_same is no share");
        need(!self.accuracy.prompts.is_empty() && self.accuracy.tokens > 0, "no prompts for accuracy");
        need(!self.paths.is_empty(), "the change has no path boundary");
        out
    }

    /// The set that is searched: target first.
    pub fn frameworks(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.target).chain(&self.competitors)
    }
}

/// An empty list of open changes without a reason is a list that nobody made.
fn baseline_problems(b: &Baseline) -> Vec<String> {
    let mut out = Vec::new();
    let hex = b.commit.len() >= 40 && b.commit.chars().all(|c| c.is_ascii_hexdigit());
    if !hex {
        out.push("the baseline is no commit id".to_owned());
    }
    if b.hot_files.is_empty() {
        out.push("the baseline names no hot files".to_owned());
    }
    if b.source.trim().is_empty() {
        out.push("nothing says where the list of open changes is from".to_owned());
    }
    let because = b.none_because.as_deref().is_some_and(|r| !r.trim().is_empty());
    if b.open_changes.is_empty() && !because {
        out.push("the list of open changes is empty without a reason".to_owned());
    }
    if !b.open_changes.is_empty() && because {
        out.push("there are open changes, and a reason why there are none".to_owned());
    }
    for id in &b.includes {
        if !b.open_changes.iter().any(|c| c.id == *id) {
            out.push(format!("the baseline includes {id}, which is not among the open changes"));
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn spec() -> SotaSpec {
        SotaSpec {
            schema: SOTA_SCHEMA.to_owned(),
            title: "t".to_owned(),
            boundary: Boundary {
                model: "tiny".to_owned(),
                hardware: "cpu".to_owned(),
                gpus: 0,
                precision: "fp32".to_owned(),
                parallelism: "1".to_owned(),
            },
            target: "target".to_owned(),
            competitors: vec!["other".to_owned()],
            excluded: Vec::new(),
            baseline: Baseline {
                commit: "a".repeat(40),
                hot_files: vec!["engine.toml".to_owned()],
                source: "open-changes.txt".to_owned(),
                open_changes: Vec::new(),
                none_because: Some("new repository".to_owned()),
                includes: Vec::new(),
            },
            workload: json!({}),
            workload_sha256: "0".repeat(64),
            metric: "output_token_throughput".to_owned(),
            threshold: 0.01,
            explained_share: 0.5,
            carrier_share: 0.1,
            accuracy: AccuracyTerms { prompts: vec!["a".to_owned()], tokens: 4, min_same: 1.0 },
            paths: vec!["engine.toml".to_owned()],
            push: Vec::new(),
            budgets: Budgets { infrastructure: 2, invalid: 2, scientific: 2, per_technique: 2 },
        }
    }

    #[test]
    fn what_may_not_begin_says_why() {
        assert_eq!(spec().problems(), Vec::<String>::new());
        type Break = fn(&mut SotaSpec);
        let cases: [(Break, &str); 9] = [
            (|s| s.competitors.clear(), "nothing to compare"),
            (|s| s.competitors.push("target".to_owned()), "its own competitor"),
            (
                |s| s.excluded.push(Excluded { framework: "x".to_owned(), reason: " ".to_owned() }),
                "without a reason",
            ),
            (
                |s| s.excluded.push(Excluded { framework: "other".to_owned(), reason: "r".to_owned() }),
                "excluded and compared",
            ),
            (|s| s.baseline.none_because = None, "empty without a reason"),
            (|s| s.baseline.includes.push("12".to_owned()), "not among the open changes"),
            (|s| s.workload_sha256.clear(), "not locked"),
            (|s| s.boundary.precision.clear(), "no precision"),
            (|s| s.paths.clear(), "no path boundary"),
        ];
        for (broken, why) in cases {
            let mut spec = spec();
            broken(&mut spec);
            let problems = spec.problems();
            assert!(problems.iter().any(|p| p.contains(why)), "{why}: {problems:?}");
        }
    }
}
