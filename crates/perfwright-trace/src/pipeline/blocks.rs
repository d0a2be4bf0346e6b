//! The blocks of a pass that mix the tokens of a sequence: one a layer.

use super::kind::Kind;
use super::segment::{Line, NO_MODULE};
use crate::intern::StrId;

/// One mixing block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Name of its first mixing kernel.
    pub(super) name: StrId,
    /// Layer number by module frame, or [`NO_MODULE`].
    pub(super) module: u32,
}

/// Running counts, so that a stretch is counted without walking it.
pub(super) struct Sums {
    feeds: Vec<u32>,
    norms: Vec<u32>,
    gemms: Vec<u32>,
    bounds: Vec<u32>,
}

impl Sums {
    pub(super) fn new(kinds: &[Kind]) -> Self {
        let sum = |of: &dyn Fn(Kind) -> bool| {
            let mut n = 0;
            let mut out = vec![0];
            out.extend(kinds.iter().map(|&k| {
                n += u32::from(of(k));
                n
            }));
            out
        };
        Self {
            feeds: sum(&Kind::feeds),
            norms: sum(&|k| k == Kind::Norm),
            gemms: sum(&|k| k == Kind::Gemm),
            bounds: sum(&|k| matches!(k, Kind::Embedding | Kind::Sampling)),
        }
    }

    /// Matrix products in `from..to`.
    pub(super) fn gemms(&self, from: usize, to: usize) -> u32 {
        let to = to.max(from);
        self.gemms[to] - self.gemms[from]
    }
}

/// Most projections between two kernels of one mixing block: a chunked prompt projects its cached keys and values
/// chunk by chunk.
const INSIDE: u32 = 2;

/// The mixing blocks of a line.
pub(super) fn blocks(line: Line<'_>, sums: &Sums) -> Vec<Block> {
    let mixing = (0..line.kinds.len()).filter(|&i| line.kinds[i].mixes() || unfused(line.kinds, i));
    let mut out: Vec<Block> = Vec::new();
    for i in mixing {
        let module = line.modules[i];
        match out.last_mut() {
            Some(b) if together(line, sums, b, i) => {
                b.last = i;
                if b.module == NO_MODULE {
                    b.module = module;
                }
            }
            _ => out.push(Block { first: i, last: i, name: line.names[i], module }),
        }
    }
    out
}

fn together(line: Line<'_>, sums: &Sums, block: &Block, i: usize) -> bool {
    let count = |of: &[u32]| of[i] - of[block.last + 1];
    if count(&sums.feeds) > 0 || count(&sums.bounds) > 0 {
        return false;
    }
    let module = line.modules[i];
    let one_module = module != NO_MODULE && module == block.module;
    let recurrent = line.kinds[i] == Kind::Linear && line.kinds[block.last] == Kind::Linear;
    let (norms, gemms) = (count(&sums.norms), count(&sums.gemms));
    one_module || (norms == 0 && gemms <= INSIDE) || (recurrent && gemms == 0)
}

/// True for the softmax of attention that is written as two products with a softmax between them. The softmax of a
/// router is followed by a choice, that of sampling by no product.
fn unfused(kinds: &[Kind], at: usize) -> bool {
    const NEAR: usize = 4;
    let after = &kinds[at + 1..(at + 1 + NEAR).min(kinds.len())];
    kinds[at] == Kind::Softmax
        && kinds[at.saturating_sub(NEAR)..at].contains(&Kind::Gemm)
        && after.iter().take_while(|&&k| !matches!(k, Kind::Select | Kind::Moe)).any(|&k| k == Kind::Gemm)
}
