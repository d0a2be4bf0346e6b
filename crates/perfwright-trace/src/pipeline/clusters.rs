//! Layers of equal structure.
//!
//! Two layers are alike when the kernels that make their blocks - attention, recurrence, experts, activation - have
//! the same names in the same order. Norms, projections and copies do not tell: engines choose them by shape, and the
//! first layer's norm differs from all others'.

use super::kind::Kind;
use crate::intern::StrId;

/// What tells one cluster from another: names of block kernels, in order, on the main stream; those of other streams
/// in no order.
pub(super) fn signature(work: impl Iterator<Item = (StrId, bool)>, kinds: &[Kind]) -> Vec<StrId> {
    let mut main: Vec<StrId> = Vec::new();
    let mut side: Vec<StrId> = Vec::new();
    for (name, on_main) in work {
        let kind = kinds[name as usize];
        if !(kind.mixes() || kind.feeds() || kind == Kind::Softmax) {
            continue;
        }
        if !on_main {
            side.push(name);
        } else if !main.contains(&name) {
            main.push(name);
        }
    }
    side.sort_unstable();
    side.dedup();
    side.retain(|n| !main.contains(n));
    main.extend(side);
    main
}

/// The blocks of a layer with these kernels, as a name.
pub(super) fn name(kinds: &(impl Iterator<Item = Kind> + Clone)) -> String {
    let has = |kind: Kind| kinds.clone().any(|k| k == kind);
    let count = |kind: Kind| kinds.clone().filter(|&k| k == kind).count();
    let mixer = match (has(Kind::Attention), has(Kind::Linear)) {
        (true, true) => Some("attention+linear_attention"),
        (true, false) => Some("attention"),
        (false, true) => Some("linear_attention"),
        (false, false) if has(Kind::Softmax) && count(Kind::Gemm) > 1 => Some("attention"),
        (false, false) => None,
    };
    let feed = match (has(Kind::Moe), has(Kind::Activation)) {
        (true, _) => Some("moe"),
        (false, true) => Some("mlp"),
        (false, false) => None,
    };
    match (mixer, feed) {
        (Some(m), Some(f)) => format!("{m}+{f}"),
        (Some(m), None) => m.to_owned(),
        (None, Some(f)) => f.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        let of = |kinds: &[Kind]| name(&kinds.iter().copied());
        assert_eq!(of(&[Kind::Norm, Kind::Attention, Kind::Gemm, Kind::Activation]), "attention+mlp");
        assert_eq!(of(&[Kind::Attention, Kind::Moe, Kind::Activation]), "attention+moe");
        assert_eq!(of(&[Kind::Linear, Kind::Activation]), "linear_attention+mlp");
        assert_eq!(of(&[Kind::Gemm, Kind::Softmax, Kind::Gemm, Kind::Activation]), "attention+mlp");
        assert_eq!(of(&[Kind::Gemm]), "unknown");
    }

    #[test]
    fn norms_and_projections_do_not_tell() {
        let kinds = [Kind::Norm, Kind::Norm, Kind::Attention, Kind::Gemm, Kind::Activation, Kind::Attention];
        let of = |names: &[u32]| signature(names.iter().map(|&n| (n, true)), &kinds);
        assert_eq!(of(&[0, 3, 2, 4]), of(&[1, 3, 3, 2, 4]));
        assert_ne!(of(&[0, 3, 2, 4]), of(&[0, 3, 5, 4]));
    }
}
