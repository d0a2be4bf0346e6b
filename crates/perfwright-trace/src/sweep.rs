//! Device work on one time line: what runs at each moment, what is exposed, and where nothing runs.

use hashbrown::HashMap;

use crate::names::{Category, Classified};
use crate::store::{Ident, KERNEL, Store};

/// What a piece of device work is to the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Compute,
    Communication,
    Copy,
}

/// One piece of device work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) role: Role,
    /// Row of the device table.
    pub(crate) row: u32,
}

/// The work of one device process in start order.
pub(crate) struct Timeline {
    pub(crate) work: Vec<Work>,
    /// `reach[i]` is the latest end of `work[..=i]`.
    reach: Vec<i64>,
}

/// The time lines of a trace, one a device process.
pub(crate) fn timelines(store: &Store, classes: &[Classified]) -> Vec<(Ident, Timeline)> {
    let d = &store.devices;
    let mut lines: Vec<(Ident, Timeline)> = Vec::new();
    let mut line_of: HashMap<Ident, usize> = HashMap::new();
    for i in 0..d.len() {
        let pid = store.device_pid(i);
        let role = match (d.kind[i] == KERNEL, &classes[d.name[i] as usize].category) {
            (false, _) => Role::Copy,
            (true, Category::Communication) => Role::Communication,
            (true, _) => Role::Compute,
        };
        let work = Work { start: d.ts[i], end: d.ts[i] + d.dur[i], role, row: i as u32 };
        let at = *line_of.entry(pid).or_insert_with(|| {
            lines.push((pid, Timeline { work: Vec::new(), reach: Vec::new() }));
            lines.len() - 1
        });
        lines[at].1.work.push(work);
    }
    for (_, line) in &mut lines {
        let mut latest = i64::MIN;
        line.reach = line
            .work
            .iter()
            .map(|w| {
                latest = latest.max(w.end);
                latest
            })
            .collect();
    }
    lines
}

impl Timeline {
    /// First start and last end.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.work.first().map_or(0, |w| w.start), self.reach.last().copied().unwrap_or(0))
    }

    /// The work that touches `from..to` (some of it may end before `from`).
    fn touching(&self, from: i64, to: i64) -> &[Work] {
        let first = self.reach.partition_point(|&r| r <= from);
        let last = self.work.partition_point(|w| w.start < to);
        self.work.get(first..last).unwrap_or(&[])
    }

    /// Calls `visit` with each stretch of `from..to` in which the same work runs; `running` is empty in a gap.
    pub(crate) fn stretches(&self, from: i64, to: i64, mut visit: impl FnMut(i64, i64, &[Work])) {
        let work = self.touching(from, to);
        let mut running: Vec<Work> = Vec::new();
        let mut next = 0;
        let mut at = from;
        while at < to {
            running.retain(|w| w.end > at);
            while next < work.len() && work[next].start <= at {
                if work[next].end > at {
                    running.push(work[next]);
                }
                next += 1;
            }
            let mut until = running.iter().map(|w| w.end).min().unwrap_or(to).min(to);
            if let Some(w) = work.get(next) {
                until = until.min(w.start);
            }
            visit(at, until, &running);
            at = until;
        }
    }

    /// The first work that starts at or after `t`.
    pub(crate) fn next_from(&self, t: i64) -> Option<&Work> {
        self.work.get(self.work.partition_point(|w| w.start < t))
    }
}

/// For each device row the part of its time in which nothing of a higher role ran: communication without compute,
/// copies without compute and communication. Time that several such share is divided between them, so the sum is
/// wall time.
pub(crate) fn exposed(store: &Store, lines: &[(Ident, Timeline)]) -> Vec<i64> {
    let mut out = vec![0i64; store.devices.len()];
    for (_, line) in lines {
        let (from, to) = line.span();
        line.stretches(from, to, |start, end, running| {
            let Some(role) = top_role(running) else { return };
            let mut same = running.iter().filter(|w| w.role == role);
            let n = same.clone().count() as i64;
            let each = (end - start) / n;
            if let Some(first) = same.next() {
                out[first.row as usize] += each + (end - start) % n;
            }
            same.for_each(|w| out[w.row as usize] += each);
        });
    }
    out
}

/// The role that a stretch of wall time is charged to.
pub(crate) fn top_role(running: &[Work]) -> Option<Role> {
    let has = |role| running.iter().any(|w| w.role == role);
    [Role::Compute, Role::Communication, Role::Copy].into_iter().find(|&r| has(r))
}
