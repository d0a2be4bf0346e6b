//! Backward work has no Python frame of its own: the autograd engine runs it on a thread of its own. The frame of the
//! forward operator it belongs to is found by sequence number, or by the fwdbwd flow.

use hashbrown::HashMap;

use crate::attribution::Host;
use crate::links::{Context, NO_ROW, contexts};
use crate::store::{NONE, Store};

/// The forward frames of backward operators.
pub(crate) struct Backward {
    /// By row of a backward operator: the context of its forward operator, if one is recorded.
    forward: HashMap<u32, Option<Context>>,
    /// For every operator the enclosing backward operator, or [`NO_ROW`].
    enclosing: Vec<u32>,
}

impl Backward {
    pub(crate) fn new(store: &Store, host: &Host) -> Self {
        let p = &store.ops;
        let is_backward = |i: usize| {
            p.fwd_thread[i] > 0 && p.seq[i] != NONE
                || store.strings.bytes(p.name[i]).starts_with(b"autograd::engine::evaluate_function")
        };
        let mut enclosing = vec![NO_ROW; p.len()];
        let mut open: Vec<(u32, i64)> = Vec::new();
        let mut any = false;
        for (i, slot) in enclosing.iter_mut().enumerate() {
            while open.last().is_some_and(|&(o, end)| p.lane[o as usize] != p.lane[i] || end <= p.ts[i]) {
                open.pop();
            }
            if is_backward(i) {
                open.push((i as u32, p.ts[i] + p.dur[i]));
                any = true;
            }
            *slot = open.first().map_or(NO_ROW, |o| o.0);
        }
        if !any {
            return Backward { forward: HashMap::new(), enclosing: Vec::new() };
        }
        // The forward operator of a sequence number is the last that began with it outside of the backward pass.
        let mut by_seq: HashMap<i64, u32> = HashMap::new();
        for (i, &outer) in enclosing.iter().enumerate() {
            if p.seq[i] != NONE && p.fwd_thread[i] <= 0 && outer == NO_ROW {
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
    pub(crate) fn of(&self, op: u32) -> Option<Option<Context>> {
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
