//! Which Python line launched each piece of device work, and how that is known.

use hashbrown::HashMap;

use crate::align::{Call, Companion, Origin, Sequence, align};
use crate::frames::{FrameInfo, FrameRules, frame_infos, source_text};
use crate::intern::{NO_STR, StrId};
use crate::links::{Context, NO_ROW, captures, contexts, is_graph_launch, launches_of_devices};
use crate::steps::{NO_STEP, Steps, grammar};
use crate::store::{KERNEL, MEMCPY, NONE, Store};

/// How the source of device work is known, or why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Method {
    /// Correlation to the launch, and the Python frame open at the launch.
    Launch,
    /// No launch record; the operator with the same External id, and the frame open in it.
    ExternalId,
    /// Launched by the backward pass; the frame of its forward operator by sequence number or fwdbwd flow.
    Sequence,
    /// A graph's kernel, aligned with the launches of a capture trace.
    Capture,
    /// Aligned with an eager trace.
    Mapping,
    /// Known only by the launch of its whole graph. Counts as not attributed.
    GraphLaunch,
    /// An operator is known, a Python line is not. Counts as not attributed.
    CpuOp,
    /// Launched by the backward pass, and no forward operator is recorded. Counts as not attributed.
    BackwardMiss,
    /// The launch is known, nothing above it. Counts as not attributed.
    LaunchOnly,
    /// Neither a launch record nor an operator: nothing can be said. Counts as not attributed.
    Unlinked,
}

impl Method {
    /// True when the method gives a Python line.
    pub(crate) fn attributes(self) -> bool {
        matches!(
            self,
            Method::Launch | Method::ExternalId | Method::Sequence | Method::Capture | Method::Mapping
        )
    }

    /// The word used in tables and JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Launch => "launch",
            Method::ExternalId => "external-id",
            Method::Sequence => "sequence",
            Method::Capture => "capture",
            Method::Mapping => "mapping",
            Method::GraphLaunch => "graph-launch",
            Method::CpuOp => "cpu-op",
            Method::BackwardMiss => "backward-miss",
            Method::LaunchOnly => "launch-only",
            Method::Unlinked => "unlinked",
        }
    }

    /// What the method means, in one line.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Method::Launch => "correlation to the launch, Python frame open at the launch",
            Method::ExternalId => "operator with the same External id, Python frame open in it",
            Method::Sequence => "backward work, Python frame of its forward operator",
            Method::Capture => "graph kernel aligned with a capture trace",
            Method::Mapping => "aligned with an eager trace",
            Method::GraphLaunch => "known only by the launch of its graph (give --capture)",
            Method::CpuOp => "operator known, no Python frame recorded",
            Method::BackwardMiss => "backward work without a recorded forward operator",
            Method::LaunchOnly => "launch known, nothing above it",
            Method::Unlinked => "no launch record and no operator",
        }
    }
}

/// Index into a list of texts, or none.
pub(crate) const NO_TEXT: u32 = u32::MAX;

/// What is known of one device event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) method: Method,
    /// Index into [`Attribution::texts`]: `path:line func`.
    pub(crate) source: u32,
    /// Index into [`Attribution::texts`]: operator name.
    pub(crate) op: u32,
    pub(crate) layer: Option<u32>,
}

/// The attribution of all device events of a trace.
#[derive(Debug, Default)]
pub(crate) struct Attribution {
    pub(crate) found: Vec<Found>,
    pub(crate) texts: Vec<String>,
    /// Graph kernels that a capture trace gave a source, and all graph kernels.
    pub(crate) aligned: (u64, u64),
}

#[derive(Default)]
struct Texts {
    list: Vec<String>,
    by_text: HashMap<String, u32>,
    by_frame: HashMap<StrId, u32>,
    by_op: HashMap<StrId, u32>,
}

impl Texts {
    fn add(&mut self, text: &str) -> u32 {
        if let Some(&at) = self.by_text.get(text) {
            return at;
        }
        let at = self.list.len() as u32;
        self.list.push(text.to_owned());
        self.by_text.insert(text.to_owned(), at);
        at
    }

    fn frame(&mut self, store: &Store, frame: StrId) -> u32 {
        if frame == NO_STR {
            return NO_TEXT;
        }
        if let Some(&at) = self.by_frame.get(&frame) {
            return at;
        }
        let at = self.add(&source_text(store, frame));
        self.by_frame.insert(frame, at);
        at
    }

    fn op(&mut self, store: &Store, row: u32) -> u32 {
        let Some(&name) = store.ops.name.get(row as usize) else { return NO_TEXT };
        if let Some(&at) = self.by_op.get(&name) {
            return at;
        }
        let at = self.add(&store.strings.text(name));
        self.by_op.insert(name, at);
        at
    }
}

/// The host side of a trace: launches, and what was open around each.
pub(crate) struct Host {
    /// Launch of each device event, or [`NO_ROW`].
    pub(crate) launch_of: Vec<u32>,
    infos: Vec<FrameInfo>,
    /// Context of each launch.
    launches: Vec<Context>,
}

impl Host {
    pub(crate) fn new(store: &Store, rules: &FrameRules) -> Self {
        let launch_of = launches_of_devices(store);
        let infos = frame_infos(store, rules);
        let l = &store.launches;
        // Only calls that launched something, or that may be part of a capture, are asked about.
        let queries = (0..l.len())
            .filter(|&i| launches_work(store.strings.bytes(l.name[i])))
            .map(|i| (l.lane[i], l.ts[i], i as u32))
            .collect();
        let launches = contexts(store, &infos, queries, l.len());
        Host { launch_of, infos, launches }
    }
}

/// True for runtime calls that put work on a device.
fn launches_work(api: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(api, word).is_some();
    has(b"Launch") || has(b"Memcpy") || has(b"Memset") || has(b"emcpy") || has(b"emset")
}

/// Attributes every device event.
pub(crate) fn attribute(
    store: &Store,
    host: &Host,
    steps: &Steps,
    capture: Option<&Companion>,
    mapping: Option<&Companion>,
) -> Attribution {
    let d = &store.devices;
    let mut texts = Texts::default();
    let by_id = ops_by_external_id(store, host);
    let backward = Backward::new(store, host);
    let mut found: Vec<Found> = (0..d.len())
        .map(|i| {
            let row = host.launch_of[i];
            if row == NO_ROW {
                return match by_id.get(&d.ext[i]).filter(|_| d.ext[i] != NONE) {
                    Some((context, op)) => from_context(store, &mut texts, *context, *op, Method::ExternalId),
                    None => Found { method: Method::Unlinked, source: NO_TEXT, op: NO_TEXT, layer: None },
                };
            }
            let context = host.launches[row as usize];
            let op = match context.op {
                NO_ROW => by_id.get(&store.launches.ext[row as usize]).map_or(NO_ROW, |h| h.1),
                op => op,
            };
            if is_graph_launch(store.strings.bytes(store.launches.name[row as usize])) {
                return Found { method: Method::GraphLaunch, source: NO_TEXT, op: NO_TEXT, layer: None };
            }
            if context.rank < 2
                && let Some(forward) = backward.of(op)
            {
                let f =
                    from_context(store, &mut texts, forward.unwrap_or(Context::EMPTY), op, Method::Sequence);
                if f.source == NO_TEXT {
                    return Found { method: Method::BackwardMiss, ..f };
                }
                return f;
            }
            from_context(store, &mut texts, context, op, Method::Launch)
        })
        .collect();
    let own = capture.is_none().then(|| captured(store, host));
    let capture = capture.or(own.as_ref()).filter(|c| !c.sequences.is_empty());
    let mut aligned = (0, found.iter().filter(|f| f.method == Method::GraphLaunch).count() as u64);
    if let Some(c) = capture {
        aligned = align_graphs(store, host, steps, c, &mut found, &mut texts);
    }
    if let Some(m) = mapping {
        align_rest(store, steps, m, &mut found, &mut texts);
    }
    Attribution { found, texts: texts.list, aligned }
}

fn from_context(store: &Store, texts: &mut Texts, context: Context, op: u32, method: Method) -> Found {
    let source = texts.frame(store, context.frame);
    let op = texts.op(store, op);
    let method = match (source == NO_TEXT, op == NO_TEXT) {
        (false, _) => method,
        (true, false) => Method::CpuOp,
        (true, true) => Method::LaunchOnly,
    };
    Found { method, source, op, layer: context.layer }
}

/// Operators that device work without a launch names, with their contexts.
fn ops_by_external_id(store: &Store, host: &Host) -> HashMap<i64, (Context, u32)> {
    let d = &store.devices;
    let mut wanted: HashMap<i64, u32> = (0..d.len())
        .filter(|&i| host.launch_of[i] == NO_ROW && d.ext[i] != NONE)
        .map(|i| (d.ext[i], NO_ROW))
        .collect();
    for (row, context) in host.launches.iter().enumerate() {
        if context.op == NO_ROW && store.launches.ext[row] != NONE {
            wanted.insert(store.launches.ext[row], NO_ROW);
        }
    }
    if wanted.is_empty() {
        return HashMap::new();
    }
    for (row, ext) in store.ops.ext.iter().enumerate() {
        if let Some(slot) = wanted.get_mut(ext) {
            *slot = row as u32;
        }
    }
    let rows: Vec<(i64, u32)> = wanted.into_iter().filter(|w| w.1 != NO_ROW).collect();
    let queries = rows.iter().enumerate().map(|(slot, &(_, op))| {
        let op = op as usize;
        (store.ops.lane[op], store.ops.ts[op], slot as u32)
    });
    let found = contexts(store, &host.infos, queries.collect(), rows.len());
    rows.into_iter().zip(found).map(|((ext, op), context)| (ext, (context, op))).collect()
}

/// The forward frames of backward operators.
struct Backward {
    /// By row of a backward operator: the context of its forward operator, if one is recorded.
    forward: HashMap<u32, Option<Context>>,
    /// For every operator the enclosing backward operator, or [`NO_ROW`].
    enclosing: Vec<u32>,
}

impl Backward {
    fn new(store: &Store, host: &Host) -> Self {
        let p = &store.ops;
        let is_backward = |i: usize| {
            p.fwd_thread[i] > 0 && p.seq[i] != NONE
                || store.strings.bytes(p.name[i]).starts_with(b"autograd::engine::evaluate_function")
        };
        let mut enclosing = vec![NO_ROW; p.len()];
        let mut open: Vec<(u32, i64)> = Vec::new();
        let mut any = false;
        for i in 0..p.len() {
            while open.last().is_some_and(|&(o, end)| p.lane[o as usize] != p.lane[i] || end <= p.ts[i]) {
                open.pop();
            }
            if is_backward(i) {
                open.push((i as u32, p.ts[i] + p.dur[i]));
                any = true;
            }
            enclosing[i] = open.first().map_or(NO_ROW, |o| o.0);
        }
        if !any {
            return Backward { forward: HashMap::new(), enclosing: Vec::new() };
        }
        // The forward operator of a sequence number is the last that began with it outside of the backward pass.
        let mut by_seq: HashMap<i64, u32> = HashMap::new();
        for i in 0..p.len() {
            if p.seq[i] != NONE && p.fwd_thread[i] <= 0 && enclosing[i] == NO_ROW {
                by_seq.insert(p.seq[i], i as u32);
            }
        }
        let flows = flow_sources(store);
        let mut rows: Vec<u32> = enclosing.iter().copied().filter(|&e| e != NO_ROW).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut queries = Vec::new();
        for (slot, &row) in rows.iter().enumerate() {
            let i = row as usize;
            let by_sequence = by_seq
                .get(&p.seq[i])
                .filter(|_| p.seq[i] != NONE)
                .map(|&f| (p.lane[f as usize], p.ts[f as usize]));
            if let Some((lane, ts)) =
                by_sequence.or_else(|| flows.get(p.lane[i], p.ts[i], p.ts[i] + p.dur[i]))
            {
                queries.push((lane, ts, slot as u32));
            }
        }
        let asked: Vec<bool> = {
            let mut asked = vec![false; rows.len()];
            queries.iter().for_each(|q| asked[q.2 as usize] = true);
            asked
        };
        let found = contexts(store, &host.infos, queries, rows.len());
        let forward =
            rows.iter().enumerate().map(|(slot, &r)| (r, asked[slot].then_some(found[slot]))).collect();
        Backward { forward, enclosing }
    }

    /// `None` for work that is not of the backward pass.
    fn of(&self, op: u32) -> Option<Option<Context>> {
        let outer = *self.enclosing.get(op as usize)?;
        self.forward.get(&outer).copied()
    }
}

/// fwdbwd flows by their end.
struct FlowSources {
    /// (lane, time of the end, lane and time of the start).
    ends: Vec<(u32, i64, (u32, i64))>,
}

impl FlowSources {
    fn get(&self, lane: u32, from: i64, to: i64) -> Option<(u32, i64)> {
        let at = self.ends.partition_point(|e| (e.0, e.1) < (lane, from));
        self.ends.get(at).filter(|e| e.0 == lane && e.1 <= to).map(|e| e.2)
    }
}

fn flow_sources(store: &Store) -> FlowSources {
    let f = &store.flows;
    let starts: HashMap<i64, (u32, i64)> =
        (0..f.len()).filter(|&i| f.start[i] == 1).map(|i| (f.id[i], (f.lane[i], f.ts[i]))).collect();
    let mut ends: Vec<_> = (0..f.len())
        .filter(|&i| f.start[i] == 0)
        .filter_map(|i| Some((f.lane[i], f.ts[i], *starts.get(&f.id[i])?)))
        .collect();
    ends.sort_unstable();
    FlowSources { ends }
}

/// The name under which device work and its captured launch meet: copies and fills have none on the host.
fn meeting_name<'a>(kind: u8, name: &'a str) -> &'a str {
    match kind {
        KERNEL => name,
        MEMCPY => "memcpy",
        _ => "memset",
    }
}

/// The captured graphs of a trace: runs of launches that ran nothing, between the begin and end of a stream
/// capture, or inside a capture label.
pub(crate) fn captured(store: &Store, host: &Host) -> Companion {
    let l = &store.launches;
    let mut ran = vec![false; l.len()];
    host.launch_of.iter().filter(|&&r| r != NO_ROW).for_each(|&r| ran[r as usize] = true);
    let a = &store.annotations;
    let labels: Vec<(u32, i64, i64, Option<u64>)> = (0..a.len())
        .filter(|&i| a.device[i] == 0)
        .filter_map(|i| {
            let label = grammar::parse(&store.strings.text(a.name[i]))?;
            (label.class == crate::steps::Class::Capture).then_some((
                a.lane[i],
                a.ts[i],
                a.ts[i] + a.dur[i],
                label.batch,
            ))
        })
        .collect();
    let mut windows = captures(store);
    if windows.is_empty() {
        windows = labels.iter().map(|&(lane, start, end, _)| (lane, start, end)).collect();
    }
    let mut c = Companion::default();
    let mut origins: HashMap<Origin, usize> = HashMap::new();
    for (lane, start, end) in windows {
        let batch = labels.iter().find(|b| b.0 == lane && b.1 <= start && end <= b.2).and_then(|b| b.3);
        let from = l.lane.partition_point(|&x| x < lane);
        let to = from + l.lane[from..].partition_point(|&x| x == lane);
        let from = from + l.ts[from..to].partition_point(|&t| t < start);
        let mut calls = Vec::new();
        for i in (from..to).take_while(|&i| l.ts[i] <= end) {
            let api = store.strings.bytes(l.name[i]);
            if ran[i] || !launches_work(api) || is_graph_launch(api) {
                continue;
            }
            let has = |word: &[u8]| memchr::memmem::find(api, word).is_some();
            let kernel = match l.kernel[i] {
                NO_STR if has(b"emcpy") => "memcpy".to_owned(),
                NO_STR if has(b"emset") => "memset".to_owned(),
                NO_STR => String::new(),
                name => store.strings.text(name).into_owned(),
            };
            calls.push(Call {
                kernel,
                origin: origin_of(store, host.launches[i], &mut origins, &mut c.origins),
            });
        }
        // CUDA names no kernel on a launch: then copies alone would be names among blanks.
        if calls.iter().any(|c| c.kernel.is_empty()) {
            calls.iter_mut().for_each(|c| c.kernel.clear());
        }
        if !calls.is_empty() {
            c.sequences.push(Sequence { batch, calls, capture: true });
        }
    }
    c
}

fn origin_of(
    store: &Store,
    context: Context,
    known: &mut HashMap<Origin, usize>,
    list: &mut Vec<Origin>,
) -> usize {
    let origin = Origin {
        source: (context.frame != NO_STR).then(|| source_text(store, context.frame)),
        op: store.ops.name.get(context.op as usize).map(|&n| store.strings.text(n).into_owned()),
        layer: context.layer,
    };
    *known.entry(origin.clone()).or_insert_with(|| {
        list.push(origin);
        list.len() - 1
    })
}

/// The eager steps of a mapping trace.
pub(crate) fn eager(store: &Store, attribution: &Attribution, steps: &Steps) -> Companion {
    let d = &store.devices;
    let mut sequences: Vec<Sequence> =
        steps.list.iter().map(|s| Sequence { batch: s.batch, ..Sequence::default() }).collect();
    sequences.push(Sequence::default()); // work outside of steps
    let mut c = Companion::default();
    let mut known: HashMap<Origin, usize> = HashMap::new();
    let text = |i: u32| attribution.texts.get(i as usize).cloned();
    for i in 0..d.len() {
        let f = attribution.found[i];
        if !f.method.attributes() {
            continue;
        }
        let origin = Origin { source: text(f.source), op: text(f.op), layer: f.layer };
        let at = *known.entry(origin.clone()).or_insert_with(|| {
            c.origins.push(origin);
            c.origins.len() - 1
        });
        let step = match steps.of_device[i] {
            NO_STEP => steps.list.len(),
            s => s as usize,
        };
        let name = store.strings.text(d.name[i]);
        sequences[step].calls.push(Call { kernel: meeting_name(d.kind[i], &name).to_owned(), origin: at });
    }
    sequences.retain(|s| !s.calls.is_empty());
    c.sequences = sequences;
    c
}

/// Aligns the kernels of each graph replay; returns how many found a source, of how many.
fn align_graphs(
    store: &Store,
    host: &Host,
    steps: &Steps,
    companion: &Companion,
    found: &mut [Found],
    texts: &mut Texts,
) -> (u64, u64) {
    let mut replays: HashMap<u32, Vec<usize>> = HashMap::new();
    for (i, f) in found.iter().enumerate() {
        if f.method == Method::GraphLaunch {
            replays.entry(host.launch_of[i]).or_default().push(i);
        }
    }
    let mut order: Vec<_> = replays.into_iter().collect();
    order.sort_unstable();
    let groups = order.into_iter().map(|(_, rows)| {
        let batch = steps.list.get(steps.of_device[rows[0]] as usize).and_then(|s| s.batch);
        (batch, rows)
    });
    align_groups(store, groups, companion, Method::Capture, found, texts)
}

/// Aligns what has no Python line yet, step by step.
fn align_rest(store: &Store, steps: &Steps, companion: &Companion, found: &mut [Found], texts: &mut Texts) {
    let mut by_step: HashMap<u32, Vec<usize>> = HashMap::new();
    for (i, f) in found.iter().enumerate() {
        if !f.method.attributes() {
            by_step.entry(steps.of_device[i]).or_default().push(i);
        }
    }
    let mut order: Vec<_> = by_step.into_iter().collect();
    order.sort_unstable();
    let groups = order.into_iter().map(|(step, rows)| {
        let batch = steps.list.get(step as usize).and_then(|s| s.batch);
        (batch, rows)
    });
    align_groups(store, groups, companion, Method::Mapping, found, texts);
}

fn align_groups(
    store: &Store,
    groups: impl Iterator<Item = (Option<u64>, Vec<usize>)>,
    companion: &Companion,
    method: Method,
    found: &mut [Found],
    texts: &mut Texts,
) -> (u64, u64) {
    let d = &store.devices;
    let mut memo: HashMap<(Option<u64>, Vec<StrId>), Vec<Option<usize>>> = HashMap::new();
    let (mut hits, mut all) = (0, 0);
    for (batch, rows) in groups {
        let key = (batch, rows.iter().map(|&i| d.name[i]).collect::<Vec<_>>());
        let pairs = memo.entry(key).or_insert_with(|| {
            let names: Vec<_> = rows.iter().map(|&i| store.strings.text(d.name[i])).collect();
            let names: Vec<&str> =
                rows.iter().zip(&names).map(|(&i, n)| meeting_name(d.kind[i], n)).collect();
            align(companion, &names, batch)
        });
        all += rows.len() as u64;
        for (&i, pair) in rows.iter().zip(pairs.iter()) {
            let Some(origin) = pair.and_then(|o| companion.origins.get(o)) else { continue };
            let op = origin.op.as_deref().map_or(NO_TEXT, |t| texts.add(t));
            let Some(source) = origin.source.as_deref().map(|t| texts.add(t)) else {
                if op != NO_TEXT {
                    found[i].op = op;
                }
                continue;
            };
            found[i] = Found { method, source, op, layer: origin.layer };
            hits += 1;
        }
    }
    (hits, all)
}
