//! Profiling a running server: a workload for prefill and one for decode, each under the server's own profiler, until its
//! files are whole.

mod conditions;
mod drive;
mod files;
mod report;

pub use conditions::{CaptureConditions, Framework, Stage};
pub use drive::{CaptureControl, CaptureError, Captured, capture};
pub use report::{
    CAPTURE_EVIDENCE, CAPTURE_SCHEMA, CaptureReport, CapturedFile, GATES, StageReport, document,
};
