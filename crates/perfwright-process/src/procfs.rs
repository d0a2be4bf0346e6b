//! Processes, from `/proc`.

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessInfo {
    /// Its id.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// `R`, `S`, `D`, `Z` and so on.
    pub state: char,
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// CPU time so far, in clock ticks.
    pub ticks: u64,
    /// When it started, in clock ticks since the machine did; with the pid it names a process for good.
    pub started: u64,
}

/// Process `pid`; none when it is gone.
#[must_use]
pub fn process_info(pid: u32) -> Option<ProcessInfo> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) S ppid pgrp session ...` (proc_pid_stat(5)). The name may hold anything, also brackets.
pub(crate) fn parse_stat(bytes: &[u8]) -> Option<ProcessInfo> {
    let text = String::from_utf8_lossy(bytes);
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok());
    let small = |i: usize| number(i).and_then(|n| u32::try_from(n).ok());
    Some(ProcessInfo {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: small(1)?,
        group: small(2)?,
        session: small(3)?,
        ticks: number(11)?.checked_add(number(12)?)?,
        started: number(19)?,
    })
}

/// Every process.
#[must_use]
pub fn processes() -> Vec<ProcessInfo> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter_map(process_info).collect()
}

/// Living processes of a group; zombies do not live.
#[must_use]
pub fn group_members(group: u32) -> Vec<ProcessInfo> {
    processes().into_iter().filter(|p| p.group == group && !matches!(p.state, 'Z' | 'X')).collect()
}

/// Living descendants of a process, without itself.
#[must_use]
pub fn children_of(pid: u32) -> Vec<ProcessInfo> {
    let all = processes();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|p| p.parent == parent && p.pid != parent).map(|p| p.pid));
        at += 1;
    }
    all.into_iter().filter(|p| family[1..].contains(&p.pid) && !matches!(p.state, 'Z' | 'X')).collect()
}

/// Living processes whose environment holds the mark of one of our children. Only those are found whose environment
/// this user may read, which ours are.
#[must_use]
pub fn marked(mark: &str) -> Vec<ProcessInfo> {
    if mark.is_empty() { Vec::new() } else { carrying(crate::child::MARK, mark) }
}

/// Living processes whose environment holds `variable=value`. A process that is just becoming another program shows
/// no environment for a moment: a single empty answer proves nothing where children may be at work.
#[must_use]
pub fn carrying(variable: &str, value: &str) -> Vec<ProcessInfo> {
    let wanted = format!("{variable}={value}");
    let holds = |pid: u32| {
        // More than this is no environment we gave.
        let mut environ = Vec::new();
        if let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) {
            let _ = file.take(1 << 20).read_to_end(&mut environ);
        }
        environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes())
    };
    processes().into_iter().filter(|p| !matches!(p.state, 'Z' | 'X') && holds(p.pid)).collect()
}

/// Kills every process with the mark; whether none lives after `limit`.
pub fn kill_marked(mark: &str, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let mut empty = 0;
    loop {
        let left = marked(mark);
        empty = if left.is_empty() { empty + 1 } else { 0 };
        if empty == 2 {
            return true;
        }
        for process in left {
            // The number could name another process by now: it is looked at again right before.
            let same = process_info(process.pid).is_some_and(|p| p.started == process.started);
            if let (true, Some(pid)) = (same, i32::try_from(process.pid).ok().and_then(Pid::from_raw)) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let stat = b"42 (a) (b) S 1 40 39 0 -1 4194304 1 0 0 0 7 5 0 0 20 0 1 0 99 1 1 1 1";
        let p = parse_stat(stat).expect("a process");
        assert_eq!(
            (p.pid, p.name.as_str(), p.state, p.parent, p.group, p.session),
            (42, "a) (b", 'S', 1, 40, 39)
        );
        assert_eq!((p.ticks, p.started), (12, 99));
        assert_eq!(parse_stat(b"42 (a"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_there() {
        let me = process_info(std::process::id()).expect("this process");
        assert!(group_members(me.group).iter().any(|p| p.pid == me.pid));
    }
}
