//! What a capture or mapping trace offers for alignment: its launches in order, with where each came from.

use hashbrown::HashMap;

use crate::align::{Call, Companion, Origin, Sequence};
use crate::attribution::{Attribution, Host, launches_work};
use crate::frames::source_text;
use crate::intern::NO_STR;
use crate::links::{Context, NO_ROW, captures, is_graph_launch};
use crate::steps::{Class, NO_STEP, Steps, grammar};
use crate::store::{KERNEL, MEMCPY, Store};

/// The name under which device work and its captured launch meet: copies and fills have none on the host.
pub(crate) fn meeting_name(kind: u8, name: &str) -> &str {
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
            (label.class == Class::Capture).then_some((a.lane[i], a.ts[i], a.ts[i] + a.dur[i], label.batch))
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
