//! From device work to the host call that launched it, and from host times to the operators and Python frames that
//! were open then. All linear after sorting: no thread is searched frame by frame.

use hashbrown::{HashMap, HashSet};

use crate::frames::FrameInfo;
use crate::intern::{NO_STR, StrId};
use crate::store::{Ident, NONE, Store};

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

/// A runtime call in an index by correlation id: (id, host process, start, row).
type Call = (i64, u32, i64, u32);

/// For every device event the row of the runtime call that launched it, or [`NO_ROW`].
pub(crate) fn launches_of_devices(store: &Store) -> Vec<u32> {
    let l = &store.launches;
    let hosts = Hosts::new(store);
    let mut index: Vec<Call> = (0..l.len())
        .filter(|&i| l.corr[i] != NONE)
        .map(|i| (l.corr[i], hosts.of_lane[l.lane[i] as usize], l.ts[i], i as u32))
        .collect();
    index.sort_unstable();
    let owners = hosts.owners(store, &index);
    let d = &store.devices;
    (0..d.len())
        .map(|i| {
            let calls = calls_of(&index, d.corr[i]);
            if sole(calls).is_some() {
                return latest(calls, d.ts[i]);
            }
            let Some(&host) = owners.get(&store.device_pid(i)) else { return NO_ROW };
            let from = calls.partition_point(|c| c.1 < host);
            let to = calls.partition_point(|c| c.1 <= host);
            latest(&calls[from..to], d.ts[i])
        })
        .collect()
}

/// The calls that carry a correlation id.
fn calls_of(index: &[Call], corr: i64) -> &[Call] {
    if corr == NONE {
        return &[];
    }
    let from = index.partition_point(|e| e.0 < corr);
    let to = from + index[from..].partition_point(|e| e.0 == corr);
    &index[from..to]
}

/// The host process of calls of one id, if they are of one.
fn sole(calls: &[Call]) -> Option<u32> {
    let (first, last) = (calls.first()?, calls.last()?);
    (first.1 == last.1).then_some(first.1)
}

/// An id that several calls of a process carry belongs to the last of them that had begun when the work did.
fn latest(calls: &[Call], ts: i64) -> u32 {
    let begun = calls.partition_point(|c| c.2 <= ts);
    calls.get(begun.saturating_sub(1)).map_or(NO_ROW, |c| c.3)
}

/// The processes of a trace.
struct Hosts {
    pids: Vec<Ident>,
    /// Index into `pids` of each lane.
    of_lane: Vec<u32>,
}

impl Hosts {
    fn new(store: &Store) -> Self {
        let mut numbers: HashMap<Ident, u32> = HashMap::new();
        let mut pids = Vec::new();
        let number = |&(pid, _): &(Ident, Ident)| {
            *numbers.entry(pid).or_insert_with(|| {
                pids.push(pid);
                (pids.len() - 1) as u32
            })
        };
        let of_lane = store.lanes.iter().map(number).collect();
        Hosts { pids, of_lane }
    }

    /// Which host process drives which device, for traces that were joined from several ranks: every process counts
    /// its correlation ids from one, so the id alone would give one rank's work to another rank's launch.
    fn owners(&self, store: &Store, index: &[Call]) -> HashMap<Ident, u32> {
        let mut owners: HashMap<Ident, u32> = HashMap::new();
        let mut callers: Vec<u32> = index.iter().map(|c| c.1).collect();
        callers.sort_unstable();
        callers.dedup();
        if callers.len() < 2 {
            return owners;
        }
        // Ids that one process alone uses tell whose device it is.
        let d = &store.devices;
        let mut votes: HashMap<Ident, HashMap<u32, u64>> = HashMap::new();
        for i in 0..d.len() {
            let of = votes.entry(store.device_pid(i)).or_default();
            if let Some(host) = sole(calls_of(index, d.corr[i])) {
                *of.entry(host).or_default() += 1;
            }
        }
        let mut by_label: HashMap<String, Option<u32>> = HashMap::new();
        for &host in &callers {
            if let Some(label) = rank_label(store, self.pids[host as usize]) {
                by_label.entry(label).and_modify(|h| *h = None).or_insert(Some(host));
            }
        }
        for (&device, votes) in &votes {
            let labelled = rank_label(store, device).and_then(|l| by_label.get(&l).copied().flatten());
            let most = || votes.iter().max_by_key(|(h, n)| (**n, std::cmp::Reverse(**h))).map(|(h, _)| *h);
            if let Some(host) = labelled.or_else(most) {
                owners.insert(device, host);
            }
        }
        // One device and one process left over belong together.
        let mut devices = votes.keys().filter(|d| !owners.contains_key(*d)).copied();
        if let (Some(device), None) = (devices.next(), devices.next()) {
            let taken: HashSet<u32> = owners.values().copied().collect();
            let mut free = callers.into_iter().filter(|h| !taken.contains(h));
            if let (Some(host), None) = (free.next(), free.next()) {
                owners.insert(device, host);
            }
        }
        owners
    }
}

/// What joining tools put before a pid, such as `[TP00]` of `[TP00] 1234`.
fn rank_label(store: &Store, pid: Ident) -> Option<String> {
    let Ident::Word(_) = pid else { return None };
    let text = store.ident_text(pid);
    let (label, _) = text.rsplit_once(' ')?;
    (!label.trim().is_empty()).then(|| label.trim().to_owned())
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

    /// Two ranks in one file, with the same correlation ids; `pids` are (host, device) of each.
    fn joined(pids: [(&str, &str); 2], own: [i64; 2]) -> Vec<u32> {
        let mut events = Vec::new();
        for (rank, (host, device)) in pids.into_iter().enumerate() {
            for (i, corr) in [1, 2, 3].into_iter().chain((own[rank] > 0).then_some(own[rank])).enumerate() {
                let at = i * 10 + rank;
                events.push(format!(
                    r#"{{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":{host},"tid":1,"ts":{at},"dur":1,"args":{{"correlation":{corr}}}}}"#
                ));
                events.push(format!(
                    r#"{{"ph":"X","cat":"kernel","name":"k{rank}","pid":{device},"tid":7,"ts":{},"dur":1,"args":{{"correlation":{corr}}}}}"#,
                    at + 5
                ));
            }
        }
        let s = read_text(format!("[{}]", events.join(",")).as_bytes()).unwrap();
        let of = launches_of_devices(&s);
        (0..s.devices.len())
            .map(|i| {
                let rank = u32::from(s.strings.text(s.devices.name[i]) == "k1");
                let host = of
                    .get(i)
                    .filter(|r| **r != NO_ROW)
                    .map(|&r| s.lanes[s.launches.lane[r as usize] as usize].0);
                match host {
                    None => 2,
                    Some(h) => u32::from(s.ident_text(h) != pids[rank as usize].0.trim_matches('"')),
                }
            })
            .collect()
    }

    #[test]
    fn ranks_joined_in_one_file_keep_their_own_launches() {
        // An id that only one process uses tells whose the device is, and what is left over is the other's.
        assert_eq!(joined([("100", "0"), ("200", "1")], [9, 0]), [0; 7]);
        assert_eq!(
            joined([("\"[TP00] 100\"", "\"[TP00] 0\""), ("\"[TP01] 100\"", "\"[TP01] 0\"")], [0, 0]),
            [0; 6]
        );
        // Nothing tells: no launch is better than another rank's.
        assert_eq!(joined([("100", "0"), ("200", "1")], [0, 0]), [2; 6]);
    }
}
