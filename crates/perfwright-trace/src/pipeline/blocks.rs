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
    // One softmax between products may be anything; several are attention, and then also the first of them, whose mask
    // or position bias is worked out before it.
    const NEAR: usize = 4;
    const BEFORE: usize = 48;
    let written_out = (0..line.kinds.len()).filter(|&i| unfused(line.kinds, i, NEAR)).nth(1).is_some();
    let mixing = (0..line.kinds.len())
        .filter(|&i| line.kinds[i].mixes() || (written_out && unfused(line.kinds, i, BEFORE)));
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
fn unfused(kinds: &[Kind], at: usize, before: usize) -> bool {
    const AFTER: usize = 4;
    let after = &kinds[at + 1..(at + 1 + AFTER).min(kinds.len())];
    kinds[at] == Kind::Softmax
        && kinds[at.saturating_sub(before)..at].contains(&Kind::Gemm)
        && after.iter().take_while(|&&k| !matches!(k, Kind::Select | Kind::Moe)).any(|&k| k == Kind::Gemm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(kinds: &[Kind]) -> usize {
        let names: Vec<StrId> = (0..kinds.len() as u32).collect();
        let modules = vec![NO_MODULE; kinds.len()];
        blocks(Line { names: &names, kinds, modules: &modules }, &Sums::new(kinds)).len()
    }

    #[test]
    fn attention_written_out_counts_where_it_repeats() {
        use Kind::{Activation, Gemm, Norm, Other, Select, Softmax};
        let layer = [Norm, Gemm, Gemm, Gemm, Gemm, Softmax, Gemm, Gemm, Norm, Gemm, Activation, Gemm];
        assert_eq!(count(&layer), 0, "one alone proves nothing");
        assert_eq!(count(&[layer, layer, layer].concat()), 3);
        let router = [Norm, Gemm, Softmax, Select, Gemm, Activation, Gemm];
        assert_eq!(count(&[router, router, router].concat()), 0);
        let sampling = [Gemm, Softmax, Other, Other, Other, Other, Other];
        assert_eq!(count(&[sampling, sampling].concat()), 0);
    }

    #[test]
    fn parts_of_one_block_are_together() {
        use Kind::{Activation, Attention, Gemm, Helper, Linear, Norm, Other};
        // Two attention kernels of a mixed pass; a chunk whose keys and values are projected in between.
        assert_eq!(count(&[Attention, Helper, Attention]), 1);
        assert_eq!(count(&[Attention, Gemm, Other, Attention]), 1);
        assert_eq!(count(&[Linear, Norm, Linear, Linear]), 1);
        // A norm and projections, or a feed-forward block, part layers.
        assert_eq!(count(&[Attention, Gemm, Norm, Gemm, Attention]), 2);
        assert_eq!(count(&[Attention, Activation, Attention]), 2);
        assert_eq!(count(&[Linear, Gemm, Norm, Gemm, Linear]), 2);
    }
}
