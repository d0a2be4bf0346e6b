//! Rows of one class: kernels and categories, device time per step.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::measure::Plan;
use super::positions;
use super::rename::{join, lone};
use super::report::{CategoryRow, Row, Status};
use super::side::{Caller, KernelId, Names, Pass, Side};
use crate::steps::Class;

/// The compared passes of one class, side by side when paired.
pub(super) struct Compared<'a> {
    pub(super) class: Class,
    pub(super) a: Vec<&'a Pass>,
    pub(super) b: Vec<&'a Pass>,
    pub(super) paired: bool,
    pub(super) plan: Plan,
}

/// Time per pass of each kernel, by its number.
struct Times {
    by_kernel: HashMap<KernelId, Vec<f64>>,
    launches: HashMap<KernelId, u64>,
}

impl Times {
    fn of(passes: &[&Pass]) -> Self {
        let mut t = Times { by_kernel: HashMap::new(), launches: HashMap::new() };
        for (i, pass) in passes.iter().enumerate() {
            for &(kernel, ns, _) in &pass.launches {
                let values = t.by_kernel.entry(kernel).or_insert_with(|| vec![0.0; passes.len()]);
                values[i] += ns as f64;
                *t.launches.entry(kernel).or_default() += 1;
            }
        }
        t
    }
}

/// The rows of a class, largest difference first.
pub(super) fn rows(c: &Compared<'_>, names: &Names, sides: (&Side, &Side)) -> (Vec<Row>, Vec<CategoryRow>) {
    let (ta, tb) = (Times::of(&c.a), Times::of(&c.b));
    let mut renamed: HashMap<KernelId, (KernelId, &'static str)> = HashMap::new();
    let mut joined_b: Vec<KernelId> = Vec::new();
    for (a, b, by) in renames(c, names, sides, &ta, &tb) {
        renamed.insert(a, (b, by));
        joined_b.push(b);
    }
    let mut kernels: Vec<KernelId> = ta.by_kernel.keys().chain(tb.by_kernel.keys()).copied().collect();
    kernels.sort_unstable();
    kernels.dedup();
    let (none_a, none_b) = (vec![0.0; c.a.len()], vec![0.0; c.b.len()]);
    let mut rows: Vec<Row> = Vec::new();
    let mut sums: BTreeMap<&str, CategorySum> = BTreeMap::new();
    let single = c.single_launches();
    let places = c.layers().map(|n| (n, positions::Side::of(&c.a), positions::Side::of(&c.b)));
    for &kernel in kernels.iter().filter(|k| !joined_b.contains(k)) {
        let other = renamed.get(&kernel).map_or(kernel, |r| r.0);
        let a = ta.by_kernel.get(&kernel).unwrap_or(&none_a);
        let b = tb.by_kernel.get(&other).unwrap_or(&none_b);
        let launches = single.as_ref().and_then(|s| launch_differences(s, kernel, other));
        let time = c.plan.measure(a, b, launches.as_deref());
        let name = &names.list[kernel as usize];
        let sum =
            sums.entry(&name.category).or_insert_with(|| (none_a.clone(), none_b.clone(), Some(Vec::new())));
        sum.0.iter_mut().zip(a).for_each(|(s, v)| *s += v);
        sum.1.iter_mut().zip(b).for_each(|(s, v)| *s += v);
        // One kernel whose launches do not pair leaves none for the whole category.
        sum.2 = sum.2.take().zip(launches).map(|(mut all, own)| {
            all.extend(own);
            all
        });
        let per_step = |t: &Times, k: KernelId, n: usize| {
            t.launches.get(&k).copied().unwrap_or(0) as f64 / n.max(1) as f64
        };
        let caller = if time.status == Status::Appeared {
            caller(sides.1, c.class, other)
        } else {
            caller(sides.0, c.class, kernel)
        };
        let rename = renamed.get(&kernel);
        let positions = places.as_ref().map(|(n, a, b)| (n, positions::rows((a, b), kernel, other)));
        rows.push(Row {
            class: c.class,
            category: name.category.clone(),
            kernel: name.label.clone(),
            renamed_to: rename.map(|r| names.list[r.0 as usize].label.clone()),
            renamed_by: rename.map(|r| r.1.to_owned()),
            a_launches_per_step: per_step(&ta, kernel, c.a.len()),
            b_launches_per_step: per_step(&tb, other, c.b.len()),
            time,
            source: caller.source,
            cpu_op: caller.op,
            differs_in: positions.as_ref().map(|(n, rows)| positions::summary(rows, **n)),
            positions: positions.map(|p| p.1).unwrap_or_default(),
        });
    }
    rows.sort_by(|x, y| {
        let size = |r: &Row| r.time.delta_ns_per_step.abs();
        size(y).total_cmp(&size(x)).then_with(|| x.kernel.cmp(&y.kernel))
    });
    let mut categories: Vec<CategoryRow> = sums
        .into_iter()
        .map(|(category, (a, b, launches))| CategoryRow {
            class: c.class,
            category: category.to_owned(),
            time: c.plan.measure(&a, &b, launches.as_deref()),
        })
        .collect();
    categories.sort_by(|x, y| {
        let size = |r: &CategoryRow| r.time.delta_ns_per_step.abs();
        size(y).total_cmp(&size(x)).then_with(|| x.category.cmp(&y.category))
    });
    (rows, categories)
}

/// Times of both sides per step, and differences of single launches where all of them pair.
type CategorySum = (Vec<f64>, Vec<f64>, Option<Vec<f64>>);
/// Durations in order by kernel, one map a pass.
type Single = Vec<HashMap<KernelId, Vec<f64>>>;

impl Compared<'_> {
    /// Layers of every compared pass, where all have as many.
    pub(super) fn layers(&self) -> Option<u32> {
        positions::common_layers(self.a.iter().chain(&self.b))
    }

    /// Single launches of both sides, where steps are too few to carry an interval.
    fn single_launches(&self) -> Option<(Single, Single)> {
        let few = self.paired && self.a.len() < perfwright_stats::difference::MIN_UNITS;
        let of = |passes: &[&Pass]| -> Single {
            let durations = |p: &&Pass| {
                let mut map: HashMap<KernelId, Vec<f64>> = HashMap::new();
                p.launches.iter().for_each(|l| map.entry(l.0).or_default().push(l.1 as f64));
                map
            };
            passes.iter().map(durations).collect()
        };
        few.then(|| (of(&self.a), of(&self.b)))
    }
}

/// Differences of single launches, in order: where each pair of steps launches the kernel equally often, or one side
/// not at all.
fn launch_differences(single: &(Single, Single), a: KernelId, b: KernelId) -> Option<Vec<f64>> {
    let mut out = Vec::new();
    for (pa, pb) in single.0.iter().zip(&single.1) {
        match (pa.get(&a), pb.get(&b)) {
            (Some(x), Some(y)) => out.extend(perfwright_stats::difference::differences(x, y)?),
            (Some(x), None) => out.extend(x.iter().map(|v| -v)),
            (None, Some(y)) => out.extend(y),
            (None, None) => {}
        }
    }
    Some(out)
}

/// The caller in the class, or where the class was not known while reading, in any.
fn caller(side: &Side, class: Class, kernel: KernelId) -> Caller {
    let of = |class| side.callers.get(&(class, kernel));
    of(class).or_else(|| Class::ALL.into_iter().find_map(of)).cloned().unwrap_or_default()
}

fn renames(
    c: &Compared<'_>,
    names: &Names,
    sides: (&Side, &Side),
    ta: &Times,
    tb: &Times,
) -> Vec<(KernelId, KernelId, &'static str)> {
    let only = |x: &Times, y: &Times| -> Vec<KernelId> {
        let mut k: Vec<_> = x.by_kernel.keys().filter(|k| !y.by_kernel.contains_key(*k)).copied().collect();
        k.sort_unstable();
        k
    };
    let describe = |passes: &[&Pass], side: &Side, wanted: Vec<KernelId>| {
        let mut found = lone(passes, &wanted);
        let lone = wanted.into_iter().filter_map(|k| found.remove(&k));
        lone.map(|mut l| {
            l.category.clone_from(&names.list[l.kernel as usize].category);
            l.caller = caller(side, c.class, l.kernel);
            l
        })
        .collect::<Vec<_>>()
    };
    let (gone, new) = (only(ta, tb), only(tb, ta));
    if gone.is_empty() || new.is_empty() {
        return Vec::new();
    }
    join(&describe(&c.a, sides.0, gone), &describe(&c.b, sides.1, new))
}
