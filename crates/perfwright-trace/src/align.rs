//! Kernels of a graph replay have one launch for all of them, so no host stack. Two companions give it back:
//!
//! * a *capture* trace, recorded while the graph was captured: its launches ran nothing, in the order in which the
//!   graph's nodes replay, each with its operator and Python stack;
//! * a *mapping* trace, the same model run eagerly.
//!
//! Both are aligned by the order of kernel names. Nothing is guessed: a kernel that finds no partner stays without
//! a source.

use std::cmp::Reverse;

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

/// A run of kernels that wants origins: one graph replay, or the work of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Requests of the step.
    pub(crate) batch: Option<u64>,
    /// Query tokens of the step.
    pub(crate) tokens: Option<u64>,
    /// Which graph replay of its step it is: a model captured in pieces replays them in order.
    pub(crate) nth: usize,
}

/// For each kernel of `replay` (raw names in start order) the index of the origin it aligns with.
///
/// The sequence with most partners is used. Between equals the one whose size is the smallest that holds the step,
/// since engines pad a batch (SGLang counts requests, vLLM tokens) up to a captured size; then the piece at the same
/// place in the order of its size's pieces.
pub(crate) fn align(companion: &Companion, replay: &[&str], place: Place) -> Vec<Option<usize>> {
    let mut best: Option<(Rank, Vec<Option<usize>>)> = None;
    let mut names: HashMap<&str, usize> = HashMap::new();
    for name in replay {
        *names.entry(name).or_default() += 1;
    }
    let mut pieces: HashMap<Option<u64>, usize> = HashMap::new();
    for sequence in &companion.sequences {
        let piece = pieces.entry(sequence.batch).or_default();
        let off = piece.abs_diff(place.nth);
        *piece += 1;
        let pairs = align_sequence(sequence, replay, &names);
        let hits = pairs.iter().flatten().count();
        let rank = Rank { hits, size: Reverse(distance(sequence.batch, place)), piece: Reverse(off) };
        if hits > 0 && best.as_ref().is_none_or(|b| rank > b.0) {
            best = Some((rank, pairs));
        }
    }
    best.map_or_else(|| vec![None; replay.len()], |(_, pairs)| pairs)
}

/// What makes one sequence a better partner than another, the most telling first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    hits: usize,
    size: Reverse<u64>,
    piece: Reverse<usize>,
}

fn distance(captured: Option<u64>, place: Place) -> u64 {
    let to = |size: Option<u64>| match (captured, size) {
        (Some(c), Some(s)) if c >= s => c - s,
        (Some(c), Some(s)) => (s - c).saturating_add(1 << 32), // a smaller capture cannot hold the step
        _ => 1 << 40,
    };
    to(place.batch).min(to(place.tokens))
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
        let calls =
            kernels.iter().enumerate().map(|(i, k)| Call { kernel: (*k).to_owned(), origin: i }).collect();
        let origins = (0..kernels.len())
            .map(|i| Origin { source: Some(format!("m.py:{i} f")), op: None, layer: None })
            .collect();
        Companion { origins, sequences: vec![Sequence { batch: Some(32), calls, capture }] }
    }

    fn sources(c: &Companion, replay: &[&str]) -> Vec<Option<String>> {
        align(c, replay, Place { batch: Some(32), ..Place::default() })
            .into_iter()
            .map(|o| o.and_then(|o| c.origins[o].source.clone()))
            .collect()
    }

    #[test]
    fn same_order_pairs_one_to_one() {
        let c = companion(true, &["a", "b", "a"]);
        assert_eq!(
            sources(&c, &["a", "b", "a"]),
            [Some("m.py:0 f".to_owned()), Some("m.py:1 f".to_owned()), Some("m.py:2 f".to_owned())]
        );
    }

    #[test]
    fn two_streams_pair_by_name() {
        let c = companion(true, &["a", "b", "a", "b"]);
        let got = sources(&c, &["a", "a", "b", "b"]);
        assert_eq!(
            got.iter().flatten().map(String::as_str).collect::<Vec<_>>(),
            ["m.py:0 f", "m.py:2 f", "m.py:1 f", "m.py:3 f"]
        );
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
        c.sequences.push(Sequence {
            batch: Some(64),
            calls: vec![Call { kernel: "a".into(), origin: 1 }],
            capture: true,
        });
        let place = |batch, tokens| Place { batch: Some(batch), tokens, nth: 0 };
        assert_eq!(align(&c, &["a"], place(33, None)), [Some(1)]);
        assert_eq!(align(&c, &["a"], place(30, None)), [Some(0)]);
        assert_eq!(
            align(&c, &["a"], place(8, Some(40))),
            [Some(0)],
            "a capture that holds the requests is enough"
        );
        assert_eq!(align(&c, &["a"], place(70, Some(60))), [Some(1)], "or the tokens");
    }

    #[test]
    fn pieces_of_a_model_keep_their_order() {
        let piece = |origin| Sequence {
            batch: Some(64),
            calls: vec![Call { kernel: "a".into(), origin }],
            capture: true,
        };
        let origins = (0..3).map(|i| Origin { layer: Some(i), ..Origin::default() }).collect();
        let c = Companion { origins, sequences: vec![piece(0), piece(1), piece(2)] };
        for nth in 0..3 {
            let place = Place { batch: Some(40), tokens: Some(60), nth };
            assert_eq!(align(&c, &["a"], place), [Some(nth)]);
        }
    }
}
