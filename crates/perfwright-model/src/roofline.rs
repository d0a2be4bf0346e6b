//! What the hardware allows: time of an operator and of a step, and how much of it a measured time uses.

use schemars::JsonSchema;
use serde::Serialize;

use crate::hardware::Gpu;
use crate::ops::Op;

/// What limits an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The matrix units.
    Compute,
    /// The memory's bandwidth.
    Memory,
    /// The links.
    Communication,
    /// The time to start a kernel.
    Launch,
}

impl Bound {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
            Self::Communication => "communication",
            Self::Launch => "launch",
        }
    }
}

/// Time of an operator in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Time {
    /// The largest of the four, over all layers that have the operator.
    pub time_us: f64,
    /// Which of them it is.
    pub bound: Bound,
    /// Matrix units at their peak.
    pub compute_us: f64,
    /// Memory at its peak.
    pub memory_us: f64,
    /// Links at their peak; 0 where the catalogue has no figure for them.
    pub communication_us: f64,
}

/// The least time an operator takes: each resource at its peak, all at the same time, and at least `launch_us` for
/// every layer.
pub fn time(op: &Op, gpu: &Gpu, launch_us: f64) -> Time {
    let us = |amount: u128, per_second: f64| amount as f64 / per_second * 1e6;
    let compute_us = us(op.flops, gpu.flops(op.compute));
    let memory_us = us(op.bytes, gpu.bandwidth.value as f64);
    let within = gpu.gpus_per_node.is_none_or(|gpus| op.peers <= gpus);
    let link = if within { gpu.link.as_ref() } else { gpu.network.as_ref().or(gpu.link.as_ref()) };
    let communication_us = link.map_or(0.0, |link| us(op.comm_bytes, link.value as f64));
    let launch = launch_us * op.layers as f64;
    let all = [
        (compute_us, Bound::Compute),
        (memory_us, Bound::Memory),
        (communication_us, Bound::Communication),
        (launch, Bound::Launch),
    ];
    // Equal times: the first named wins, so an operator without any work counts as bound by memory, not compute.
    let mut largest = (memory_us, Bound::Memory);
    for candidate in all {
        if candidate.0 > largest.0 {
            largest = candidate;
        }
    }
    Time { time_us: largest.0, bound: largest.1, compute_us, memory_us, communication_us }
}

/// Time of a step in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct StepTime {
    /// Operators one after another.
    pub time_us: f64,
    /// What limits most of that time.
    pub bound: Bound,
    /// The same if all operators overlapped perfectly: the busiest resource alone.
    pub overlapped_us: f64,
    /// Time bound by the matrix units.
    pub compute_us: f64,
    /// Time bound by the memory.
    pub memory_us: f64,
    /// Time bound by the links.
    pub communication_us: f64,
    /// Time bound by starting kernels.
    pub launch_us: f64,
}

/// Adds up the times of operators.
pub fn step(times: &[Time]) -> StepTime {
    let bound_by =
        |bound: Bound| times.iter().filter(|t| t.bound == bound).fold(0.0, |all, t| all + t.time_us);
    let shares = [
        (Bound::Memory, bound_by(Bound::Memory)),
        (Bound::Compute, bound_by(Bound::Compute)),
        (Bound::Communication, bound_by(Bound::Communication)),
        (Bound::Launch, bound_by(Bound::Launch)),
    ];
    let bound = shares.iter().fold(shares[0], |best, share| if share.1 > best.1 { *share } else { best }).0;
    let sums = [
        times.iter().fold(0.0, |all, t| all + t.compute_us),
        times.iter().fold(0.0, |all, t| all + t.memory_us),
        times.iter().fold(0.0, |all, t| all + t.communication_us),
    ];
    StepTime {
        time_us: times.iter().map(|t| t.time_us).sum(),
        bound,
        overlapped_us: sums.into_iter().fold(0.0, f64::max),
        memory_us: shares[0].1,
        compute_us: shares[1].1,
        communication_us: shares[2].1,
        launch_us: shares[3].1,
    }
}

/// A share of a peak that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{percent:.1} % of the peak is more than there is")]
pub struct Impossible {
    /// The share in percent.
    pub percent: f64,
}

/// Share of a peak: `amount` (FLOPs for MFU, bytes for MBU) in `measured_us` microseconds against `per_second`.
///
/// # Errors
/// Where the time is not above 0 or the share is above 1: then the time, the amount or the peak is wrong.
pub fn utilization(amount: f64, per_second: f64, measured_us: f64) -> Result<f64, Impossible> {
    let share = amount / per_second / (measured_us * 1e-6);
    // A time of 0 or below gives an infinite, negative or undefined share.
    if measured_us > 0.0 && (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(Impossible { percent: share * 100.0 })
    }
}

/// MFU against several peaks: the time all FLOPs need at the peak of their own precision, as a share of the measured
/// time.
///
/// # Errors
/// As [`utilization`].
pub fn mfu(times: &[Time], measured_us: f64) -> Result<f64, Impossible> {
    utilization(times.iter().map(|t| t.compute_us).sum::<f64>() * 1e-6, 1.0, measured_us)
}

/// MBU: the time all bytes need at the memory's peak, as a share of the measured time.
///
/// # Errors
/// As [`utilization`].
pub fn mbu(times: &[Time], measured_us: f64) -> Result<f64, Impossible> {
    utilization(times.iter().map(|t| t.memory_us).sum::<f64>() * 1e-6, 1.0, measured_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known defect S8: 571.7 % MFU printed without a word, and -0.1 % for a negative time.
    #[test]
    fn trap_s8_shares_above_the_peak_are_refused() {
        assert_eq!(utilization(500.0, 1000.0, 1e6), Ok(0.5));
        assert!(utilization(5717.0, 1000.0, 1e6).unwrap_err().percent > 571.0);
        assert!(utilization(1.0, 1000.0, -1.0).is_err() && utilization(0.0, 1000.0, 0.0).is_err());
    }
}
