//! From device work to the host call that launched it, and from host times to the operators and Python frames that
//! were open then. All linear after sorting: no thread is searched frame by frame.

use crate::frames::FrameInfo;
use crate::intern::{NO_STR, StrId};
use crate::store::{NONE, Store};

/// "No row" in a column of row numbers.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// What was open on a host thread at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// Source frame (name), or [`NO_STR`].
    pub(crate) frame: StrId,
    /// Rank of the frame.
    pub(crate) rank: u8,
    /// Layer number of the innermost layer module.
    pub(crate) layer: Option<u32>,
    /// Innermost operator (row of `ops`), or [`NO_ROW`].
    pub(crate) op: u32,
}

impl Context {
    pub(crate) const EMPTY: Context = Context { frame: NO_STR, rank: 0, layer: None, op: NO_ROW };
}

/// For every device event the row of the runtime call that launched it, or [`NO_ROW`].
pub(crate) fn launches_of_devices(store: &Store) -> Vec<u32> {
    let l = &store.launches;
    let mut index: Vec<(i64, i64, u32)> =
        (0..l.len()).filter(|&i| l.corr[i] != NONE).map(|i| (l.corr[i], l.ts[i], i as u32)).collect();
    index.sort_unstable();
    let d = &store.devices;
    (0..d.len())
        .map(|i| {
            let corr = d.corr[i];
            if corr == NONE {
                return NO_ROW;
            }
            let from = index.partition_point(|e| e.0 < corr);
            let to = from + index[from..].partition_point(|e| e.0 == corr);
            // An id that several calls carry belongs to the last of them that had begun when the work did.
            let begun = from + index[from..to].partition_point(|e| e.1 <= d.ts[i]);
            let at = if begun > from { begun - 1 } else { from };
            index[from..to].get(at - from).map_or(NO_ROW, |e| e.2)
        })
        .collect()
}

/// True for names such as `cudaGraphLaunch` and `hipGraphLaunch`.
pub(crate) fn is_graph_launch(name: &[u8]) -> bool {
    memchr::memmem::find(name, b"GraphLaunch").is_some()
}

/// For each runtime call: its thread made a stream wait for an event since the launch before.
pub(crate) fn waits_before(store: &Store) -> Vec<bool> {
    let l = &store.launches;
    let mut out = vec![false; l.len()];
    let mut pending = false;
    for (i, waited) in out.iter_mut().enumerate() {
        if i > 0 && l.lane[i] != l.lane[i - 1] {
            pending = false;
        }
        let api = store.strings.bytes(l.name[i]);
        let has = |word: &[u8]| memchr::memmem::find(api, word).is_some();
        if has(b"StreamWaitEvent") {
            pending = true;
        } else if has(b"Launch") || has(b"emcpy") || has(b"emset") {
            *waited = pending;
            pending = false;
        }
    }
    out
}

/// Stream captures: (lane, begin, end) of each.
pub(crate) fn captures(store: &Store) -> Vec<(u32, i64, i64)> {
    let l = &store.launches;
    let mut out = Vec::new();
    let mut begun: Option<(u32, i64)> = None;
    for i in 0..l.len() {
        let api = store.strings.bytes(l.name[i]);
        if memchr::memmem::find(api, b"StreamBeginCapture").is_some() {
            begun = Some((l.lane[i], l.ts[i]));
        } else if memchr::memmem::find(api, b"StreamEndCapture").is_some()
            && let Some((lane, start)) = begun.take().filter(|b| b.0 == l.lane[i])
        {
            out.push((lane, start, l.ts[i]));
        }
    }
    out
}

/// The context at each of `queries` = (lane, time, slot): `out[slot]`. Slots not asked for stay empty.
pub(crate) fn contexts(
    store: &Store,
    infos: &[FrameInfo],
    mut queries: Vec<(u32, i64, u32)>,
    slots: usize,
) -> Vec<Context> {
    queries.sort_unstable();
    let mut out = vec![Context::EMPTY; slots];
    let mut at = 0;
    while at < queries.len() {
        let lane = queries[at].0;
        let end = at + queries[at..].partition_point(|q| q.0 == lane);
        sweep_lane(store, infos, lane, &queries[at..end], &mut out);
        at = end;
    }
    out
}

/// An open frame, with the best source and layer of the frames below it, so that a query looks at the top only.
struct Open {
    end: i64,
    frame: StrId,
    rank: u8,
    layer: Option<u32>,
}

fn sweep_lane(
    store: &Store,
    infos: &[FrameInfo],
    lane: u32,
    queries: &[(u32, i64, u32)],
    out: &mut [Context],
) {
    let f = &store.frames;
    let frames = lane_range(&f.lane, lane);
    let mut stack: Vec<Open> = Vec::new();
    let mut next = frames.start;
    for &(_, t, slot) in queries {
        while next < frames.end && f.ts[next] <= t {
            let (start, end) = (f.ts[next], f.ts[next] + f.dur[next]);
            if end > start {
                while stack.last().is_some_and(|o| o.end <= start) {
                    stack.pop();
                }
                let info = infos[f.name[next] as usize];
                let below = stack.last();
                let (mut frame, mut rank) = below.map_or((NO_STR, 0), |b| (b.frame, b.rank));
                if info.rank > 0 && info.rank >= rank {
                    (frame, rank) = (f.name[next], info.rank);
                }
                let layer = info.layer.or(below.and_then(|b| b.layer));
                stack.push(Open { end, frame, rank, layer });
            }
            next += 1;
        }
        while stack.last().is_some_and(|o| o.end <= t) {
            stack.pop();
        }
        if let Some(top) = stack.last() {
            let o = &mut out[slot as usize];
            (o.frame, o.rank, o.layer) = (top.frame, top.rank, top.layer);
        }
    }
    let p = &store.ops;
    let ops = lane_range(&p.lane, lane);
    let mut stack: Vec<(i64, u32)> = Vec::new();
    let mut next = ops.start;
    for &(_, t, slot) in queries {
        while next < ops.end && p.ts[next] <= t {
            let end = p.ts[next] + p.dur[next];
            while stack.last().is_some_and(|o| o.0 < p.ts[next]) {
                stack.pop();
            }
            stack.push((end, next as u32));
            next += 1;
        }
        while stack.last().is_some_and(|o| o.0 < t) {
            stack.pop();
        }
        if let Some(top) = stack.last() {
            out[slot as usize].op = top.1;
        }
    }
}

/// The rows of one lane in a table sorted by lane.
fn lane_range(lanes: &[u32], lane: u32) -> std::ops::Range<usize> {
    let from = lanes.partition_point(|&l| l < lane);
    from..from + lanes[from..].partition_point(|&l| l == lane)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{FrameRules, frame_infos};
    use crate::input::read_text;

    #[test]
    fn innermost_best_frame_and_op() {
        let text = br#"[
        {"ph":"X","cat":"python_function","name":"sglang/m.py(1): outer","pid":1,"tid":1,"ts":0,"dur":100},
        {"ph":"X","cat":"python_function","name":"nn.Module: XLayer_4","pid":1,"tid":1,"ts":1,"dur":90},
        {"ph":"X","cat":"python_function","name":"sglang/n.py(2): inner","pid":1,"tid":1,"ts":2,"dur":50},
        {"ph":"X","cat":"python_function","name":"torch/_ops.py(3): __call__","pid":1,"tid":1,"ts":3,"dur":40},
        {"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":4,"dur":10},
        {"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":5,"dur":1,"args":{"correlation":9}},
        {"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":60,"dur":1,"args":{"correlation":9}},
        {"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":6,"dur":1,"args":{"correlation":9}},
        {"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":61,"dur":1,"args":{"correlation":9}}]"#;
        let s = read_text(text).unwrap();
        let of = launches_of_devices(&s);
        assert_eq!(of, [0, 1], "a repeated id goes to the launch before the work");
        let infos = frame_infos(&s, &FrameRules::builtin().unwrap());
        let q = (0..s.launches.len()).map(|i| (s.launches.lane[i], s.launches.ts[i], i as u32)).collect();
        let c = contexts(&s, &infos, q, 2);
        assert_eq!(s.strings.text(c[0].frame), "sglang/n.py(2): inner");
        assert_eq!((c[0].layer, c[0].op), (Some(4), 0));
        assert_eq!(s.strings.text(c[1].frame), "sglang/m.py(1): outer");
        assert_eq!((c[1].layer, c[1].op), (Some(4), NO_ROW));
    }
}
