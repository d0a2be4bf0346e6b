//! Processor time of the calling thread, and timers as sharp as the kernel gives them.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The last stretch before a time is spent looking at the clock: longer than the kernel's timers overshoot on a quiet
/// machine, short enough to cost a tenth of a core at 1000 requests a second.
const LOOK: Duration = Duration::from_micros(100);
/// A sleep is at most this long, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(50);

/// Processor seconds that this thread has used.
pub(super) fn thread_seconds() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Asks the kernel not to put this thread's timers together with others (by default it may be 50 us late).
pub(super) fn sharpen_timers() {
    // Where the kernel refuses, timers are as they were; lateness is measured anyway.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Waits until `due`; false when `stopped` said so meanwhile.
pub(super) fn wait_until(due: Instant, stopped: impl Fn() -> bool) -> bool {
    loop {
        if stopped() {
            return false;
        }
        let left = due.saturating_duration_since(Instant::now());
        if left > LOOK {
            std::thread::sleep((left - LOOK).min(NAP));
        } else {
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            return true;
        }
    }
}
