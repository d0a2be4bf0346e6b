//! Where in the layers a kernel's difference is.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::report::{Place, PositionRow};
use super::side::{KernelId, Pass};
use crate::pipeline::{AFTER, BEFORE, NOWHERE, number_ranges};

/// Part of a kernel's difference that the named positions make up, at least.
const MOST: f64 = 0.9;

/// Mean time a step of each kernel at each position of one side.
pub(super) struct Side {
    by_kernel: HashMap<KernelId, BTreeMap<u32, f64>>,
}

impl Side {
    /// The times of these passes.
    pub(super) fn of(passes: &[&Pass]) -> Self {
        let mut by_kernel: HashMap<KernelId, BTreeMap<u32, f64>> = HashMap::new();
        let steps = passes.len().max(1) as f64;
        for &(kernel, ns, at) in passes.iter().flat_map(|p| &p.launches) {
            *by_kernel.entry(kernel).or_default().entry(at).or_default() += ns as f64 / steps;
        }
        Self { by_kernel }
    }
}

/// The layers of these passes, where all of them have as many.
pub(super) fn common_layers<'a>(mut passes: impl Iterator<Item = &'a &'a Pass>) -> Option<u32> {
    let first = passes.next()?.layers;
    (first > 0 && passes.all(|p| p.layers == first)).then_some(first)
}

/// The positions of kernel `a` on one side and `b` on the other, in order.
pub(super) fn rows(sides: (&Side, &Side), a: KernelId, b: KernelId) -> Vec<PositionRow> {
    let mut at: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (&position, &ns) in sides.0.by_kernel.get(&a).into_iter().flatten() {
        at.entry(position).or_default().0 += ns;
    }
    for (&position, &ns) in sides.1.by_kernel.get(&b).into_iter().flatten() {
        at.entry(position).or_default().1 += ns;
    }
    let row = |(position, (a, b)): (u32, (f64, f64))| {
        let (place, layer) = match position {
            BEFORE => (Place::Before, None),
            AFTER => (Place::After, None),
            NOWHERE => (Place::Unknown, None),
            layer => (Place::Layer, Some(layer)),
        };
        PositionRow { place, layer, a_ns_per_step: a, b_ns_per_step: b, delta_ns_per_step: b - a }
    };
    let mut rows: Vec<PositionRow> = at.into_iter().map(row).collect();
    // In the order of a step: before the layers, the layers, after them.
    rows.sort_by_key(|r| (r.place, r.layer));
    rows
}

/// The fewest positions that make up most of the difference, in words: `all 36 layers`, `layers 0-2`, `after`.
pub(super) fn summary(rows: &[PositionRow], layers: u32) -> String {
    let size = |r: &PositionRow| r.delta_ns_per_step.abs();
    let all: f64 = rows.iter().map(size).sum();
    let mut largest: Vec<&PositionRow> = rows.iter().filter(|r| size(r) > 0.0).collect();
    largest.sort_by(|x, y| size(y).total_cmp(&size(x)).then((x.place, x.layer).cmp(&(y.place, y.layer))));
    let mut sum = 0.0;
    let mut chosen: Vec<&PositionRow> = Vec::new();
    for row in largest {
        if sum >= all * MOST {
            break;
        }
        sum += size(row);
        chosen.push(row);
    }
    let in_layers = rows.iter().filter(|r| r.place == Place::Layer).count();
    let mut numbers: Vec<u32> = chosen.iter().filter_map(|r| r.layer).collect();
    numbers.sort_unstable();
    let has = |place: Place| chosen.iter().any(|r| r.place == place);
    let mut parts: Vec<String> = Vec::new();
    if has(Place::Before) {
        parts.push("before".to_owned());
    }
    match numbers.as_slice() {
        [] => {}
        // Spread over most of the layers it runs in: that it misses some is noise.
        some if in_layers > 1 && some.len() * 10 >= in_layers * 7 => {
            parts.push(match in_layers as u32 == layers {
                true => format!("all {layers} layers"),
                false => format!("its {in_layers} layers"),
            });
        }
        [one] => parts.push(format!("layer {one}")),
        some => parts.push(format!("layers {}", number_ranges(some))),
    }
    if has(Place::After) {
        parts.push("after".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: Place, layer: Option<u32>, delta: f64) -> PositionRow {
        PositionRow { place, layer, a_ns_per_step: 1.0, b_ns_per_step: 1.0 + delta, delta_ns_per_step: delta }
    }

    #[test]
    fn the_fewest_positions_are_named() {
        let even: Vec<PositionRow> = (0..4).map(|l| at(Place::Layer, Some(l), 5.0)).collect();
        assert_eq!(summary(&even, 4), "all 4 layers");
        assert_eq!(summary(&even, 8), "its 4 layers");
        let mut one: Vec<PositionRow> = (0..4).map(|l| at(Place::Layer, Some(l), 0.01)).collect();
        one[2] = at(Place::Layer, Some(2), -7.0);
        assert_eq!(summary(&one, 4), "layer 2");
        one.push(at(Place::After, None, 7.0));
        assert_eq!(summary(&one, 4), "layer 2, after");
        assert_eq!(summary(&[at(Place::Before, None, 1.0)], 4), "before");
        assert_eq!(summary(&[at(Place::Layer, Some(0), 0.0)], 4), "");
        assert_eq!(summary(&[], 4), "");
    }
}
