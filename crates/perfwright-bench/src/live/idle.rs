//! Whether the machine is quiet before a launch, and what is done when it is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use perfwright_process::{GpuProbe, Idle, IdleLimits, check_idle, probe_gpus};
use serde::{Deserialize, Serialize};

use crate::search::SearchError;

/// Most that a GPU may be busy with something else.
const GPU_BUSY_PERCENT: u32 = 10;
/// Processes that are named.
const SHOWN: usize = 3;

/// What is done about load on the machine that is not ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    /// Where the vendors' GPU tools are looked for: a `PATH`. Without a tool nothing is said about GPUs.
    pub path: String,
    /// How long is looked; shorter looks see less and cost less.
    pub over: Duration,
    /// How long is waited for quiet before each launch.
    pub wait: Duration,
    /// Measure on a machine that stays busy. What was seen is recorded, and the rows say so.
    pub allow_busy: bool,
}

impl Default for Quiet {
    fn default() -> Self {
        Self {
            path: String::new(),
            over: Duration::from_millis(500),
            wait: Duration::ZERO,
            allow_busy: false,
        }
    }
}

/// What was seen before a launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The last look.
    #[serde(flatten)]
    pub idle: Idle,
    /// The tool that told of GPUs; none where there is none.
    pub gpu_tool: Option<String>,
    /// Seconds from the first look to the last.
    pub waited_s: f64,
}

impl Quiet {
    /// Looks until the machine is quiet or the wait is over. Before the `first` launch of a process a machine that
    /// stays busy is an error unless it is allowed; later ones are measured and marked, because what was begun on a
    /// quiet machine has earlier measurements to be held against. `theirs`: the server runs already, and may hold GPUs.
    pub(super) fn look(&self, first: bool, theirs: bool, stop: &AtomicBool) -> Result<Seen, SearchError> {
        let start = Instant::now();
        loop {
            let before = start.elapsed();
            let mut idle = check_idle(&[], self.over, IdleLimits::default());
            let gpus = probe_gpus(&self.path);
            idle.reasons.extend(gpu_load(&gpus, theirs));
            idle.idle = idle.reasons.is_empty();
            if stop.load(Ordering::Relaxed) {
                return Err(SearchError::Interrupted);
            }
            if !idle.idle && start.elapsed() < self.wait {
                continue;
            }
            if !idle.idle && first && !self.allow_busy {
                return Err(SearchError::Busy(idle.reasons));
            }
            return Ok(Seen { idle, gpu_tool: gpus.tool, waited_s: before.as_secs_f64() });
        }
    }
}

/// What others do on the GPUs. None of our servers is up when this is asked, so every process is foreign, unless the
/// server is theirs.
fn gpu_load(probe: &GpuProbe, theirs: bool) -> Vec<String> {
    let busy = probe.devices.iter().filter_map(|d| {
        let percent = d.busy_percent.filter(|p| *p > GPU_BUSY_PERCENT)?;
        Some(format!("GPU {} is {percent} % busy, the limit is {GPU_BUSY_PERCENT} %", d.index))
    });
    let holders = probe.processes.iter().filter(|_| !theirs).map(|p| {
        let memory = p.used_bytes.map_or_else(String::new, |b| format!(" with {} MiB", b >> 20));
        format!("{} ({}) is on a GPU{memory}", p.name, p.pid)
    });
    busy.chain(holders.take(SHOWN)).collect()
}

#[cfg(test)]
mod tests {
    use perfwright_process::parse_nvidia_smi;

    use super::*;

    #[test]
    fn others_on_a_gpu_are_named() {
        let devices = "0, NVIDIA H100 80GB HBM3, GPU-a, 81559, 4, 0, 550.54, 345, 1980\n\
                       1, NVIDIA H100 80GB HBM3, GPU-b, 81559, 70000, 97, 550.54, 1980, 1980\n";
        let apps = "GPU-b, 4711, 69000, python\n";
        let probe = |devices: &str, apps: &str| {
            let (devices, processes) = parse_nvidia_smi(devices, apps);
            GpuProbe {
                tool: Some("nvidia-smi".into()),
                devices,
                processes,
                reason: None,
                ..GpuProbe::default()
            }
        };
        let seen = gpu_load(&probe(devices, apps), false);
        assert_eq!(
            seen,
            ["GPU 1 is 97 % busy, the limit is 10 %", "python (4711) is on a GPU with 69000 MiB"]
        );
        assert_eq!(gpu_load(&probe(devices, apps), true).len(), 1);
        let first = devices.lines().next().expect("a line");
        assert!(gpu_load(&probe(first, ""), false).is_empty());
        assert!(gpu_load(&GpuProbe::default(), false).is_empty());
    }
}
