//! The gap in wall time of a step, split so that every nanosecond is in one row.

use std::collections::BTreeMap;

use super::report::GapRow;
use super::rows::Compared;
use super::side::{NOTHING, Names, Part, Pass};

/// Gaps under this part of A's wall time count as this much: a share of next to nothing would say nothing.
const SMALL: f64 = 0.001;

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Part::Compute => "compute",
            Part::Communication => "exposed communication",
            Part::Copies => "copies",
            Part::HostBound => "host-bound",
            Part::StreamWait => "stream wait",
            Part::Idle => "idle",
        }
    }
}

/// The rows of a class, largest difference first, and the part of the gap that nothing explains.
pub(super) fn gap(c: &Compared<'_>, names: &Names) -> (Vec<GapRow>, f64) {
    type Key<'k> = (Part, Option<&'k str>);
    let mut sums: BTreeMap<Key<'_>, [Vec<f64>; 2]> = BTreeMap::new();
    let empty = [vec![0.0; c.a.len()], vec![0.0; c.b.len()]];
    let mut add = |side: usize, passes: &[&Pass]| {
        for (i, pass) in passes.iter().enumerate() {
            for (&(part, kernel), &ns) in &pass.wall {
                let category = (kernel != NOTHING).then(|| names.list[kernel as usize].category.as_str());
                sums.entry((part, category)).or_insert_with(|| empty.clone())[side][i] += ns as f64;
            }
        }
    };
    add(0, &c.a);
    add(1, &c.b);
    let mut rows: Vec<GapRow> = sums
        .into_iter()
        .map(|((part, category), [a, b])| GapRow {
            class: c.class,
            part: part.as_str().to_owned(),
            category: category.map(str::to_owned),
            time: c.plan.measure(&a, &b, None),
        })
        .collect();
    rows.sort_by(|x, y| {
        let size = |r: &GapRow| r.time.delta_ns_per_step.abs();
        size(y).total_cmp(&size(x)).then_with(|| (&x.part, &x.category).cmp(&(&y.part, &y.category)))
    });
    let idle = Part::Idle.as_str();
    let unexplained = rows.iter().filter(|r| r.part == idle).map(|r| r.time.delta_ns_per_step).sum();
    (rows, unexplained)
}

/// What is unexplained as a share of the gap.
pub(super) fn share(unexplained: f64, gap: f64, wall: f64) -> f64 {
    let gap = gap.abs().max(wall * SMALL);
    if unexplained == 0.0 || gap == 0.0 { 0.0 } else { unexplained.abs() / gap }
}
