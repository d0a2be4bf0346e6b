//! The matrix products that operators recorded, each once: of `aten::linear`, `aten::matmul` and `aten::mm` inside
//! each other the innermost with readable sizes counts.

use hashbrown::HashMap;

use super::catalog::{Product, Products};
use super::dims::parse;
use super::report::Precision;
use super::role::Role;
use crate::attribution::{Host, op_rows};
use crate::intern::{NO_STR, StrId};
use crate::links::NO_ROW;
use crate::store::Store;

/// A product as an operator recorded it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) product: Product,
    pub(super) precision: Option<Precision>,
}

/// The products of a trace.
pub(super) struct Recorded {
    /// Of each device event, its index into `leaves` plus one; 0 without.
    of_device: Vec<u32>,
    leaves: Vec<Leaf>,
    /// Requests that a lookup of token ids recorded, by device event.
    batches: HashMap<u32, u64>,
}

impl Recorded {
    /// Requests, where a device event looks up token ids of several at once.
    pub(super) fn batch(&self, row: u32) -> Option<u64> {
        if self.batches.is_empty() { None } else { self.batches.get(&row).copied() }
    }

    /// Index of the product that a device event works on.
    pub(super) fn of(&self, row: u32) -> Option<u32> {
        self.of_device[row as usize].checked_sub(1)
    }

    pub(super) fn leaf(&self, index: u32) -> Leaf {
        self.leaves[index as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }
}

/// Operator that was open when each began, or [`NO_ROW`]. Rows are sorted by thread and start, outer before inner.
fn parents(store: &Store) -> Vec<u32> {
    let o = &store.ops;
    let mut open: Vec<u32> = Vec::new();
    let mut out = Vec::with_capacity(o.len());
    for i in 0..o.len() {
        while let Some(&top) = open.last() {
            let top = top as usize;
            if o.lane[top] == o.lane[i] && o.ts[i] < o.ts[top].saturating_add(o.dur[top]) {
                break;
            }
            open.pop();
        }
        out.push(open.last().copied().unwrap_or(NO_ROW));
        open.push(i as u32);
    }
    out
}

/// The products of a trace. `roles` are those of names, by string id.
pub(super) fn recorded(store: &Store, host: &Host, roles: &[Role], products: &Products) -> Recorded {
    let d = &store.devices;
    let mut out = Recorded { of_device: vec![0; d.len()], leaves: Vec::new(), batches: HashMap::new() };
    if store.ops.is_empty() {
        return out;
    }
    let rows = op_rows(store, host);
    let parents = parents(store);
    let mut shapes: HashMap<(StrId, StrId), Option<Leaf>> = HashMap::new();
    let mut shape = |op: u32| -> Option<Leaf> {
        let (name, dims) = (store.ops.name[op as usize], store.ops.dims[op as usize]);
        *shapes.entry((name, dims)).or_insert_with(|| {
            let entry = products.find(&store.strings.text(name))?;
            let args = if dims == NO_STR { None } else { parse(store.strings.bytes(dims)) };
            Some(Leaf { product: entry.product(&args?)?, precision: entry.dtype })
        })
    };
    // The nearest product around each operator that launched something.
    let mut around: HashMap<u32, u32> = HashMap::new();
    let mut chain: Vec<u32> = Vec::new();
    let mut of_row = vec![NO_ROW; d.len()];
    let mut leaves: HashMap<u32, Leaf> = HashMap::new();
    for (i, &start) in rows.iter().enumerate() {
        if start == NO_ROW {
            continue;
        }
        if roles[d.name[i] as usize] == Role::Embedding
            && let Some(batch) = batch_of(store, &parents, start)
        {
            out.batches.insert(i as u32, batch);
        }
        if !roles[d.name[i] as usize].may_multiply() {
            continue;
        }
        let mut op = start;
        let mut found = NO_ROW;
        chain.clear();
        while op != NO_ROW {
            if let Some(&known) = around.get(&op) {
                found = known;
                break;
            }
            chain.push(op);
            if let Some(leaf) = shape(op) {
                leaves.insert(op, leaf);
                found = op;
                break;
            }
            op = parents[op as usize];
        }
        chain.iter().for_each(|&op| {
            around.insert(op, found);
        });
        of_row[i] = found;
    }
    // What holds another product inside is no leaf, whatever else it launched.
    let mut hidden: Vec<u32> = Vec::new();
    for &leaf in leaves.keys() {
        let mut op = parents[leaf as usize];
        while op != NO_ROW {
            if leaves.contains_key(&op) {
                hidden.push(op);
                break;
            }
            op = parents[op as usize];
        }
    }
    hidden.iter().for_each(|op| {
        leaves.remove(op);
    });
    let mut index: HashMap<u32, u32> = HashMap::new();
    for (slot, &op) in out.of_device.iter_mut().zip(&of_row) {
        let Some(&leaf) = leaves.get(&op) else { continue };
        *slot = *index.entry(op).or_insert_with(|| {
            out.leaves.push(leaf);
            out.leaves.len() as u32
        });
    }
    out
}

/// Requests of a lookup: the first of two dimensions of its token ids.
fn batch_of(store: &Store, parents: &[u32], mut op: u32) -> Option<u64> {
    while op != NO_ROW {
        if store.strings.bytes(store.ops.name[op as usize]) == b"aten::embedding" {
            let dims = Some(store.ops.dims[op as usize]).filter(|&d| d != NO_STR)?;
            let args = parse(store.strings.bytes(dims))?;
            return args.get(1)?.tensor().filter(|ids| ids.len() == 2).map(|ids| ids[0]);
        }
        op = parents[op as usize];
    }
    None
}
