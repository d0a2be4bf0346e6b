//! Communication and copies that the device waits for, and how much of that could be hidden at most.

use hashbrown::HashMap;
use serde::Serialize;

use crate::steps::{Class, NO_STEP, Steps};
use crate::store::{Ident, KERNEL, Store};
use crate::sweep::{Charge, Role, Timeline};

/// How sure it is that the compute beside some communication needs its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Compute follows on another stream without waiting for it.
    Low,
    /// Neither order nor waiting shows.
    Unclear,
    /// Compute starts as soon as it ends: by all signs it needs the result.
    High,
}

/// One kind of communication or copy in one class.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct OverlapRow {
    /// Class of the steps.
    pub class: Class,
    /// Kernel, as in the kernel table.
    pub kernel: String,
    /// `communication` or `memory`.
    pub category: String,
    /// Launches.
    pub launches: u64,
    /// Summed duration.
    pub total_ns: i64,
    /// Time in which no compute ran (for copies: no communication either).
    pub exposed_ns: i64,
    /// Time behind compute.
    pub hidden_ns: i64,
    /// `exposed_ns` of the class's device time.
    pub share: f64,
    /// Mean exposed time a step.
    pub exposed_per_step_ns: i64,
    /// Mean compute time a step that is neither right before nor right after it: what it could hide behind.
    pub independent_per_step_ns: i64,
    /// Upper bound of the gain a step: the smaller of the two.
    pub bound_per_step_ns: i64,
    /// Whether the compute around it depends on it.
    pub risk: Risk,
    /// Compute kernel most often right before it.
    pub after: Option<String>,
    /// Compute kernel most often right after it.
    pub before: Option<String>,
    /// What to make of it.
    pub action: Action,
}

/// What to make of exposed communication or copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Compute on another stream does not wait for it.
    Overlap,
    /// What needs its result does not show.
    Check,
    /// The next kernel waits for it.
    FuseOrSplit,
    /// The steps hold nothing to hide it behind.
    NothingToHideBehind,
    /// Hidden already, or too small to matter.
    None,
}

impl Action {
    /// Every action, the promising first.
    pub const ALL: [Action; 5] =
        [Action::Overlap, Action::Check, Action::FuseOrSplit, Action::NothingToHideBehind, Action::None];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Overlap => "overlap",
            Action::Check => "check",
            Action::FuseOrSplit => "fuse or split",
            Action::NothingToHideBehind => "nothing to hide behind",
            Action::None => "none",
        }
    }

    /// The advice in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Action::Overlap => "exposed, and compute on another stream does not wait for it: overlap them",
            Action::Check => "exposed; check what needs its result before overlapping",
            Action::FuseOrSplit => {
                "exposed, and the next kernel waits for it: fuse it with a neighbour or split the batch, do not just move it"
            }
            Action::NothingToHideBehind => "exposed, but the steps hold no other compute to hide it behind",
            Action::None => "hidden already, or below 1 % of the class",
        }
    }
}

/// Shortest and longest gap (ns) that counts as "right after", and the share of the duration between them: the
/// window which the tool in use calls tight.
const TIGHT: (i64, i64) = (2_000, 20_000);

#[derive(Default)]
struct Sum {
    launches: u64,
    total: i64,
    exposed: i64,
    independent: i64,
    risk: [i64; 3],
    after: HashMap<u32, i64>,
    before: HashMap<u32, i64>,
    steps: HashMap<u32, (i64, i64)>,
    /// Device rows of the compute before and after the row that was added last.
    last: (Option<u32>, Option<u32>),
    memory: bool,
}

/// The overlap rows of a trace, largest upper bound first. `label` gives the table name of a raw kernel name.
pub(crate) fn overlap(
    store: &Store,
    lines: &[(Ident, Timeline)],
    steps: &Steps,
    exposed: &[i64],
    class_of: impl Fn(usize) -> Class,
    class_ns: &HashMap<Class, i64>,
    label: impl Fn(u32) -> String,
) -> Vec<OverlapRow> {
    let d = &store.devices;
    let mut sums: HashMap<(Class, String), Sum> = HashMap::new();
    let mut labels: HashMap<u32, String> = HashMap::new();
    let compute = compute_per_step(lines, steps);
    for (_, line) in lines {
        let neighbours = Neighbours::new(line);
        for (at, w) in line.work.iter().enumerate() {
            if w.role == Role::Compute {
                continue;
            }
            let row = w.row as usize;
            let class = class_of(row);
            let name = labels.entry(d.name[row]).or_insert_with(|| label(d.name[row])).clone();
            let sum = sums.entry((class, name)).or_default();
            let length = w.end - w.start;
            let out = exposed[row];
            sum.memory = d.kind[row] != KERNEL;
            sum.launches += 1;
            sum.total += length;
            sum.exposed += out;
            let (prev, next) = neighbours.around(line, at);
            let step = steps.of_device[row];
            // A kernel between two rows of one kind is next to both, and counts once.
            let mut near = 0;
            let mut beside = |at: usize, counted: [Option<u32>; 2]| {
                let w = &line.work[at];
                if steps.of_device[w.row as usize] == step && !counted.contains(&Some(w.row)) {
                    near += w.end - w.start;
                }
                Some(w.row)
            };
            if let Some(p) = prev {
                *sum.after.entry(d.name[line.work[p].row as usize]).or_default() += length;
                sum.last.0 = beside(p, [sum.last.0, sum.last.1]);
            }
            let mut risk = Risk::Unclear;
            if let Some(n) = next {
                let follow = &line.work[n];
                *sum.before.entry(d.name[follow.row as usize]).or_default() += length;
                sum.last.1 = beside(n, [sum.last.0, sum.last.1]);
                let tight = (length * 15 / 100).clamp(TIGHT.0, TIGHT.1);
                let other = d.stream[follow.row as usize] != d.stream[row];
                risk = match follow.start - w.end {
                    gap if gap < 0 && other => Risk::Low,
                    gap if gap <= tight => Risk::High,
                    _ => Risk::Unclear,
                };
            }
            sum.risk[risk as usize] += out.max(1);
            let slot = sum.steps.entry(step).or_default();
            slot.0 += out;
            slot.1 += near;
        }
    }
    let mut rows: Vec<OverlapRow> = sums
        .into_iter()
        .map(|((class, kernel), mut s)| {
            let n = (s.steps.len() as i64).max(1);
            for (step, (_, near)) in &s.steps {
                s.independent += (compute.get(step).copied().unwrap_or(0) - near).max(0);
            }
            let (exposed_step, independent_step) = (s.exposed / n, s.independent / n);
            let risk = if s.risk[2] > 0 && s.risk[2] >= s.risk[1].max(s.risk[0]) {
                Risk::High
            } else if s.risk[0] > s.risk[1] {
                Risk::Low
            } else {
                Risk::Unclear
            };
            let most = |m: &HashMap<u32, i64>| {
                m.iter().max_by_key(|(k, v)| (**v, std::cmp::Reverse(**k))).map(|(k, _)| label(*k))
            };
            let share = ratio(s.exposed, class_ns.get(&class).copied().unwrap_or(0));
            let bound = exposed_step.min(independent_step);
            OverlapRow {
                class,
                category: if s.memory { "memory" } else { "communication" }.to_owned(),
                launches: s.launches,
                total_ns: s.total,
                exposed_ns: s.exposed,
                hidden_ns: s.total - s.exposed,
                share,
                exposed_per_step_ns: exposed_step,
                independent_per_step_ns: independent_step,
                bound_per_step_ns: bound,
                risk,
                after: most(&s.after),
                before: most(&s.before),
                action: action(&s, bound, risk, share),
                kernel,
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        let key = |r: &OverlapRow| (std::cmp::Reverse(r.exposed_ns), r.class);
        key(a).cmp(&key(b)).then_with(|| a.kernel.cmp(&b.kernel))
    });
    rows
}

fn action(s: &Sum, bound: i64, risk: Risk, share: f64) -> Action {
    match risk {
        _ if s.exposed * 20 <= s.total || share < 0.01 => Action::None,
        _ if bound == 0 => Action::NothingToHideBehind,
        Risk::Low => Action::Overlap,
        Risk::Unclear => Action::Check,
        Risk::High => Action::FuseOrSplit,
    }
}

/// Compute wall time of each step; that outside of steps is the time of [`NO_STEP`].
fn compute_per_step(lines: &[(Ident, Timeline)], steps: &Steps) -> HashMap<u32, i64> {
    let by_pid: HashMap<Ident, &Timeline> = lines.iter().map(|(pid, line)| (*pid, line)).collect();
    let compute = |line: &Timeline, from: i64, to: i64| line.window(from, to)[Charge::Compute as usize];
    let mut rest: i64 = lines.iter().map(|(_, line)| compute(line, line.span().0, line.span().1)).sum();
    let mut out = HashMap::new();
    for (i, step) in steps.list.iter().enumerate() {
        let Some(line) = by_pid.get(&step.pid) else { continue };
        let inside = compute(line, step.start, step.end);
        rest -= inside;
        out.insert(i as u32, inside);
    }
    out.insert(NO_STEP, rest.max(0));
    out
}

/// The nearest compute before and after each place of a time line.
struct Neighbours {
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Neighbours {
    fn new(line: &Timeline) -> Self {
        let n = line.work.len();
        let (mut before, mut after) = (vec![u32::MAX; n], vec![u32::MAX; n]);
        let mut last = u32::MAX;
        for (i, w) in line.work.iter().enumerate() {
            before[i] = last;
            if w.role == Role::Compute {
                last = i as u32;
            }
        }
        last = u32::MAX;
        for (i, w) in line.work.iter().enumerate().rev() {
            after[i] = last;
            if w.role == Role::Compute {
                last = i as u32;
            }
        }
        Neighbours { before, after }
    }

    fn around(&self, line: &Timeline, at: usize) -> (Option<usize>, Option<usize>) {
        let of = |v: u32| Some(v as usize).filter(|&i| i < line.work.len());
        (of(self.before[at]), of(self.after[at]))
    }
}

pub(crate) fn ratio(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
