//! Which rows may be compared, and in which order they stand. Everything here is a pure function of the rows.

pub mod contract;
pub mod entry;
pub mod fairness;
pub mod order;

pub use contract::{Conditions, conditions};
pub use entry::{Entry, entries};
