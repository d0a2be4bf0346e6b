//! One kernel under two names. A kernel that only A has and one that only B has are the same piece of work when the
//! same caller launches them equally often at the same place; fused kernels have other operators or other neighbours
//! and stay apart.

use hashbrown::HashMap;

use super::side::{Caller, KernelId, Pass};

/// Largest difference of launches per step, as a part of the larger.
const LAUNCHES: f64 = 0.01;
/// Largest difference of the mean place in the step (0 to 1).
const PLACE: f64 = 0.1;

/// What is known of a kernel that only one side has.
#[derive(Debug, Clone, Default)]
pub(super) struct Lone {
    pub(super) kernel: KernelId,
    pub(super) category: String,
    pub(super) caller: Caller,
    /// Launches in the compared steps over their number.
    pub(super) per_step: f64,
    /// Mean place in the order of the step's work, 0 to 1.
    pub(super) place: f64,
    /// The kernels before and after most of its launches.
    pub(super) around: (Option<KernelId>, Option<KernelId>),
}

/// Places and neighbours of `wanted` kernels over the compared passes.
pub(super) fn lone(passes: &[&Pass], wanted: &[KernelId]) -> HashMap<KernelId, Lone> {
    #[derive(Default)]
    struct Sum {
        n: u64,
        place: f64,
        before: HashMap<Option<KernelId>, u64>,
        after: HashMap<Option<KernelId>, u64>,
    }
    let mut sums: HashMap<KernelId, Sum> = wanted.iter().map(|&k| (k, Sum::default())).collect();
    for pass in passes {
        for (i, (kernel, ..)) in pass.launches.iter().enumerate() {
            let Some(s) = sums.get_mut(kernel) else { continue };
            s.n += 1;
            s.place += (i as f64 + 0.5) / pass.launches.len() as f64;
            let before = i.checked_sub(1).and_then(|i| pass.launches.get(i)).map(|l| l.0);
            *s.before.entry(before).or_default() += 1;
            *s.after.entry(pass.launches.get(i + 1).map(|l| l.0)).or_default() += 1;
        }
    }
    let most = |m: HashMap<Option<KernelId>, u64>| {
        m.into_iter().max_by_key(|(k, n)| (*n, std::cmp::Reverse(*k))).and_then(|(k, _)| k)
    };
    sums.into_iter()
        .map(|(kernel, s)| {
            let lone = Lone {
                kernel,
                per_step: s.n as f64 / passes.len().max(1) as f64,
                place: s.place / s.n.max(1) as f64,
                around: (most(s.before), most(s.after)),
                ..Lone::default()
            };
            (kernel, lone)
        })
        .collect()
}

/// Pairs (kernel of A, kernel of B, what showed it).
pub(super) fn join(gone: &[Lone], new: &[Lone]) -> Vec<(KernelId, KernelId, &'static str)> {
    let mut candidates: Vec<(u8, u64, KernelId, KernelId)> = Vec::new();
    for a in gone {
        for b in new {
            if let Some(tier) = tier(a, b) {
                // Places to a millionth: sorting needs an order.
                candidates.push((tier, ((a.place - b.place).abs() * 1e6) as u64, a.kernel, b.kernel));
            }
        }
    }
    candidates.sort_unstable();
    let mut joined: Vec<(KernelId, KernelId, &'static str)> = Vec::new();
    for (tier, _, a, b) in candidates {
        if joined.iter().all(|j| j.0 != a && j.1 != b) {
            let by = match tier {
                0 => "python source and operator",
                1 => "operator",
                _ => "kernels before and after",
            };
            joined.push((a, b, by));
        }
    }
    joined
}

/// The evidence that two kernels are one, best first.
fn tier(a: &Lone, b: &Lone) -> Option<u8> {
    let most = a.per_step.max(b.per_step);
    if (a.per_step - b.per_step).abs() > most * LAUNCHES || (a.place - b.place).abs() > PLACE {
        return None;
    }
    let known = a.category != "unknown" && b.category != "unknown";
    if known && a.category != b.category {
        return None;
    }
    let (ca, cb) = (&a.caller, &b.caller);
    let same_op = ca.op.is_some() && ca.op == cb.op;
    if ca.source.is_some() && ca.source == cb.source && ca.op == cb.op {
        return Some(0);
    }
    if same_op && (ca.source.is_none() || cb.source.is_none()) {
        return Some(1);
    }
    let callerless = |c: &Caller| c.source.is_none() && c.op.is_none();
    let around = a.around == b.around && a.around != (None, None);
    (around && known && (callerless(ca) || callerless(cb))).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(kernel: KernelId, op: Option<&str>, place: f64, around: (u32, u32)) -> Lone {
        Lone {
            kernel,
            category: "gemm".to_owned(),
            caller: Caller { source: None, op: op.map(str::to_owned) },
            per_step: 36.0,
            place,
            around: (Some(around.0), Some(around.1)),
        }
    }

    #[test]
    fn the_nearest_place_wins_and_each_is_used_once() {
        let gone = [kernel(1, Some("mm"), 0.50, (7, 8)), kernel(2, Some("mm"), 0.52, (7, 8))];
        let new = [kernel(4, Some("mm"), 0.521, (7, 8)), kernel(3, Some("mm"), 0.501, (7, 8))];
        assert_eq!(join(&gone, &new), [(1, 3, "operator"), (2, 4, "operator")]);
    }

    #[test]
    fn fused_kernels_stay_apart() {
        // silu, mul -> act_and_mul: the neighbour behind differs.
        let gone = [kernel(1, None, 0.5, (7, 2)), kernel(2, None, 0.5, (1, 8))];
        assert!(join(&gone, &[kernel(3, None, 0.5, (7, 8))]).is_empty());
        assert_eq!(join(&[kernel(1, None, 0.5, (7, 8))], &[kernel(3, None, 0.5, (7, 8))]).len(), 1);
        let other = Lone { per_step: 72.0, ..kernel(3, Some("mm"), 0.5, (7, 8)) };
        assert!(join(&[kernel(1, Some("mm"), 0.5, (7, 8))], &[other]).is_empty());
    }
}
