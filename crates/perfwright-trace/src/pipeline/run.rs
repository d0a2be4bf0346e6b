//! From traces to the answer of `trace pipeline`.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::assemble::{Clusters, Rows, flow_of, rows, settle, typical_layers};
use super::config::ModelLayers;
use super::evidence;
use super::flow::{View, diff};
use super::kind::kinds;
use super::passes::{Pass, Scene, passes};
use super::report::{
    Bounds, ClusterRow, Comparison, EvidenceRow, Flow, LayerKind, LayerRow, PassRow, Pipeline, SCHEMA,
};
use super::segment::NO_MODULE;
use crate::align::Companion;
use crate::attribution::attribute;
use crate::describe::describe;
use crate::error::TraceError;
use crate::files::traces_in;
use crate::input::{Loaded, ReadOptions, read};
use crate::part::{
    Labels, Meanings, Prepared, capture_companion, companion_input, input, label_names, prepare,
};
use crate::report::{Input, Role, Stop, Total, Totals};
use crate::steps::Class;
use crate::sweep::timelines;
use crate::triage::{Catalogs, note, stop, stop_at};

/// What to look at, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct PipelineOptions<'a> {
    /// Capture trace whose launches name graph kernels.
    pub capture: Option<&'a Path>,
    /// Folder of the column cache.
    pub cache_dir: Option<&'a Path>,
    /// Only this rank of a folder.
    pub rank: Option<u32>,
    /// Layers of the model's configuration.
    pub config: Option<&'a ModelLayers>,
    /// Part of the base name of the kernel that begins a layer.
    pub anchor: Option<&'a str>,
    /// Pass for `layer` and `compare_layer`; a steady one when none is given.
    pub pass: Option<u32>,
    /// Layer to show.
    pub layer: Option<u32>,
    /// Layer to set beside it.
    pub compare_layer: Option<u32>,
}

/// One trace with everything that flows are made from.
struct Part<'a> {
    view: View<'a>,
    passes: &'a [Pass],
    first_pass: u32,
    rows: &'a [PassRow],
    layers: &'a [LayerRow],
}

impl Part<'_> {
    fn flow(&self, pass: u32, kind: LayerKind, layer: u32) -> Option<Flow> {
        let at = pass.checked_sub(self.first_pass)?;
        flow_of(&self.view, self.passes.get(at as usize)?, pass, kind, layer)
    }
}

/// The forward passes and layers of a trace file, or of all traces of a folder.
///
/// # Errors
/// [`TraceError`] when a file cannot be read, a folder holds no trace, or a pass or layer is asked for that the
/// trace does not have. Evidence that does not support a layer count is not an error: the answer says so.
pub fn pipeline(
    path: &Path,
    catalogs: &Catalogs,
    options: &PipelineOptions<'_>,
) -> Result<Pipeline, TraceError> {
    let how = ReadOptions { cache_dir: options.cache_dir };
    let mut making = Making::default();
    let mut companion_row = None;
    let capture = match options.capture {
        None => None,
        Some(file) => {
            let loaded = read(file, how)?;
            note(&loaded, &mut making.warnings);
            let companion = capture_companion(&loaded, catalogs);
            if companion.sequences.is_empty() {
                let reason = "it records no launches of a graph capture".to_owned();
                making.unusable = Some(stop_at("PW0203", reason, file));
            }
            companion_row = Some(companion_input(&loaded, Role::Capture));
            Some(companion)
        }
    };
    for file in traces_in(path, options.rank)? {
        let loaded = read(&file.path, how)?;
        if file.rank.is_none()
            && let Some(rank) = options.rank
            && describe(&loaded.store, &file.path).rank != Some(rank)
            && file.path != path
        {
            continue;
        }
        making.add(&loaded, catalogs, capture.as_ref(), options);
    }
    if let Some(rank) = options.rank.filter(|_| making.inputs.is_empty()) {
        return Err(TraceError::NoRank { path: path.to_owned(), rank });
    }
    making.inputs.extend(companion_row);
    if let Some(file) = options.capture
        && making.aligned.1 > 0
        && making.aligned.0 == 0
    {
        let reason =
            format!("none of the {} graph kernels matches a launch of this capture", making.aligned.1);
        making.unusable.get_or_insert(stop_at("PW0204", reason, file));
    }
    making.finish(path, options)
}

/// The forward passes and layers of a trace that is in memory already; the input's path is `<memory>`.
///
/// # Errors
/// As [`pipeline`], for a pass or layer that the trace does not have.
pub fn pipeline_store(
    store: crate::store::Store,
    catalogs: &Catalogs,
    options: &PipelineOptions<'_>,
) -> Result<Pipeline, TraceError> {
    let bytes = store.text_bytes;
    let path = PathBuf::from("<memory>");
    let loaded =
        Loaded { store, path: path.clone(), bytes, compressed: false, from_cache: false, cache_note: None };
    let mut making = Making::default();
    making.add(&loaded, catalogs, None, options);
    making.finish(&path, options)
}

/// The answer in the making.
#[derive(Default)]
struct Making {
    labels: Labels,
    clusters: Clusters,
    flows: HashMap<u32, Flow>,
    selected: Option<Flow>,
    comparison: Option<Comparison>,
    inputs: Vec<Input>,
    rows: Vec<PassRow>,
    layers: Vec<LayerRow>,
    lines: Vec<Vec<EvidenceRow>>,
    outside: Total,
    warnings: Vec<String>,
    unusable: Option<Stop>,
    aligned: (u64, u64),
    anchored: bool,
}

impl Making {
    fn add(
        &mut self,
        loaded: &Loaded,
        catalogs: &Catalogs,
        capture: Option<&Companion>,
        options: &PipelineOptions<'_>,
    ) {
        note(loaded, &mut self.warnings);
        let Prepared { mut meanings, host, steps } = prepare(loaded, catalogs);
        let store = &loaded.store;
        let attribution = attribute(store, &host, &steps, capture, None);
        meanings.refine(store, &attribution, catalogs);
        self.aligned.0 += attribution.aligned.0;
        self.aligned.1 += attribution.aligned.1;
        let of_name = kinds(store, &meanings);
        let modules: Vec<u32> = attribution.found.iter().map(|f| f.layer.unwrap_or(NO_MODULE)).collect();
        let anchor = options.anchor.map(|text| anchored(&meanings, store.strings.len(), text));
        self.anchored |= anchor.as_ref().is_some_and(|a| a.iter().any(|&x| x));
        let scene = Scene {
            store,
            steps: &steps,
            kinds: &of_name,
            modules: &modules,
            anchor: anchor.as_deref(),
            config_layers: options.config.map(ModelLayers::count),
        };
        let (cut, lines) = passes(&scene);
        let labels = label_names(store, &meanings, &mut self.labels);
        let view =
            View { store, meanings: &meanings, attribution: &attribution, host: &host, labels: &labels };
        let first_pass = self.rows.len() as u32;
        let Rows { passes: mut new, layers } = rows(
            &view,
            &steps,
            &of_name,
            &cut,
            (self.inputs.len(), first_pass),
            options.config,
            &mut self.clusters,
        );
        if store.partial.is_some()
            && let Some(last) = new.iter_mut().max_by_key(|p| p.start_ns)
        {
            last.partial = true;
        }
        let complete: Vec<(u32, &Pass)> = cut
            .iter()
            .zip(&new)
            .filter(|(p, row)| counts(row) && !p.layers.is_empty())
            .map(|(p, row)| (row.index, p))
            .collect();
        let found = one_count(new.iter());
        let several = new.iter().any(|p| matches!(p.bounds, Bounds::Config | Bounds::Work));
        let mut evidence = evidence::repetition(&scene, lines, found, several);
        evidence.extend(evidence::frames(&scene, &complete, &attribution, found));
        evidence.extend(evidence::graph(store, &host, &complete));
        self.lines.push(evidence);
        let in_pass: Total = new.iter().fold(Total::default(), |t, p| Total {
            count: t.count + p.kernels,
            total_ns: t.total_ns + p.device_ns,
        });
        let (timelines, _) = timelines(store, &meanings.classified, &host.launch_of);
        let row = input(loaded, &describe(store, &loaded.path), &timelines, Role::Trace);
        self.outside.count += row.totals.count() - in_pass.count;
        self.outside.total_ns += row.totals.device_ns() - in_pass.total_ns;
        self.inputs.push(row);
        settle(&mut new, &layers);
        self.show(&Part { view, passes: &cut, first_pass, rows: &new, layers: &layers }, options);
        self.rows.append(&mut new);
        self.layers.extend(layers);
    }

    fn finish(mut self, path: &Path, options: &PipelineOptions<'_>) -> Result<Pipeline, TraceError> {
        let steady = settle(&mut self.rows, &self.layers);
        let flows = std::mem::take(&mut self.flows);
        let clusters = std::mem::take(&mut self.clusters).finish(&self.layers, flows);
        if let Some(config) = options.config {
            self.contradictions(&clusters, config);
        }
        let found = one_count(self.rows.iter());
        let reason = reason(&self.rows, found, options);
        let mut list = vec![evidence::blocks(&counted(&self.rows), options.anchor, found)];
        for row in std::mem::take(&mut self.lines).into_iter().flatten() {
            if !list.contains(&row) {
                list.push(row);
            }
        }
        list.extend(
            options
                .config
                .map(|c| evidence::config(c, found, self.rows.iter().map(|r| r.draft_layers).max())),
        );
        let mut totals = Totals::default();
        self.inputs.iter().filter(|i| i.role == Role::Trace).for_each(|i| totals.add(&i.totals));
        let stop = stop(&self.inputs, &totals).or_else(|| self.unusable.take());
        self.advise(&list, options);
        if stop.is_none() {
            self.check(path, options)?;
        }
        let partial = self.inputs.iter().find_map(|i| i.partial.clone());
        Ok(Pipeline {
            schema: SCHEMA.to_owned(),
            inputs: self.inputs,
            layers_per_pass: found,
            layers_reason: reason,
            evidence: list,
            passes: self.rows,
            layers: self.layers,
            clusters,
            steady,
            selected: self.selected,
            comparison: self.comparison,
            outside: self.outside,
            partial,
            stop,
            warnings: self.warnings,
        })
    }

    fn advise(&mut self, list: &[EvidenceRow], options: &PipelineOptions<'_>) {
        if let Some(name) = options.anchor.filter(|_| !self.anchored) {
            self.warnings.push(format!("no kernel's base name contains `{name}`: no layer begins"));
        }
        for row in list.iter().filter(|r| r.agrees == Some(false)) {
            self.warnings.push(format!("evidence disagrees: {}", row.detail));
        }
        if self.rows.iter().any(|r| r.bounds == Bounds::Config) {
            let what =
                "nothing in the trace bounds its passes: they are cut by the configuration's layer count";
            self.warnings.push(what.to_owned());
        }
    }

    /// Warns of layers whose kernels are not those of the configuration.
    fn contradictions(&mut self, clusters: &[ClusterRow], config: &ModelLayers) {
        for c in clusters.iter().filter(|c| c.kind == LayerKind::Main && c.configured) {
            let block = c.layer_indices.first().and_then(|&at| config.blocks.get(at as usize));
            if let Some(why) = block.and_then(|b| b.contradicted_by(&c.structure)) {
                let text = format!(
                    "evidence disagrees: the configuration has {} in cluster {} (layers {}), but {why}",
                    c.name,
                    c.index,
                    super::render::ranges(&c.layer_indices)
                );
                self.warnings.push(text);
            }
        }
    }

    /// Takes the flows that the answer shows while their trace is still at hand.
    fn show(&mut self, part: &Part<'_>, options: &PipelineOptions<'_>) {
        for (cluster, pass, kind, layer) in typical_layers(part.rows, part.layers, &self.flows) {
            if let Some(flow) = part.flow(pass, kind, layer) {
                self.flows.insert(cluster, flow);
            }
        }
        let Some(layer) = options.layer.filter(|_| self.selected.is_none()) else { return };
        let needed = layer.max(options.compare_layer.unwrap_or(0));
        let Some(pass) = options.pass.or_else(|| typical(part.rows, needed)) else { return };
        let Some(row) = part.rows.iter().find(|r| r.index == pass) else { return };
        let kind = kind_of(row);
        let Some(a) = part.flow(pass, kind, layer) else { return };
        if let Some(other) = options.compare_layer {
            let Some(b) = part.flow(pass, kind, other) else { return };
            let row = |layer| part.layers.iter().find(|l| (l.pass, l.kind, l.index) == (pass, kind, layer));
            let each = |of: fn(&LayerRow) -> i64| [row(layer).map_or(0, of), row(other).map_or(0, of)];
            self.comparison = Some(Comparison {
                pass,
                a: layer,
                b: other,
                wall_ns: each(|l| l.wall_ns),
                sum_ns: each(|l| l.sum_ns),
                rows: diff(&a, &b),
            });
        }
        self.selected = Some(a);
    }

    /// Refuses a pass or layer that no trace has.
    fn check(&self, path: &Path, options: &PipelineOptions<'_>) -> Result<(), TraceError> {
        let Some(layer) = options.layer.filter(|_| self.selected.is_none()) else { return Ok(()) };
        let missing =
            |what: String, have: String| Err(TraceError::NoSuchPart { path: path.to_owned(), what, have });
        let layer = layer.max(options.compare_layer.unwrap_or(0));
        let counted = |n: u32, what: &str| match n {
            0 => format!("it has no {what}"),
            n => format!("it has {what} 0 to {}", n - 1),
        };
        let Some(pass) = options.pass else {
            let most = self.rows.iter().map(|r| r.layers).max().unwrap_or(0);
            return missing(format!("layer {layer}"), counted(most, "layers"));
        };
        match self.rows.get(pass as usize) {
            None => missing(format!("pass {pass}"), counted(self.rows.len() as u32, "passes")),
            Some(row) => {
                let n = if kind_of(row) == LayerKind::Main { row.layers } else { row.draft_layers };
                missing(format!("layer {layer} in pass {pass}"), counted(n, "layers"))
            }
        }
    }
}

/// Whose layers a pass shows: a draft pass has none of the main model.
fn kind_of(row: &PassRow) -> LayerKind {
    if row.layers == 0 && row.draft_layers > 0 { LayerKind::Draft } else { LayerKind::Main }
}

/// Names whose base contains the text.
fn anchored(meanings: &Meanings, strings: usize, text: &str) -> Vec<bool> {
    let mut out = vec![false; strings];
    for (&name, symbol) in &meanings.symbols {
        out[name as usize] = symbol.base.contains(text);
    }
    out
}

/// True for passes that set the layer count.
fn counts(row: &PassRow) -> bool {
    !row.partial && !matches!(row.class, Class::Draft | Class::Capture)
}

/// Layer counts of the passes that set it, with how many passes have each. Passes without any layer are not
/// forward passes of the model.
fn counted(rows: &[PassRow]) -> Vec<(u32, usize)> {
    let mut out: Vec<(u32, usize)> = Vec::new();
    for row in rows.iter().filter(|r| counts(r) && r.layers > 0) {
        match out.iter_mut().find(|c| c.0 == row.layers) {
            Some(c) => c.1 += 1,
            None => out.push((row.layers, 1)),
        }
    }
    out.sort_unstable_by_key(|c| (std::cmp::Reverse(c.1), c.0));
    out
}

fn one_count<'a>(rows: impl Iterator<Item = &'a PassRow>) -> Option<u32> {
    let mut found = None;
    for row in rows.filter(|r| counts(r) && r.layers > 0) {
        if found.is_some_and(|f| f != row.layers) {
            return None;
        }
        found = Some(row.layers);
    }
    found
}

/// The first steady pass with more than `layer` layers.
fn typical(rows: &[PassRow], layer: u32) -> Option<u32> {
    let fits = |r: &&PassRow| r.layers > layer && !r.cold && !r.partial;
    rows.iter().find(fits).or_else(|| rows.iter().find(|r| r.layers > layer)).map(|r| r.index)
}

fn reason(rows: &[PassRow], found: Option<u32>, options: &PipelineOptions<'_>) -> String {
    let list = counted(rows);
    if let Some(n) = found {
        let passes = list.first().map_or(0, |c| c.1);
        let how = match (options.anchor, rows.iter().any(|r| r.bounds == Bounds::Config)) {
            (Some(name), _) => format!("each begins at `{name}`"),
            (None, true) => "passes bounded by the configuration's layer count".to_owned(),
            (None, false) => "one attention or recurrence block each".to_owned(),
        };
        return format!("{n} layers in each of {passes} complete passes; {how}");
    }
    if list.len() > 1 {
        let some: Vec<String> = list.iter().take(8).map(|c| format!("{} in {}", c.0, c.1)).collect();
        return format!("complete passes differ (layers in passes): {}", some.join(", "));
    }
    let cut: Vec<&PassRow> = rows.iter().filter(|r| r.partial && r.layers > 0).collect();
    if let Some(most) = cut.iter().map(|r| r.layers).max() {
        return format!("no pass is complete: the trace cuts {} with up to {most} layers in view", cut.len());
    }
    if rows.iter().any(|r| r.draft_layers > 0) {
        return "only draft passes have layers".to_owned();
    }
    "no attention or recurrence kernel was recognised, so nothing shows what a layer is; --anchor NAME sets it"
        .to_owned()
}
