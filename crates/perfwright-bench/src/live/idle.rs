//! Whether the machine is quiet before a launch, and what is done when it is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use perfwright_process::{Idle, IdleLimits, check_idle};
use serde::{Deserialize, Serialize};

use crate::search::SearchError;

/// What is done about load on the machine that is not ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quiet {
    /// How long is looked; shorter looks see less and cost less.
    pub over: Duration,
    /// How long is waited for quiet before each launch.
    pub wait: Duration,
    /// Measure on a machine that stays busy. What was seen is recorded, and the rows say so.
    pub allow_busy: bool,
}

impl Default for Quiet {
    fn default() -> Self {
        Self { over: Duration::from_millis(500), wait: Duration::ZERO, allow_busy: false }
    }
}

/// What was seen before a launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The last look.
    #[serde(flatten)]
    pub idle: Idle,
    /// Seconds from the first look to the last.
    pub waited_s: f64,
}

impl Quiet {
    /// Looks until the machine is quiet or the wait is over. Before the `first` launch of a process a machine that
    /// stays busy is an error unless it is allowed; later ones are measured and marked, because what was begun on a
    /// quiet machine has earlier measurements to be held against.
    pub(super) fn look(&self, first: bool, stop: &AtomicBool) -> Result<Seen, SearchError> {
        let start = Instant::now();
        loop {
            let before = start.elapsed();
            let idle = check_idle(&[], self.over, IdleLimits::default());
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            if !idle.idle && start.elapsed() < self.wait {
                continue;
            }
            if !idle.idle && first && !self.allow_busy {
                return Err(SearchError::Busy(idle.reasons));
            }
            return Ok(Seen { idle, waited_s: before.as_secs_f64() });
        }
    }
}
