//! torch-profiler traces: reader, steps, attribution, tables.

pub mod fusion;
pub mod names;
