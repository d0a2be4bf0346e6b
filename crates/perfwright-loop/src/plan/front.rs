//! The typed part of a plan: TOML between two lines `+++` at the top of the document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gates::GateSpec;
use crate::limits::Limits;

/// Front matter of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Front {
    /// `perfwright.plan/v1`.
    pub schema: String,
    /// A few words.
    pub title: String,
    /// Where the change may reach.
    pub paths: Paths,
    /// What it may cost. `usd` and durations are given on the command line.
    pub limits: Limits,
    /// The reviewer.
    pub review: Review,
    /// Where the work may be pushed.
    pub push: Push,
    /// What the machine must have before a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What a round must leave as it was.
    pub clean: Clean,
    /// Time for one round of the executor, in seconds.
    pub executor_timeout_s: Option<u64>,
    /// Gates besides the builtin ones, or changes to those by id.
    #[serde(rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSpec>,
}

/// Path boundaries: patterns relative to the repository's top.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The change stays below these; none means everywhere.
    pub allow: Vec<String>,
    /// It never touches these.
    pub deny: Vec<String>,
    /// Files locked by hash at the start: benchmark contracts, test harnesses, graders.
    pub protect: Vec<String>,
}

/// The reviewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Review {
    /// Time for one review, in seconds.
    pub timeout_s: u64,
}

impl Default for Review {
    fn default() -> Self {
        Self { timeout_s: 5400 }
    }
}

/// Push boundary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// Allowed targets, `REMOTE:refs/heads/NAME`; both parts may hold `*`.
    pub allow: Vec<String>,
    /// Also asks remotes over the network, not only those that are folders of this machine.
    pub ask_remotes: bool,
}

/// Preconditions of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// GPUs that must be there.
    pub gpus: u32,
    /// Free memory of each, in MiB.
    pub gpu_free_mib: u64,
    /// Highest utilisation of each, in percent; above it the GPU is not idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_max_busy: Option<u64>,
    /// Free space on the repository's disk, in MiB.
    pub disk_free_mib: u64,
    /// How long to wait for them, in seconds, before the campaign is blocked.
    pub wait_s: u64,
    /// Command that prints one line `index, free MiB, busy percent` a GPU; `nvidia-smi` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

/// Clean-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clean {
    /// TCP ports that nobody may listen on after a round.
    pub ports: Vec<u16>,
}

/// Where a command of a gate runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// In a fresh copy of the commit, so that nothing untracked helps.
    #[default]
    Clean,
    /// In the work tree.
    Tree,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Op {
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
    /// More than.
    #[serde(rename = ">")]
    Above,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// Less than.
    #[serde(rename = "<")]
    Below,
}

impl Op {
    /// Whether it holds.
    #[must_use]
    pub fn holds(self, measured: f64, threshold: f64) -> bool {
        match self {
            Self::AtLeast => measured >= threshold,
            Self::Above => measured > threshold,
            Self::AtMost => measured <= threshold,
            Self::Below => measured < threshold,
        }
    }
}
