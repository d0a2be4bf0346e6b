//! Many needles in one pass: S. Wu and U. Manber, "A fast algorithm for multi-pattern searching" (TR-94-17, 1994), with
//! blocks of three bytes and without regard to ASCII case.

/// Shortest needle accepted, in bytes.
pub(crate) const SHORTEST: usize = 6;
const BLOCK: usize = 3;
const SLOTS: usize = 1 << 15;

/// A set of needles.
pub(crate) struct Needles {
    /// For the hash of a block: how far the window may move.
    shift: Vec<u8>,
    /// For the hash of the last block of a window: candidates as a range in `order`.
    bucket: Vec<(u32, u32)>,
    /// Needle and its owner.
    order: Vec<(Box<[u8]>, u32)>,
}

fn hash(block: &[u8]) -> usize {
    let [a, b, c] = [block[0], block[1], block[2]].map(|x| usize::from(x | 0x20));
    (a ^ (b << 5) ^ (c << 10)) & (SLOTS - 1)
}

impl Needles {
    /// Needles with the number of their owner. Those shorter than [`SHORTEST`] are the caller's fault and never found.
    pub(crate) fn new<'a>(needles: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut keyed: Vec<(usize, Box<[u8]>, u32)> = needles
            .filter(|(n, _)| n.len() >= SHORTEST)
            .map(|(n, owner)| (hash(&n.as_bytes()[SHORTEST - BLOCK..SHORTEST]), n.as_bytes().into(), owner))
            .collect();
        keyed.sort_by_key(|k| k.0);
        let mut shift = vec![(SHORTEST - BLOCK + 1) as u8; SLOTS];
        let mut bucket = vec![(0, 0); SLOTS];
        for (_, needle, _) in &keyed {
            for end in BLOCK..=SHORTEST {
                let slot = &mut shift[hash(&needle[end - BLOCK..end])];
                *slot = (*slot).min((SHORTEST - end) as u8);
            }
        }
        let mut order = Vec::with_capacity(keyed.len());
        for (slot, needle, owner) in keyed {
            let at = order.len() as u32;
            if bucket[slot].0 == bucket[slot].1 {
                bucket[slot] = (at, at);
            }
            bucket[slot].1 = at + 1;
            order.push((needle, owner));
        }
        Self { shift, bucket, order }
    }

    /// Puts the owners of all needles in `text` into `found`, sorted, each once.
    pub(crate) fn find(&self, text: &[u8], found: &mut Vec<u32>) {
        found.clear();
        let mut end = SHORTEST;
        while let Some(block) = text.get(end.wrapping_sub(BLOCK)..end) {
            let slot = hash(block);
            let shift = usize::from(self.shift[slot]);
            if shift > 0 {
                end += shift;
                continue;
            }
            let window = &text[end - SHORTEST..];
            let (from, to) = self.bucket[slot];
            for (needle, owner) in &self.order[from as usize..to as usize] {
                if window.get(..needle.len()).is_some_and(|head| head.eq_ignore_ascii_case(needle)) {
                    found.push(*owner);
                }
            }
            end += 1;
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_plain_search_finds(
            needles in proptest::collection::vec("[ab C]{6,9}", 1..12),
            text in "[abC ]{0,120}",
        ) {
            let set = Needles::new(needles.iter().enumerate().map(|(i, n)| (n.as_str(), i as u32)));
            let mut found = vec![99];
            set.find(text.as_bytes(), &mut found);
            let low = text.to_ascii_lowercase();
            let expected: Vec<u32> = (0..needles.len() as u32)
                .filter(|&i| low.contains(&needles[i as usize].to_ascii_lowercase()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
