//! What ran when, for profiles.

use std::panic::Location;
use std::time::Instant;

/// Rows and columns of a tensor.
pub type Shape = [usize; 2];

/// One call of an operator.
#[derive(Debug, Clone)]
pub struct OpRecord {
    /// The operator: `rmsnorm`, `gemm`, `attention`, ... as in [`OP_NAMES`](crate::OP_NAMES), and `embedding`.
    pub op: &'static str,
    /// What it does there: `qkv_proj`, `gate_up_proj`, `input_norm`, ...
    pub role: &'static str,
    /// The function that ran, as a profile names a kernel.
    pub kernel: &'static str,
    /// The layer; `None` before the first and after the last.
    pub layer: Option<usize>,
    /// When it began, in nanoseconds since the observer's epoch.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Tensors that it read, then those that it wrote.
    pub shapes: Vec<Shape>,
    /// Rows of the batch.
    pub tokens: usize,
    /// The line that called it.
    pub site: &'static Location<'static>,
}

/// Records the calls of operators. A step without one takes no times.
#[derive(Debug)]
pub struct Observer {
    epoch: Instant,
    records: Vec<OpRecord>,
}

impl Observer {
    /// An observer that counts time from `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, records: Vec::new() }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// What was recorded, in the order of the calls.
    #[must_use]
    pub fn records(&self) -> &[OpRecord] {
        &self.records
    }

    /// Takes what was recorded.
    pub fn take(&mut self) -> Vec<OpRecord> {
        std::mem::take(&mut self.records)
    }

    pub(super) fn push(&mut self, record: OpRecord) {
        self.records.push(record);
    }
}
