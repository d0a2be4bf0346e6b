//! The nearest known name of a mistyped one.

/// Longest name that is compared; the comparison is quadratic.
const MAX: usize = 80;

/// The nearest of `known`, where it is near enough to be meant: at most a third of the letters differ, or one is the
/// beginning of the other.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.trim_start_matches('-').replace('_', "-").to_ascii_lowercase();
    let wanted = plain(name);
    if wanted.is_empty() || wanted.len() > MAX {
        return None;
    }
    known
        .filter(|k| k.len() <= MAX)
        .map(|k| (distance(&wanted, &plain(k)), k))
        .filter(|(d, k)| {
            let longest = wanted.len().max(k.len());
            *d * 3 <= longest || (wanted.len() >= 4 && plain(k).starts_with(&wanted))
        })
        .min_by_key(|(d, k)| (*d, k.len()))
        .map(|(_, k)| k)
}

/// Letters inserted, left out, replaced or swapped with a neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<u8>, Vec<u8>) = (a.bytes().collect(), b.bytes().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["--max-num-seqs", "--max-model-len", "--dtype"];
        assert_eq!(nearest("max_num_seq", known.into_iter()), Some("--max-num-seqs"));
        assert_eq!(nearest("dytpe", known.into_iter()), Some("--dtype"));
        assert_eq!(nearest("tensor_parallel", known.into_iter()), None);
        assert_eq!((distance("ab", "ba"), distance("abc", ""), distance("kitten", "sitting")), (1, 3, 3));
    }
}
