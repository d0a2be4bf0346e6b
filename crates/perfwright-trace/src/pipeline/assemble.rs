//! From cut passes to rows.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::clusters::{name as cluster_name, signature};
use super::config::ModelLayers;
use super::flow::{View, flow, rows_of};
use super::kind::Kind;
use super::passes::Pass;
use super::report::{Bounds, ClusterRow, Flow, LayerKind, LayerRow, PartRow, PassRow, SteadyRow};
use super::steady::{Usual, median};
use crate::intern::StrId;
use crate::overlap::ratio;
use crate::steps::{Class, Steps};
use crate::store::{Ident, Store};

/// Rows of one trace, with positions in the whole answer.
pub(super) struct Rows {
    pub(super) passes: Vec<PassRow>,
    pub(super) layers: Vec<LayerRow>,
}

/// Running sums of one part of a pass.
#[derive(Clone)]
struct Sum {
    kernels: u64,
    ns: i64,
    start: i64,
    end: i64,
    by_category: Vec<i64>,
}

impl Sum {
    fn new(categories: usize) -> Self {
        Self { kernels: 0, ns: 0, start: i64::MAX, end: i64::MIN, by_category: vec![0; categories] }
    }

    fn add(&mut self, ts: i64, dur: i64, category: usize) {
        self.kernels += 1;
        self.ns += dur;
        self.start = self.start.min(ts);
        self.end = self.end.max(ts + dur);
        self.by_category[category] += dur;
    }

    fn shares(&self, words: &[String]) -> BTreeMap<String, f64> {
        let some = self.by_category.iter().zip(words).filter(|c| *c.0 > 0);
        some.map(|(&ns, word)| (word.clone(), ratio(ns, self.ns))).collect()
    }

    fn part(&self, words: &[String]) -> PartRow {
        PartRow { kernels: self.kernels, sum_ns: self.ns, shares: self.shares(words) }
    }
}

/// Categories by number, so that summing a kernel looks nothing up.
struct Categories {
    words: Vec<String>,
    of_name: Vec<u8>,
}

impl Categories {
    fn new(view: &View<'_>) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut of_name = vec![0u8; view.store.strings.len()];
        let mut names: Vec<StrId> = view.meanings.symbols.keys().copied().collect();
        names.sort_unstable();
        for name in names {
            let word = view.meanings.classified[name as usize].category.as_str();
            let at = words.iter().position(|w| w == word).unwrap_or_else(|| {
                words.push(word.to_owned());
                words.len() - 1
            });
            of_name[name as usize] = u8::try_from(at).unwrap_or(u8::MAX);
        }
        if words.is_empty() {
            words.push("unknown".to_owned());
        }
        words.truncate(usize::from(u8::MAX));
        Self { words, of_name }
    }

    fn of(&self, name: StrId) -> usize {
        usize::from(self.of_name[name as usize]).min(self.words.len() - 1)
    }
}

/// What one cluster has in common: class, kind of layer, the configuration's kind of layer, block kernels.
type ClusterKey<Signature> = (Class, LayerKind, Option<u32>, Signature);

/// Clusters of all traces, in the making.
#[derive(Default)]
pub(super) struct Clusters {
    by_key: HashMap<ClusterKey<Vec<String>>, u32>,
    list: Vec<Making>,
}

struct Making {
    class: Class,
    kind: LayerKind,
    signature: Vec<String>,
    name: Option<String>,
    structure: String,
    by_category: BTreeMap<String, f64>,
}

/// The rows of the passes of one trace. `first_pass` is the number of its first pass.
pub(super) fn rows(
    view: &View<'_>,
    steps: &Steps,
    kinds: &[Kind],
    passes: &[Pass],
    (input, first_pass): (usize, u32),
    config: Option<&ModelLayers>,
    clusters: &mut Clusters,
) -> Rows {
    let store = view.store;
    let d = &store.devices;
    let categories = Categories::new(view);
    let words = &categories.words;
    let origin = first_ts(store);
    let seconds = |ns: i64| (ns - origin) as f64 / 1e9;
    let configured = config.map(configured);
    let mut memo: HashMap<ClusterKey<Vec<StrId>>, u32> = HashMap::new();
    let mut out = Rows { passes: Vec::with_capacity(passes.len()), layers: Vec::new() };
    let (first, last) = device_edges(passes);
    for (i, pass) in passes.iter().enumerate() {
        let index = first_pass + i as u32;
        let parts = pass.layers.len() + 2;
        let mut sums = vec![Sum::new(words.len()); parts];
        let mut all = Sum::new(words.len());
        for (&row, &part) in pass.rows.iter().zip(&pass.parts) {
            let (row, part) = (row as usize, (part as usize).min(parts - 1));
            let category = categories.of(d.name[row]);
            sums[part].add(d.ts[row], d.dur[row], category);
            all.add(d.ts[row], d.dur[row], category);
        }
        let stream = store.ident_text(store.streams[pass.stream as usize].1);
        let mut numbers = [0u32; 2];
        let layer_rows = members(pass, parts);
        // Layer N is the configuration's layer N only where both have as many.
        let main = pass.layers.iter().filter(|k| **k == LayerKind::Main).count();
        let told = configured.as_ref().filter(|c| c.0.len() == main);
        for (l, &kind) in pass.layers.iter().enumerate() {
            let sum = &sums[l + 1];
            let members = &layer_rows[l];
            let work = members.iter().map(|&r| (d.name[r as usize], d.stream[r as usize] == pass.stream));
            let signed = signature(work, kinds);
            let slot = usize::from(kind == LayerKind::Draft);
            let told = told.filter(|_| slot == 0).and_then(|c| c.0[numbers[0] as usize]);
            let key = (pass.class, kind, told, signed);
            let cluster = match memo.get(&key) {
                Some(&c) => c,
                None => {
                    let texts: Vec<String> =
                        key.3.iter().map(|n| view.labels.get(n).cloned().unwrap_or_default()).collect();
                    let of = members.iter().map(|&r| kinds[d.name[r as usize] as usize]);
                    let name = told.zip(configured.as_ref()).map(|(t, c)| c.1[t as usize].clone());
                    let c = clusters.number((pass.class, kind, told, texts), || (name, cluster_name(&of)));
                    memo.insert(key, c);
                    c
                }
            };
            for (word, ns) in words.iter().zip(&sum.by_category).filter(|c| *c.1 > 0) {
                *clusters.list[cluster as usize].by_category.entry(word.clone()).or_default() += *ns as f64;
            }
            let (start_ns, end_ns) = (sum.start, sum.end.max(sum.start));
            out.layers.push(LayerRow {
                pass: index,
                index: numbers[slot],
                kind,
                start_ns,
                end_ns,
                wall_ns: end_ns - start_ns,
                sum_ns: sum.ns,
                kernels: sum.kernels,
                shares: sum.shares(words),
                cluster,
                stream: stream.clone(),
                start_s: seconds(start_ns),
                end_s: seconds(end_ns),
            });
            numbers[slot] += 1;
        }
        let step = steps.list.get(pass.step as usize);
        let partial = is_cut(passes, i, (&first, &last));
        out.passes.push(PassRow {
            index,
            class: pass.class,
            start_ns: all.start,
            duration_ns: all.end - all.start,
            device_ns: all.ns,
            kernels: all.kernels,
            layers: numbers[0],
            draft_layers: numbers[1],
            cold: false,
            partial,
            prologue: sums[0].part(words),
            epilogue: sums[parts - 1].part(words),
            bounds: pass.bounds,
            by: step.map(|s| s.by),
            label: step.and_then(|s| s.name).map(|n| store.strings.text(n).into_owned()),
            batch: step.and_then(|s| s.batch),
            tokens: step.and_then(|s| s.tokens),
            input,
            device: store.ident_text(pass.device),
            start_s: seconds(all.start),
            end_s: seconds(all.end),
        });
    }
    out
}

/// The number of each block's name, and the names; no number where only a count is known.
fn configured(config: &ModelLayers) -> (Vec<Option<u32>>, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let number = |block: &super::config::Block| {
        if block.name.is_empty() {
            return None;
        }
        let at = names.iter().position(|n| *n == block.name).unwrap_or_else(|| {
            names.push(block.name.clone());
            names.len() - 1
        });
        u32::try_from(at).ok()
    };
    (config.blocks.iter().map(number).collect(), names)
}

/// True for a pass that the trace's start or end cuts: it is the first (last) work of its device, and does nothing
/// before its first (after its last) layer although passes in the middle of the trace do, or there are none.
pub(crate) fn is_cut(passes: &[Pass], at: usize, (first, last): (&Edges, &Edges)) -> bool {
    let pass = &passes[at];
    if pass.layers.is_empty() || pass.bounds == Bounds::Config {
        return false;
    }
    let opens = |p: &Pass| first.get(&p.device) == p.rows.first();
    let closes = |p: &Pass| last.get(&p.device) == p.rows.last();
    let usual = |bare: &dyn Fn(&Pass) -> bool| {
        passes.iter().enumerate().any(|(i, p)| i != at && p.layers.len() == pass.layers.len() && bare(p))
    };
    (opens(pass) && !pass.dressed.0 && !usual(&|p| !opens(p) && !p.dressed.0))
        || (closes(pass) && !pass.dressed.1 && !usual(&|p| !closes(p) && !p.dressed.1))
}

/// Rows of each layer of a pass.
fn members(pass: &Pass, parts: usize) -> Vec<Vec<u32>> {
    let mut out = vec![Vec::new(); pass.layers.len()];
    for (&row, &part) in pass.rows.iter().zip(&pass.parts) {
        if part > 0 && (part as usize) < parts - 1 {
            out[part as usize - 1].push(row);
        }
    }
    out
}

/// A row of the device table by device.
pub(crate) type Edges = HashMap<Ident, u32>;

/// First and last device row of each device.
pub(crate) fn device_edges(passes: &[Pass]) -> (Edges, Edges) {
    let mut first = HashMap::new();
    let mut last = HashMap::new();
    for pass in passes {
        if let (Some(&a), Some(&b)) = (pass.rows.first(), pass.rows.last()) {
            let f = first.entry(pass.device).or_insert(a);
            *f = a.min(*f);
            let l = last.entry(pass.device).or_insert(b);
            *l = b.max(*l);
        }
    }
    (first, last)
}

/// The time that Perfetto calls zero: the first event of the trace.
fn first_ts(store: &Store) -> i64 {
    [
        &store.devices.ts,
        &store.launches.ts,
        &store.ops.ts,
        &store.frames.ts,
        &store.annotations.ts,
        &store.syncs.ts,
        &store.flows.ts,
    ]
    .into_iter()
    .filter_map(|column| column.iter().min())
    .min()
    .copied()
    .unwrap_or(0)
}

impl Clusters {
    fn number(
        &mut self,
        key: ClusterKey<Vec<String>>,
        name: impl FnOnce() -> (Option<String>, String),
    ) -> u32 {
        if let Some(&c) = self.by_key.get(&key) {
            return c;
        }
        let c = self.list.len() as u32;
        let (name, structure) = name();
        self.list.push(Making {
            class: key.0,
            kind: key.1,
            signature: key.3.clone(),
            name,
            structure,
            by_category: BTreeMap::new(),
        });
        self.by_key.insert(key, c);
        c
    }

    /// The rows, with the layers they hold and the flow of a typical one of each.
    pub(super) fn finish(self, layers: &[LayerRow], mut flows: HashMap<u32, Flow>) -> Vec<ClusterRow> {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.list.len()];
        for (i, layer) in layers.iter().enumerate() {
            members[layer.cluster as usize].push(i);
        }
        let make = |(i, (m, of)): (usize, (Making, Vec<usize>))| {
            let walls: Vec<i64> = of.iter().map(|&l| layers[l].wall_ns).collect();
            let sums: Vec<i64> = of.iter().map(|&l| layers[l].sum_ns).collect();
            let mut layer_indices: Vec<u32> = of.iter().map(|&l| layers[l].index).collect();
            layer_indices.sort_unstable();
            layer_indices.dedup();
            let mean = |v: &[i64]| v.iter().sum::<i64>() / (v.len() as i64).max(1);
            let total: i64 = sums.iter().sum();
            ClusterRow {
                index: i as u32,
                configured: m.name.is_some(),
                name: m.name.unwrap_or_else(|| m.structure.clone()),
                structure: m.structure,
                class: m.class,
                kind: m.kind,
                signature: m.signature,
                count: of.len() as u64,
                layer_indices,
                mean_wall_ns: mean(&walls),
                median_wall_ns: median(walls),
                mean_sum_ns: mean(&sums),
                median_sum_ns: median(sums),
                shares: m
                    .by_category
                    .into_iter()
                    .map(|(word, ns)| (word, if total > 0 { ns / total as f64 } else { 0.0 }))
                    .collect(),
                representative: flows.remove(&(i as u32)).unwrap_or_default(),
            }
        };
        self.list.into_iter().zip(members).enumerate().map(make).collect()
    }
}

/// For each cluster of these layers that `known` does not hold yet, the layer of median summed duration: (cluster,
/// pass, kind, layer). Steady passes are preferred.
pub(super) fn typical_layers(
    passes: &[PassRow],
    layers: &[LayerRow],
    known: &HashMap<u32, Flow>,
) -> Vec<(u32, u32, LayerKind, u32)> {
    let first = passes.first().map_or(0, |p| p.index);
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, layer) in layers.iter().enumerate().filter(|l| !known.contains_key(&l.1.cluster)) {
        members.entry(layer.cluster).or_default().push(i);
    }
    let steady = |l: &usize| {
        let p = &passes[(layers[*l].pass - first) as usize];
        !p.cold && !p.partial
    };
    let choose = |(cluster, of): (u32, Vec<usize>)| {
        let mut typical: Vec<usize> = of.iter().copied().filter(steady).collect();
        if typical.is_empty() {
            typical = of;
        }
        typical.sort_by_key(|&l| (layers[l].sum_ns, l));
        let l = &layers[typical[(typical.len() - 1) / 2]];
        (cluster, l.pass, l.kind, l.index)
    };
    members.into_iter().map(choose).collect()
}

/// Marks cold passes and sums up what is steady.
pub(super) fn settle(passes: &mut [PassRow], layers: &[LayerRow]) -> Vec<SteadyRow> {
    let first = passes.first().map_or(0, |p| p.index);
    let mut out = Vec::new();
    for class in Class::ALL {
        let complete = |p: &PassRow| p.class == class && !p.partial;
        let walls: Vec<i64> = passes.iter().filter(|p| complete(p)).map(|p| p.duration_ns).collect();
        if walls.is_empty() {
            continue;
        }
        // Only passes through as many layers do the same work.
        let mut groups: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for p in passes.iter().filter(|p| complete(p)) {
            groups.entry(p.layers).or_default().push(p.duration_ns);
        }
        let groups: BTreeMap<u32, (Usual, usize)> =
            groups.into_iter().map(|(layers, of)| (layers, (Usual::of(&of), of.len()))).collect();
        for p in passes.iter_mut().filter(|p| complete(p)) {
            p.cold = groups.get(&p.layers).is_some_and(|(usual, of)| usual.is_cold(p.duration_ns, *of));
        }
        let steady: Vec<&PassRow> = passes.iter().filter(|p| complete(p) && !p.cold).collect();
        let settled = Usual::of(&steady.iter().map(|p| p.duration_ns).collect::<Vec<_>>());
        let in_steady = |l: &&LayerRow| {
            let p = &passes[(l.pass - first) as usize];
            complete(p) && !p.cold && l.kind == LayerKind::Main
        };
        let layer_walls: Vec<i64> = layers.iter().filter(in_steady).map(|l| l.wall_ns).collect();
        out.push(SteadyRow {
            class,
            passes: walls.len() as u64,
            cold: (walls.len() - steady.len()) as u64,
            median_ns: settled.median,
            deviation_ns: settled.deviation,
            median_device_ns: median(steady.iter().map(|p| p.device_ns).collect()),
            median_layer_ns: (!layer_walls.is_empty()).then(|| median(layer_walls)),
        });
    }
    out
}

/// The flow of layer `layer` of `kind` in a pass, if it has that many.
pub(super) fn flow_of(
    view: &View<'_>,
    pass: &Pass,
    pass_index: u32,
    kind: LayerKind,
    layer: u32,
) -> Option<Flow> {
    let mut of_kind = pass.layers.iter().enumerate().filter(|l| *l.1 == kind);
    let (at, _) = of_kind.nth(layer as usize)?;
    let part = at as u32 + 1;
    debug_assert!(rows_of(pass, part).next().is_some());
    Some(flow(view, pass, part, pass_index, layer))
}
