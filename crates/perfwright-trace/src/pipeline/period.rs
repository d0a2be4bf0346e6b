//! The shortest stretch that a sequence repeats, in linear time.

use hashbrown::HashMap;

/// A repetition in a sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Period {
    /// Items of one repetition.
    pub(super) length: usize,
    /// Where the repeating stretch begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Of the items of the stretch, the share that equals the item one period later.
    pub(super) score: f64,
}

impl Period {
    /// Whole repetitions in the stretch.
    pub(super) fn repeats(&self) -> usize {
        (self.end - self.start) / self.length.max(1)
    }
}

/// Candidate lengths that are looked at in full; the cost is this many passes over the sequence.
const CANDIDATES: usize = 12;
/// Occurrences back to which distances are counted: a symbol may stand several times in one period.
const BACK: usize = 12;
/// Two candidates whose scores differ by less are equally good; the shorter one is the period.
const SLACK: f64 = 0.02;

/// The best period of `items`, or none when nothing repeats at least three times.
///
/// Distances between equal items vote for lengths; the lengths with most votes are measured on the whole sequence.
/// A score is a share of the stretch it is measured on, so that long periods have no advantage over short ones.
pub(super) fn find(items: &[u32]) -> Option<Period> {
    let mut votes: HashMap<usize, u32> = HashMap::new();
    let mut seen: HashMap<u32, ([usize; BACK], usize)> = HashMap::new();
    for (i, &item) in items.iter().enumerate() {
        let (ring, n) = seen.entry(item).or_insert(([0; BACK], 0));
        for before in &ring[..(*n).min(BACK)] {
            *votes.entry(i - before).or_default() += 1;
        }
        ring[*n % BACK] = i;
        *n += 1;
    }
    let mut lengths: Vec<(usize, u32)> = votes.into_iter().filter(|v| v.0 * 3 <= items.len()).collect();
    lengths.sort_unstable_by_key(|&(length, votes)| (std::cmp::Reverse(votes), length));
    lengths.truncate(CANDIDATES);
    let measured: Vec<Period> = lengths.iter().filter_map(|&(length, _)| measure(items, length)).collect();
    let value = |p: &Period| p.score * (p.end - p.start) as f64 / items.len() as f64;
    let best = measured.iter().map(value).fold(0.0, f64::max);
    measured.into_iter().filter(|p| value(p) >= best - SLACK && value(p) > 0.3).min_by_key(|p| p.length)
}

/// The longest stretch on which `length` is a period: matches count for, others against.
fn measure(items: &[u32], length: usize) -> Option<Period> {
    // A mismatch outweighs a few matches, so that a stretch stops where the repetition does.
    const AGAINST: i64 = 4;
    let (mut best, mut sum, mut from) = ((0i64, 0usize, 0usize), 0i64, 0usize);
    for i in 0..items.len().saturating_sub(length) {
        if sum == 0 {
            from = i;
        }
        sum += if items[i] == items[i + length] { 1 } else { -AGAINST };
        if sum <= 0 {
            sum = 0;
        } else if sum > best.0 {
            best = (sum, from, i + 1);
        }
    }
    let (start, last) = (best.1, best.2);
    let end = last + length;
    if best.0 == 0 || end - start < 3 * length {
        return None;
    }
    let hits = (start..last).filter(|&i| items[i] == items[i + length]).count();
    Some(Period { length, start, end, score: hits as f64 / (last - start) as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_period_wins_over_its_multiples() {
        let body = [1, 2, 3, 2, 4, 5, 2];
        let mut s = vec![9, 8];
        (0..36).for_each(|_| s.extend(body));
        s.extend([7, 6, 9]);
        let p = find(&s).unwrap();
        assert_eq!((p.length, p.start, p.repeats()), (7, 2, 36));
        assert!((p.score - 1.0).abs() < 1e-9);
    }

    #[test]
    fn alternation_is_one_period_of_both() {
        let mut s = vec![];
        (0..12).for_each(|_| s.extend([1, 2, 3, 1, 2, 4, 5]));
        assert_eq!(find(&s).unwrap().length, 7);
    }

    #[test]
    fn nothing_repeats_in_noise() {
        assert_eq!(find(&(0..100).collect::<Vec<u32>>()), None);
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[1, 1]), None);
    }

    #[test]
    fn cost_is_linear_on_a_single_repeated_symbol() {
        let s = vec![1u32; 200_000];
        let begun = std::time::Instant::now();
        assert_eq!(find(&s).unwrap().length, 1);
        assert!(begun.elapsed().as_secs() < 5);
    }
}
