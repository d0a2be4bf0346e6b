//! Causal attention over the paged cache: each row attends to the positions up to its own.

mod fused;
mod naive;

use super::gemm::in_tiles;
use super::pool::Context;
use super::shared::Shared;
use crate::kv::LayerKv;
pub(crate) use fused::fused;
pub(crate) use naive::naive;

/// Rows of a sequence that are one task.
const ROWS: usize = 8;

/// What attention reads and where it writes. Row `r` of `q` is at `r * q_stride`, of the output at `r * width`.
pub(crate) struct Attention<'a> {
    pub(crate) q: &'a [f32],
    pub(crate) q_stride: usize,
    pub(crate) group: usize,
    pub(crate) layer: &'a LayerKv,
    pub(crate) positions: &'a [usize],
    pub(crate) pages: &'a [&'a [u32]],
    /// Ranges of rows that belong to one sequence.
    pub(crate) sequences: &'a [std::ops::Range<usize>],
    pub(crate) scale: f32,
}

impl Attention<'_> {
    fn width(&self) -> usize {
        self.layer.heads * self.group * self.layer.head_dim
    }

    #[inline(always)]
    fn query(&self, row: usize, head: usize) -> &[f32] {
        let d = self.layer.head_dim;
        &self.q[row * self.q_stride + head * d..][..d]
    }

    /// Runs `task(rows, unit)` for pieces of sequences and for `units` parts of the heads, longest work first.
    fn each(&self, ctx: &Context, units: usize, task: impl Fn(std::ops::Range<usize>, usize) + Sync + Send) {
        let pieces: Vec<_> = self
            .sequences
            .iter()
            .flat_map(|s| s.clone().step_by(ROWS).map(|first| first..(first + ROWS).min(s.end)))
            .collect();
        let work: usize = self.positions.iter().map(|p| (p + 1) * self.width()).sum();
        if work < 32 * 1024 {
            for piece in pieces {
                (0..units).for_each(|unit| task(piece.clone(), unit));
            }
            return;
        }
        ctx.each(pieces.len() * units, |i| task(pieces[i / units].clone(), i % units));
    }

    /// The place for the output of a row and head.
    #[inline(always)]
    fn output<'o>(&self, out: Shared<'o>, row: usize, head: usize) -> &'o mut [f32] {
        let d = self.layer.head_dim;
        #[expect(unsafe_code, reason = "tasks write disjoint rows and heads")]
        // SAFETY: `each` gives each (row, unit) to one task, and a head belongs to one unit; a task asks for each
        // (row, head) once.
        unsafe {
            out.range(row * self.width() + head * d, d)
        }
    }
}
