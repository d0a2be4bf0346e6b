//! Steps from annotations: host ranges, their counterparts on the device, and the work launched inside them.

use hashbrown::HashMap;

use super::class::Class;
use super::find::{NO_STEP, Source, Step};
use super::grammar::{Label, parse};
use crate::intern::StrId;
use crate::links::NO_ROW;
use crate::store::{Ident, NONE, Store};

/// A host range that marks a pass.
struct Pass {
    lane: u32,
    start: i64,
    end: i64,
    label: Label,
    name: StrId,
    /// (name, External id) of the range itself and of labels of the same pass inside it.
    keys: Vec<(StrId, i64)>,
}

/// The steps that annotations mark, unordered, with the step of each device event.
pub(super) fn find(store: &Store, launch_of: &[u32], generic: bool) -> (Vec<Step>, Vec<u32>) {
    let mut labels: HashMap<StrId, Option<Label>> = HashMap::new();
    let a = &store.annotations;
    let mut host = Vec::new();
    let mut device = Vec::new();
    for i in 0..a.len() {
        let name = a.name[i];
        let label = *labels.entry(name).or_insert_with(|| parse(&store.strings.text(name)));
        let Some(label) = label.filter(|l| l.generic == generic && a.dur[i] > 0) else { continue };
        let (lane, start, end) = (a.lane[i], a.ts[i], a.ts[i] + a.dur[i]);
        if a.device[i] == 1 {
            device.push((i, label));
        } else {
            host.push(Pass { lane, start, end, label, name, keys: vec![(name, a.ext[i])] });
        }
    }
    let passes = merge_nested(host);
    let mut steps = Vec::new();
    let mut of_device = vec![NO_STEP; store.devices.len()];
    let by_launch = passes_of_launches(store, &passes);

    // Work launched inside a host range belongs to it; its extent is the device range where one is recorded.
    let mut step_of: HashMap<(usize, Ident), u32> = HashMap::new();
    for d in 0..store.devices.len() {
        let row = launch_of[d];
        if row == NO_ROW || by_launch[row as usize] == NO_ROW {
            continue;
        }
        let pass = by_launch[row as usize] as usize;
        let pid = store.device_pid(d);
        let (ts, end) = (store.devices.ts[d], store.devices.ts[d] + store.devices.dur[d]);
        let id = *step_of.entry((pass, pid)).or_insert_with(|| {
            steps.push(Step::new(
                passes[pass].label,
                Some(passes[pass].name),
                pid,
                ts,
                end,
                Source::Annotation,
            ));
            (steps.len() - 1) as u32
        });
        let step = &mut steps[id as usize];
        step.start = step.start.min(ts);
        step.end = step.end.max(end);
        of_device[d] = id;
    }
    let mut spans = device_spans(store, &passes, &device, |pass, pid| step_of.contains_key(&(pass, pid)));
    let mut ranges: HashMap<u32, (i64, i64)> = HashMap::new();
    for (&(pass, pid), &id) in &step_of {
        if let Some(span) = spans.remove(&(Some(pass), pid, None)) {
            ranges.insert(id, span);
        }
    }
    // A range that misses work of its pass marks something else: training traces hold such for a few kernels only.
    let mut covered = vec![(0i64, 0i64); steps.len()];
    for (d, &id) in of_device.iter().enumerate() {
        if let Some(&(start, end)) = ranges.get(&id) {
            let (ts, dur) = (store.devices.ts[d], store.devices.dur[d]);
            let (all, inside) = &mut covered[id as usize];
            *all += dur;
            *inside += if ts >= start && ts < end { dur } else { 0 };
        }
    }
    for (id, (start, end)) in ranges {
        let (all, inside) = covered[id as usize];
        if inside * 10 >= all * 9 {
            let step = &mut steps[id as usize];
            (step.start, step.end, step.by) = (start, end, Source::DeviceAnnotation);
        }
    }
    // Device ranges left over: passes whose host range or launches are not in the trace.
    let mut rest: Vec<_> = spans.into_iter().collect();
    rest.sort_by_key(|(_, span)| *span);
    let mut known: Vec<(i64, i64, Ident)> = steps.iter().map(|s| (s.start, s.end, s.pid)).collect();
    known.sort_unstable();
    let mut known = known.into_iter().peekable();
    let mut launched: HashMap<(Ident, Option<StrId>), Vec<usize>> = HashMap::new();
    for (i, s) in steps.iter().enumerate().filter(|(_, s)| s.by == Source::Annotation) {
        launched.entry((s.pid, s.name)).or_default().push(i);
    }
    for list in launched.values_mut() {
        list.sort_by_key(|&i| steps[i].start);
    }
    let mut reach: HashMap<Ident, i64> = HashMap::new(); // latest end of a step that has begun, by device
    for ((pass, pid, own), (start, end)) in rest {
        let (label, name) = match (pass, own) {
            (Some(p), _) => (passes[p].label, passes[p].name),
            (None, Some(at)) => (device[at].1, a.name[device[at].0]),
            (None, None) => continue,
        };
        while let Some((_, ended, on)) = known.next_if(|k| k.0 <= start) {
            let latest = reach.entry(on).or_insert(ended);
            *latest = ended.max(*latest);
        }
        // A range without an id around the work of a pass of its name is that pass once more, not another one.
        let around = launched.get(&(pid, Some(name))).filter(|_| own.is_some()).and_then(|list| {
            let at = list.partition_point(|&i| steps[i].start < start);
            list.get(at).copied().filter(|&i| steps[i].end <= end)
        });
        let latest = reach.entry(pid).or_insert(i64::MIN);
        if let Some(i) = around {
            (steps[i].start, steps[i].end, steps[i].by) = (start, end, Source::DeviceAnnotation);
        } else if *latest < end {
            *latest = end;
            steps.push(Step::new(label, Some(name), pid, start, end, Source::DeviceAnnotation));
        }
    }
    (steps, of_device)
}

/// One pass may carry two labels, one inside the other; an outer range around several labelled passes is none.
fn merge_nested(mut host: Vec<Pass>) -> Vec<Pass> {
    host.sort_by_key(|p| (p.lane, p.start, std::cmp::Reverse(p.end)));
    let mut parent: Vec<Option<usize>> = vec![None; host.len()];
    let mut open: Vec<usize> = Vec::new();
    let mut children = vec![0usize; host.len()];
    for i in 0..host.len() {
        while open.last().is_some_and(|&o| host[o].lane != host[i].lane || host[o].end <= host[i].start) {
            open.pop();
        }
        if let Some(&o) = open.last() {
            parent[i] = Some(o);
            children[o] += 1;
        }
        open.push(i);
    }
    let mut absorbed: Vec<Option<usize>> = vec![None; host.len()];
    for i in 0..host.len() {
        absorbed[i] = parent[i].filter(|&p| children[p] == 1).map(|p| absorbed[p].unwrap_or(p));
    }
    for i in 0..host.len() {
        let Some(into) = absorbed[i] else { continue };
        let (label, keys) = (host[i].label, std::mem::take(&mut host[i].keys));
        host[into].keys.extend(keys);
        let ours = &mut host[into].label;
        if label.class.weight() > ours.class.weight() {
            ours.class = label.class;
        }
        ours.batch = ours.batch.or(label.batch);
        ours.tokens = ours.tokens.or(label.tokens);
        ours.context = ours.context.or(label.context);
    }
    let keep = |i: usize| absorbed[i].is_none() && children[i] <= 1;
    host.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, p)| p).collect()
}

/// Key of a device range: the host pass it belongs to, its device, and its own row when it has no host pass.
type SpanKey = (Option<usize>, Ident, Option<usize>);

/// Extents of device ranges. A range stands once a stream; those of one pass are joined. `works_on` says whether a
/// pass launched work on a device: of passes with one id, that one is meant.
fn device_spans(
    store: &Store,
    passes: &[Pass],
    device: &[(usize, Label)],
    works_on: impl Fn(usize, Ident) -> bool,
) -> HashMap<SpanKey, (i64, i64)> {
    let a = &store.annotations;
    let mut primary: HashMap<(StrId, i64), Vec<usize>> = HashMap::new();
    let mut secondary: HashMap<(StrId, i64), Vec<usize>> = HashMap::new();
    for (i, pass) in passes.iter().enumerate() {
        for (k, &key) in pass.keys.iter().enumerate() {
            if key.1 != NONE {
                let map = if k == 0 { &mut primary } else { &mut secondary };
                map.entry(key).or_default().push(i);
            }
        }
    }
    let mut spans: HashMap<SpanKey, (i64, i64)> = HashMap::new();
    let mut own: Vec<usize> = Vec::new();
    for (at, &(row, _)) in device.iter().enumerate() {
        let key = (a.name[row], a.ext[row]);
        let pid = store.lanes[a.lane[row] as usize].0;
        let (start, end) = (a.ts[row], a.ts[row] + a.dur[row]);
        // An id that repeats (a trace joined from several) belongs to the latest pass that had begun.
        let of = |map: &HashMap<(StrId, i64), Vec<usize>>| {
            let candidates = map.get(&key)?;
            let begun = || candidates.iter().rev().filter(|&&p| passes[p].start <= end);
            let ours = begun().find(|&&p| works_on(p, pid));
            ours.or_else(|| begun().next()).or(candidates.first()).copied()
        };
        if let Some(pass) = of(&primary) {
            let span = spans.entry((Some(pass), pid, None)).or_insert((start, end));
            *span = (span.0.min(start), span.1.max(end));
        } else if of(&secondary).is_none() {
            own.push(at);
        }
    }
    // Without a host pass: ranges of one name that overlap in time on one device are one pass.
    let mut last: HashMap<(StrId, Ident), SpanKey> = HashMap::new();
    for at in own {
        let row = device[at].0;
        let pid = store.lanes[a.lane[row] as usize].0;
        let (start, end) = (a.ts[row], a.ts[row] + a.dur[row]);
        let known = last.get(&(a.name[row], pid)).copied().filter(|k| spans[k].1 > start);
        let key = known.unwrap_or((None, pid, Some(at)));
        let span = spans.entry(key).or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
        last.insert((a.name[row], pid), key);
    }
    spans
}

/// For every runtime call the host pass it lies in, or [`NO_ROW`].
fn passes_of_launches(store: &Store, passes: &[Pass]) -> Vec<u32> {
    let mut by_lane: HashMap<u32, Vec<usize>> = HashMap::new();
    for (i, p) in passes.iter().enumerate() {
        by_lane.entry(p.lane).or_default().push(i);
    }
    // Engines may launch from a helper thread while the labelled thread waits: same process, else same thread.
    let l = &store.launches;
    let mut out = vec![NO_ROW; l.len()];
    let pid_of = |lane: u32| store.lanes[lane as usize].0;
    let mut by_pid: HashMap<Ident, Vec<usize>> = HashMap::new();
    for (i, p) in passes.iter().enumerate() {
        by_pid.entry(pid_of(p.lane)).or_default().push(i);
    }
    for list in by_pid.values_mut() {
        list.sort_by_key(|&i| passes[i].start);
    }
    let find = |list: &[usize], t: i64| {
        let at = list.partition_point(|&i| passes[i].start <= t);
        list[..at].iter().rev().take(8).find(|&&i| passes[i].end > t).copied()
    };
    for (i, slot) in out.iter_mut().enumerate() {
        let own = by_lane.get(&l.lane[i]).and_then(|list| find(list, l.ts[i]));
        let hit = own.or_else(|| by_pid.get(&pid_of(l.lane[i])).and_then(|list| find(list, l.ts[i])));
        *slot = hit.map_or(NO_ROW, |p| p as u32);
    }
    out
}

/// True when the trace carries a label that tells more than an extent.
pub(super) fn has_engine_labels(store: &Store) -> bool {
    let mut seen: HashMap<StrId, bool> = HashMap::new();
    store.annotations.name.iter().any(|&n| {
        *seen.entry(n).or_insert_with(|| {
            parse(&store.strings.text(n)).is_some_and(|l| !l.generic && l.class != Class::Draft)
        })
    })
}
