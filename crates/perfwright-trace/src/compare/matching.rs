//! Which pass of one side is compared with which of the other.
//!
//! Passes are compared within one class only. Where every pass of a class carries a batch size (and tokens, and
//! context) on both sides, passes of equal work are paired in start order, then what is left with the nearest within
//! a tolerance. Where the passes carry no such numbers, equally many are paired in order and unequally many are
//! compared as two samples.

use hashbrown::HashMap;

use super::side::Pass;
use crate::steps::Class;

/// How far batch, tokens and context of a nearest pair may be apart unless asked otherwise, each as a part of the
/// larger.
pub const TOLERANCE: f64 = 0.10;
/// Neighbours in order of work that are looked at on each side of a pass for a nearest partner.
const NEIGHBOURS: usize = 24;

/// The passes of one class that are compared.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// Index of a pass on each side; `pairs[i]` when paired, otherwise see `samples`.
    pub(super) pairs: Vec<(usize, usize)>,
    /// All passes of both sides, where they do not pair one to one.
    pub(super) samples: Option<(Vec<usize>, Vec<usize>)>,
    /// Pairs of equal work.
    pub(super) exact: usize,
    /// Pairs within the tolerance.
    pub(super) nearest: usize,
    /// Largest distance of a nearest pair.
    pub(super) farthest: f64,
    /// What pairs were made by.
    pub(super) keys: Vec<&'static str>,
    /// Passes without a partner: side (0 or 1), index, reason.
    pub(super) unmatched: Vec<(usize, usize, String)>,
}

impl Matched {
    /// The passes that are compared, side by side: equally long when paired.
    pub(super) fn sides(&self) -> (Vec<usize>, Vec<usize>) {
        match &self.samples {
            Some((a, b)) => (a.clone(), b.clone()),
            None => (self.pairs.iter().map(|p| p.0).collect(), self.pairs.iter().map(|p| p.1).collect()),
        }
    }

    /// True when something is compared.
    pub(super) fn any(&self) -> bool {
        !self.pairs.is_empty() || self.samples.is_some()
    }
}

type Key = (Option<u32>, [Option<u64>; 3]);
type Field = fn(&Pass) -> Option<u64>;

/// Matches the passes of `class`. With `ranks`, only passes of one rank are paired. `tolerance` is that of nearest
/// pairs.
pub(super) fn match_class(class: Class, a: &[Pass], b: &[Pass], ranks: bool, tolerance: f64) -> Matched {
    let of = |list: &[Pass]| -> Vec<usize> {
        let mut at: Vec<usize> = (0..list.len()).filter(|&i| list[i].class == class).collect();
        at.sort_by_key(|&i| (list[i].rank, list[i].start));
        at
    };
    let (ours, theirs) = (of(a), of(b));
    let mut m = Matched::default();
    if ours.is_empty() || theirs.is_empty() {
        m.none_there(&ours, &theirs, class);
        return m;
    }
    let every = |get: Field| {
        ours.iter().all(|&i| get(&a[i]).is_some()) && theirs.iter().all(|&i| get(&b[i]).is_some())
    };
    let fields: [(&'static str, Field); 3] =
        [("batch", |p| p.batch), ("tokens", |p| p.tokens), ("context", |p| p.context)];
    let used: Vec<bool> = fields.iter().map(|f| every(f.1)).collect();
    m.keys = fields.iter().zip(&used).filter(|(_, u)| **u).map(|(f, _)| f.0).collect();
    if m.keys.is_empty() {
        m.by_order(&ours, &theirs);
        return m;
    }
    let key = |p: &Pass| -> Key {
        let mut values = [None; 3];
        for (slot, (field, used)) in values.iter_mut().zip(fields.iter().zip(&used)) {
            *slot = field.1(p).filter(|_| *used);
        }
        (p.rank.filter(|_| ranks), values)
    };
    let (left_a, left_b) = m.exact_pairs(&ours, &theirs, |i| key(&a[i]), |i| key(&b[i]));
    m.nearest_pairs(&left_a, left_b, |i| key(&a[i]), |i| key(&b[i]), tolerance);
    m.pairs.sort_by_key(|&(i, j)| (a[i].rank, a[i].start, b[j].start));
    m.unmatched.sort_by_key(|u| (u.0, u.1));
    m
}

impl Matched {
    fn none_there(&mut self, ours: &[usize], theirs: &[usize], class: Class) {
        for (side, list, other) in [(0, ours, 'B'), (1, theirs, 'A')] {
            let reason = format!("{other} has no {} step", class.as_str());
            self.unmatched.extend(list.iter().map(|&i| (side, i, reason.clone())));
        }
    }

    fn by_order(&mut self, ours: &[usize], theirs: &[usize]) {
        self.keys.push("order");
        if ours.len() == theirs.len() {
            self.pairs = ours.iter().copied().zip(theirs.iter().copied()).collect();
        } else {
            self.samples = Some((ours.to_vec(), theirs.to_vec()));
        }
    }

    fn exact_pairs(
        &mut self,
        ours: &[usize],
        theirs: &[usize],
        key_a: impl Fn(usize) -> Key,
        key_b: impl Fn(usize) -> Key,
    ) -> (Vec<usize>, Vec<usize>) {
        let mut waiting: HashMap<Key, std::collections::VecDeque<usize>> = HashMap::new();
        theirs.iter().for_each(|&j| waiting.entry(key_b(j)).or_default().push_back(j));
        let mut left = Vec::new();
        for &i in ours {
            match waiting.get_mut(&key_a(i)).and_then(std::collections::VecDeque::pop_front) {
                Some(j) => self.pairs.push((i, j)),
                None => left.push(i),
            }
        }
        self.exact = self.pairs.len();
        let mut rest: Vec<usize> = waiting.into_values().flatten().collect();
        rest.sort_unstable();
        (left, rest)
    }

    fn nearest_pairs(
        &mut self,
        left_a: &[usize],
        mut left_b: Vec<usize>,
        key_a: impl Fn(usize) -> Key,
        key_b: impl Fn(usize) -> Key,
        tolerance: f64,
    ) {
        left_b.sort_by_key(|&j| (key_b(j), j));
        let mut candidates: Vec<(f64, usize, usize)> = Vec::new();
        for &i in left_a {
            let at = left_b.partition_point(|&j| key_b(j) < key_a(i));
            let near = &left_b[at.saturating_sub(NEIGHBOURS)..(at + NEIGHBOURS).min(left_b.len())];
            let close = near.iter().map(|&j| (distance(key_a(i), key_b(j)), i, j));
            candidates.extend(close.filter(|c| c.0 <= tolerance));
        }
        candidates.sort_by(|x, y| x.0.total_cmp(&y.0).then((x.1, x.2).cmp(&(y.1, y.2))));
        let mut taken: hashbrown::HashSet<(usize, usize)> = hashbrown::HashSet::new();
        for (far, i, j) in candidates {
            if !taken.contains(&(0, i)) && !taken.contains(&(1, j)) {
                taken.extend([(0, i), (1, j)]);
                self.pairs.push((i, j));
                self.nearest += 1;
                self.farthest = self.farthest.max(far);
            }
        }
        let percent = tolerance * 100.0;
        for (side, list) in [(0, left_a), (1, left_b.as_slice())] {
            let other = if side == 0 { 'B' } else { 'A' };
            for &i in list.iter().filter(|&&i| !taken.contains(&(side, i))) {
                let keys = self.keys.join(", ");
                let reason = format!("no step left in {other} with {keys} within {percent:.0} %");
                self.unmatched.push((side, i, reason));
            }
        }
    }
}

/// The largest of the relative differences; infinite between ranks.
fn distance(a: Key, b: Key) -> f64 {
    if a.0 != b.0 {
        return f64::INFINITY;
    }
    let pairs = a.1.iter().zip(&b.1).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
    pairs.map(|(a, b)| a.abs_diff(b) as f64 / a.max(b).max(1) as f64).fold(0.0, f64::max)
}
