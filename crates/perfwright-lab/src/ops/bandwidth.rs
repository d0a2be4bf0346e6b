//! What the memory of this machine gives, as the yardstick for operators.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::lanes::Lanes;
use super::simd::{Simd, for_simd};

/// Bytes that are timed at once: a few milliseconds, so that the best of many finds the machine undisturbed.
const PIECE: usize = 64 << 20;

/// Bytes per second that reading takes with `threads` threads: the fastest piece of 64 MiB in `repeats` passes over
/// `bytes` bytes.
///
/// A decode step reads weights and cache and writes next to nothing, so reading is the fitting limit; `bytes` has to
/// be far larger than the last-level cache, so that a piece has left it when its turn comes again. `None` when the
/// threads cannot be started.
#[must_use]
pub fn measure_read(threads: usize, bytes: usize, repeats: usize) -> Option<f64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok()?;
    let data = vec![1.0f32; bytes.max(PIECE) / size_of::<f32>()];
    let mut best = f64::INFINITY;
    for _ in 0..repeats.max(1) {
        for piece in data.chunks_exact(PIECE / size_of::<f32>()) {
            let start = Instant::now();
            pool.install(|| {
                piece.par_chunks(1 << 18).for_each(|part| {
                    black_box(sum(part));
                });
            });
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Some(PIECE as f64 / best)
}

/// Bytes per second of the STREAM triad `a = b + s * c` (McCalpin), counting two reads and one write.
#[must_use]
pub fn measure_triad(threads: usize, bytes: usize, repeats: usize) -> Option<f64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok()?;
    let n = bytes / size_of::<f32>() / 3;
    let (mut a, b, c) = (vec![0.0f32; n], vec![1.0f32; n], vec![2.0f32; n]);
    let piece = n.div_ceil(threads.max(1)).max(1);
    let best = (0..repeats.max(1))
        .map(|_| {
            let start = Instant::now();
            pool.install(|| {
                a.par_chunks_mut(piece).zip(b.par_chunks(piece).zip(c.par_chunks(piece))).for_each(
                    |(a, (b, c))| {
                        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                            *a = b + 3.0 * c;
                        }
                    },
                );
            });
            black_box(&a);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    Some((3 * n * size_of::<f32>()) as f64 / best)
}

#[inline(always)]
fn sum_body<V: Lanes>(part: &[f32], total: &mut f32) {
    // Eight chains of a vector each, so that the additions wait for memory only.
    let mut lanes = [0.0f32; 128];
    let (blocks, _) = part.as_chunks::<128>();
    for b in 0..blocks.len() {
        for i in 0..128 {
            lanes[i] += blocks[b][i];
        }
    }
    *total = 0.0;
    for i in 0..128 {
        *total += lanes[i];
    }
}

for_simd! { fn sum_simd(part: &[f32], total: &mut f32) = sum_body; }

fn sum(part: &[f32]) -> f32 {
    let mut total = 0.0;
    sum_simd(Simd::detect(), part, &mut total);
    total
}
