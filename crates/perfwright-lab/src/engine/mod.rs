//! The engine: one thread that owns model, cache and requests, and the handle by which others reach it.

pub mod handle;
mod output;
pub(crate) mod pass;
mod queue;
mod report;
pub mod request;
pub mod run;
mod sequence;
pub mod shared;
pub mod startup;
mod text;
