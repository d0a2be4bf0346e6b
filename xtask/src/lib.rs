//! Repository chores: trace generators with a known truth, a server that misbehaves, tidy checks, the reading of test results.
//!
//! Other crates may use this one in their tests only; it depends on none of them.

pub mod examples;
pub mod misbehave;
pub mod scratch;
pub mod testrun;
pub mod tidy;
pub mod tracegen;
