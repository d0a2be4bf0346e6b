//! The contract of a campaign: everything that was fixed when it began. It is the run's `contract.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Driver, Mark};
use crate::gates::Resolved;
use crate::limits::Limits;
use crate::plan::{Clean, Paths, Push, Resources};

/// Schema name of [`Spec`].
pub const SPEC_SCHEMA: &str = "perfwright.loop-contract/v1";

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `AC-1`.
    pub id: String,
    /// What holds when it is met.
    pub text: String,
    /// What must pass.
    pub positive: Vec<String>,
    /// What must fail.
    pub negative: Vec<String>,
}

/// The contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// [`SPEC_SCHEMA`].
    pub schema: String,
    /// The campaign's name, unique.
    pub campaign: String,
    /// A few words.
    pub title: String,
    /// The goal.
    pub goal: String,
    /// Criteria.
    pub criteria: Vec<Target>,
    /// Top of the repository's work tree.
    pub root: String,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The plan's path in the repository, where it lies there.
    pub plan_path: Option<String>,
    /// Who moves it on.
    pub driver: Driver,
    /// The executor's command.
    pub executor: Option<String>,
    /// Time for one round of it, in seconds.
    pub executor_timeout_s: u64,
    /// The reviewer's command.
    pub reviewer: String,
    /// Time for one review, in seconds.
    pub review_timeout_s: u64,
    /// What it starts from.
    pub base: Mark,
    /// The branch, none on a detached head.
    pub branch: Option<String>,
    /// The stash, where there is one.
    pub stash: Option<String>,
    /// What it may cost.
    pub limits: Limits,
    /// Path boundaries.
    pub paths: Paths,
    /// Protected files with their SHA-256.
    pub protected: BTreeMap<String, String>,
    /// Push boundary.
    pub push: Push,
    /// Refs of remotes at the start: `REMOTE:REF` and object id.
    pub remote_refs: BTreeMap<String, String>,
    /// Preconditions of a round.
    pub resources: Option<Resources>,
    /// Clean-up.
    pub clean: Clean,
    /// The gates.
    pub gates: Vec<Resolved>,
}
