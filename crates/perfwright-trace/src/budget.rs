//! Where the wall clock of a step goes. Every nanosecond is charged once, so the parts add to the whole.

use hashbrown::HashMap;
use serde::Serialize;

use crate::steps::{Class, Steps};
use crate::store::Ident;
use crate::sweep::Timeline;

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

    /// Adds one window.
    fn charge(&mut self, line: &Timeline, from: i64, to: i64) {
        let [compute, communication, copies, host_bound, stream_wait, idle] = line.window(from, to);
        self.steps += 1;
        self.wall_ns += to - from;
        self.compute_ns += compute;
        self.exposed_communication_ns += communication;
        self.copies_ns += copies;
        self.host_bound_ns += host_bound;
        self.stream_wait_ns += stream_wait;
        self.idle_ns += idle;
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
pub(crate) fn budget(lines: &[(Ident, Timeline)], steps: &Steps) -> Vec<BudgetRow> {
    let by_pid: HashMap<Ident, &Timeline> = lines.iter().map(|(pid, line)| (*pid, line)).collect();
    let mut rows: Vec<BudgetRow> = Vec::new();
    for class in Class::ALL {
        let mut row = BudgetRow::new(Scope::Class, Some(class));
        for step in steps.list.iter().filter(|s| s.class == class) {
            if let Some(line) = by_pid.get(&step.pid) {
                row.charge(line, step.start, step.end);
            }
        }
        if row.steps > 0 {
            rows.push(row);
        }
    }
    let mut whole = BudgetRow::new(Scope::Trace, None);
    for (_, line) in lines {
        let (from, to) = line.span();
        whole.charge(line, from, to);
    }
    if whole.steps > 0 {
        rows.push(whole);
    }
    rows
}
