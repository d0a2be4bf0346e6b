//! Repository chores: trace generators with a known truth, tidy checks, benches.
//!
//! Other crates may use this one in their tests only; it depends on none of them.

pub mod tracegen;
