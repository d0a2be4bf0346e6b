//! Checking a run folder: bytes, chain and file list first, then the gates and the verdict.

pub(crate) mod check;
mod error;
pub(crate) mod faults;
mod files;
mod manifest;
mod recompute;
pub(crate) mod report;
pub(crate) mod walk;

pub use error::VerifyError;
pub use recompute::{VerifyOptions, verify};
