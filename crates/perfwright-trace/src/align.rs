//! Kernels of a graph replay have one launch for all of them, so no host stack. Two companions give it back:
//!
//! * a *capture* trace, recorded while the graph was captured: its launches ran nothing, in the order in which the
//!   graph's nodes replay, each with its operator and Python stack;
//! * a *mapping* trace, the same model run eagerly.
//!
//! Both are aligned by the order of kernel names. Nothing is guessed: a kernel that finds no partner stays without
//! a source.

use hashbrown::HashMap;

/// Where something in a companion trace was launched from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Origin {
    /// `path:line func`.
    pub(crate) source: Option<String>,
    /// Operator name.
    pub(crate) op: Option<String>,
    /// Layer number.
    pub(crate) layer: Option<u32>,
}

/// One launch of a companion trace: the kernel's raw name (empty where the trace does not tell) and its origin.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) kernel: String,
    pub(crate) origin: usize,
}

/// A run of launches that belong together: one captured graph, or one eager step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sequence {
    /// Batch size, if the trace tells.
    pub(crate) batch: Option<u64>,
    /// The launches in order.
    pub(crate) calls: Vec<Call>,
    /// True when a sequence may only be used as a whole graph (capture), not name by name (mapping).
    pub(crate) capture: bool,
}

/// A companion trace, reduced to what alignment needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Companion {
    pub(crate) origins: Vec<Origin>,
    pub(crate) sequences: Vec<Sequence>,
}

/// For each kernel of `replay` (raw names in start order) the index of the origin it aligns with.
///
/// The sequence with most partners is used; between equals the one whose batch is the smallest not below `batch`,
/// since engines pad a batch up to a captured size.
pub(crate) fn align(companion: &Companion, replay: &[&str], batch: Option<u64>) -> Vec<Option<usize>> {
    let mut best: Option<(usize, std::cmp::Reverse<u64>, Vec<Option<usize>>)> = None;
    let mut names: HashMap<&str, usize> = HashMap::new();
    for name in replay {
        *names.entry(name).or_default() += 1;
    }
    for sequence in &companion.sequences {
        let pairs = align_sequence(sequence, replay, &names);
        let hits = pairs.iter().flatten().count();
        let distance = match (sequence.batch, batch) {
            (Some(s), Some(b)) if s >= b => s - b,
            (Some(s), Some(b)) => (b - s).saturating_add(1 << 32), // a smaller capture cannot hold the batch
            _ => 1 << 40,
        };
        let candidate = (hits, std::cmp::Reverse(distance), pairs);
        if hits > 0 && best.as_ref().is_none_or(|b| (candidate.0, candidate.1) > (b.0, b.1)) {
            best = Some(candidate);
        }
    }
    best.map_or_else(|| vec![None; replay.len()], |(.., pairs)| pairs)
}

fn align_sequence(sequence: &Sequence, replay: &[&str], names: &HashMap<&str, usize>) -> Vec<Option<usize>> {
    let calls = &sequence.calls;
    if calls.iter().all(|c| c.kernel.is_empty()) {
        // No names (CUDA writes none on launches): order alone proves it only when the counts agree.
        let same = sequence.capture && calls.len() == replay.len();
        return (0..replay.len()).map(|i| same.then(|| calls[i].origin)).collect();
    }
    if calls.len() == replay.len() && calls.iter().zip(replay).all(|(c, r)| c.kernel == *r) {
        return calls.iter().map(|c| Some(c.origin)).collect();
    }
    // Streams may interleave differently, or one side may hold a few launches more: each name by its own order.
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for call in calls {
        by_name.entry(call.kernel.as_str()).or_default().push(call.origin);
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    replay
        .iter()
        .map(|name| {
            let ours = by_name.get(name)?;
            let nth = seen.entry(name).or_default();
            let k = *nth;
            *nth += 1;
            if ours.len() == names[name] {
                return ours.get(k).copied();
            }
            // The counts differ: only what all launches of the name have in common is certain.
            ours.iter().all(|o| o == &ours[0]).then(|| ours[0])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn companion(capture: bool, kernels: &[&str]) -> Companion {
        let calls = kernels.iter().enumerate().map(|(i, k)| Call { kernel: (*k).to_owned(), origin: i }).collect();
        let origins = (0..kernels.len())
            .map(|i| Origin { source: Some(format!("m.py:{i} f")), op: None, layer: None })
            .collect();
        Companion { origins, sequences: vec![Sequence { batch: Some(32), calls, capture }] }
    }

    fn sources(c: &Companion, replay: &[&str]) -> Vec<Option<String>> {
        align(c, replay, Some(32)).into_iter().map(|o| o.and_then(|o| c.origins[o].source.clone())).collect()
    }

    #[test]
    fn same_order_pairs_one_to_one() {
        let c = companion(true, &["a", "b", "a"]);
        assert_eq!(sources(&c, &["a", "b", "a"]), [
            Some("m.py:0 f".to_owned()),
            Some("m.py:1 f".to_owned()),
            Some("m.py:2 f".to_owned())
        ]);
    }

    #[test]
    fn two_streams_pair_by_name() {
        let c = companion(true, &["a", "b", "a", "b"]);
        let got = sources(&c, &["a", "a", "b", "b"]);
        assert_eq!(got.iter().flatten().map(String::as_str).collect::<Vec<_>>(), [
            "m.py:0 f", "m.py:2 f", "m.py:1 f", "m.py:3 f"
        ]);
    }

    #[test]
    fn unequal_counts_are_not_guessed() {
        let c = companion(true, &["a", "b", "a"]);
        assert_eq!(sources(&c, &["a", "b"]), [None, Some("m.py:1 f".to_owned())]);
        let unnamed = companion(true, &["", ""]);
        assert_eq!(sources(&unnamed, &["x", "y", "z"]), [None, None, None]);
        assert_eq!(sources(&unnamed, &["x", "y"]).iter().flatten().count(), 2);
    }

    #[test]
    fn the_captured_batch_that_holds_ours_wins() {
        let mut c = companion(true, &["a"]);
        c.origins.push(Origin { source: Some("big".into()), ..Origin::default() });
        c.sequences.push(Sequence { batch: Some(64), calls: vec![Call { kernel: "a".into(), origin: 1 }], capture: true });
        assert_eq!(align(&c, &["a"], Some(33)), [Some(1)]);
        assert_eq!(align(&c, &["a"], Some(30)), [Some(0)]);
    }
}
