//! The analysis of one trace file, in the form in which several are added up.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::align::Companion;
use crate::attribution::{Attribution, Found, Host, Method, NO_TEXT, attribute};
use crate::budget::{BudgetRow, budget};
use crate::companion::{captured, eager};
use crate::describe::{Description, describe};
use crate::fusion_rows::{Scene, rows};
use crate::fusion_table::FusionRow;
use crate::input::Loaded;
use crate::intern::StrId;
use crate::links::NO_ROW;
use crate::names::{By, Classified, Symbol, normalise};
use crate::overlap::{OverlapRow, overlap};
use crate::report::{Input, Role, StepRow, Total, Totals};
use crate::steps::{Class, KernelHint, NO_STEP, Steps, find, kernel_hint};
use crate::store::{KERNEL, MEMCPY, Store};
use crate::sweep::{exposed, timelines};
use crate::triage::Catalogs;

/// Short names of kernels, one a raw name: two names whose short forms are equal are kept apart.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    by_raw: HashMap<String, String>,
    taken: HashMap<String, String>,
}

impl Labels {
    fn of(&mut self, raw: &str, symbol: &Symbol) -> String {
        let normal = normalise(raw).into_owned();
        if let Some(label) = self.by_raw.get(&normal) {
            return label.clone();
        }
        let mut label = symbol.display.clone();
        if self.taken.get(&label).is_some_and(|owner| *owner != normal) {
            label = format!("{label} #{:06x}", xxhash_rust::xxh3::xxh3_64(normal.as_bytes()) & 0xff_ffff);
        }
        self.taken.insert(label.clone(), normal.clone());
        self.by_raw.insert(normal, label.clone());
        label
    }
}

/// One kernel in one class, being added up.
#[derive(Debug, Default, Clone)]
pub(crate) struct KernelSum {
    pub(crate) durations: Vec<i64>,
    pub(crate) total_ns: i64,
    pub(crate) sources: BTreeMap<String, i64>,
    pub(crate) ops: BTreeMap<String, i64>,
    pub(crate) methods: BTreeMap<Method, i64>,
    pub(crate) raw_names: BTreeSet<String>,
    pub(crate) in_steps: u64,
    pub(crate) classified: Option<(String, Option<String>, Option<String>)>,
}

impl KernelSum {
    pub(crate) fn add(&mut self, o: KernelSum) {
        self.durations.extend(o.durations);
        self.total_ns += o.total_ns;
        let maps = [(&mut self.sources, o.sources), (&mut self.ops, o.ops)];
        for (ours, theirs) in maps {
            for (k, v) in theirs {
                *ours.entry(k).or_default() += v;
            }
        }
        for (k, v) in o.methods {
            *self.methods.entry(k).or_default() += v;
        }
        self.raw_names.extend(o.raw_names);
        self.in_steps += o.in_steps;
        self.classified = self.classified.take().or(o.classified);
    }
}

/// What one trace adds to the answer.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) input: Input,
    pub(crate) steps: Vec<StepRow>,
    pub(crate) kernels: HashMap<(Class, String), KernelSum>,
    pub(crate) methods: BTreeMap<Method, Total>,
    pub(crate) launched_ns: i64,
    pub(crate) launched_attributed_ns: i64,
    pub(crate) aligned: (u64, u64),
    pub(crate) overlap: Vec<OverlapRow>,
    pub(crate) fusions: Vec<FusionRow>,
    pub(crate) budget: Vec<BudgetRow>,
}

/// The names of a trace with their meaning, by string id.
pub(crate) struct Meanings {
    pub(crate) symbols: HashMap<StrId, Symbol>,
    pub(crate) classified: Vec<Classified>,
    pub(crate) hints: Vec<KernelHint>,
}

impl Meanings {
    fn new(store: &Store, catalogs: &Catalogs) -> Self {
        let n = store.strings.len();
        let mut m = Meanings {
            symbols: HashMap::new(),
            classified: vec![Classified::unknown(); n],
            hints: vec![KernelHint::default(); n],
        };
        for (&name, &kind) in store.devices.name.iter().zip(&store.devices.kind) {
            if m.symbols.contains_key(&name) {
                continue;
            }
            let symbol = Symbol::parse(&store.strings.text(name));
            let at = name as usize;
            if kind == KERNEL {
                m.classified[at] = catalogs.kernels.classify(&symbol, None);
                m.hints[at] = kernel_hint(&catalogs.steps, &symbol, &m.classified[at]);
            } else {
                m.classified[at].category = crate::names::Category::Memory;
                m.classified[at].by = By::Name;
            }
            m.symbols.insert(name, symbol);
        }
        m
    }

    /// Asks again with the operator that most of a kernel's time comes from, where the name alone leaves a doubt.
    pub(crate) fn refine(&mut self, store: &Store, attribution: &Attribution, catalogs: &Catalogs) {
        let d = &store.devices;
        let mut ops: HashMap<StrId, HashMap<u32, i64>> = HashMap::new();
        for (i, f) in attribution.found.iter().enumerate() {
            if f.op != NO_TEXT && d.kind[i] == KERNEL {
                *ops.entry(d.name[i]).or_default().entry(f.op).or_default() += d.dur[i];
            }
        }
        for (name, by_op) in ops {
            let most = by_op.iter().max_by_key(|(op, ns)| (**ns, std::cmp::Reverse(**op)));
            if let (Some((&op, _)), Some(symbol)) = (most, self.symbols.get(&name)) {
                self.classified[name as usize] =
                    catalogs.kernels.classify(symbol, attribution.texts.get(op as usize).map(String::as_str));
            }
        }
    }
}

/// A trace with its steps and host side, before attribution.
pub(crate) struct Prepared {
    pub(crate) meanings: Meanings,
    pub(crate) host: Host,
    pub(crate) steps: Steps,
}

pub(crate) fn prepare(loaded: &Loaded, catalogs: &Catalogs) -> Prepared {
    let store = &loaded.store;
    let meanings = Meanings::new(store, catalogs);
    let host = Host::new(store, &catalogs.frames);
    let steps = find(store, &host.launch_of, &meanings.hints, &catalogs.steps);
    Prepared { meanings, host, steps }
}

/// The captured graphs of a capture trace.
pub(crate) fn capture_companion(loaded: &Loaded, catalogs: &Catalogs) -> Companion {
    captured(&loaded.store, &Host::new(&loaded.store, &catalogs.frames))
}

/// The eager steps of a mapping trace.
pub(crate) fn mapping_companion(loaded: &Loaded, catalogs: &Catalogs) -> Companion {
    let p = prepare(loaded, catalogs);
    let attribution = attribute(&loaded.store, &p.host, &p.steps, None, None);
    eager(&loaded.store, &attribution, &p.steps)
}

/// Analyses one trace.
pub(crate) fn analyse(
    loaded: &Loaded,
    index: usize,
    catalogs: &Catalogs,
    companions: (Option<&Companion>, Option<&Companion>),
    labels: &mut Labels,
) -> Part {
    let Prepared { mut meanings, host, steps } = prepare(loaded, catalogs);
    let store = &loaded.store;
    let attribution = attribute(store, &host, &steps, companions.0, companions.1);
    meanings.refine(store, &attribution, catalogs);
    let lines = timelines(store, &meanings.classified);
    let exposed = exposed(store, &lines);
    let d = &store.devices;
    let class_of = |i: usize| steps.list.get(steps.of_device[i] as usize).map_or(Class::Unknown, |s| s.class);
    let mut class_ns: HashMap<Class, i64> = HashMap::new();
    (0..d.len()).for_each(|i| *class_ns.entry(class_of(i)).or_default() += d.dur[i]);
    let by_name = label_names(store, &meanings, labels);
    let label = |name: StrId| by_name.get(&name).cloned().unwrap_or_default();
    let description = describe(store, &loaded.path);
    let scene = Scene {
        store,
        meanings: &meanings,
        attribution: &attribution,
        steps: &steps,
        about: &description,
        class_ns: &class_ns,
    };
    let fusions = rows(&scene, catalogs, &label);
    let overlap = overlap(store, &lines, &steps, &exposed, class_of, &class_ns, label);
    let budget = budget(store, &lines, &steps, &host.launch_of);
    let (methods, launched_ns, launched_attributed_ns) = methods(store, &attribution, &host);
    let mut part = Part {
        input: input(loaded, &description, &lines, Role::Trace),
        steps: step_rows(store, &steps, index),
        kernels: kernel_sums(store, &meanings, &attribution, &steps, class_of, &label),
        methods,
        launched_ns,
        launched_attributed_ns,
        aligned: attribution.aligned,
        overlap,
        fusions,
        budget,
    };
    part.input.totals = totals(store);
    part
}

pub(crate) fn label_names(store: &Store, meanings: &Meanings, labels: &mut Labels) -> HashMap<StrId, String> {
    let mut names: Vec<(StrId, String)> =
        meanings.symbols.keys().map(|&n| (n, store.strings.text(n).into_owned())).collect();
    names.sort_by(|a, b| a.1.cmp(&b.1)); // so that which of two equal short names is marked depends on nothing else
    names.into_iter().map(|(n, raw)| (n, labels.of(&raw, &meanings.symbols[&n]))).collect()
}

pub(crate) fn totals(store: &Store) -> Totals {
    let mut t = Totals::default();
    for (&kind, &dur) in store.devices.kind.iter().zip(&store.devices.dur) {
        let slot = match kind {
            KERNEL => &mut t.kernel,
            MEMCPY => &mut t.gpu_memcpy,
            _ => &mut t.gpu_memset,
        };
        slot.count += 1;
        slot.total_ns += dur;
    }
    t
}

fn methods(store: &Store, attribution: &Attribution, host: &Host) -> (BTreeMap<Method, Total>, i64, i64) {
    let mut by_method: BTreeMap<Method, Total> = BTreeMap::new();
    let (mut launched, mut attributed) = (0, 0);
    for (i, f) in attribution.found.iter().enumerate() {
        let dur = store.devices.dur[i];
        let t = by_method.entry(f.method).or_default();
        t.count += 1;
        t.total_ns += dur;
        if host.launch_of[i] != NO_ROW {
            launched += dur;
            attributed += if f.method.attributes() { dur } else { 0 };
        }
    }
    (by_method, launched, attributed)
}

pub(crate) fn input(
    loaded: &Loaded,
    about: &Description,
    lines: &[(crate::store::Ident, crate::sweep::Timeline)],
    role: Role,
) -> Input {
    let store = &loaded.store;
    let (mut busy, mut span) = (0, 0);
    for (_, line) in lines {
        let (from, to) = line.span();
        span += to - from;
        line.stretches(from, to, |start, end, running| {
            busy += if running.is_empty() { 0 } else { end - start }
        });
    }
    Input {
        path: loaded.path.display().to_string(),
        role,
        bytes: loaded.bytes,
        text_bytes: store.text_bytes,
        compressed: loaded.compressed,
        rank: about.rank,
        world_size: about.world_size,
        framework: about.framework.to_owned(),
        vendor: about.vendor.to_owned(),
        gpus: about.gpus.clone(),
        devices: lines.len() as u64,
        events: store.events,
        complete_events: store.complete_events,
        totals: totals(store),
        busy_ns: busy,
        span_ns: span,
        from_cache: loaded.from_cache,
        partial: store.partial.clone(),
        set_aside: store.anomalies,
    }
}

/// A companion trace as an input of the answer.
pub(crate) fn companion_input(loaded: &Loaded, role: Role) -> Input {
    let classes = vec![Classified::unknown(); loaded.store.strings.len()];
    let lines = timelines(&loaded.store, &classes);
    input(loaded, &describe(&loaded.store, &loaded.path), &lines, role)
}

fn step_rows(store: &Store, steps: &Steps, input: usize) -> Vec<StepRow> {
    let mut device_ns = vec![0i64; steps.list.len()];
    for (i, &s) in steps.of_device.iter().enumerate() {
        if s != NO_STEP {
            device_ns[s as usize] += store.devices.dur[i];
        }
    }
    steps
        .list
        .iter()
        .zip(device_ns)
        .map(|(s, device_ns)| StepRow {
            class: s.class,
            start_ns: s.start,
            duration_ns: s.end - s.start,
            batch: s.batch,
            tokens: s.tokens,
            context: s.context,
            device_ns,
            by: s.by,
            label: s.name.map(|n| store.strings.text(n).into_owned()),
            input,
            device: store.ident_text(s.pid),
        })
        .collect()
}

fn kernel_sums(
    store: &Store,
    meanings: &Meanings,
    attribution: &Attribution,
    steps: &Steps,
    class_of: impl Fn(usize) -> Class,
    label: &impl Fn(StrId) -> String,
) -> HashMap<(Class, String), KernelSum> {
    /// Everything of one (class, raw name), by number; texts are looked up once at the end.
    #[derive(Default)]
    struct Raw {
        durations: Vec<i64>,
        found: HashMap<(u32, u32, Method), i64>,
        in_steps: u64,
    }
    let d = &store.devices;
    let mut raw: HashMap<(Class, StrId), Raw> = HashMap::new();
    for i in 0..d.len() {
        let Found { method, source, op, .. } = attribution.found[i];
        let r = raw.entry((class_of(i), d.name[i])).or_default();
        r.durations.push(d.dur[i]);
        *r.found.entry((source, op, method)).or_default() += d.dur[i];
        r.in_steps += u64::from(steps.of_device[i] != NO_STEP);
    }
    let mut out: HashMap<(Class, String), KernelSum> = HashMap::new();
    for ((class, name), r) in raw {
        let mut sum =
            KernelSum { total_ns: r.durations.iter().sum(), durations: r.durations, ..KernelSum::default() };
        sum.in_steps = r.in_steps;
        let text = |i: u32| attribution.texts.get(i as usize).cloned();
        for ((source, op, method), ns) in r.found {
            if let Some(s) = text(source) {
                *sum.sources.entry(s).or_default() += ns;
            }
            if let Some(o) = text(op) {
                *sum.ops.entry(o).or_default() += ns;
            }
            *sum.methods.entry(method).or_default() += ns;
        }
        sum.raw_names.insert(store.strings.text(name).into_owned());
        let c = &meanings.classified[name as usize];
        let by = match c.by {
            By::CpuOp => " (operator)",
            By::Name | By::Nothing => "",
        };
        let collective = c.comm.and_then(|c| serde_json::to_value(c).ok()?.as_str().map(str::to_owned));
        sum.classified =
            Some((c.category.as_str().to_owned(), c.rule.as_ref().map(|r| format!("{r}{by}")), collective));
        out.entry((class, label(name))).or_default().add(sum);
    }
    out
}
