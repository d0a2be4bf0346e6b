//! torch-profiler traces: reader, steps, attribution, tables.
