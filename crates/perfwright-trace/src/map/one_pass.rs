//! One pass: its parts, their kernels joined and added up.

use std::rc::Rc;

use hashbrown::HashMap;
use perfwright_model::ops::Category;

use super::account::{Account, main, modelled, recorded as recorded_work};
use super::catalog::Product;
use super::join::{Event, Joined, Shape, join};
use super::load::{From, Rows, load};
use super::plan::{Block, Plan};
use super::recorded::Leaf;
use super::report::{Basis, Gemm, PassRow};
use super::role::Role;
use super::run::{Making, MapError, Part};
use crate::pipeline::passes::Pass;
use crate::pipeline::report::LayerKind;
use crate::steps::Class;
use crate::store::KERNEL;

/// Which block of a plan a part of a pass is.
#[derive(Clone, Copy)]
enum Which {
    Before,
    After,
    Kind(usize),
}

impl Which {
    fn number(self) -> usize {
        match self {
            Which::Before => 0,
            Which::After => 1,
            Which::Kind(kind) => kind + 2,
        }
    }

    fn block(self, plan: &Plan) -> Option<&Block> {
        match self {
            Which::Before => Some(&plan.before),
            Which::After => Some(&plan.after),
            Which::Kind(kind) => plan.kinds.get(kind),
        }
    }
}

impl Making<'_> {
    pub(super) fn pass(
        &mut self,
        part: &Part<'_>,
        pass: &Pass,
        index: u32,
        partial: bool,
        counted: &mut [bool],
    ) -> Result<(), MapError> {
        let d = &part.store.devices;
        let step = part.steps.list.get(pass.step as usize);
        let label = step.and_then(|s| s.name).map(|n| part.store.strings.text(n).into_owned());
        let rows = rows_of(part, pass);
        let load = load(pass.class, step, label.as_deref(), rows, self.options);
        let plan = self.plan(&load)?;
        self.assumed_empty |= load.assumed_empty && !load.attention.is_empty();
        let ends = pass.layers.len() + 1;
        let mut parts: Vec<Vec<u32>> = vec![Vec::new(); ends + 1];
        for (&row, &at) in pass.rows.iter().zip(&pass.parts) {
            parts[(at as usize).min(ends)].push(row);
        }
        let mains = pass.layers.iter().filter(|&&kind| kind == LayerKind::Main).count();
        let mut gemm = Gemm::default();
        let mut layer = 0;
        for (at, members) in parts.iter().enumerate() {
            let which = match at.checked_sub(1).and_then(|l| pass.layers.get(l)) {
                None if at == 0 => Which::Before,
                None => Which::After,
                Some(LayerKind::Draft) => {
                    self.leave(part, pass.class, members, Some("draft layers"));
                    continue;
                }
                Some(LayerKind::Main) => {
                    layer += 1;
                    Which::Kind(plan.block(layer - 1, mains))
                }
            };
            let quiet = partial && !matches!(which, Which::Kind(_));
            self.block(part, pass.class, members, (which, &plan), (&mut gemm, counted, quiet));
        }
        let device_ns: i64 = pass.rows.iter().map(|&r| d.dur[r as usize]).sum();
        if !partial {
            *self.tallies.layers.entry((pass.class, mains as u32)).or_default() += 1;
        }
        if load.from == From::Label
            && let (Some(label), Some(rows)) = (load.tokens, rows.tokens)
            && label != rows
        {
            self.tallies.tokens(pass.class, label, rows);
        }
        let ratio = |g: &Gemm| g.model_flops.filter(|&m| m > 0).map(|m| g.recorded_flops as f64 / m as f64);
        gemm.model_flops = gemm.model_flops.or(plan.known.then_some(0));
        gemm.ratio = ratio(&gemm).filter(|_| gemm.recorded > 0);
        gemm.model_all_flops = plan.known.then(|| dense(&plan));
        let class = self.account.classes.entry(pass.class).or_default();
        class.passes += 1;
        class.device_ns += device_ns;
        class.gemm_known = (class.passes == 1 || class.gemm_known) && plan.known;
        class.gemm.recorded += gemm.recorded;
        class.gemm.recorded_flops += gemm.recorded_flops;
        class.gemm.model_flops = Some(class.gemm.model_flops.unwrap_or(0) + gemm.model_flops.unwrap_or(0));
        class.gemm.model_all_flops =
            Some(class.gemm.model_all_flops.unwrap_or(0) + gemm.model_all_flops.unwrap_or(0));
        self.mapped.count += pass.rows.len() as u64;
        self.mapped.total_ns += device_ns;
        self.passes.push(PassRow {
            index,
            class: pass.class,
            start_ns: pass.rows.iter().map(|&r| d.ts[r as usize]).min().unwrap_or(0),
            device_ns,
            layers: mains as u32,
            requests: load.requests,
            tokens: load.tokens,
            tokens_from: load.from.row(),
            gemm,
            label,
            input: self.inputs.len(),
        });
        Ok(())
    }

    /// Device work that no operator is joined to.
    fn leave(&mut self, part: &Part<'_>, class: Class, rows: &[u32], what: Option<&str>) {
        let d = &part.store.devices;
        for &row in rows {
            let at = row as usize;
            let category = part.meanings.classified[d.name[at] as usize].category.as_str();
            let key = (class, what.unwrap_or(category).to_owned());
            self.account.unmapped.entry(key).or_default().kernel(d.name[at], d.dur[at], (part.lines)(row));
        }
    }

    fn block(
        &mut self,
        part: &Part<'_>,
        class: Class,
        rows: &[u32],
        (which, plan): (Which, &Plan),
        (gemm, counted, quiet): (&mut Gemm, &mut [bool], bool),
    ) {
        let Some(block) = which.block(plan) else { return };
        let d = &part.store.devices;
        let events: Vec<Event> = rows
            .iter()
            .map(|&row| {
                let name = d.name[row as usize] as usize;
                let role = if d.kind[row as usize] == KERNEL { part.roles[name] } else { Role::Other };
                let shape = part.recorded.of(row).map(|leaf| Shape::of(&part.recorded.leaf(leaf).product));
                Event { role, shape }
            })
            .collect();
        let (number, joined) = self.joins.of(which.number(), block, events.as_slice(), self.latent);
        let into = self.joins.rows(number, class, &joined, block, &mut self.account);
        if !quiet {
            *self.tallies.blocks.entry((class, which.number())).or_default() += 1;
            for &op in &joined.missing {
                self.tallies.missing(class, which.number(), &block.ops[op]);
            }
        }
        let mut left: Vec<u32> = Vec::new();
        let mut groups: Vec<(Vec<Leaf>, bool, bool)> = vec![(Vec::new(), false, false); joined.groups.len()];
        for ((&row, event), of) in rows.iter().zip(&events).zip(&joined.of_event) {
            let Some(group) = of.map(usize::from) else {
                left.push(row);
                continue;
            };
            let (at, name) = (row as usize, d.name[row as usize]);
            let sum = &mut self.account.rows[into[group]].2;
            sum.kernel(name, d.dur[at], (part.lines)(row));
            let leaf = part.recorded.of(row);
            let proven =
                leaf.and_then(|l| part.recorded.leaf(l).precision).or(part.precisions[name as usize]);
            let computes = event.role.may_multiply() || event.role == Role::Attention;
            if let Some(precision) = proven.filter(|_| computes) {
                *sum.precisions.entry(precision).or_default() += d.dur[at];
            }
            match leaf {
                Some(leaf) => {
                    groups[group].1 = true;
                    if !std::mem::replace(&mut counted[leaf as usize], true) {
                        groups[group].0.push(part.recorded.leaf(leaf));
                    }
                }
                None => groups[group].2 |= computes || event.role == Role::Recurrence,
            }
        }
        for &stray in &joined.strays {
            let row = rows[stray];
            let leaf = part.recorded.of(row).map(|l| part.recorded.leaf(l).product);
            let name = part.texts.get(&d.name[row as usize]).cloned().unwrap_or_default();
            self.tallies.stray(class, (name, events[stray].role), leaf, d.dur[row as usize]);
        }
        self.leave(part, class, &left, None);
        for (group, (leaves, shaped, bare)) in groups.into_iter().enumerate() {
            let ops: Vec<_> = joined.groups[group].iter().map(|&op| &block.ops[op]).collect();
            let Some(op) = main(&ops) else { continue };
            let mixes = matches!(op.category, Category::Attention | Category::Indexer);
            let sum = &mut self.account.rows[into[group]].2;
            let work = if shaped && !bare {
                let work = recorded_work(op, &leaves, self.model.dtype.bytes(), self.options.gpu);
                if op.category == Category::Gemm && !leaves.is_empty() {
                    gemm.recorded += 1;
                    gemm.recorded_flops += work.flops;
                    let model: u128 = ops.iter().map(|op| op.flops).sum();
                    gemm.model_flops = plan.known.then(|| gemm.model_flops.unwrap_or(0) + model);
                }
                if let Some(product) = leaves.iter().map(|l| l.product).max_by_key(Product::flops) {
                    sum.shape = Some([product.m, product.n, product.k]);
                }
                Some(work)
            } else {
                let basis = if mixes { block.attention } else { plan.known.then_some(Basis::Modelled) };
                if plan.known && sum.shape.is_none() {
                    sum.shape = op.shape;
                }
                let basis = basis.map(|b| if shaped { Basis::Mixed } else { b });
                basis.filter(|_| plan.known).map(|basis| modelled(&ops, basis, self.options.gpu))
            };
            sum.work(work);
        }
    }
}

/// Joins of blocks, each distinct sequence once. The rows of a join's groups are kept by class.
#[derive(Default)]
pub(super) struct Joins {
    by_key: HashMap<(usize, Vec<Event>), usize>,
    list: Vec<Rc<Joined>>,
    rows: HashMap<(usize, Class), Rc<Vec<usize>>>,
}

impl Joins {
    pub(super) fn of(
        &mut self,
        which: usize,
        block: &Block,
        events: &[Event],
        latent: Option<[u64; 3]>,
    ) -> (usize, Rc<Joined>) {
        let key = (which, events.to_vec());
        if let Some(&at) = self.by_key.get(&key) {
            return (at, Rc::clone(&self.list[at]));
        }
        let joined = Rc::new(join(&block.ops, events, latent));
        self.list.push(Rc::clone(&joined));
        self.by_key.insert(key, self.list.len() - 1);
        (self.list.len() - 1, joined)
    }

    /// Rows of the account for the groups of a join.
    pub(super) fn rows(
        &mut self,
        number: usize,
        class: Class,
        joined: &Joined,
        block: &Block,
        account: &mut Account,
    ) -> Rc<Vec<usize>> {
        let made = self.rows.entry((number, class)).or_insert_with(|| {
            let row = |group: &Vec<usize>| {
                let ops: Vec<_> = group.iter().map(|&op| &block.ops[op]).collect();
                account.row(class, &ops)
            };
            Rc::new(joined.groups.iter().map(row).collect())
        });
        Rc::clone(made)
    }
}

/// FLOPs of all dense products of a pass.
fn dense(plan: &Plan) -> u128 {
    let sum = |block: &Block| -> u128 {
        block.ops.iter().filter(|op| op.category == Category::Gemm).map(|op| op.flops).sum()
    };
    let kinds: Vec<u128> = plan.kinds.iter().map(sum).collect();
    sum(&plan.before) + sum(&plan.after) + plan.blocks.iter().map(|&k| kinds[k]).sum::<u128>()
}

/// Rows and requests that the operators of a pass recorded.
fn rows_of(part: &Part<'_>, pass: &Pass) -> Rows {
    let ends = pass.layers.len() as u32 + 1;
    let mut by_rows: HashMap<u64, u128> = HashMap::new();
    let mut requests = None;
    for (&row, &at) in pass.rows.iter().zip(&pass.parts) {
        requests = requests.or_else(|| part.recorded.batch(row));
        if at == 0 || at >= ends {
            continue;
        }
        let Some(leaf) = part.recorded.of(row) else { continue };
        let product = part.recorded.leaf(leaf).product;
        if product.batch == 1 {
            let sum = by_rows.entry(product.m).or_default();
            *sum = sum.saturating_add(product.flops());
        }
    }
    let tokens = by_rows.into_iter().max_by_key(|&(rows, flops)| (flops, rows)).map(|(rows, _)| rows);
    Rows { tokens, requests }
}
