//! The kernels of one layer, and of two layers side by side.

use hashbrown::HashMap;

use super::passes::Pass;
use super::report::{DiffRow, Flow, FlowRow};
use crate::attribution::{Attribution, Host};
use crate::intern::{NO_STR, StrId};
use crate::links::NO_ROW;
use crate::overlap::ratio;
use crate::part::Meanings;
use crate::store::Store;

/// Longest `Input Dims` text kept, bytes.
const DIMS: usize = 2048;

/// What the kernels of a layer are shown with.
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) meanings: &'a Meanings,
    pub(super) attribution: &'a Attribution,
    pub(super) host: &'a Host,
    pub(super) labels: &'a HashMap<StrId, String>,
}

/// Rows of the device table that make part `part` of a pass.
pub(super) fn rows_of(pass: &Pass, part: u32) -> impl Iterator<Item = usize> {
    pass.rows.iter().zip(&pass.parts).filter(move |r| *r.1 == part).map(|r| *r.0 as usize)
}

/// The flow of part `part`.
pub(super) fn flow(view: &View<'_>, pass: &Pass, part: u32, pass_index: u32, layer: u32) -> Flow {
    let d = &view.store.devices;
    let rows: Vec<usize> = rows_of(pass, part).collect();
    let sum: i64 = rows.iter().map(|&r| d.dur[r]).sum();
    let start = rows.iter().map(|&r| d.ts[r]).min().unwrap_or(0);
    let kernels = rows
        .into_iter()
        .map(|r| {
            let found = view.attribution.found[r];
            let text = |i: u32| view.attribution.texts.get(i as usize).cloned();
            FlowRow {
                kernel: view.labels.get(&d.name[r]).cloned().unwrap_or_default(),
                category: view.meanings.classified[d.name[r] as usize].category.as_str().to_owned(),
                offset_ns: d.ts[r] - start,
                duration_ns: d.dur[r],
                share: ratio(d.dur[r], sum),
                stream: view.store.ident_text(view.store.streams[d.stream[r] as usize].1),
                source: text(found.source),
                cpu_op: text(found.op),
                input_dims: dims(view, r),
            }
        })
        .collect();
    Flow { pass: pass_index, layer, kernels }
}

/// `Input Dims` stand on the operator, not on the kernel it launched.
fn dims(view: &View<'_>, row: usize) -> Option<String> {
    let launch = view.host.launch_of[row];
    if launch == NO_ROW {
        return None;
    }
    let op = view.host.launches[launch as usize].op;
    let id = *view.store.ops.dims.get(op as usize)?;
    if id == NO_STR {
        return None;
    }
    let text = view.store.strings.text(id);
    let clipped: String = text.chars().take(DIMS).collect();
    (!clipped.is_empty()).then_some(clipped)
}

/// Two flows, kernel by kernel; the largest difference first.
pub(super) fn diff(a: &Flow, b: &Flow) -> Vec<DiffRow> {
    let mut rows: Vec<DiffRow> = Vec::new();
    let mut at: HashMap<(&str, &str), usize> = HashMap::new();
    for (side, flow) in [a, b].into_iter().enumerate() {
        for k in &flow.kernels {
            let i = *at.entry((&k.kernel, &k.category)).or_insert_with(|| {
                rows.push(DiffRow {
                    kernel: k.kernel.clone(),
                    category: k.category.clone(),
                    launches: [0; 2],
                    sum_ns: [0; 2],
                    delta_ns: 0,
                });
                rows.len() - 1
            });
            rows[i].launches[side] += 1;
            rows[i].sum_ns[side] += k.duration_ns;
        }
    }
    for row in &mut rows {
        row.delta_ns = row.sum_ns[1] - row.sum_ns[0];
    }
    rows.sort_by(|x, y| {
        (std::cmp::Reverse(x.delta_ns.abs()), &x.kernel)
            .cmp(&(std::cmp::Reverse(y.delta_ns.abs()), &y.kernel))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kernels: &[(&str, i64)]) -> Flow {
        let row = |&(kernel, duration_ns): &(&str, i64)| FlowRow {
            kernel: kernel.to_owned(),
            category: "gemm".to_owned(),
            offset_ns: 0,
            duration_ns,
            share: 0.0,
            stream: String::new(),
            source: None,
            cpu_op: None,
            input_dims: None,
        };
        Flow { pass: 0, layer: 0, kernels: kernels.iter().map(row).collect() }
    }

    #[test]
    fn differences_add_up() {
        let rows = diff(&one(&[("a", 5), ("b", 7), ("a", 5)]), &one(&[("a", 11), ("c", 3)]));
        let short: Vec<_> = rows.iter().map(|r| (r.kernel.as_str(), r.launches, r.delta_ns)).collect();
        assert_eq!(short, [("b", [1, 0], -7), ("c", [0, 1], 3), ("a", [2, 1], 1)]);
        assert_eq!(rows.iter().map(|r| r.delta_ns).sum::<i64>(), 14 - 17);
    }
}
