//! Sums over the kernels of one pass, folded into the truth at its end.

use std::collections::BTreeMap;

use super::options::Class;
use super::plan::{Launch, PATTERNS};
use super::sites::as_source;
use super::truth::{KernelTruth, Total, Truth};

/// What a reader can learn about where a kernel comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin<'t> {
    /// Launched below this frame.
    Frame(&'t str),
    /// Part of a replayed graph; only the capture trace tells.
    Graph,
    /// Nothing on the host records the launch.
    Unlinked,
}

/// Kernel times of one pass by name and origin.
#[derive(Debug, Default)]
pub struct Tally<'t> {
    kernels: BTreeMap<(&'static str, Origin<'t>), (Total, &'static str)>,
    patterns: [Total; PATTERNS.len()],
}

impl<'t> Tally<'t> {
    /// Adds one kernel.
    pub fn add(&mut self, l: &Launch, dur: i64, origin: Origin<'t>) {
        let k = l.kernel;
        self.kernels.entry((k.name, origin)).or_insert((Total::default(), k.category)).0.add(dur);
        for (at, total) in self.patterns.iter_mut().enumerate() {
            if l.marks >> at & 1 == 1 {
                total.add(dur);
            }
        }
    }

    /// Moves the sums into the truth.
    pub fn fold(&mut self, class: Class, truth: &mut Truth) {
        for ((name, origin), (total, category)) in std::mem::take(&mut self.kernels) {
            let row = truth.kernels.entry(name).or_insert_with(|| KernelTruth {
                category,
                by_class: BTreeMap::new(),
                sources: BTreeMap::new(),
                in_graph: Total::default(),
                unlinked: Total::default(),
            });
            row.by_class.entry(class).or_default().merge(total);
            match origin {
                Origin::Frame(frame) => row.sources.entry(as_source(frame)).or_default().merge(total),
                Origin::Graph => row.in_graph.merge(total),
                Origin::Unlinked => row.unlinked.merge(total),
            }
        }
        for (at, total) in std::mem::take(&mut self.patterns).into_iter().enumerate() {
            if total.count > 0 {
                truth.patterns.entry((at, class)).or_default().merge(total);
            }
        }
    }
}
