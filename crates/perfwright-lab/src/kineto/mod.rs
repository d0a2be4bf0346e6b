//! Profiles in the trace format of PyTorch's profiler (Kineto).

pub mod recorder;
pub mod writer;
