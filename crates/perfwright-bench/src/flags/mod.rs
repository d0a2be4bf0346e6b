//! Flags of servers, from their own captured `--help`.

pub mod check;
pub mod near;
pub mod parse;

pub use check::{FlagFault, check};
pub use near::nearest;
pub use parse::{Flag, Help};
