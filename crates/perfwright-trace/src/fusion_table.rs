//! The fuse-pattern rows of the answer.

use serde::Serialize;

use crate::steps::Class;

/// One fusion pattern in one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct FusionRow {
    /// Class of the steps.
    pub class: Class,
    /// Id of the catalogue entry.
    pub pattern: String,
    /// What is fused.
    pub title: String,
    /// `active`: the fused kernel ran. `missing`: its parts ran unfused, one right after the other on one stream of
    /// one layer. `partial`: some of both.
    pub state: String,
    /// Device time of the kernels that prove the row.
    pub related_ns: i64,
    /// `related_ns` of the class's device time.
    pub share: f64,
    /// Places found.
    pub launches: u64,
    /// Upper bound of the saving of a missing or partial fusion.
    pub upper_bound_saving_ns: i64,
    /// Kernels that prove the row.
    pub evidence: Vec<String>,
    /// What it means and under which conditions.
    pub rationale: String,
    /// Where the fused form lives.
    pub candidate: String,
    /// Source of the catalogue entry.
    pub source: String,
}
