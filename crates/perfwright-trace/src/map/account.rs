//! Time, FLOPs and bytes of each operator, added up over blocks and passes of a class.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use perfwright_model::format::Format;
use perfwright_model::hardware::Gpu;
use perfwright_model::ops::{Category, Op};
use perfwright_model::roofline::{self, Bound};

use super::recorded::Leaf;
use super::report::{Basis, Figures, Gemm, OperatorRow, Precision, UnmappedRow};
use crate::intern::StrId;
use crate::overlap::ratio;
use crate::steps::Class;

/// Kernels and source lines that a row names.
const NAMED: usize = 3;

/// Microseconds that the GPU needs at least.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Need {
    pub(super) compute: f64,
    pub(super) memory: f64,
    /// Of the memory's time that for the weights of dense products. Keys that requests share, and experts that few
    /// tokens choose, may move fewer bytes than the model counts; these do not.
    pub(super) cold: f64,
    pub(super) link: f64,
    pub(super) roof: f64,
}

impl Need {
    pub(super) fn add(&mut self, o: Need) {
        self.compute += o.compute;
        self.memory += o.memory;
        self.cold += o.cold;
        self.link += o.link;
        self.roof += o.roof;
    }

    fn bound(&self) -> Bound {
        let all = [(self.compute, Bound::Compute), (self.link, Bound::Communication)];
        all.into_iter().fold((self.memory, Bound::Memory), |best, x| if x.0 > best.0 { x } else { best }).1
    }
}

/// The work of one group of operators in one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) flops: u128,
    pub(super) bytes: u128,
    pub(super) need: Need,
    pub(super) basis: Basis,
}

/// The operator that stands for a group: the one with most FLOPs, then most bytes.
pub(super) fn main<'a>(ops: &[&'a Op]) -> Option<&'a Op> {
    ops.iter().copied().max_by_key(|op| (op.flops, op.bytes))
}

/// The work of operators by the model.
pub(super) fn modelled(ops: &[&Op], basis: Basis, gpu: &Gpu) -> Work {
    let mut out = Work { flops: 0, bytes: 0, need: Need::default(), basis };
    let mut need = Need::default();
    for op in ops {
        let time = roofline::time(op, gpu, 0.0);
        let dense = op.category == Category::Gemm;
        let cold = if dense { op.weight_bytes as f64 / gpu.bandwidth.value as f64 * 1e6 } else { 0.0 };
        out.flops += op.flops;
        out.bytes += op.bytes;
        need.add(Need {
            compute: time.compute_us,
            memory: time.memory_us,
            cold,
            link: time.communication_us,
            roof: 0.0,
        });
    }
    need.roof = need.compute.max(need.memory).max(need.link);
    out.need = need;
    out
}

/// The work of recorded products of an operator.
pub(super) fn recorded(op: &Op, leaves: &[Leaf], act: u64, gpu: &Gpu) -> Work {
    let mul = |sizes: &[u64]| sizes.iter().fold(1u128, |all, &x| all.saturating_mul(x.into()));
    let (mut flops, mut weights, mut moved) = (0u128, 0u128, 0u128);
    for Leaf { product: p, .. } in leaves {
        flops = flops.saturating_add(p.flops());
        weights = weights.saturating_add(mul(&[p.batch, p.n, p.k]));
        moved = moved.saturating_add(mul(&[p.batch, p.m, p.k])).saturating_add(mul(&[p.batch, p.m, p.n]));
    }
    let moved = moved.saturating_mul(act.into());
    // The second factor of attention's products is keys or values, not a weight.
    let weights = match (op.category, Format::named(&op.format)) {
        (Category::Gemm | Category::Moe, Some(format)) => format.bytes(weights),
        _ => weights.saturating_mul(act.into()),
    };
    let us = |amount: u128, per_second: f64| amount as f64 / per_second * 1e6;
    let bandwidth = gpu.bandwidth.value as f64;
    let bytes = weights.saturating_add(moved);
    let (compute, memory) = (us(flops, gpu.flops(op.compute)), us(bytes, bandwidth));
    let cold = if op.category == Category::Gemm { us(weights, bandwidth) } else { 0.0 };
    let need = Need { compute, memory, cold, link: 0.0, roof: compute.max(memory) };
    Work { flops, bytes, need, basis: Basis::RecordedShapes }
}

/// One row in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    pub(super) kernels: u64,
    pub(super) ns: i64,
    pub(super) layers: u64,
    pub(super) unknown: u64,
    pub(super) flops: u128,
    pub(super) bytes: u128,
    pub(super) need: Need,
    pub(super) basis: Option<Basis>,
    pub(super) shape: Option<[u64; 3]>,
    /// Time by the precision that kernels prove.
    pub(super) precisions: BTreeMap<Precision, i64>,
    names: HashMap<StrId, i64>,
    lines: HashMap<u32, i64>,
    symbols: BTreeMap<String, i64>,
    sources: BTreeMap<String, i64>,
}

impl Sum {
    pub(super) fn kernel(&mut self, name: StrId, ns: i64, line: u32) {
        self.kernels += 1;
        self.ns += ns;
        *self.names.entry(name).or_default() += ns;
        *self.lines.entry(line).or_default() += ns;
    }

    pub(super) fn work(&mut self, work: Option<Work>) {
        self.layers += 1;
        let Some(work) = work else {
            self.unknown += 1;
            return;
        };
        self.flops = self.flops.saturating_add(work.flops);
        self.bytes = self.bytes.saturating_add(work.bytes);
        self.need.add(work.need);
        self.basis = Some(match self.basis {
            None => work.basis,
            Some(basis) if basis == work.basis => basis,
            Some(_) => Basis::Mixed,
        });
    }

    /// Turns the numbers of one trace's names into texts.
    fn settle(&mut self, labels: &HashMap<StrId, String>, texts: &[String]) {
        for (name, ns) in self.names.drain() {
            *self.symbols.entry(labels.get(&name).cloned().unwrap_or_default()).or_default() += ns;
        }
        for (line, ns) in self.lines.drain() {
            if let Some(text) = texts.get(line as usize) {
                *self.sources.entry(text.clone()).or_default() += ns;
            }
        }
    }

    pub(super) fn top_symbols(&self) -> Vec<String> {
        most(&self.symbols, NAMED)
    }

    pub(super) fn known(&self) -> bool {
        self.unknown == 0 && self.basis.is_some()
    }

    fn basis(&self) -> Basis {
        match self.basis {
            Some(basis) if self.unknown == 0 => basis,
            _ => Basis::Unknown,
        }
    }

    pub(super) fn figures(&self, passes: u64) -> Figures {
        if !self.known() {
            return EMPTY;
        }
        figures(self.flops, self.bytes, &self.need, self.ns, passes)
    }
}

fn most(list: &BTreeMap<String, i64>, count: usize) -> Vec<String> {
    let mut all: Vec<(&String, &i64)> = list.iter().collect();
    all.sort_by_key(|(name, ns)| (std::cmp::Reverse(**ns), *name));
    all.into_iter().take(count).map(|(name, _)| name.clone()).collect()
}

const EMPTY: Figures = Figures {
    flops: None,
    bytes: None,
    tflops: None,
    gb_per_s: None,
    roofline_us: None,
    bound: None,
    mfu: None,
    mbu: None,
};

/// Figures a pass of work that took `ns` over `passes` passes.
pub(super) fn figures(flops: u128, bytes: u128, need: &Need, ns: i64, passes: u64) -> Figures {
    let (us, n) = (ns as f64 / 1e3, passes.max(1));
    let share = |need: f64| roofline::utilization(need, 1e6, us).ok().filter(|_| need > 0.0);
    Figures {
        flops: Some(flops / u128::from(n)),
        bytes: Some(bytes / u128::from(n)),
        tflops: (flops > 0 && us > 0.0).then(|| flops as f64 / us / 1e6),
        gb_per_s: (bytes > 0 && us > 0.0).then(|| bytes as f64 / us / 1e3),
        roofline_us: Some(need.roof / n as f64),
        bound: (need.roof > 0.0).then(|| need.bound()),
        mfu: share(need.compute),
        mbu: share(need.memory),
    }
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) class: Class,
    pub(super) part: String,
    pub(super) name: String,
}

/// Everything of the passes of one class.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassSum {
    pub(super) passes: u64,
    pub(super) partial: u64,
    pub(super) device_ns: i64,
    pub(super) gemm: Gemm,
    pub(super) gemm_known: bool,
}

/// All rows in the making.
#[derive(Default)]
pub(super) struct Account {
    pub(super) classes: BTreeMap<Class, ClassSum>,
    pub(super) rows: Vec<(Key, Op, Sum)>,
    by_key: HashMap<Key, usize>,
    pub(super) unmapped: BTreeMap<(Class, String), Sum>,
}

impl Account {
    /// Number of the row of these operators.
    pub(super) fn row(&mut self, class: Class, ops: &[&Op]) -> usize {
        let mut parts: Vec<&str> = ops.iter().map(|op| op.part.as_str()).collect();
        parts.dedup();
        let names: Vec<&str> = ops.iter().map(|op| op.name.as_str()).collect();
        let key = Key { class, part: parts.join(" / "), name: names.join("+") };
        if let Some(&at) = self.by_key.get(&key) {
            return at;
        }
        let op = main(ops).cloned();
        let Some(op) = op else { return 0 };
        self.rows.push((key.clone(), op, Sum::default()));
        self.by_key.insert(key, self.rows.len() - 1);
        self.rows.len() - 1
    }

    pub(super) fn settle(&mut self, labels: &HashMap<StrId, String>, texts: &[String]) {
        self.rows.iter_mut().for_each(|r| r.2.settle(labels, texts));
        self.unmapped.values_mut().for_each(|s| s.settle(labels, texts));
    }

    pub(super) fn operators(&self) -> Vec<OperatorRow> {
        let mut out: Vec<OperatorRow> = self
            .rows
            .iter()
            .map(|(key, op, sum)| {
                let class = self.classes.get(&key.class);
                let (passes, device_ns) = class.map_or((1, 0), |c| (c.passes, c.device_ns));
                OperatorRow {
                    class: key.class,
                    part: key.part.clone(),
                    name: key.name.clone(),
                    category: op.category,
                    basis: sum.basis(),
                    shape: sum.shape,
                    format: op.format.clone(),
                    layers: sum.layers,
                    kernels: sum.kernels,
                    time_ns: sum.ns,
                    ns_per_pass: sum.ns as f64 / passes.max(1) as f64,
                    share: ratio(sum.ns, device_ns),
                    figures: sum.figures(passes),
                    symbols: sum.top_symbols(),
                    source: most(&sum.sources, 1).pop(),
                }
            })
            .collect();
        out.sort_by(|a, b| {
            (a.class, std::cmp::Reverse(a.time_ns), &a.part, &a.name).cmp(&(
                b.class,
                std::cmp::Reverse(b.time_ns),
                &b.part,
                &b.name,
            ))
        });
        out
    }

    pub(super) fn unmapped(&self) -> Vec<UnmappedRow> {
        let mut out: Vec<UnmappedRow> = self
            .unmapped
            .iter()
            .map(|((class, category), sum)| UnmappedRow {
                class: *class,
                category: category.clone(),
                kernels: sum.kernels,
                time_ns: sum.ns,
                share: ratio(sum.ns, self.classes.get(class).map_or(0, |c| c.device_ns)),
                symbols: sum.top_symbols(),
            })
            .collect();
        out.sort_by_key(|r| (r.class, std::cmp::Reverse(r.time_ns)));
        out
    }
}
