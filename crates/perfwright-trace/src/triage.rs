//! From traces to the answer of `trace triage`.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use crate::align::Companion;
use crate::budget::BudgetRow;
use crate::describe::describe;
use crate::error::TraceError;
use crate::files::{Found as File, traces_in};
use crate::frames::FrameRules;
use crate::fusion_table::FusionRow;
use crate::input::{Loaded, ReadOptions, read, read_memory};
use crate::overlap::{OverlapRow, ratio};
use crate::part::{KernelSum, Labels, Part, analyse, capture_companion, companion_input, mapping_companion};
use crate::report::{
    AttributionSummary, Input, KernelRow, MethodRow, Role, SCHEMA, Stop, Tables, Total, Totals, Triage,
};
use crate::steps::{Class, StepRules};
use crate::store::Partial;

/// Everything that grows by contribution.
pub struct Catalogs {
    /// Kernel categories.
    pub kernels: crate::names::Catalog,
    /// Fuse patterns.
    pub fusions: crate::fusion::FusionCatalog,
    /// Ranks of Python frames.
    pub frames: FrameRules,
    /// Rules that recognise passes.
    pub steps: StepRules,
}

/// A catalogue text of the user: path for messages, and the TOML.
pub type CatalogText = (String, String);

impl Catalogs {
    /// The catalogues that ship with the program, with the user's `kernels` and `fusions` texts in front.
    ///
    /// # Errors
    /// [`TraceError::Catalog`] names the text and the entry that cannot be used.
    pub fn new(kernels: &[CatalogText], fusions: &[CatalogText]) -> Result<Self, TraceError> {
        let fault = |cause: String| TraceError::Catalog { path: PathBuf::from("catalog"), cause };
        let texts = |list: &'_ [CatalogText]| -> Vec<(String, String)> { list.to_vec() };
        let (k, f) = (texts(kernels), texts(fusions));
        let k: Vec<(&str, &str)> = k.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        let f: Vec<(&str, &str)> = f.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        Ok(Self {
            kernels: crate::names::Catalog::with_overrides(&k).map_err(|e| fault(e.to_string()))?,
            fusions: crate::fusion::FusionCatalog::with_overrides(&f).map_err(|e| fault(e.to_string()))?,
            frames: FrameRules::builtin().map_err(fault)?,
            steps: StepRules::builtin().map_err(fault)?,
        })
    }
}

/// What to triage, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct TriageOptions<'a> {
    /// Capture trace whose launches name graph kernels.
    pub capture: Option<&'a Path>,
    /// Eager trace that names kernels.
    pub mapping: Option<&'a Path>,
    /// Folder of the column cache.
    pub cache_dir: Option<&'a Path>,
    /// Only this rank of a folder.
    pub rank: Option<u32>,
}

/// Triages a trace file, or all traces of a folder.
///
/// # Errors
/// [`TraceError`] when a file cannot be read, a folder holds no trace, or a companion does not fit. Evidence that
/// can be read but does not support tables is not an error: the answer's `stop` says so.
pub fn triage(path: &Path, catalogs: &Catalogs, options: &TriageOptions<'_>) -> Result<Triage, TraceError> {
    let how = ReadOptions { cache_dir: options.cache_dir };
    let files = traces_in(path, options.rank)?;
    let mut inputs = Vec::new();
    let mut warnings = Vec::new();
    let mut unusable = None;
    let mut companion = |file: Option<&Path>, role: Role| -> Result<Option<Companion>, TraceError> {
        let Some(file) = file else { return Ok(None) };
        let loaded = read(file, how)?;
        let companion = match role {
            Role::Mapping => mapping_companion(&loaded, catalogs),
            Role::Capture | Role::Trace => capture_companion(&loaded, catalogs),
        };
        if companion.sequences.is_empty() {
            let (code, reason) = match role {
                Role::Mapping => {
                    ("PW0205", "no device work in it has a Python source, so it can name nothing")
                }
                Role::Capture | Role::Trace => ("PW0203", "it records no launches of a graph capture"),
            };
            unusable.get_or_insert(stop_at(code, reason.to_owned(), file));
        }
        note(&loaded, &mut warnings);
        inputs.push(companion_input(&loaded, role));
        Ok(Some(companion))
    };
    let capture = companion(options.capture, Role::Capture)?;
    let mapping = companion(options.mapping, Role::Mapping)?;
    let mut labels = Labels::default();
    let mut sum = Sum::default();
    for File { path: file, rank: named } in &files {
        let loaded = read(file, how)?;
        // A single file that does not tell its rank is taken at the user's word.
        if let Some(rank) = options.rank
            && (named.is_none() || file == path)
            && let known = describe(&loaded.store, file).rank
            && known != Some(rank)
            && (known.is_some() || file != path)
        {
            continue;
        }
        let index = sum.inputs.len();
        note(&loaded, &mut warnings);
        sum.add(analyse(&loaded, index, catalogs, (capture.as_ref(), mapping.as_ref()), &mut labels));
    }
    if let Some(rank) = options.rank.filter(|_| sum.inputs.is_empty()) {
        return Err(TraceError::NoRank { path: path.to_owned(), rank });
    }
    sum.inputs.append(&mut inputs);
    if let Some(capture) = options.capture
        && sum.aligned.1 > 0
        && sum.aligned.0 == 0
    {
        let reason = format!("none of the {} graph kernels matches a launch of this capture", sum.aligned.1);
        unusable.get_or_insert(stop_at("PW0204", reason, capture));
    }
    Ok(sum.finish(warnings, unusable))
}

/// Triages the text of one trace in memory, plain or gzip. Its path in the answer is `<memory>`.
///
/// # Errors
/// As [`triage`].
pub fn triage_text(text: &[u8], catalogs: &Catalogs) -> Result<Triage, TraceError> {
    let loaded = read_memory(text)?;
    let mut warnings = Vec::new();
    let mut sum = Sum::default();
    note(&loaded, &mut warnings);
    sum.add(analyse(&loaded, 0, catalogs, (None, None), &mut Labels::default()));
    Ok(sum.finish(warnings, None))
}

pub(crate) fn stop_at(code: &str, reason: String, file: &Path) -> Stop {
    Stop { code: code.to_owned(), reason, file: Some(file.display().to_string()) }
}

pub(crate) fn note(loaded: &Loaded, warnings: &mut Vec<String>) {
    if let Some(p) = &loaded.store.partial {
        warnings.push(format!("{}: only a part was read: {}", loaded.path.display(), p.reason));
    }
    warnings.extend(loaded.cache_note.clone());
    let a = &loaded.store.anomalies;
    if a.trailing_bytes > 0 {
        let (path, n) = (loaded.path.display(), a.trailing_bytes);
        warnings.push(format!("{path}: {n} bytes after the end of the document were ignored"));
    }
    if a.malformed_events > 0 {
        let (path, n) = (loaded.path.display(), a.malformed_events);
        warnings.push(format!("{path}: {n} entries among the events are no events and were passed over"));
    }
    for (n, what) in [
        (a.negative_duration, "a negative duration"),
        (a.bad_time, "no usable time stamp or duration"),
        (a.zero_duration, "a duration of zero"),
    ] {
        if n > 0 {
            warnings.push(format!(
                "{}: {n} device events have {what} and are in no total",
                loaded.path.display()
            ));
        }
    }
}

/// Parts, added up.
#[derive(Default)]
struct Sum {
    inputs: Vec<Input>,
    steps: Vec<crate::report::StepRow>,
    kernels: HashMap<(Class, String), KernelSum>,
    methods: std::collections::BTreeMap<crate::attribution::Method, Total>,
    launched_ns: i64,
    launched_attributed_ns: i64,
    aligned: (u64, u64),
    overlap: Vec<OverlapRow>,
    fusions: Vec<FusionRow>,
    budget: Vec<BudgetRow>,
    partial: Option<Partial>,
}

impl Sum {
    fn add(&mut self, part: Part) {
        if self.partial.is_none() {
            self.partial = part.input.partial.clone();
        }
        let steps_before = self.steps_of();
        self.inputs.push(part.input);
        self.steps.extend(part.steps);
        for (key, sum) in part.kernels {
            self.kernels.entry(key).or_default().add(sum);
        }
        for (method, total) in part.methods {
            let t = self.methods.entry(method).or_default();
            t.count += total.count;
            t.total_ns += total.total_ns;
        }
        self.launched_ns += part.launched_ns;
        self.launched_attributed_ns += part.launched_attributed_ns;
        self.aligned = (self.aligned.0 + part.aligned.0, self.aligned.1 + part.aligned.1);
        for row in part.budget {
            match self.budget.iter_mut().find(|b| (b.scope, b.class) == (row.scope, row.class)) {
                Some(ours) => ours.add(&row),
                None => self.budget.push(row),
            }
        }
        let steps_after = self.steps_of();
        add_overlap(&mut self.overlap, part.overlap, &steps_before, &steps_after);
        for row in part.fusions {
            match self.fusions.iter_mut().find(|f| f.class == row.class && f.pattern == row.pattern) {
                Some(ours) => add_fusion(ours, row),
                None => self.fusions.push(row),
            }
        }
    }

    fn steps_of(&self) -> HashMap<Class, i64> {
        let mut n = HashMap::new();
        self.steps.iter().for_each(|s| *n.entry(s.class).or_default() += 1);
        n
    }

    fn finish(mut self, mut warnings: Vec<String>, unusable: Option<Stop>) -> Triage {
        let mut totals = Totals::default();
        self.inputs.iter().filter(|i| i.role == Role::Trace).for_each(|i| totals.add(&i.totals));
        let device_ns = totals.device_ns();
        let mut class_ns: HashMap<Class, i64> = HashMap::new();
        for ((class, _), sum) in &self.kernels {
            *class_ns.entry(*class).or_default() += sum.total_ns;
        }
        let steps = self.steps_of();
        let mut kernels: Vec<KernelRow> = std::mem::take(&mut self.kernels)
            .into_iter()
            .map(|((class, kernel), sum)| {
                kernel_row(class, kernel, sum, class_ns[&class], steps.get(&class).copied().unwrap_or(0))
            })
            .collect();
        kernels.sort_by(|a, b| {
            (a.class, std::cmp::Reverse(a.total_ns), &a.kernel).cmp(&(
                b.class,
                std::cmp::Reverse(b.total_ns),
                &b.kernel,
            ))
        });
        for row in &mut self.overlap {
            row.share = ratio(row.exposed_ns, class_ns.get(&row.class).copied().unwrap_or(0));
        }
        for row in &mut self.fusions {
            row.share = ratio(row.related_ns, class_ns.get(&row.class).copied().unwrap_or(0));
        }
        self.overlap.sort_by(|a, b| {
            (std::cmp::Reverse(a.exposed_ns), a.class, &a.kernel).cmp(&(
                std::cmp::Reverse(b.exposed_ns),
                b.class,
                &b.kernel,
            ))
        });
        self.fusions.sort_by(|a, b| {
            (a.class, std::cmp::Reverse(a.related_ns), &a.pattern).cmp(&(
                b.class,
                std::cmp::Reverse(b.related_ns),
                &b.pattern,
            ))
        });
        self.budget.sort_by_key(|b| (b.class.is_none(), b.class));
        let attribution = self.attribution(device_ns);
        let stop = stop(&self.inputs, &totals).or(unusable);
        if stop.is_none() {
            advise(&attribution, &steps, &mut warnings);
        }
        Triage {
            schema: SCHEMA.to_owned(),
            inputs: self.inputs,
            totals,
            steps: self.steps,
            attribution,
            tables: Tables { kernels, overlap: self.overlap, fusions: self.fusions },
            budget: self.budget,
            partial: self.partial,
            stop,
            warnings,
        }
    }

    fn attribution(&self, device_ns: i64) -> AttributionSummary {
        let attributed: i64 =
            self.methods.iter().filter(|(m, _)| m.attributes()).map(|(_, t)| t.total_ns).sum();
        AttributionSummary {
            share: ratio(attributed, device_ns),
            share_of_launched: (self.launched_ns > 0)
                .then(|| ratio(self.launched_attributed_ns, self.launched_ns)),
            by_method: self
                .methods
                .iter()
                .map(|(m, t)| {
                    let row = MethodRow {
                        count: t.count,
                        total_ns: t.total_ns,
                        share: ratio(t.total_ns, device_ns),
                        attributes: m.attributes(),
                        meaning: m.meaning().to_owned(),
                    };
                    (m.as_str().to_owned(), row)
                })
                .collect(),
            graph_kernels: self.aligned.1,
            graph_kernels_attributed: self.aligned.0,
        }
    }
}

/// No device work is no evidence: tables would be empty, not true.
pub(crate) fn stop(inputs: &[Input], totals: &Totals) -> Option<Stop> {
    if totals.count() > 0 {
        return None;
    }
    let traces = || inputs.iter().filter(|i| i.role == Role::Trace);
    let events: u64 = traces().map(|i| i.events).sum();
    let aside: u64 = traces()
        .map(|i| i.set_aside.zero_duration + i.set_aside.negative_duration + i.set_aside.bad_time)
        .sum();
    let (code, reason) = if aside > 0 {
        ("PW0202", format!("none of the {aside} device events has a positive duration"))
    } else if traces().any(|i| i.partial.is_some()) {
        (
            "PW0201",
            format!(
                "none of the {events} events that could be read is GPU work, and only a part could be read"
            ),
        )
    } else {
        let reason = format!(
            "none of the {events} events is GPU work (kernel, gpu_memcpy or gpu_memset): profile with the CUDA \
             activity, and while the model runs"
        );
        ("PW0201", reason)
    };
    Some(Stop { code: code.to_owned(), reason, file: traces().next().map(|i| i.path.clone()) })
}

fn advise(attribution: &AttributionSummary, steps: &HashMap<Class, i64>, warnings: &mut Vec<String>) {
    let share = |method: &str| attribution.by_method.get(method).map_or(0.0, |m| m.share);
    let tell = |share: f64, what: &str| format!("{:.1} % of the device time {what}", share * 100.0);
    if share("graph-launch") > 0.01 {
        warnings.push(tell(
            share("graph-launch"),
            "is known only by its graph launch; --capture TRACE names its source",
        ));
    }
    if share("unlinked") > 0.01 {
        warnings.push(tell(share("unlinked"), "has no launch record: no source can be given for it"));
    }
    if steps.is_empty() {
        warnings.push("no engine passes were found: all work is in class unknown".to_owned());
    }
}

fn kernel_row(class: Class, kernel: String, mut sum: KernelSum, class_ns: i64, steps: i64) -> KernelRow {
    sum.durations.sort_unstable();
    let n = sum.durations.len();
    let rank = |p: usize| sum.durations[((n * p).div_ceil(100)).clamp(1, n) - 1];
    let most = |m: &std::collections::BTreeMap<String, i64>| {
        m.iter().max_by_key(|(k, v)| (**v, std::cmp::Reverse((*k).clone()))).map(|(k, v)| (k.clone(), *v))
    };
    let source = most(&sum.sources);
    let method = sum.methods.iter().max_by_key(|(m, v)| (**v, std::cmp::Reverse(**m))).map(|(m, _)| *m);
    let (category, rule, collective) =
        sum.classified.clone().unwrap_or_else(|| ("unknown".to_owned(), None, None));
    KernelRow {
        class,
        kernel,
        category,
        launches: n as u64,
        total_ns: sum.total_ns,
        share: ratio(sum.total_ns, class_ns),
        source_share: source.as_ref().map_or(0.0, |(_, ns)| ratio(*ns, sum.total_ns)),
        source: source.map(|s| s.0),
        sources: sum.sources.len() as u64,
        cpu_op: most(&sum.ops).map(|o| o.0),
        method: method.map_or("unlinked", crate::attribution::Method::as_str).to_owned(),
        mean_ns: sum.total_ns / n as i64,
        p50_ns: rank(50),
        p99_ns: rank(99),
        max_ns: sum.durations[n - 1],
        launches_per_step: (steps > 0 && sum.in_steps > 0).then(|| sum.in_steps as f64 / steps as f64),
        collective,
        rule,
        raw_names: sum.raw_names.into_iter().collect(),
    }
}

fn add_overlap(
    ours: &mut Vec<OverlapRow>,
    theirs: Vec<OverlapRow>,
    before: &HashMap<Class, i64>,
    after: &HashMap<Class, i64>,
) {
    for row in theirs {
        let Some(mine) = ours.iter_mut().find(|o| o.class == row.class && o.kernel == row.kernel) else {
            ours.push(row);
            continue;
        };
        // Per-step figures are means: weigh them by the steps each side has.
        let n = before.get(&row.class).copied().unwrap_or(0).max(1);
        let m = (after.get(&row.class).copied().unwrap_or(0) - n).max(1);
        let mean = |a: i64, b: i64| (a * n + b * m) / (n + m);
        mine.launches += row.launches;
        mine.total_ns += row.total_ns;
        mine.exposed_ns += row.exposed_ns;
        mine.hidden_ns += row.hidden_ns;
        mine.exposed_per_step_ns = mean(mine.exposed_per_step_ns, row.exposed_per_step_ns);
        mine.independent_per_step_ns = mean(mine.independent_per_step_ns, row.independent_per_step_ns);
        mine.bound_per_step_ns = mine.exposed_per_step_ns.min(mine.independent_per_step_ns);
        if row.exposed_ns * 2 > mine.exposed_ns {
            (mine.risk, mine.after, mine.before, mine.action) = (row.risk, row.after, row.before, row.action);
        }
    }
}

fn add_fusion(ours: &mut FusionRow, row: FusionRow) {
    if ours.state != row.state {
        ours.state = "partial".to_owned();
    }
    ours.related_ns += row.related_ns;
    ours.launches += row.launches;
    ours.upper_bound_saving_ns += row.upper_bound_saving_ns;
    for kernel in row.evidence {
        if !ours.evidence.contains(&kernel) {
            ours.evidence.push(kernel);
        }
    }
}
