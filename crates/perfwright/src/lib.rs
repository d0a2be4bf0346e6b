//! The shell around the capabilities: arguments, settings, diagnostics, terminal output and exit codes.
//!
//! No analysis lives here. This is the only crate that prints, reads the command line and the environment, and decides
//! exit codes; it is a library so that generators and tests can see the same command definition as the binary.

pub mod cli;
pub mod codes;
pub mod diagnostic;
pub mod environment;
pub mod exit;
pub mod reference;
pub mod settings;

mod app;
mod cmd;
mod context;
mod output;
mod record;

pub use app::{main, run_guarded};
