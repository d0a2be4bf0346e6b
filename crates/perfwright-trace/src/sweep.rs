//! Device work on one time line: what runs at each moment, what is exposed, and where nothing runs.
//!
//! One sweep over starts and ends cuts the line into stretches; sums over any window are then two searches. Neither a
//! kernel that spans the trace nor thousands that overlap make it slower than sorting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use crate::links::{NO_ROW, waits_before};
use crate::names::{Category, Classified};
use crate::store::{Ident, KERNEL, Store};

/// What a piece of device work is to the wall clock, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Compute,
    Communication,
    Copy,
}

/// What a stretch of wall time is charged to: a running role, or why nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// At least one compute kernel runs.
    Compute,
    /// Communication runs and no compute.
    Communication,
    /// Only copies or fills run.
    Copy,
    /// Nothing runs, and the launch of what runs next had not begun: the host is late.
    HostBound,
    /// Nothing runs; what runs next was launched already, behind a wait for another stream or event.
    StreamWait,
    /// Nothing runs, and neither holds.
    Idle,
}

const CHARGES: usize = 6;

/// One piece of device work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) role: Role,
    /// Row of the device table.
    pub(crate) row: u32,
}

/// The work of one device process in start order, and its wall time by charge.
pub(crate) struct Timeline {
    pub(crate) work: Vec<Work>,
    /// Start of each stretch; it ends where the next begins, the last at `end`.
    starts: Vec<i64>,
    charges: Vec<Charge>,
    /// `sums[i]` is the wall time by charge before stretch `i`.
    sums: Vec<[i64; CHARGES]>,
    end: i64,
    /// `reach[i]` is the latest end of `work[..=i]`.
    reach: Vec<i64>,
}

/// The time lines of a trace, one a device process in order of appearance, and for each device row its exposed time:
/// the part in which nothing of a higher role ran (communication without compute, copies without both). Time that
/// several of one role share is divided between them, so that the sum is wall time.
pub(crate) fn timelines(
    store: &Store,
    classes: &[Classified],
    launch_of: &[u32],
) -> (Vec<(Ident, Timeline)>, Vec<i64>) {
    let d = &store.devices;
    let mut lines: Vec<(Ident, Vec<Work>)> = Vec::new();
    let mut by_pid: HashMap<Ident, usize> = HashMap::new();
    for i in 0..d.len() {
        let pid = store.device_pid(i);
        let role = match (d.kind[i] == KERNEL, &classes[d.name[i] as usize].category) {
            (false, _) => Role::Copy,
            (true, Category::Communication) => Role::Communication,
            (true, _) => Role::Compute,
        };
        let at = *by_pid.entry(pid).or_insert_with(|| {
            lines.push((pid, Vec::new()));
            lines.len() - 1
        });
        lines[at].1.push(Work { start: d.ts[i], end: d.ts[i] + d.dur[i], role, row: i as u32 });
    }
    let waits = waits_before(store);
    let mut exposed = vec![0i64; d.len()];
    let gap = |start: i64, next: &Work| match launch_of.get(next.row as usize) {
        Some(&l) if l != NO_ROW && store.launches.ts[l as usize] >= start => Charge::HostBound,
        Some(&l) if l != NO_ROW && waits[l as usize] => Charge::StreamWait,
        _ => Charge::Idle,
    };
    let lines = lines.into_iter().map(|(pid, work)| (pid, sweep(work, gap, &mut exposed))).collect();
    (lines, exposed)
}

/// Fixed point for shares of a nanosecond, so that dividing time between many loses less than one in all.
const SHARE_BITS: u32 = 20;

/// Nanoseconds of a part in fixed point, rounded.
pub(crate) fn in_ns(part: i128) -> i64 {
    ((part + (1 << (SHARE_BITS - 1))) >> SHARE_BITS) as i64
}

fn sweep(work: Vec<Work>, gap: impl Fn(i64, &Work) -> Charge, exposed: &mut [i64]) -> Timeline {
    let mut latest = i64::MIN;
    let reach = work
        .iter()
        .map(|w| {
            latest = latest.max(w.end);
            latest
        })
        .collect();
    let mut line =
        Timeline { work, starts: Vec::new(), charges: Vec::new(), sums: Vec::new(), end: 0, reach };
    let Some(first) = line.work.first() else { return line };
    let mut at = first.start;
    // Running work by its end, how many of each role, and for each role the time so far that one of it is charged with.
    let mut running: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
    let mut count = [0usize; 3];
    let mut share = [0i128; 3];
    let mut entered = vec![0i128; line.work.len()];
    let mut next = 0;
    let mut sums = [0i64; CHARGES];
    loop {
        while let Some(&Reverse((end, i))) = running.peek()
            && end <= at
        {
            running.pop();
            let w = &line.work[i as usize];
            let role = w.role as usize;
            count[role] -= 1;
            let part = share[role] - entered[i as usize];
            exposed[w.row as usize] = in_ns(part);
        }
        while let Some(w) = line.work.get(next)
            && w.start <= at
        {
            let role = w.role as usize;
            count[role] += 1;
            entered[next] = share[role];
            running.push(Reverse((w.end, next as u32)));
            next += 1;
        }
        let ends = running.peek().map(|r| r.0.0);
        let starts = line.work.get(next).map(|w| w.start);
        let until = match (ends, starts) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) => a,
            (None, Some(b)) => b,
            (None, None) => break,
        };
        let length = until - at;
        let top = count.iter().position(|&n| n > 0);
        let charge = match top {
            Some(0) => Charge::Compute,
            Some(1) => Charge::Communication,
            Some(_) => Charge::Copy,
            None => gap(at, &line.work[next]),
        };
        if let Some(role) = top {
            share[role] += (i128::from(length) << SHARE_BITS) / count[role] as i128;
        }
        if line.charges.last() != Some(&charge) {
            line.starts.push(at);
            line.charges.push(charge);
            line.sums.push(sums);
        }
        sums[charge as usize] += length;
        at = until;
    }
    line.end = at;
    line.sums.push(sums);
    line
}

impl Timeline {
    /// First start and last end.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.work.first().map_or(0, |w| w.start), self.end)
    }

    /// Wall time of `from..to` by [`Charge`]. What lies outside of the line's span is idle, so that the parts always
    /// add to `to - from`.
    pub(crate) fn window(&self, from: i64, to: i64) -> [i64; CHARGES] {
        let (low, high) = (self.before(from), self.before(to));
        let mut out = [0; CHARGES];
        for (o, (h, l)) in out.iter_mut().zip(high.iter().zip(low)) {
            *o = h - l;
        }
        out[Charge::Idle as usize] += (to - from) - out.iter().sum::<i64>();
        out
    }

    /// The work that wall time of `from..to` is charged to, with its part in fixed point ([`in_ns`]): while several of
    /// the highest running role run, each has an equal part. The parts of a role add to [`Self::window`] but for
    /// rounding.
    pub(crate) fn charged(&self, from: i64, to: i64) -> Vec<(Work, i128)> {
        let first = self.reach.partition_point(|&r| r <= from);
        let last = self.work.partition_point(|w| w.start < to);
        let work = self.work.get(first..last).unwrap_or(&[]);
        let mut running: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let mut count = [0usize; 3];
        let mut share = [0i128; 3];
        let mut out: Vec<(Work, i128)> = Vec::new();
        let mut next = 0;
        let mut at = from;
        loop {
            while let Some(&Reverse((end, i))) = running.peek()
                && (end <= at || at >= to)
            {
                running.pop();
                let (w, entered) = &mut out[i];
                count[w.role as usize] -= 1;
                *entered = share[w.role as usize] - *entered;
            }
            if at >= to {
                break;
            }
            while let Some(w) = work.get(next).filter(|w| w.start <= at) {
                if w.end > at {
                    count[w.role as usize] += 1;
                    running.push(Reverse((w.end, out.len())));
                    out.push((*w, share[w.role as usize]));
                }
                next += 1;
            }
            let ends = running.peek().map_or(to, |r| r.0.0);
            let until = work.get(next).map_or(ends, |w| ends.min(w.start)).min(to);
            if let Some(role) = count.iter().position(|&n| n > 0) {
                share[role] += (i128::from(until - at) << SHARE_BITS) / count[role] as i128;
            }
            at = until;
        }
        out
    }

    /// Wall time with anything running.
    pub(crate) fn busy(&self) -> i64 {
        self.sums.last().map_or(0, |s| s[..3].iter().sum())
    }

    /// Wall time by charge from the start of the line to `t`.
    fn before(&self, t: i64) -> [i64; CHARGES] {
        let at = self.starts.partition_point(|&s| s <= t);
        if at == 0 {
            return [0; CHARGES];
        }
        let mut sums = self.sums[at - 1];
        sums[self.charges[at - 1] as usize] += t.min(self.end) - self.starts[at - 1];
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work(events: &[(i64, i64, Role)]) -> Vec<Work> {
        let mut sorted = events.to_vec();
        sorted.sort_by_key(|e| e.0);
        let row = |(row, &(start, length, role)): (usize, &(i64, i64, Role))| Work {
            start,
            end: start + length,
            role,
            row: row as u32,
        };
        sorted.iter().enumerate().map(row).collect()
    }

    fn idle(_: i64, _: &Work) -> Charge {
        Charge::Idle
    }

    #[test]
    fn communication_behind_compute_is_hidden() {
        let mut exposed = vec![0; 3];
        let line = sweep(
            work(&[(0, 10, Role::Compute), (5, 10, Role::Communication), (12, 6, Role::Copy)]),
            idle,
            &mut exposed,
        );
        assert_eq!(exposed, [10, 5, 3]);
        assert_eq!(line.window(0, 20), [10, 5, 3, 0, 0, 2]);
        assert_eq!(line.window(4, 11), [6, 1, 0, 0, 0, 0]);
        assert_eq!(line.busy(), 18);
    }

    proptest! {
        /// Against counting nanosecond by nanosecond.
        #[test]
        fn equals_the_obvious_way(events in proptest::collection::vec((0i64..60, 1i64..40, 0usize..3), 1..12),
                                  from in -5i64..70, length in 0i64..60) {
            let roles = [Role::Compute, Role::Communication, Role::Copy];
            let work = work(&events.iter().map(|&(s, l, r)| (s, l, roles[r])).collect::<Vec<_>>());
            let mut exposed = vec![0; work.len()];
            let line = sweep(work.clone(), idle, &mut exposed);
            let mut want = [0; CHARGES];
            for t in from..from + length {
                let top = roles.iter().position(|r| work.iter().any(|w| w.role == *r && w.start <= t && t < w.end));
                want[top.unwrap_or(Charge::Idle as usize)] += 1;
            }
            prop_assert_eq!(line.window(from, from + length), want);
            // Parts add to the window, and each is what counting divides.
            let mut of_role = [0i64; 3];
            for (w, part) in line.charged(from, from + length) {
                let top = |t: &i64| work.iter().all(|o| o.role as usize >= w.role as usize || *t < o.start || o.end <= *t);
                let runs = |o: &Work, t: i64| o.start <= t && t < o.end;
                let counted: f64 = (from..from + length)
                    .filter(|&t| runs(&w, t) && top(&t))
                    .map(|t| 1.0 / work.iter().filter(|o| o.role == w.role && runs(o, t)).count() as f64)
                    .sum();
                prop_assert!((in_ns(part) as f64 - counted).abs() <= 0.51, "{} {}", part, counted);
                of_role[w.role as usize] += in_ns(part);
            }
            for role in 0..3 {
                prop_assert!((of_role[role] - want[role]).abs() <= work.len() as i64);
            }
            prop_assert!(exposed.iter().zip(&work).all(|(e, w)| *e >= 0 && *e <= w.end - w.start));
            let off = (exposed.iter().sum::<i64>() - line.busy()).abs();
            prop_assert!(off <= work.len() as i64, "shares lose more than rounding: {}", off);
        }
    }
}
