//! Entries of `catalog/kernels/*.toml`.

use serde::Deserialize;

use super::category::{Comm, Phase};
use super::cond::Cond;

/// A file of kernel rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) rule: Vec<Rule>,
    #[serde(default)]
    pub(super) op: Vec<OpRule>,
    #[serde(default)]
    pub(super) tag: Vec<TagRule>,
}

/// A rule on the kernel's own symbol.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable id, unique over the catalogue.
    pub id: String,
    /// Category given.
    pub category: String,
    /// Higher is asked first; equal priorities keep file order.
    #[serde(default)]
    pub priority: i32,
    /// Alternatives; one must hold. Moved into the compiled form when the catalogue is built.
    pub(super) when: Vec<Cond>,
    /// Categories that the launching CPU operation may turn this one into, where the name alone is ambiguous.
    #[serde(default)]
    pub refine: Vec<String>,
    /// Only phase the kernel serves.
    #[serde(default)]
    pub phase: Option<Phase>,
    /// Collective performed.
    #[serde(default)]
    pub comm: Option<Comm>,
    /// Operations inside the kernel.
    #[serde(default)]
    pub fused: Vec<String>,
    /// Public origin of the name.
    pub source: String,
    /// A raw name that this rule decides.
    pub yes: String,
    /// A raw name that looks near but must not be decided by this rule.
    pub no: String,
}

/// A rule on the CPU operation, used where the kernel's name is unknown or ambiguous.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpRule {
    /// Stable id, unique over the catalogue.
    pub id: String,
    /// Category given.
    pub category: String,
    /// Exact operation names (`aten::mm`; a dot for the first `::` is also understood).
    #[serde(default)]
    pub op: Vec<String>,
    /// Prefixes of operation names.
    #[serde(default)]
    pub prefix: Vec<String>,
    /// Public origin of the name.
    pub source: String,
    /// An operation that this rule decides.
    pub yes: String,
    /// One that it must not decide.
    pub no: String,
}

/// Adds fused-operation tags to kernels of some categories, whatever rule decided them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagRule {
    pub(super) id: String,
    /// Tags added.
    pub(super) adds: Vec<String>,
    /// Categories it applies to; empty means all.
    #[serde(default)]
    pub(super) category: Vec<String>,
    pub(super) when: Vec<Cond>,
    pub(super) source: String,
    pub(super) yes: String,
    pub(super) no: String,
}
