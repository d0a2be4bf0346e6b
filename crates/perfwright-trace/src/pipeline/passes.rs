//! Forward passes: the device work of each engine step, cut into prologue, layers and epilogue.

use std::rc::Rc;

use hashbrown::HashMap;

use super::kind::Kind;
use super::report::{Bounds, LayerKind};
use super::segment::{Line, NO_MODULE, Span, segment, segment_at};
use crate::intern::StrId;
use crate::steps::{Class, NO_STEP, Steps};
use crate::store::{Ident, Store};

/// What passes are made from.
pub(crate) struct Scene<'a> {
    pub(crate) store: &'a Store,
    pub(crate) steps: &'a Steps,
    /// Kind of every name, by string id.
    pub(crate) kinds: &'a [Kind],
    /// Layer module of every device event, or [`NO_MODULE`].
    pub(crate) modules: &'a [u32],
    /// True for names that begin a layer, when the user named one.
    pub(crate) anchor: Option<&'a [bool]>,
    /// Layer count of the configuration.
    pub(crate) config_layers: Option<u32>,
}

/// One forward pass on one device.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) class: Class,
    /// Index into the steps, or [`NO_STEP`].
    pub(crate) step: u32,
    pub(crate) device: Ident,
    pub(crate) bounds: Bounds,
    /// Rows of the device table in start order.
    pub(crate) rows: Vec<u32>,
    /// Part of each row: 0 is the prologue, `1..=layers.len()` the layers, then the epilogue.
    pub(crate) parts: Vec<u32>,
    pub(crate) layers: Vec<LayerKind>,
    /// Index into the streams of the store.
    pub(crate) stream: u32,
    /// True when the main stream does something before the first layer, and after the last.
    pub(crate) dressed: (bool, bool),
}

/// The passes of a trace, and the distinct main lines that were cut (for the period search).
pub(crate) fn passes(scene: &Scene<'_>) -> (Vec<Pass>, Vec<Vec<StrId>>) {
    let mut memo: HashMap<u128, Rc<Vec<Span>>> = HashMap::new();
    let mut lines = Vec::new();
    let mut out = Vec::new();
    for (step, device, rows) in buckets(scene) {
        one(scene, step, device, &rows, &mut memo, &mut lines, &mut out);
    }
    (out, lines)
}

/// Device work by step; all of it by device on devices without a step.
fn buckets(scene: &Scene<'_>) -> Vec<(u32, Ident, Vec<u32>)> {
    let (store, steps) = (scene.store, scene.steps);
    let mut by_step: Vec<Vec<u32>> = vec![Vec::new(); steps.list.len()];
    let mut rest: Vec<(Ident, Vec<u32>)> = Vec::new();
    for (i, &step) in steps.of_device.iter().enumerate() {
        let row = i as u32;
        if step != NO_STEP {
            by_step[step as usize].push(row);
            continue;
        }
        let pid = store.device_pid(i);
        match rest.iter_mut().find(|r| r.0 == pid) {
            Some(r) => r.1.push(row),
            None => rest.push((pid, vec![row])),
        }
    }
    rest.retain(|r| steps.list.iter().all(|s| s.pid != r.0));
    let marked = by_step.into_iter().enumerate().map(|(s, rows)| (s as u32, steps.list[s].pid, rows));
    let bare = rest.into_iter().map(|(pid, rows)| (NO_STEP, pid, rows));
    marked.chain(bare).filter(|b| !b.2.is_empty()).collect()
}

/// The stream that mixes most, then the one with most work.
fn main_stream(scene: &Scene<'_>, rows: &[u32]) -> u32 {
    let d = &scene.store.devices;
    let mut counts: Vec<(u32, u32, u32)> = Vec::new();
    for &row in rows {
        let (stream, name) = (d.stream[row as usize], d.name[row as usize]);
        let kind = scene.kinds[name as usize];
        let at = counts.iter().position(|c| c.0 == stream).unwrap_or_else(|| {
            counts.push((stream, 0, 0));
            counts.len() - 1
        });
        counts[at].1 += u32::from(kind.mixes());
        counts[at].2 += u32::from(kind != Kind::Communication);
    }
    counts.iter().max_by_key(|c| (c.1, c.2, std::cmp::Reverse(c.0))).map_or(0, |c| c.0)
}

/// A forward pass as a range of the main line.
struct Forward {
    from: usize,
    to: usize,
    layers: Vec<(Span, LayerKind)>,
    bounds: Bounds,
}

fn one(
    scene: &Scene<'_>,
    step: u32,
    device: Ident,
    rows: &[u32],
    memo: &mut HashMap<u128, Rc<Vec<Span>>>,
    lines: &mut Vec<Vec<StrId>>,
    out: &mut Vec<Pass>,
) {
    let d = &scene.store.devices;
    let stream = main_stream(scene, rows);
    let main: Vec<u32> = rows.iter().copied().filter(|&r| d.stream[r as usize] == stream).collect();
    let names: Vec<StrId> = main.iter().map(|&r| d.name[r as usize]).collect();
    let kinds: Vec<Kind> = names.iter().map(|&n| scene.kinds[n as usize]).collect();
    let modules: Vec<u32> = main.iter().map(|&r| scene.modules[r as usize]).collect();
    let line = Line { names: &names, kinds: &kinds, modules: &modules };
    // Passes of one class do the same thing over and over: each distinct sequence is cut once.
    let mut bytes: Vec<u8> = Vec::with_capacity(names.len() * 8);
    for (n, m) in names.iter().zip(&modules) {
        bytes.extend(n.to_le_bytes());
        bytes.extend(m.to_le_bytes());
    }
    let key = xxhash_rust::xxh3::xxh3_128(&bytes);
    let class = scene.steps.list.get(step as usize).map_or(Class::Unknown, |s| s.class);
    let spans = memo.entry(key).or_insert_with(|| {
        // A draft's few layers repeat too, but say nothing about the model's.
        if !matches!(class, Class::Draft | Class::Capture) {
            lines.push(names.clone());
        }
        Rc::new(match scene.anchor {
            Some(begins) => segment_at(line, |n| begins[n as usize]),
            None => segment(line),
        })
    });
    let forwards = forwards(scene, class, step, line, spans);
    // Work of other streams goes with the work of the main stream it runs beside.
    let mut row_at = 0;
    for (i, forward) in forwards.iter().enumerate() {
        let end = match forwards.get(i + 1) {
            Some(next) => {
                let first = main[next.from];
                row_at + rows[row_at..].partition_point(|&r| r < first)
            }
            None => rows.len(),
        };
        out.push(pass((class, step, device, stream), &rows[row_at..end], &main, forward));
        row_at = end;
    }
}

/// The passes in one bucket.
fn forwards(scene: &Scene<'_>, class: Class, step: u32, line: Line<'_>, spans: &[Span]) -> Vec<Forward> {
    let n = line.names.len();
    let whole = if step == NO_STEP { Bounds::Trace } else { Bounds::Step };
    let mut stacks: Vec<&[Span]> = spans.chunk_by(|a, b| a.stack == b.stack).collect();
    let equal =
        stacks.windows(2).all(|w| w[0].len() == w[1].len()) && stacks.first().is_some_and(|s| s.len() > 2);
    if stacks.len() < 2 {
        let layers = spans.to_vec();
        if let Some(count) = scene.config_layers.map(|c| c as usize)
            && count > 0
            && layers.len() > count
            && layers.len().is_multiple_of(count)
            && layers.first().is_some_and(|l| l.start == 0)
            && layers.last().is_some_and(|l| l.end == n)
        {
            stacks = layers.chunks(count).collect();
            return cut(line, &stacks, Bounds::Config);
        }
        let kind = if class == Class::Draft { LayerKind::Draft } else { LayerKind::Main };
        let layers = layers.into_iter().map(|s| (s, kind)).collect();
        return vec![Forward { from: 0, to: n, layers, bounds: whole }];
    }
    if class == Class::Unknown || (equal && class != Class::Draft) {
        return cut(line, &stacks, Bounds::Work);
    }
    let longest = stacks.iter().map(|s| s.len()).max().unwrap_or(0);
    let main = stacks.iter().find(|s| s.len() == longest).map_or(0, |s| s[0].stack);
    let kind = |s: &Span| {
        if s.stack == main && class != Class::Draft { LayerKind::Main } else { LayerKind::Draft }
    };
    let layers = spans.iter().map(|s| (*s, kind(s))).collect();
    vec![Forward { from: 0, to: n, layers, bounds: whole }]
}

/// One pass a run of layers. Between two runs the next pass begins where its inputs are taken.
fn cut(line: Line<'_>, stacks: &[&[Span]], bounds: Bounds) -> Vec<Forward> {
    let mut out = Vec::new();
    let mut from = 0;
    for (i, stack) in stacks.iter().enumerate() {
        let to = match (stack.last(), stacks.get(i + 1).and_then(|s| s.first())) {
            (Some(last), Some(next)) => {
                let (a, b) = (last.end, next.start);
                let sampled = (a..b).rev().find(|&i| line.kinds[i] == Kind::Sampling).map_or(a, |i| i + 1);
                let taken = |i: &usize| matches!(line.kinds[*i], Kind::Embedding | Kind::CopyIn);
                (sampled..b).find(taken).unwrap_or(b)
            }
            _ => line.names.len(),
        };
        let layers = stack.iter().map(|s| (*s, LayerKind::Main)).collect();
        out.push(Forward { from, to, layers, bounds });
        from = to;
    }
    out
}

fn pass(
    (class, step, device, stream): (Class, u32, Ident, u32),
    rows: &[u32],
    main: &[u32],
    forward: &Forward,
) -> Pass {
    let after: u32 = forward.layers.len() as u32 + 1;
    // Times at which the main stream enters another part.
    let mut turns: Vec<(u32, u32)> = Vec::new(); // (row, part)
    let mut at = forward.from;
    for (i, (span, _)) in forward.layers.iter().enumerate() {
        if span.start > at && i > 0 {
            turns.push((main[at], after));
        }
        if let Some(&row) = main.get(span.start) {
            turns.push((row, i as u32 + 1));
        }
        at = span.end;
    }
    if at < forward.to && !forward.layers.is_empty() {
        turns.push((main[at], after));
    }
    let mut parts = Vec::with_capacity(rows.len());
    let (mut next, mut part) = (0, 0);
    for &row in rows {
        // Rows are numbered in start order, so this holds for work of every stream.
        while let Some(&(turn, to)) = turns.get(next)
            && row >= turn
        {
            part = to;
            next += 1;
        }
        parts.push(part);
    }
    let dressed = (
        forward.layers.first().is_none_or(|l| l.0.start > forward.from),
        forward.layers.last().is_none_or(|l| l.0.end < forward.to),
    );
    Pass {
        class,
        step,
        device,
        bounds: forward.bounds,
        rows: rows.to_vec(),
        parts,
        layers: forward.layers.iter().map(|l| l.1).collect(),
        stream,
        dressed,
    }
}

/// Numbers of layer modules seen on the mixing kernels of a pass, by layer.
pub(crate) fn modules_of(scene: &Scene<'_>, pass: &Pass) -> Vec<u32> {
    let mut out = vec![NO_MODULE; pass.layers.len()];
    for (&row, &part) in pass.rows.iter().zip(&pass.parts) {
        let name = scene.store.devices.name[row as usize];
        if part > 0
            && let Some(slot) = out.get_mut(part as usize - 1)
            && *slot == NO_MODULE
            && scene.kinds[name as usize].mixes()
        {
            *slot = scene.modules[row as usize];
        }
    }
    out
}
