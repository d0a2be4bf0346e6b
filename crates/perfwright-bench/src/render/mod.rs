//! Server commands of candidates.

pub mod command;
pub mod shlex;

pub use command::{Rendered, command};
