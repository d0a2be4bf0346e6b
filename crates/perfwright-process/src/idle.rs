//! Whether the machine is quiet enough to measure on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::procfs::{self, ProcessInfo};

/// A look at the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// CPU time of all CPUs, in ticks (`cpu` of proc_stat(5)).
    pub total: u64,
    /// Of that, idle or waiting for a disk.
    pub idle: u64,
    /// Of that, taken by other machines on the same host.
    pub steal: u64,
    /// Logical CPUs.
    pub cpus: u64,
    /// CPU ticks of each foreign process by its id and start, with its name.
    pub foreign: BTreeMap<(u32, u64), (String, u64)>,
    /// Lowest ratio of a CPU's frequency to its highest, in percent, where the kernel tells.
    pub frequency_percent: Option<u64>,
}

/// What happened between two looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Share of the CPU time taken by other machines, 0 to 1.
    pub steal: f64,
    /// CPUs kept busy by foreign processes.
    pub foreign_cpus: f64,
    /// CPUs kept busy by anything.
    pub busy_cpus: f64,
    /// Foreign processes with the most CPU time: id, name, CPUs.
    pub top: Vec<(u32, String, f64)>,
    /// Lowest ratio of a CPU's frequency to its highest, in percent.
    pub frequency_percent: Option<u64>,
}

/// How much load is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleLimits {
    /// Highest share of steal.
    pub steal: f64,
    /// Most CPUs for foreign processes, as a share of all.
    pub foreign: f64,
}

impl Default for IdleLimits {
    fn default() -> Self {
        Self { steal: 0.01, foreign: 0.05 }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Idle {
    /// Nothing is over its limit.
    pub idle: bool,
    /// What is over its limit, in words.
    pub reasons: Vec<String>,
    /// What was seen.
    pub load: Load,
    /// The limits.
    pub limits: IdleLimits,
}

/// Looks at the machine. `own` are processes that are not foreign, with all their descendants; this process is one.
#[must_use]
pub fn sample(own: &[u32]) -> Sample {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let (total, idle, steal, cpus) = totals(&text);
    let mut mine: BTreeSet<u32> = own.iter().copied().chain([std::process::id()]).collect();
    let all = procfs::processes();
    // Parents come before children in no certain order.
    loop {
        let before = mine.len();
        mine.extend(all.iter().filter(|p| mine.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>());
        if mine.len() == before {
            break;
        }
    }
    let foreign = |p: &ProcessInfo| !mine.contains(&p.pid);
    Sample {
        total,
        idle,
        steal,
        cpus,
        foreign: all.into_iter().filter(foreign).map(|p| ((p.pid, p.started), (p.name, p.ticks))).collect(),
        frequency_percent: frequency(),
    }
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guest time is in user time already.
fn totals(stat: &str) -> (u64, u64, u64, u64) {
    let mut answer = (0, 0, 0, 0);
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") => {
                let n: Vec<u64> = words.take(8).map(|w| w.parse().unwrap_or(0)).collect();
                let at = |i: usize| n.get(i).copied().unwrap_or(0);
                answer.0 = n.iter().fold(0u64, |sum, v| sum.saturating_add(*v));
                answer.1 = at(3).saturating_add(at(4));
                answer.2 = at(7);
            }
            Some(name) if name.starts_with("cpu") => answer.3 += 1,
            _ => {}
        }
    }
    answer
}

fn frequency() -> Option<u64> {
    let number = |path: String| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    (0..4096u32)
        .map_while(|cpu| {
            let dir = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq");
            let now = number(format!("{dir}/scaling_cur_freq"))?;
            let max = number(format!("{dir}/cpuinfo_max_freq")).filter(|m| *m > 0)?;
            Some(now.saturating_mul(100) / max)
        })
        .min()
}

/// What happened between two looks, against the limits. A pure function.
#[must_use]
pub fn judge(before: &Sample, after: &Sample, limits: IdleLimits) -> Idle {
    let total = after.total.saturating_sub(before.total).max(1) as f64;
    let cpus = after.cpus.max(1) as f64;
    let share = |ticks: u64| ticks as f64 / total;
    let mut top: Vec<(u32, String, f64)> = after
        .foreign
        .iter()
        .map(|(key, (name, ticks))| {
            // A process that is new has all its time in between.
            let was = before.foreign.get(key).map_or(0, |(_, t)| *t);
            (key.0, name.clone(), share(ticks.saturating_sub(was)) * cpus)
        })
        .filter(|(_, _, used)| *used > 0.0)
        .collect();
    let foreign_cpus = top.iter().map(|t| t.2).sum();
    top.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    top.truncate(8);
    let idle_ticks = after.idle.saturating_sub(before.idle);
    let load = Load {
        steal: share(after.steal.saturating_sub(before.steal)),
        foreign_cpus,
        busy_cpus: (1.0 - share(idle_ticks)).max(0.0) * cpus,
        top,
        frequency_percent: after.frequency_percent,
    };
    let mut reasons = Vec::new();
    if load.steal > limits.steal {
        reasons.push(format!(
            "steal is {:.1} %, the limit {:.1} %",
            load.steal * 100.0,
            limits.steal * 100.0
        ));
    }
    if load.foreign_cpus > limits.foreign * cpus {
        let who: Vec<String> =
            load.top.iter().take(3).map(|(pid, name, n)| format!("{name} ({pid}) {n:.2}")).collect();
        reasons.push(format!(
            "foreign processes keep {:.2} CPUs busy, the limit is {:.2}: {}",
            load.foreign_cpus,
            limits.foreign * cpus,
            who.join(", ")
        ));
    }
    Idle { idle: reasons.is_empty(), reasons, load, limits }
}

/// Looks twice, `over` apart.
#[must_use]
pub fn check_idle(own: &[u32], over: Duration, limits: IdleLimits) -> Idle {
    let before = sample(own);
    std::thread::sleep(over);
    judge(&before, &sample(own), limits)
}

/// Checks again and again until the machine is idle or `limit` is over; the last answer.
#[must_use]
pub fn wait_idle(own: &[u32], over: Duration, limits: IdleLimits, limit: Duration) -> Idle {
    let end = Instant::now() + limit;
    loop {
        let answer = check_idle(own, over, limits);
        if answer.idle || Instant::now() >= end {
            return answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(total: u64, idle: u64, steal: u64, ticks: u64) -> Sample {
        let foreign = [((7, 1), ("noise".to_owned(), ticks))].into();
        Sample { total, idle, steal, cpus: 2, foreign, frequency_percent: None }
    }

    #[test]
    fn limits() {
        let before = at(1000, 900, 0, 50);
        let quiet = judge(&before, &at(1400, 1290, 0, 52), IdleLimits::default());
        assert!(quiet.idle, "{quiet:?}");
        let foreign = judge(&before, &at(1400, 1100, 0, 150), IdleLimits::default());
        assert!(!foreign.idle && foreign.reasons[0].contains("noise (7) 0.50"), "{foreign:?}");
        assert_eq!((foreign.load.foreign_cpus, foreign.load.busy_cpus), (0.5, 1.0));
        let steal = judge(&before, &at(1400, 1280, 20, 50), IdleLimits::default());
        assert_eq!((steal.load.steal, steal.reasons.len()), (0.05, 1));
        // A counter that goes back is no load.
        assert!(judge(&before, &at(900, 0, 0, 0), IdleLimits::default()).load.top.is_empty());
    }

    #[test]
    fn proc_stat() {
        let text = "cpu  10 1 5 100 4 0 0 3 9 9\ncpu0 1 1 1\ncpu1 1 1 1\nintr 5\n";
        assert_eq!(totals(text), (123, 104, 3, 2));
        assert_eq!(totals(""), (0, 0, 0, 0));
    }

    #[test]
    fn this_process_and_its_children_are_not_foreign() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let seen = sample(&[]);
        let _ = child.kill();
        let _ = child.wait();
        assert!(seen.total > 0 && seen.cpus > 0);
        assert!(!seen.foreign.keys().any(|(pid, _)| *pid == child.id() || *pid == std::process::id()));
    }
}
