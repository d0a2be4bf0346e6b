//! Sums over the kernels of one pass, folded into the truth at its end.

use std::collections::BTreeMap;

use super::options::Class;
use super::plan::{Launch, PATTERNS};
use super::sites::as_source;
use super::truth::{KernelTruth, Total, Truth};

/// Kernel times of one pass by name and launching frame.
#[derive(Debug, Default)]
pub struct Tally<'t> {
    eager: BTreeMap<(&'static str, &'t str), (Total, &'static str)>,
    in_graph: BTreeMap<&'static str, (Total, &'static str)>,
    patterns: [Total; PATTERNS.len()],
}

impl<'t> Tally<'t> {
    /// Adds one kernel.
    pub fn add(&mut self, l: &'t Launch, dur: i64, in_graph: bool) {
        let k = l.kernel;
        let fresh = (Total::default(), k.category);
        if in_graph {
            self.in_graph.entry(k.name).or_insert(fresh).0.add(dur);
        } else {
            self.eager.entry((k.name, l.source_frame.as_str())).or_insert(fresh).0.add(dur);
        }
        for (at, total) in self.patterns.iter_mut().enumerate() {
            if l.marks >> at & 1 == 1 {
                total.add(dur);
            }
        }
    }

    /// Moves the sums into the truth.
    pub fn fold(&mut self, class: Class, truth: &mut Truth) {
        let eager = std::mem::take(&mut self.eager).into_iter();
        let eager = eager.map(|((name, frame), sum)| (name, sum, Some(as_source(frame))));
        let graph = std::mem::take(&mut self.in_graph).into_iter().map(|(name, sum)| (name, sum, None));
        for (name, (total, category), source) in eager.chain(graph) {
            let row = truth.kernels.entry(name).or_insert_with(|| KernelTruth {
                category,
                by_class: BTreeMap::new(),
                sources: BTreeMap::new(),
                in_graph: Total::default(),
            });
            row.by_class.entry(class).or_default().merge(total);
            match source {
                Some(source) => row.sources.entry(source).or_default().merge(total),
                None => row.in_graph.merge(total),
            }
        }
        for (at, total) in std::mem::take(&mut self.patterns).into_iter().enumerate() {
            if total.count > 0 {
                truth.patterns.entry((at, class)).or_default().merge(total);
            }
        }
    }
}
