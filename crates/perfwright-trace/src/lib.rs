//! torch-profiler traces: reader, steps, attribution, tables.

mod align;
mod cache;
pub mod error;
pub mod frames;
pub mod input;
pub mod intern;
mod links;
mod scan;
pub mod store;
