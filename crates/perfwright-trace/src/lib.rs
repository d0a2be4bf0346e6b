//! torch-profiler traces: reader, steps, attribution, tables.

pub mod names;
