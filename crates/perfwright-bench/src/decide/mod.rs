//! Answers: which candidate is best, and whether one side is better than the other.

pub mod ab;
pub mod compare;
pub mod frontier;
pub mod paired;
pub mod render;
pub mod report;

pub use compare::{CompareOptions, compare};
pub use report::{Comparison, VerdictWord};
