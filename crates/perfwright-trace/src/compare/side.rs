//! One trace as a list of passes: what ran in each, and where its wall clock went.

use hashbrown::HashMap;

use crate::attribution::{Attribution, NO_TEXT, attribute};
use crate::describe::describe;
use crate::input::Loaded;
use crate::names::Category;
use crate::part::{Labels, Prepared, input, label_names, prepare};
use crate::pipeline::{NOWHERE, positions};
use crate::report::{Input, Role as InputRole};
use crate::steps::{Class, NO_STEP, Source, Steps};
use crate::store::{Ident, Store};
use crate::sweep::{Role, Timeline, in_ns, timelines};
use crate::triage::Catalogs;

/// Number of a kernel name, the same on both sides.
pub(super) type KernelId = u32;

/// The kernel names of both sides.
#[derive(Default)]
pub(super) struct Names {
    labels: Labels,
    by_label: HashMap<String, KernelId>,
    pub(super) list: Vec<Name>,
}

/// A kernel name.
pub(super) struct Name {
    pub(super) label: String,
    pub(super) category: String,
}

impl Names {
    fn id(&mut self, label: &str, category: &Category) -> KernelId {
        let category = category.as_str();
        if let Some(&id) = self.by_label.get(label) {
            // The operator may tell on one side what the name alone does not.
            let known = &mut self.list[id as usize].category;
            if known == "unknown" {
                category.clone_into(known);
            }
            return id;
        }
        let id = self.list.len() as KernelId;
        self.list.push(Name { label: label.to_owned(), category: category.to_owned() });
        self.by_label.insert(label.to_owned(), id);
        id
    }
}

/// A part of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    Compute,
    Communication,
    Copies,
    HostBound,
    StreamWait,
    Idle,
}

/// Wall time by part, and for the first three by the kernel that ran.
pub(super) type Wall = HashMap<(Part, KernelId), i64>;

/// Kernel number in [`Wall`] where nothing runs.
pub(super) const NOTHING: KernelId = KernelId::MAX;

/// One pass (or extent, or whole trace) on one device.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) class: Class,
    pub(super) by: Option<Source>,
    pub(super) label: Option<String>,
    pub(super) rank: Option<u32>,
    pub(super) start: i64,
    pub(super) wall_ns: i64,
    pub(super) batch: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) context: Option<u64>,
    /// Layers it runs through; 0 where they are not known.
    pub(super) layers: u32,
    /// Kernel, duration and position of each piece of device work, in start order.
    pub(super) launches: Vec<(KernelId, i64, u32)>,
    /// Parts of the wall clock; they add to `wall_ns`.
    pub(super) wall: Wall,
}

/// Who launched a kernel in a class: Python file and function, and operator, of most of its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) source: Option<String>,
    pub(super) op: Option<String>,
}

/// One side of the comparison: a trace, or a folder of them.
#[derive(Default)]
pub(super) struct Side {
    pub(super) inputs: Vec<Input>,
    /// Engine passes and extents.
    pub(super) passes: Vec<Pass>,
    /// Each device's whole trace as one pass.
    pub(super) whole: Vec<Pass>,
    pub(super) callers: HashMap<(Class, KernelId), Caller>,
    /// Device time outside of every pass, ns.
    pub(super) outside_ns: i64,
}

impl Side {
    /// Adds a trace.
    pub(super) fn add(&mut self, loaded: &Loaded, catalogs: &Catalogs, names: &mut Names) {
        let store = &loaded.store;
        let Prepared { mut meanings, host, steps } = prepare(loaded, catalogs);
        let attribution = attribute(store, &host, &steps, None, None);
        meanings.refine(store, &attribution, catalogs);
        let (lines, _) = timelines(store, &meanings.classified, &host.launch_of);
        let about = describe(store, &loaded.path);
        let mut ids = vec![0; store.strings.len()];
        let mut labelled: Vec<_> = label_names(store, &meanings, &mut names.labels).into_iter().collect();
        labelled.sort_by(|a, b| a.1.cmp(&b.1));
        for (name, label) in labelled {
            ids[name as usize] = names.id(&label, &meanings.classified[name as usize].category);
        }
        let at = positions(store, &steps, &meanings, &attribution);
        let scene = Scene { store, ids: &ids };
        let first = self.passes.len();
        for (s, &layers) in steps.list.iter().zip(&at.layers) {
            let line = lines.iter().find(|l| l.0 == s.pid).map(|l| &l.1);
            self.passes.push(Pass {
                class: s.class,
                by: Some(s.by),
                label: s.name.map(|n| store.strings.text(n).into_owned()),
                rank: about.rank,
                start: s.start,
                wall_ns: s.end - s.start,
                batch: s.batch,
                tokens: s.tokens,
                context: s.context,
                layers,
                launches: Vec::new(),
                wall: line.map(|l| scene.wall(l, s.start, s.end)).unwrap_or_default(),
            });
        }
        let d = &store.devices;
        for (i, &step) in steps.of_device.iter().enumerate() {
            if step == NO_STEP {
                self.outside_ns += d.dur[i];
            } else {
                self.passes[first + step as usize].launches.push((
                    ids[d.name[i] as usize],
                    d.dur[i],
                    at.of_device[i],
                ));
            }
        }
        self.whole.extend(lines.iter().map(|(pid, line)| scene.whole(*pid, line, about.rank)));
        for (key, caller) in callers(store, &attribution, &steps, &ids) {
            self.callers.entry(key).or_insert(caller);
        }
        self.inputs.push(input(loaded, &about, &lines, InputRole::Trace));
    }
}

/// What measuring a stretch of a time line needs.
struct Scene<'a> {
    store: &'a Store,
    ids: &'a [KernelId],
}

impl Scene<'_> {
    /// Every nanosecond of `from..to` once: to the work of the highest role that runs (shared between several of
    /// it), or to the reason why nothing runs.
    fn wall(&self, line: &Timeline, from: i64, to: i64) -> Wall {
        let mut wall = Wall::new();
        let mut parts: HashMap<(Part, KernelId), i128> = HashMap::new();
        for (work, share) in line.charged(from, to) {
            let part = match work.role {
                Role::Compute => Part::Compute,
                Role::Communication => Part::Communication,
                Role::Copy => Part::Copies,
            };
            let kernel = self.ids[self.store.devices.name[work.row as usize] as usize];
            *parts.entry((part, kernel)).or_default() += share;
        }
        let [compute, communication, copies, host_bound, stream_wait, idle] = line.window(from, to);
        for (part, ns) in [(Part::HostBound, host_bound), (Part::StreamWait, stream_wait), (Part::Idle, idle)]
        {
            if ns > 0 {
                wall.insert((part, NOTHING), ns);
            }
        }
        for (part, total) in
            [(Part::Compute, compute), (Part::Communication, communication), (Part::Copies, copies)]
        {
            let mut list: Vec<(KernelId, i64)> =
                parts.iter().filter(|p| p.0.0 == part).map(|(key, share)| (key.1, in_ns(*share))).collect();
            list.sort_unstable_by_key(|&(kernel, ns)| (std::cmp::Reverse(ns), kernel));
            // What rounding leaves is the largest one's, so that the parts add to the wall time.
            let rest = total - list.iter().map(|p| p.1).sum::<i64>();
            for (i, (kernel, ns)) in list.into_iter().enumerate() {
                let ns = if i == 0 { ns + rest } else { ns };
                if ns != 0 {
                    wall.insert((part, kernel), ns);
                }
            }
        }
        wall
    }

    fn whole(&self, pid: Ident, line: &Timeline, rank: Option<u32>) -> Pass {
        let (from, to) = line.span();
        let d = &self.store.devices;
        Pass {
            class: Class::Unknown,
            by: None,
            label: Some(format!("whole trace of device {}", self.store.ident_text(pid))),
            rank,
            start: from,
            wall_ns: to - from,
            batch: None,
            tokens: None,
            context: None,
            layers: 0,
            launches: line
                .work
                .iter()
                .map(|w| (self.ids[d.name[w.row as usize] as usize], d.dur[w.row as usize], NOWHERE))
                .collect(),
            wall: self.wall(line, from, to),
        }
    }
}

fn callers(
    store: &Store,
    attribution: &Attribution,
    steps: &Steps,
    ids: &[KernelId],
) -> HashMap<(Class, KernelId), Caller> {
    let d = &store.devices;
    let mut time: HashMap<(Class, KernelId, u32, u32), i64> = HashMap::new();
    for (i, f) in attribution.found.iter().enumerate() {
        if f.source == NO_TEXT && f.op == NO_TEXT {
            continue;
        }
        let class = steps.list.get(steps.of_device[i] as usize).map_or(Class::Unknown, |s| s.class);
        *time.entry((class, ids[d.name[i] as usize], f.source, f.op)).or_default() += d.dur[i];
    }
    let mut most: HashMap<(Class, KernelId), (i64, u32, u32)> = HashMap::new();
    for ((class, kernel, source, op), ns) in time {
        let entry = most.entry((class, kernel)).or_insert((ns, source, op));
        // Between equal times the earlier text: the answer depends on nothing but the trace.
        if (ns, std::cmp::Reverse((source, op))) > (entry.0, std::cmp::Reverse((entry.1, entry.2))) {
            *entry = (ns, source, op);
        }
    }
    let text = |at: u32| attribution.texts.get(at as usize).cloned();
    most.into_iter()
        .map(|(key, (_, source, op))| {
            (key, Caller { source: text(source).map(|s| without_line(&s)), op: text(op) })
        })
        .collect()
}

/// `path:131 apply` as `path apply`: lines move between versions, functions stay.
fn without_line(source: &str) -> String {
    let Some((path, rest)) = source.rsplit_once(':') else { return source.to_owned() };
    let function = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{path}{function}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_left_out_of_callers() {
        assert_eq!(without_line("a/b.py:131 apply"), "a/b.py apply");
        assert_eq!(without_line("no line"), "no line");
    }
}
