//! Where layers begin and end in the kernels of one stream.
//!
//! A layer holds one block that mixes tokens (attention, a recurrence) and what feeds forward until the next one. So
//! there are as many layers as mixing blocks; what is sought is the place between two of them where one layer ends.
//! It is the norm after the feed-forward block, narrowed by module frames where the trace has them; where neither
//! tells, it is where the kernels before a block stop being those before the first block of the pass.

use hashbrown::HashMap;

use super::blocks::{Block, Sums, blocks};
use super::kind::Kind;
use crate::intern::StrId;

/// "No layer number" in [`Line::modules`].
pub(crate) const NO_MODULE: u32 = u32::MAX;

/// The work of one stream in one pass, in device order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) names: &'a [StrId],
    pub(super) kinds: &'a [Kind],
    /// Number of the layer module whose frame was open at the launch, or [`NO_MODULE`].
    pub(super) modules: &'a [u32],
}

/// One layer: a range of a [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Number of the run of layers it is in; between two runs lies work that no layer does.
    pub(super) stack: usize,
}

/// A stretch between two mixing blocks (or before the first, after the last).
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: usize,
    to: usize,
    /// End of the layer before and start of the layer after; equal between neighbours.
    cut: Option<(usize, usize)>,
    foreign: bool,
}

/// The layers of a line.
pub(super) fn segment(line: Line<'_>) -> Vec<Span> {
    let sums = Sums::new(line.kinds);
    let blocks = blocks(line, &sums);
    let Some(last) = blocks.last() else { return Vec::new() };
    let finder = Finder { line, sums: &sums, blocks: &blocks, modules: modules_count(&blocks) };
    let mut gaps: Vec<Gap> = blocks.windows(2).map(|w| finder.regular(w[0], w[1])).collect();
    finder.mark_long(&mut gaps);
    finder.by_repetition(&mut gaps);
    let known = Known::new(&gaps, &blocks);
    for (at, gap) in gaps.iter_mut().enumerate().filter(|g| g.1.foreign) {
        let limit = finder.first_bound(gap.from, gap.to).unwrap_or(gap.to);
        let end = finder.end_of(at, gap.from, limit, &known);
        let start = finder.start_of(at + 1, end, gap.to, &known);
        gap.cut = Some((end, start));
    }
    let start = finder.start_of(0, 0, blocks[0].first, &known);
    let end = finder.end_of(blocks.len() - 1, last.last + 1, line.names.len(), &known);
    let mut out = Vec::with_capacity(blocks.len());
    let (mut begin, mut stack) = (start, 0);
    for gap in &gaps {
        let (end, next) = gap.cut.unwrap_or((gap.to, gap.to));
        out.push(Span { start: begin, end, stack });
        begin = next;
        stack += usize::from(gap.foreign);
    }
    out.push(Span { start: begin, end, stack });
    out
}

/// What stands before and after blocks where layers follow on layers; the first and last layer of a run are held
/// against it. Stretches as `(from, cut, to)`.
#[derive(Default)]
struct Known {
    any: Vec<(usize, usize, usize)>,
    after: HashMap<StrId, (usize, usize, usize)>,
    before: HashMap<StrId, Vec<(usize, usize, usize)>>,
}

impl Known {
    /// Different stretches before blocks of one name that are kept.
    const KEPT: usize = 4;

    fn new(gaps: &[Gap], blocks: &[Block]) -> Self {
        let mut out = Self::default();
        for (at, gap) in gaps.iter().enumerate().filter(|g| !g.1.foreign) {
            let Some((cut, _)) = gap.cut else { continue };
            let stretch = (gap.from, cut, gap.to);
            if out.any.len() < 2 {
                out.any.push(stretch);
            } else {
                out.any[1] = stretch;
            }
            out.after.insert(blocks[at].name, stretch);
            let before = out.before.entry(blocks[at + 1].name).or_default();
            let length = gap.to - cut;
            if before.len() < Self::KEPT && before.iter().all(|s| s.2 - s.1 != length) {
                before.push(stretch);
            }
        }
        out
    }
}

/// The layers that begin at each kernel for which `begins` holds.
pub(super) fn segment_at(line: Line<'_>, begins: impl Fn(StrId) -> bool) -> Vec<Span> {
    let starts: Vec<usize> = (0..line.names.len()).filter(|&i| begins(line.names[i])).collect();
    let mut spans: Vec<Span> = starts.windows(2).map(|w| Span { start: w[0], end: w[1], stack: 0 }).collect();
    if let Some(&start) = starts.last() {
        // Nothing begins after the last layer: it ends where it stops doing what a layer before it did.
        let n = line.names.len();
        let same = |s: &Span| {
            (start..n).zip(s.start..s.end).take_while(|&(a, b)| line.kinds[a] == line.kinds[b]).count()
        };
        let length = spans.iter().rev().take(4).map(same).max().unwrap_or(n - start);
        spans.push(Span { start, end: start + length.max(1), stack: 0 });
    }
    spans
}

/// True when the numbers of layer modules count upwards from block to block, as layers do; module numbers that do
/// not are those of other modules.
fn modules_count(blocks: &[Block]) -> bool {
    let pairs: Vec<(u32, u32)> = blocks
        .windows(2)
        .map(|w| (w[0].module, w[1].module))
        .filter(|p| p.0 != NO_MODULE && p.1 != NO_MODULE)
        .collect();
    let good = pairs.iter().filter(|p| p.1 == p.0.saturating_add(1) || p.1 <= p.0).count();
    let up = pairs.iter().filter(|p| p.1 > p.0).count();
    if pairs.is_empty() {
        return blocks.iter().any(|b| b.module != NO_MODULE);
    }
    good * 10 >= pairs.len() * 9 && (up * 2 >= pairs.len() || pairs.iter().all(|p| p.1 == p.0))
}

struct Finder<'a> {
    line: Line<'a>,
    sums: &'a Sums,
    blocks: &'a [Block],
    modules: bool,
}

impl Finder<'_> {
    fn module(&self, block: usize) -> Option<u32> {
        let m = self.blocks[block].module;
        (self.modules && m != NO_MODULE).then_some(m)
    }

    fn norm(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&i| self.line.kinds[i] == Kind::Norm)
    }

    fn last_feed(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).rev().find(|&i| self.line.kinds[i].feeds())
    }

    /// The first work that only stands between two forward passes.
    fn first_bound(&self, from: usize, to: usize) -> Option<usize> {
        (from..to).find(|&i| matches!(self.line.kinds[i], Kind::Embedding | Kind::Sampling))
    }

    /// The stretch between two neighbouring blocks, cut where a norm or the frames tell.
    fn regular(&self, a: Block, b: Block) -> Gap {
        let (from, to) = (a.last + 1, b.first);
        let known = self.modules && a.module != NO_MODULE && b.module != NO_MODULE;
        let feed = self.last_feed(from, to);
        let after = feed.map_or(from, |f| f + 1);
        let between = self.norm(after, to).unwrap_or(after);
        let foreign = if known {
            b.module <= a.module
        } else {
            feed.is_some() && self.first_bound(between, to).is_some()
        };
        let mut gap = Gap { from, to, cut: None, foreign };
        if foreign {
            return gap;
        }
        if known {
            let of = |i: &usize| self.line.modules[*i];
            let lo = (from..to).rev().find(|i| of(i) == a.module).map_or(from, |i| i + 1);
            let hi = (from..to).find(|i| of(i) == b.module).unwrap_or(to);
            if lo <= hi {
                let low = if after <= hi { lo.max(after) } else { lo };
                let at = if lo == hi { hi } else { self.norm(low, hi).unwrap_or(hi) };
                gap.cut = Some((at, at));
                return gap;
            }
        }
        if feed.is_some() {
            gap.cut = self.norm(after, to).map(|at| (at, at));
        }
        gap
    }

    /// Marks stretches that hold far more before the next block than others do: another pass begins there.
    fn mark_long(&self, gaps: &mut [Gap]) {
        let mut lengths: Vec<usize> =
            gaps.iter().filter_map(|g| g.cut.filter(|_| !g.foreign).map(|c| g.to - c.1)).collect();
        if lengths.len() < 4 {
            return;
        }
        lengths.sort_unstable();
        let usual = lengths[lengths.len() / 2];
        let long = |g: &Gap| g.cut.is_some_and(|c| g.to - c.1 > 2 * usual + 8);
        if gaps.iter().filter(|g| long(g)).count() * 4 > gaps.len() {
            return;
        }
        for (at, gap) in gaps.iter_mut().enumerate() {
            let counted = self.module(at).zip(self.module(at + 1)).is_some();
            if long(gap) && !counted {
                (gap.foreign, gap.cut) = (true, None);
            }
        }
    }

    /// Cuts what is still open where the kernels before the block stop being those before the first block.
    fn by_repetition(&self, gaps: &mut [Gap]) {
        let head = self.blocks[0].first;
        let names = self.line.names;
        for gap in gaps.iter_mut().filter(|g| !g.foreign && g.cut.is_none()) {
            let room = (gap.to - gap.from).min(head);
            let same = (1..=room).take_while(|k| names[gap.to - k] == names[head - k]).count();
            let same = if same == gap.to - gap.from { 0 } else { same };
            let at = gap.to - same;
            let at = if same == 0 { self.after_feed(gap.from, gap.to) } else { at };
            gap.cut = Some((at, at));
        }
    }

    /// The end of a feed-forward block without a norm after it: its last projection.
    fn after_feed(&self, from: usize, to: usize) -> usize {
        let Some(feed) = self.last_feed(from, to) else { return to };
        let gemms = self.sums.gemms(feed + 1, to);
        match (feed + 1..to).find(|&i| self.line.kinds[i] == Kind::Gemm) {
            // One projection closes the block; those after it open the next layer.
            Some(i) if gemms > 1 => i + 1,
            _ => to,
        }
    }

    /// Where the layer of `block` ends, in what follows it up to `limit`.
    fn end_of(&self, block: usize, from: usize, limit: usize, known: &Known) -> usize {
        let kinds = self.line.kinds;
        let references = known.after.get(&self.blocks[block].name).into_iter().chain(known.any.iter().rev());
        let frame_end = self
            .module(block)
            .and_then(|m| (from..limit).rev().find(|&i| self.line.modules[i] == m))
            .map_or(from, |i| i + 1);
        for &(begin, cut, _) in references {
            let length = cut - begin;
            if from + length <= limit
                && from + length >= frame_end
                && (0..length).all(|k| kinds[from + k] == kinds[begin + k])
            {
                return from + length;
            }
        }
        if frame_end > from {
            return frame_end;
        }
        let Some(first) = (from..limit).find(|&i| kinds[i].feeds()) else {
            return if known.any.is_empty() { limit } else { self.norm(from, limit).unwrap_or(limit) };
        };
        let mut feed = first;
        let mut end = self.norm(feed, limit);
        while let Some(next) = (feed + 1..end.unwrap_or(limit)).find(|&i| kinds[i].feeds()) {
            feed = next;
            end = self.norm(feed, limit);
        }
        end.unwrap_or_else(|| {
            let gemm = (feed + 1..limit).find(|&i| kinds[i] == Kind::Gemm);
            if self.sums.gemms(feed + 1, limit) > 1 { gemm.map_or(limit, |i| i + 1) } else { limit }
        })
    }

    /// Where the layer of `block` begins, in what precedes it from `floor`.
    fn start_of(&self, block: usize, floor: usize, to: usize, known: &Known) -> usize {
        let kinds = self.line.kinds;
        let own = known.before.get(&self.blocks[block].name);
        let references = own.into_iter().flatten().chain(known.any.first());
        let after_embedding = (floor..to).rev().find(|&i| kinds[i].bounds_pass()).map_or(floor, |i| i + 1);
        let frame_start = self.module(block).and_then(|m| (floor..to).find(|&i| self.line.modules[i] == m));
        let mut best = None;
        for &(_, cut, end) in references {
            let length = end - cut;
            let room = length.min(to - after_embedding);
            let same = (1..=room).take_while(|k| kinds[to - k] == kinds[end - k]).count();
            if same == length && frame_start.is_none_or(|f| to - length <= f) {
                return to - length;
            }
            best = best.max(Some(same));
        }
        if let Some(start) = frame_start {
            return start;
        }
        match best {
            Some(same) => {
                let at = to - same;
                let near = at.saturating_sub(6).max(after_embedding);
                (near..at.min(to)).rev().find(|&i| kinds[i] == Kind::Norm).unwrap_or(at)
            }
            None => self.norm(after_embedding, to).unwrap_or(after_embedding),
        }
    }
}
