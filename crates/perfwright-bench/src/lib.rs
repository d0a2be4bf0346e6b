//! Serving benchmarks.
