//! Which Python line launched each piece of device work, and how that is known.

use hashbrown::{HashMap, HashSet};

use crate::align::{Companion, Place, align};
use crate::backward::Backward;
use crate::companion::{captured, meeting_name};
use crate::frames::{FrameInfo, FrameRules, frame_infos, source_text};
use crate::intern::{NO_STR, StrId};
use crate::links::{Context, NO_ROW, contexts, is_graph_launch, launches_of_devices};
use crate::steps::Steps;
use crate::store::{Ident, NONE, Store};

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
    pub(crate) infos: Vec<FrameInfo>,
    /// Context of each launch.
    pub(crate) launches: Vec<Context>,
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
pub(crate) fn launches_work(api: &[u8]) -> bool {
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
                return match by_id.of_device(d.ext[i]) {
                    Some((context, op)) => from_context(store, &mut texts, *context, *op, Method::ExternalId),
                    None => Found { method: Method::Unlinked, source: NO_TEXT, op: NO_TEXT, layer: None },
                };
            }
            let context = host.launches[row as usize];
            let op = match context.op {
                NO_ROW => by_id.of_launch(store, row as usize).map_or(NO_ROW, |h| h.1),
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

/// The operator (row of `ops`) that launched each device event, or [`NO_ROW`].
pub(crate) fn op_rows(store: &Store, host: &Host) -> Vec<u32> {
    let by_id = ops_by_external_id(store, host);
    let launched = |row: u32| match host.launches[row as usize].op {
        NO_ROW => by_id.of_launch(store, row as usize).map_or(NO_ROW, |h| h.1),
        op => op,
    };
    let of = |i: usize| match host.launch_of[i] {
        NO_ROW => by_id.of_device(store.devices.ext[i]).map_or(NO_ROW, |h| h.1),
        row if is_graph_launch(store.strings.bytes(store.launches.name[row as usize])) => NO_ROW,
        row => launched(row),
    };
    (0..store.devices.len()).map(of).collect()
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

/// Operators by External id, with their contexts. Every process counts its ids for itself.
#[derive(Default)]
struct OpsById {
    by_process: HashMap<(Ident, i64), (Context, u32)>,
    /// The process of an id, unless several use it.
    process: HashMap<i64, Option<Ident>>,
}

impl OpsById {
    /// The operator of device work that has no launch: only where the id is of one process.
    fn of_device(&self, ext: i64) -> Option<&(Context, u32)> {
        let process = (*self.process.get(&ext).filter(|_| ext != NONE)?)?;
        self.by_process.get(&(process, ext))
    }

    fn of_launch(&self, store: &Store, row: usize) -> Option<&(Context, u32)> {
        let l = &store.launches;
        self.by_process.get(&(store.lanes[l.lane[row] as usize].0, l.ext[row]))
    }
}

/// Operators that device work without a launch names, with their contexts.
fn ops_by_external_id(store: &Store, host: &Host) -> OpsById {
    let d = &store.devices;
    let mut wanted: HashMap<i64, Option<Ident>> = (0..d.len())
        .filter(|&i| host.launch_of[i] == NO_ROW && d.ext[i] != NONE)
        .map(|i| (d.ext[i], None))
        .collect();
    for (row, context) in host.launches.iter().enumerate() {
        if context.op == NO_ROW && store.launches.ext[row] != NONE {
            wanted.insert(store.launches.ext[row], None);
        }
    }
    if wanted.is_empty() {
        return OpsById::default();
    }
    let mut ops: HashMap<(Ident, i64), u32> = HashMap::new();
    let mut shared: HashSet<i64> = HashSet::new();
    for (row, &ext) in store.ops.ext.iter().enumerate() {
        let Some(process) = wanted.get_mut(&ext) else { continue };
        let own = store.lanes[store.ops.lane[row] as usize].0;
        if process.is_some_and(|p| p != own) {
            shared.insert(ext);
        }
        *process = Some(own);
        ops.insert((own, ext), row as u32);
    }
    for ext in shared {
        wanted.insert(ext, None);
    }
    let rows: Vec<((Ident, i64), u32)> = ops.into_iter().collect();
    let queries = rows.iter().enumerate().map(|(slot, &(_, op))| {
        let op = op as usize;
        (store.ops.lane[op], store.ops.ts[op], slot as u32)
    });
    let found = contexts(store, &host.infos, queries.collect(), rows.len());
    let by_process = rows.into_iter().zip(found).map(|((key, op), context)| (key, (context, op))).collect();
    OpsById { by_process, process: wanted }
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
    let mut replayed: HashMap<u32, usize> = HashMap::new();
    let groups = order.into_iter().map(|(_, rows)| {
        let step = steps.of_device[rows[0]];
        let nth = replayed.entry(step).or_default();
        let place = Place { nth: *nth, ..place(steps, step) };
        *nth += 1;
        (place, rows)
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
    let groups = order.into_iter().map(|(step, rows)| (place(steps, step), rows));
    align_groups(store, groups, companion, Method::Mapping, found, texts);
}

fn place(steps: &Steps, step: u32) -> Place {
    let step = steps.list.get(step as usize);
    Place { batch: step.and_then(|s| s.batch), tokens: step.and_then(|s| s.tokens), nth: 0 }
}

fn align_groups(
    store: &Store,
    groups: impl Iterator<Item = (Place, Vec<usize>)>,
    companion: &Companion,
    method: Method,
    found: &mut [Found],
    texts: &mut Texts,
) -> (u64, u64) {
    let d = &store.devices;
    // Replays of one graph are many; the same names in the same order align the same way.
    type Key = (Place, Vec<StrId>);
    let mut memo: HashMap<Key, Vec<Option<usize>>> = HashMap::new();
    let (mut hits, mut all) = (0, 0);
    for (place, rows) in groups {
        let key = (place, rows.iter().map(|&i| d.name[i]).collect::<Vec<_>>());
        let pairs = memo.entry(key).or_insert_with(|| {
            let names: Vec<_> = rows.iter().map(|&i| store.strings.text(d.name[i])).collect();
            let names: Vec<&str> =
                rows.iter().zip(&names).map(|(&i, n)| meeting_name(d.kind[i], n)).collect();
            align(companion, &names, place)
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
