//! torch-profiler traces: reader, steps, attribution, tables.

mod align;
mod attribution;
mod cache;
pub mod error;
pub mod frames;
pub mod input;
pub mod intern;
mod links;
pub mod names;
mod scan;
pub mod steps;
pub mod store;
