//! From traces and a model to the answer of `trace map`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use hashbrown::HashMap;
use perfwright_model::arch::Architecture;
use perfwright_model::error::ModelError;
use perfwright_model::format::{Format, KvDtype};
use perfwright_model::hardware::Gpu;
use perfwright_model::ops::Category;
use perfwright_model::parallel::Parallel;
use perfwright_model::show;

use super::account::{Account, figures, main, modelled, recorded as recorded_work};
use super::catalog::Products;
use super::cut::{fits, latent};
use super::detect::{Tallies, detect};
use super::join::{Event, Joined, Shape, join};
use super::load::{Load, Rows, load};
use super::plan::{Block, Plan, Setup, plan};
use super::recorded::{Leaf, Recorded, recorded};
use super::report::{Basis, ClassRow, Gemm, PassRow, Question, SCHEMA, TpFrom, TraceMap};
use super::role::{Role, roles};
use super::verdict::verdict;
use crate::align::Companion;
use crate::attribution::attribute;
use crate::describe::describe;
use crate::error::TraceError;
use crate::files::traces_in;
use crate::input::{Loaded, ReadOptions, read};
use crate::part::{
    Labels, Meanings, Prepared, capture_companion, companion_input, input, label_names, prepare,
};
use crate::pipeline::assemble::{device_edges, is_cut};
use crate::pipeline::kind::kinds;
use crate::pipeline::passes::{Pass, Scene, passes};
use crate::pipeline::report::LayerKind;
use crate::pipeline::segment::NO_MODULE;
use crate::report::{Input, Role as InputRole, Stop, Total, Totals};
use crate::steps::{Class, Steps};
use crate::store::{KERNEL, Store};
use crate::sweep::timelines;
use crate::triage::{Catalogs, note, stop, stop_at};

/// What to map, and onto what.
#[derive(Debug, Clone, Copy)]
pub struct MapOptions<'a> {
    /// The model.
    pub model: &'a Architecture,
    /// The GPU the trace was recorded on.
    pub gpu: &'a Gpu,
    /// How ranks share the model.
    pub parallel: Parallel,
    /// `parallel.tp` is what the user says; otherwise recorded sizes may say another number.
    pub tp_given: bool,
    /// Format of the cache.
    pub kv_dtype: KvDtype,
    /// Format of the weights instead of the checkpoint's.
    pub weights: Option<Format>,
    /// Only passes of this class.
    pub phase: Option<Class>,
    /// Only this pass.
    pub pass: Option<u32>,
    /// Requests of a pass instead of the label's.
    pub batch: Option<u64>,
    /// New tokens of a pass instead of the label's.
    pub tokens: Option<u64>,
    /// Tokens of each request in the cache before the pass instead of the label's.
    pub context: Option<u64>,
    /// Capture trace whose launches name graph kernels.
    pub capture: Option<&'a Path>,
    /// Folder of the column cache.
    pub cache_dir: Option<&'a Path>,
    /// Only this rank of a folder.
    pub rank: Option<u32>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The model, or how it is to be cut.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The catalogue of operators that is compiled in.
    #[error("catalog/ops: {0}")]
    Catalog(String),
}

/// Maps a trace file, or all traces of a folder, to the model.
///
/// # Errors
/// [`MapError`] when a file cannot be read, a folder holds no trace, a pass or class is asked for that no trace has,
/// or the model cannot be cut as asked. Figures that cannot be are not an error: the answer's `stop` says so.
pub fn map(path: &Path, catalogs: &Catalogs, options: &MapOptions<'_>) -> Result<TraceMap, MapError> {
    let how = ReadOptions { cache_dir: options.cache_dir };
    let mut making = Making::new(options)?;
    let mut companion_row = None;
    let mut companion = None;
    if let Some(file) = options.capture {
        let loaded = read(file, how)?;
        note(&loaded, &mut making.warnings);
        let captured = capture_companion(&loaded, catalogs);
        if captured.sequences.is_empty() {
            making.unusable =
                Some(stop_at("PW0203", "it records no launches of a graph capture".to_owned(), file));
        }
        companion_row = Some(companion_input(&loaded, InputRole::Capture));
        companion = Some(captured);
    }
    for file in traces_in(path, options.rank)? {
        let loaded = read(&file.path, how)?;
        if file.rank.is_none()
            && let Some(rank) = options.rank
            && describe(&loaded.store, &file.path).rank != Some(rank)
            && file.path != path
        {
            continue;
        }
        making.add(&loaded, catalogs, companion.as_ref())?;
    }
    if let Some(rank) = options.rank.filter(|_| making.inputs.is_empty()) {
        return Err(TraceError::NoRank { path: path.to_owned(), rank }.into());
    }
    making.inputs.extend(companion_row);
    making.finish(path)
}

/// Maps a trace that is in memory already; the input's path is `<memory>`.
///
/// # Errors
/// As [`map`].
pub fn map_store(store: Store, catalogs: &Catalogs, options: &MapOptions<'_>) -> Result<TraceMap, MapError> {
    let (bytes, path) = (store.text_bytes, PathBuf::from("<memory>"));
    let loaded =
        Loaded { store, path: path.clone(), bytes, compressed: false, from_cache: false, cache_note: None };
    let mut making = Making::new(options)?;
    making.add(&loaded, catalogs, None)?;
    making.finish(&path)
}

/// The answer in the making.
struct Making<'a> {
    options: &'a MapOptions<'a>,
    model: Architecture,
    parallel: Parallel,
    tp_from: TpFrom,
    products: Products,
    latent: Option<[u64; 3]>,
    plans: HashMap<Load, Rc<Plan>>,
    joins: Joins,
    account: Account,
    tallies: Tallies,
    labels: Labels,
    inputs: Vec<Input>,
    passes: Vec<PassRow>,
    seen: u32,
    mapped: Total,
    total: Total,
    warnings: Vec<String>,
    unusable: Option<Stop>,
    assumed_empty: bool,
}

/// Joins of blocks, each distinct sequence once. The rows of a join's groups are kept by class.
#[derive(Default)]
struct Joins {
    by_key: HashMap<(usize, Vec<Event>), usize>,
    list: Vec<Rc<Joined>>,
    rows: HashMap<(usize, Class), Rc<Vec<usize>>>,
}

/// One trace with everything that mapping a pass needs.
struct Part<'a> {
    store: &'a Store,
    meanings: &'a Meanings,
    steps: &'a Steps,
    roles: &'a [Role],
    precisions: &'a [Option<super::report::Precision>],
    recorded: &'a Recorded,
    lines: &'a dyn Fn(u32) -> u32,
    texts: &'a HashMap<crate::intern::StrId, String>,
}

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

impl<'a> Making<'a> {
    fn new(options: &'a MapOptions<'a>) -> Result<Self, MapError> {
        let mut model = options.model.clone();
        if let Some(format) = options.weights {
            model.quantization = model.quantization.replaced(format);
        }
        options.parallel.check(&model)?;
        let tp_from = if options.tp_given { TpFrom::Given } else { TpFrom::Default };
        Ok(Self {
            latent: latent(&model),
            options,
            model,
            parallel: options.parallel,
            tp_from,
            products: Products::builtin().map_err(MapError::Catalog)?,
            plans: HashMap::new(),
            joins: Joins::default(),
            account: Account::default(),
            tallies: Tallies::default(),
            labels: Labels::default(),
            inputs: Vec::new(),
            passes: Vec::new(),
            seen: 0,
            mapped: Total::default(),
            total: Total::default(),
            warnings: Vec::new(),
            unusable: None,
            assumed_empty: false,
        })
    }

    fn add(
        &mut self,
        loaded: &Loaded,
        catalogs: &Catalogs,
        capture: Option<&Companion>,
    ) -> Result<(), MapError> {
        note(loaded, &mut self.warnings);
        let Prepared { mut meanings, host, steps } = prepare(loaded, catalogs);
        let store = &loaded.store;
        let attribution = attribute(store, &host, &steps, capture, None);
        meanings.refine(store, &attribution, catalogs);
        let of_name = kinds(store, &meanings);
        let modules: Vec<u32> = attribution.found.iter().map(|f| f.layer.unwrap_or(NO_MODULE)).collect();
        let scene = Scene {
            store,
            steps: &steps,
            kinds: &of_name,
            modules: &modules,
            anchor: None,
            config_layers: u32::try_from(self.model.layers.iter().filter(|l| !l.mixers.is_empty()).count())
                .ok(),
        };
        let (cut, _) = passes(&scene);
        let (roles, precisions) = roles(store, &meanings, &of_name);
        let recorded = recorded(store, &host, &roles, &self.products);
        let (first, last) = device_edges(&cut);
        let latest = cut.iter().enumerate().max_by_key(|p| p.1.rows.first()).map(|p| p.0);
        let torn = |i: usize| store.partial.is_some() && Some(i) == latest;
        let partial: Vec<bool> =
            (0..cut.len()).map(|i| torn(i) || is_cut(&cut, i, (&first, &last))).collect();
        let wanted: Vec<usize> = (0..cut.len()).filter(|&i| self.wants(&cut[i], i)).collect();
        let whole: Vec<usize> = wanted.iter().copied().filter(|&i| !partial[i]).collect();
        for &i in wanted.iter().filter(|&&i| partial[i]) {
            self.account.classes.entry(cut[i].class).or_default().partial += 1;
        }
        let chosen = if whole.is_empty() { wanted } else { whole };
        if chosen.iter().any(|&i| partial[i]) {
            self.warnings
                .push("every pass is cut by the start or end of the trace; parts were mapped".to_owned());
        }
        let texts = label_names(store, &meanings, &mut self.labels);
        let lines = |row: u32| attribution.found[row as usize].source;
        let part = Part {
            store,
            meanings: &meanings,
            steps: &steps,
            roles: &roles,
            precisions: &precisions,
            recorded: &recorded,
            lines: &lines,
            texts: &texts,
        };
        self.ranks(&part, chosen.iter().map(|&i| &cut[i]));
        let mut counted = vec![false; recorded.len()];
        for i in chosen {
            self.pass(&part, &cut[i], self.seen + i as u32, partial[i], &mut counted)?;
        }
        self.account.settle(&texts, &attribution.texts);
        self.seen += cut.len() as u32;
        let about = describe(store, &loaded.path);
        let (timelines, _) = timelines(store, &meanings.classified, &host.launch_of);
        let row = input(loaded, &about, &timelines, InputRole::Trace);
        self.total.count += row.totals.count();
        self.total.total_ns += row.totals.device_ns();
        self.tallies.gpus.extend(about.gpus.iter().cloned());
        self.tallies.world = self.tallies.world.or(about.world_size);
        self.inputs.push(row);
        Ok(())
    }

    fn wants(&self, pass: &Pass, at: usize) -> bool {
        !matches!(pass.class, Class::Draft | Class::Capture)
            && pass.layers.contains(&LayerKind::Main)
            && self.options.phase.is_none_or(|class| class == pass.class)
            && self.options.pass.is_none_or(|index| index == self.seen + at as u32)
    }

    /// Takes the number of ranks from recorded sizes, and notes what they say where the user names one.
    fn ranks<'p>(&mut self, part: &Part<'_>, passes: impl Iterator<Item = &'p Pass>) {
        let mut shapes: HashMap<(u64, u64), u64> = HashMap::new();
        let mut seen = vec![false; part.recorded.len()];
        for &row in passes.flat_map(|p| &p.rows) {
            let Some(leaf) = part.recorded.of(row) else { continue };
            let product = part.recorded.leaf(leaf).product;
            if product.batch == 1 && !std::mem::replace(&mut seen[leaf as usize], true) {
                *shapes.entry((product.n, product.k)).or_default() += 1;
            }
        }
        if shapes.is_empty() {
            return;
        }
        let list: Vec<((u64, u64), u64)> = shapes.into_iter().collect();
        let fits = fits(&self.setup(), &list);
        let best = fits.first().copied();
        if self.tp_from == TpFrom::Default
            && let Some(best) = best.filter(|b| b.matched > 0)
            && (Parallel { tp: best.tp, ..self.parallel }).check(&self.model).is_ok()
        {
            self.parallel.tp = best.tp;
            self.tp_from = TpFrom::RecordedShapes;
            self.plans.clear();
        }
        let own = fits.iter().find(|f| f.tp == self.parallel.tp).map_or(0, |f| f.matched);
        self.tallies.ranks(best, own, &list);
    }

    fn setup(&self) -> Setup<'_> {
        Setup { model: &self.model, parallel: self.parallel, kv_dtype: self.options.kv_dtype }
    }

    fn plan(&mut self, load: &Load) -> Result<Rc<Plan>, MapError> {
        if let Some(plan) = self.plans.get(load) {
            return Ok(Rc::clone(plan));
        }
        let made = Rc::new(plan(&self.setup(), load)?);
        self.plans.insert(load.clone(), Rc::clone(&made));
        Ok(made)
    }

    fn pass(
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
        if load.from == super::load::From::Label
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
                if let Some(product) =
                    leaves.iter().map(|l| l.product).max_by_key(super::catalog::Product::flops)
                {
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

    fn finish(mut self, path: &Path) -> Result<TraceMap, MapError> {
        let mut totals = Totals::default();
        self.inputs.iter().filter(|i| i.role == InputRole::Trace).for_each(|i| totals.add(&i.totals));
        let mut halt = stop(&self.inputs, &totals).or_else(|| self.unusable.take());
        if self.passes.is_empty() && halt.is_none() {
            if self.options.phase.is_some() || self.options.pass.is_some() {
                let what = match (self.options.pass, self.options.phase) {
                    (Some(pass), _) => format!("pass {pass} with layers of the asked class"),
                    (None, class) => format!("{} pass with layers", class.map_or("", Class::as_str)),
                };
                let have = format!("{} passes were found", self.seen);
                return Err(TraceError::NoSuchPart { path: path.to_owned(), what, have }.into());
            }
            let reason =
                "no forward pass with attention or recurrence layers was found, so there is nothing to map";
            halt = Some(stop_at("PW0221", reason.to_owned(), path));
        }
        let expected = self.expected();
        let setup = Setup { model: &self.model, parallel: self.parallel, kv_dtype: self.options.kv_dtype };
        let found = detect(&self.tallies, &self.account, &setup, self.options.gpu, self.tp_from, &expected);
        if halt.is_none() {
            halt = found.impossible.map(|reason| stop_at("PW0220", reason, path));
        }
        let classes = self.classes();
        let mut notes = vec![
            "figures are those of one rank; times are sums of kernel durations".to_owned(),
            "bytes are those of the model: weights once a pass, cache, activations in and out; experts under uniform routing".to_owned(),
        ];
        if self.assumed_empty {
            notes
                .push("no label tells the context of prompts: taken as empty (--context sets it)".to_owned());
        }
        if self.tp_from == TpFrom::RecordedShapes {
            notes.push(format!(
                "--tp was not given; the recorded sizes are those of {} ranks",
                self.parallel.tp
            ));
        }
        if let (TpFrom::Default, Some(world)) = (self.tp_from, self.tallies.world.filter(|&w| w > 1)) {
            self.warnings.push(format!(
                "the trace is one of {world} ranks and records no sizes; --tp was not given and 1 is assumed"
            ));
        }
        notes.extend(self.model.notes.iter().cloned());
        let mut out = TraceMap {
            schema: SCHEMA.to_owned(),
            verdict: Vec::new(),
            model: show::summary(&self.model),
            question: Question {
                gpu: self.options.gpu.name.clone(),
                parallel: self.parallel,
                tp_from: self.tp_from,
                dtype: self.options.weights.map_or_else(|| "checkpoint".to_owned(), |f| f.name.to_owned()),
                kv_dtype: self.options.kv_dtype.name().to_owned(),
                phase: self.options.phase,
                pass: self.options.pass,
            },
            classes,
            operators: self.account.operators(),
            unmapped: self.account.unmapped(),
            disagreements: found.rows,
            partial: self.inputs.iter().find_map(|i| i.partial.clone()),
            inputs: self.inputs,
            passes: self.passes,
            outside: Total {
                count: self.total.count - self.mapped.count,
                total_ns: self.total.total_ns - self.mapped.total_ns,
            },
            stop: halt,
            notes,
            warnings: self.warnings,
        };
        out.verdict = verdict(&out);
        Ok(out)
    }

    /// Numbers of mixing layers that a pass of one rank may have.
    fn expected(&self) -> Vec<u32> {
        let mixing = |range: std::ops::Range<usize>| {
            self.model.layers[range].iter().filter(|l| !l.mixers.is_empty()).count() as u32
        };
        let mut all: Vec<u32> =
            self.parallel.stages(self.model.layers.len()).into_iter().map(mixing).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn classes(&self) -> Vec<ClassRow> {
        self.account
            .classes
            .iter()
            .filter(|c| c.1.passes > 0)
            .map(|(&class, sum)| {
                let n = u128::from(sum.passes);
                let (mut mapped, mut figured) = (0, 0);
                let (mut flops, mut bytes) = (0u128, 0u128);
                let mut need = super::account::Need::default();
                for (_, _, row) in self.account.rows.iter().filter(|r| r.0.class == class) {
                    mapped += row.ns;
                    if row.known() {
                        figured += row.ns;
                        flops += row.flops;
                        bytes += row.bytes;
                        need.add(row.need);
                    }
                }
                let mut gemm = sum.gemm;
                gemm.recorded /= sum.passes;
                gemm.ratio = gemm
                    .model_flops
                    .filter(|&m| m > 0 && sum.gemm_known && sum.gemm.recorded > 0)
                    .map(|m| gemm.recorded_flops as f64 / m as f64);
                gemm.recorded_flops /= n;
                gemm.model_flops = gemm.model_flops.filter(|_| sum.gemm_known).map(|f| f / n);
                gemm.model_all_flops = gemm.model_all_flops.filter(|_| sum.gemm_known).map(|f| f / n);
                ClassRow {
                    class,
                    passes: sum.passes,
                    partial: sum.partial,
                    device_ns: sum.device_ns,
                    mapped_ns: mapped,
                    figured_ns: figured,
                    gemm,
                    figures: figures(flops, bytes, &need, sum.device_ns, sum.passes),
                }
            })
            .collect()
    }
}

impl Joins {
    fn of(
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
    fn rows(
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
