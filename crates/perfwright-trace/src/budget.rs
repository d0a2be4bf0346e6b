//! Where the wall clock of a step goes. Every nanosecond is charged once, so the parts add to the whole.

use serde::Serialize;

use crate::links::NO_ROW;
use crate::steps::{Class, Steps};
use crate::store::{Ident, Store};
use crate::sweep::{Role, Timeline, top_role};

/// The wall clock of the steps of one class, or of the whole trace, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct BudgetRow {
    /// `class`: the device windows of the steps of one class. `trace`: from the first to the last device event.
    pub scope: Scope,
    /// Class of the steps; null for the whole trace.
    pub class: Option<Class>,
    /// Steps counted (1 for the whole trace of one device).
    pub steps: u64,
    /// Sum of the windows.
    pub wall_ns: i64,
    /// At least one compute kernel runs.
    pub compute_ns: i64,
    /// Communication runs and no compute kernel.
    pub exposed_communication_ns: i64,
    /// Only copies or fills run.
    pub copies_ns: i64,
    /// Nothing runs, and the launch of what runs next had not begun: the host is late.
    pub host_bound_ns: i64,
    /// Nothing runs, what runs next was launched already, behind a wait for another stream or event.
    pub stream_wait_ns: i64,
    /// Nothing runs, and neither holds: gaps inside graphs, launch latency, work without a launch record.
    pub idle_ns: i64,
}

/// What a budget row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Steps of one class.
    Class,
    /// The whole trace.
    Trace,
}

impl BudgetRow {
    fn new(scope: Scope, class: Option<Class>) -> Self {
        BudgetRow {
            scope,
            class,
            steps: 0,
            wall_ns: 0,
            compute_ns: 0,
            exposed_communication_ns: 0,
            copies_ns: 0,
            host_bound_ns: 0,
            stream_wait_ns: 0,
            idle_ns: 0,
        }
    }

    /// Adds another row of the same scope and class.
    pub(crate) fn add(&mut self, o: &BudgetRow) {
        self.steps += o.steps;
        self.wall_ns += o.wall_ns;
        self.compute_ns += o.compute_ns;
        self.exposed_communication_ns += o.exposed_communication_ns;
        self.copies_ns += o.copies_ns;
        self.host_bound_ns += o.host_bound_ns;
        self.stream_wait_ns += o.stream_wait_ns;
        self.idle_ns += o.idle_ns;
    }

    /// The parts with their names, in table order; they add to `wall_ns`.
    pub fn parts(&self) -> [(&'static str, i64); 6] {
        [
            ("compute", self.compute_ns),
            ("exposed communication", self.exposed_communication_ns),
            ("copies", self.copies_ns),
            ("host-bound", self.host_bound_ns),
            ("stream wait", self.stream_wait_ns),
            ("idle", self.idle_ns),
        ]
    }
}

/// The budgets of a trace: a row a class in class order, then the whole trace.
pub(crate) fn budget(
    store: &Store,
    lines: &[(Ident, Timeline)],
    steps: &Steps,
    launch_of: &[u32],
) -> Vec<BudgetRow> {
    let waits = waits_before(store);
    let mut rows: Vec<BudgetRow> = Vec::new();
    for class in Class::ALL {
        let mut row = BudgetRow::new(Scope::Class, Some(class));
        for step in steps.list.iter().filter(|s| s.class == class) {
            if let Some((_, line)) = lines.iter().find(|l| l.0 == step.pid) {
                row.add(&window(store, line, step.start, step.end, launch_of, &waits));
            }
        }
        if row.steps > 0 {
            rows.push(row);
        }
    }
    let mut whole = BudgetRow::new(Scope::Trace, None);
    for (_, line) in lines {
        let (from, to) = line.span();
        whole.add(&window(store, line, from, to, launch_of, &waits));
    }
    if whole.steps > 0 {
        rows.push(whole);
    }
    rows
}

fn window(
    store: &Store,
    line: &Timeline,
    from: i64,
    to: i64,
    launch_of: &[u32],
    waits: &[bool],
) -> BudgetRow {
    let mut row = BudgetRow::new(Scope::Class, None);
    row.steps = 1;
    row.wall_ns = to - from;
    line.stretches(from, to, |start, end, running| {
        let length = end - start;
        match top_role(running) {
            Some(Role::Compute) => row.compute_ns += length,
            Some(Role::Communication) => row.exposed_communication_ns += length,
            Some(Role::Copy) => row.copies_ns += length,
            None => match gap_cause(store, line, (start, end), launch_of, waits) {
                Gap::HostBound => row.host_bound_ns += length,
                Gap::StreamWait => row.stream_wait_ns += length,
                Gap::Idle => row.idle_ns += length,
            },
        }
    });
    row
}

/// Why nothing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    HostBound,
    StreamWait,
    Idle,
}

/// The cause of the gap `start..end` of a time line, told by what runs next.
pub(crate) fn gap_cause(
    store: &Store,
    line: &Timeline,
    (start, end): (i64, i64),
    launch_of: &[u32],
    waits: &[bool],
) -> Gap {
    let launch = line.next_from(end).filter(|w| w.start == end).map(|w| launch_of[w.row as usize]);
    match launch.filter(|&l| l != NO_ROW).map(|l| l as usize) {
        Some(l) if store.launches.ts[l] >= start => Gap::HostBound,
        Some(l) if waits[l] => Gap::StreamWait,
        _ => Gap::Idle,
    }
}

/// For each runtime call: its thread made a stream wait for an event since the launch before.
pub(crate) fn waits_before(store: &Store) -> Vec<bool> {
    let l = &store.launches;
    let mut out = vec![false; l.len()];
    let mut pending = false;
    for (i, waited) in out.iter_mut().enumerate() {
        if i > 0 && l.lane[i] != l.lane[i - 1] {
            pending = false;
        }
        let api = store.strings.bytes(l.name[i]);
        let has = |word: &[u8]| memchr::memmem::find(api, word).is_some();
        if has(b"StreamWaitEvent") {
            pending = true;
        } else if has(b"Launch") || has(b"emcpy") || has(b"emset") {
            *waited = pending;
            pending = false;
        }
    }
    out
}
