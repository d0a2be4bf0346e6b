//! torch-profiler traces: reader, steps, attribution, tables.

mod cache;
pub mod error;
pub mod input;
pub mod intern;
mod scan;
pub mod store;
