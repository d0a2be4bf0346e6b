//! The thread that starts sessions at their times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::processor::{sharpen_timers, thread_seconds, wait_until};
use super::worker::{Job, Start};

/// Hands each session to a worker at its time; returns the processor seconds used. Times are absolute, so being late
/// for one session moves no other.
pub(super) fn dispatch(job: &Arc<Job>, epoch: Instant, workers: &[UnboundedSender<Start>]) -> f64 {
    sharpen_timers();
    for (session, at) in job.plan.times.iter().enumerate() {
        let due = epoch + Duration::from_nanos(*at);
        if !wait_until(due, || job.is_stopped()) {
            break;
        }
        let start = Start { session, scheduled_ns: Some(*at) };
        if workers[session % workers.len()].send(start).is_err() {
            break;
        }
    }
    thread_seconds()
}
