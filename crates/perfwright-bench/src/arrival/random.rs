//! Random numbers that are the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The generator for one purpose of a run: `seed` is the run's, `purpose` names the use, and `index` tells apart what
/// has the same use. Streams do not depend on how much was drawn from another.
pub fn generator(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    // FNV-1a (Fowler, Noll, Vo): spreads names; the cipher does the mixing.
    let name = purpose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut key = [0; 32];
    for (slot, part) in key.chunks_exact_mut(8).zip([seed, name, index, 1]) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
