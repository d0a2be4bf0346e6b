//! A small integer random generator, so that a seed gives the same bytes on every platform.

/// `SplitMix64`: 64 bits of state, no floating point anywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that is a pure function of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value in `0..n`; `n` of zero counts as one.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// A value in `lo..hi` (nanoseconds everywhere in this crate).
    pub fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + self.below(hi.saturating_sub(lo).max(1).unsigned_abs()).cast_signed()
    }

    /// One element of a non-empty list.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// A bell-shaped factor in parts per thousand around 1000 with the given standard deviation.
    pub fn factor(&mut self, deviation: i64) -> i64 {
        // Four uniform values in 0..2000 have a summed deviation of about 1155.
        let mut sum = -4000;
        let bits = self.bits();
        for part in 0..4 {
            sum += ((bits >> (part * 16)) & 0xffff).cast_signed() * 2000 / 65536;
        }
        1000 + sum * deviation / 1155
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn same_seed_same_values_and_other_seed_other_values() {
        let (mut a, mut b, mut c) = (Rng::new(7), Rng::new(7), Rng::new(8));
        let first: Vec<u64> = (0..9).map(|_| a.bits()).collect();
        assert_eq!(first, (0..9).map(|_| b.bits()).collect::<Vec<_>>());
        assert_ne!(first, (0..9).map(|_| c.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn factor_is_centred_and_as_wide_as_asked() {
        let mut rng = Rng::new(3);
        let draws: Vec<i64> = (0..20_000).map(|_| rng.factor(80)).collect();
        let mean = draws.iter().sum::<i64>() / 20_000;
        let variance = draws.iter().map(|d| (d - mean).pow(2)).sum::<i64>() / 20_000;
        assert!((995..=1005).contains(&mean), "mean {mean}");
        assert!((70 * 70..90 * 90).contains(&variance), "variance {variance}");
    }
}
