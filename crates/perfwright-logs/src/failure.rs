//! Incident classes, and which of several findings is the cause.

use std::collections::BTreeMap;

use crate::report::Seen;

/// Startup failure classes.
pub(crate) const STARTUP: [&str; 11] = [
    "init_not_enough",
    "graph_capture_oom",
    "runtime_oom",
    "warmup_oom",
    "max_len_refused",
    "stopped_mid_load",
    "gpu_in_use",
    "config_rejected",
    "hub_unreachable",
    "topology_rejected",
    "other",
];

/// How near to the cause a class is; symptoms have less. None for a name that is no class.
#[must_use]
pub(crate) fn depth(class: &str) -> Option<u8> {
    Some(match class {
        // A tool looked inside.
        "crash.sanitizer_memcheck" | "crash.cuda_coredump" => 100,
        // The device or the kernel of the machine says what went wrong.
        "crash.cuda_illegal_memory_access"
        | "crash.cuda_device_assert"
        | "gpu.xid"
        | "oom.cuda_runtime"
        | "oom.host_killer"
        | "crash.kv_pool_leak" => 90,
        // Work that does not end; a crash elsewhere explains it.
        "hang.collective_mismatch" | "hang.collective_kernel" => 74,
        "hang.collective_timeout" => 72,
        "hang.cpu_python_loop" => 71,
        "hang.scheduler_watchdog" => 70,
        "fault.batch_exception" => 60,
        // Consequences.
        "hang.health_timeout" => 40,
        "crash.child_process" => 30,
        "crash.engine_dead" => 28,
        "slow.kv_pressure" => 20,
        "slow.queueing" => 18,
        // About the tools, not the engine.
        "tooling.unsafe_pickle_blocked" => 12,
        "tooling.pyspy_missing" | "tooling.pyspy_permission" => 10,
        "healthy" | "unknown" => 0,
        _ => return None,
    })
}

/// The first finding of each class.
#[derive(Debug, Default)]
pub(crate) struct Firsts {
    seen: BTreeMap<String, Seen>,
}

impl Firsts {
    pub(crate) fn add(&mut self, class: &str, seen: Seen) {
        match self.seen.get_mut(class) {
            None => {
                self.seen.insert(class.to_owned(), seen);
            }
            Some(first) => {
                let count = first.count + seen.count;
                if earlier(&seen, first) {
                    *first = seen;
                }
                first.count = count;
            }
        }
    }

    pub(crate) fn get(&self, class: &str) -> Option<&Seen> {
        self.seen.get(class)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Every class, the cause first: the deepest, among equals the earliest.
    pub(crate) fn ranked(&self) -> Vec<(&str, &Seen)> {
        let mut all: Vec<(&str, &Seen)> = self.seen.iter().map(|(c, s)| (c.as_str(), s)).collect();
        all.sort_by(|(a, x), (b, y)| {
            let deeper = depth(b).cmp(&depth(a));
            deeper.then_with(|| {
                if earlier(x, y) {
                    std::cmp::Ordering::Less
                } else if earlier(y, x) {
                    std::cmp::Ordering::Greater
                } else {
                    x.line.cmp(&y.line)
                }
            })
        });
        all
    }

    /// Every class in the order of the log.
    pub(crate) fn by_line(&self) -> Vec<(&str, &Seen)> {
        let mut all: Vec<(&str, &Seen)> = self.seen.iter().map(|(c, s)| (c.as_str(), s)).collect();
        all.sort_by_key(|(_, s)| s.line);
        all
    }
}

/// By the time that both lines tell in one form, else by the place in the log.
fn earlier(a: &Seen, b: &Seen) -> bool {
    match (a.time, b.time) {
        (Some(x), Some(y)) if x.form == y.form && x.ns != y.ns => x.ns < y.ns,
        _ => a.line < b.line,
    }
}
