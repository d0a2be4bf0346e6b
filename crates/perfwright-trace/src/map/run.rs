//! From traces and a model to the answer of `trace map`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use hashbrown::HashMap;
use perfwright_model::arch::Architecture;
use perfwright_model::error::ModelError;
use perfwright_model::format::{Format, KvDtype};
use perfwright_model::hardware::Gpu;
use perfwright_model::parallel::Parallel;

use super::account::Account;
use super::catalog::Products;
use super::cut::{fits, latent};
use super::detect::Tallies;
use super::load::Load;
use super::one_pass::Joins;
use super::plan::{Plan, Setup, plan};
use super::recorded::{Recorded, recorded};
use super::report::{PassRow, Precision, TpFrom, TraceMap};
use super::role::{Role, roles};
use crate::align::Companion;
use crate::attribution::attribute;
use crate::describe::describe;
use crate::error::TraceError;
use crate::files::traces_in;
use crate::input::{Loaded, ReadOptions, read};
use crate::intern::StrId;
use crate::part::{
    Labels, Meanings, Prepared, capture_companion, companion_input, input, label_names, prepare,
};
use crate::pipeline::assemble::{device_edges, is_cut};
use crate::pipeline::kind::kinds;
use crate::pipeline::passes::{Pass, Scene, passes};
use crate::pipeline::report::LayerKind;
use crate::pipeline::segment::NO_MODULE;
use crate::report::{Input, Role as InputRole, Stop, Total};
use crate::steps::{Class, Steps};
use crate::store::Store;
use crate::sweep::timelines;
use crate::triage::{Catalogs, note, stop_at};

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
pub(super) struct Making<'a> {
    pub(super) options: &'a MapOptions<'a>,
    pub(super) model: Architecture,
    pub(super) parallel: Parallel,
    pub(super) tp_from: TpFrom,
    pub(super) products: Products,
    pub(super) latent: Option<[u64; 3]>,
    pub(super) plans: HashMap<Load, Rc<Plan>>,
    pub(super) joins: Joins,
    pub(super) account: Account,
    pub(super) tallies: Tallies,
    pub(super) labels: Labels,
    pub(super) inputs: Vec<Input>,
    pub(super) passes: Vec<PassRow>,
    pub(super) seen: u32,
    pub(super) mapped: Total,
    pub(super) total: Total,
    pub(super) warnings: Vec<String>,
    pub(super) unusable: Option<Stop>,
    pub(super) assumed_empty: bool,
}

/// One trace with everything that mapping a pass needs.
pub(super) struct Part<'a> {
    pub(super) store: &'a Store,
    pub(super) meanings: &'a Meanings,
    pub(super) steps: &'a Steps,
    pub(super) roles: &'a [Role],
    pub(super) precisions: &'a [Option<Precision>],
    pub(super) recorded: &'a Recorded,
    pub(super) lines: &'a dyn Fn(u32) -> u32,
    pub(super) texts: &'a HashMap<StrId, String>,
}

impl<'a> Making<'a> {
    pub(super) fn new(options: &'a MapOptions<'a>) -> Result<Self, MapError> {
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

    pub(super) fn add(
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

    pub(super) fn wants(&self, pass: &Pass, at: usize) -> bool {
        !matches!(pass.class, Class::Draft | Class::Capture)
            && pass.layers.contains(&LayerKind::Main)
            && self.options.phase.is_none_or(|class| class == pass.class)
            && self.options.pass.is_none_or(|index| index == self.seen + at as u32)
    }

    /// Takes the number of ranks from recorded sizes, and notes what they say where the user names one.
    pub(super) fn ranks<'p>(&mut self, part: &Part<'_>, passes: impl Iterator<Item = &'p Pass>) {
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

    pub(super) fn setup(&self) -> Setup<'_> {
        Setup { model: &self.model, parallel: self.parallel, kv_dtype: self.options.kv_dtype }
    }

    pub(super) fn plan(&mut self, load: &Load) -> Result<Rc<Plan>, MapError> {
        if let Some(plan) = self.plans.get(load) {
            return Ok(Rc::clone(plan));
        }
        let made = Rc::new(plan(&self.setup(), load)?);
        self.plans.insert(load.clone(), Rc::clone(&made));
        Ok(made)
    }
}
