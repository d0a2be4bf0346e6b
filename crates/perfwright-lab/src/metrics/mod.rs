//! Counters, gauges and histograms of the server, and their Prometheus text.

pub mod families;
pub mod registry;
pub mod text;
