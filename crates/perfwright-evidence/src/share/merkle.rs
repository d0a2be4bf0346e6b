//! Merkle trees as RFC 6962 (Certificate Transparency, section 2.1) builds them: leaves are hashed with a leading 0,
//! nodes with a leading 1, and a tree of n leaves splits at the largest power of two below n.

use sha2::{Digest as _, Sha256};

/// One SHA-256.
pub(super) type Hash = [u8; 32];

/// Hash of a leaf's bytes.
pub(super) fn leaf(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(data);
    hasher.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Root over leaf hashes; of none, the hash of nothing.
pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The siblings on the way from leaf `index` to the root, nearest first. `index` must be below the number of leaves.
pub(super) fn path(leaves: &[Hash], index: usize) -> Vec<(bool, Hash)> {
    let mut out = Vec::new();
    walk(leaves, index, &mut out);
    out
}

fn walk(leaves: &[Hash], index: usize, out: &mut Vec<(bool, Hash)>) {
    if leaves.len() < 2 {
        return;
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    if index < at {
        walk(left, index, out);
        out.push((false, root(right)));
    } else {
        walk(right, index - at, out);
        out.push((true, root(left)));
    }
}

/// The root that a leaf hash and its siblings give; `true` marks a sibling on the left.
pub(super) fn climb(leaf: Hash, path: &[(bool, Hash)]) -> Hash {
    path.iter().fold(
        leaf,
        |below, (left, sibling)| {
            if *left { node(sibling, &below) } else { node(&below, sibling) }
        },
    )
}

/// The largest power of two below `n`, for `n` of 2 or more.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn roots_equal_the_published_ones() {
        // Test vectors of the Certificate Transparency reference (leaves "", 00, 10, 2021).
        assert_eq!(hex(&root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let leaves = [leaf(b""), leaf(&[0]), leaf(&[0x10]), leaf(&[0x20, 0x21])];
        assert_eq!(
            hex(&root(&leaves[..1])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            hex(&root(&leaves[..2])),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
        assert_eq!(
            hex(&root(&leaves[..3])),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
        assert_eq!(hex(&root(&leaves)), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }

    proptest! {
        #[test]
        fn every_leaf_climbs_to_the_root_and_no_other_does(n in 1_usize..70, pick in any::<prop::sample::Index>()) {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&i.to_le_bytes())).collect();
            let index = pick.index(n);
            let way = path(&leaves, index);
            prop_assert_eq!(climb(leaves[index], &way), root(&leaves));
            prop_assert_ne!(climb(leaf(b"another"), &way), root(&leaves));
        }
    }
}
