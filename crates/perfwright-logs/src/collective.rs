//! What the ranks say about their collectives when the NCCL watchdog fires.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hit::Hit;

/// One rank's last words about a process group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RankWork {
    /// The process group as the log names it; empty when it does not.
    pub group: String,
    /// The rank in it.
    pub rank: u32,
    /// Sequence number of the work that timed out.
    pub seq: Option<i64>,
    /// Its kind, e.g. `ALLREDUCE`.
    pub op: Option<String>,
    /// How long it ran, in milliseconds.
    pub ran_ms: Option<i64>,
    /// The last work enqueued.
    pub last_enqueued: Option<i64>,
    /// The last work completed.
    pub last_completed: Option<i64>,
    /// Line of the first mention.
    pub line: u64,
}

const MAX_RANKS: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Collectives {
    ranks: BTreeMap<(String, u32), RankWork>,
}

impl Collectives {
    pub(crate) fn take(&mut self, hit: &Hit<'_>) {
        let (mut group, rank) = place(hit.text);
        let Some(rank) = rank.or(hit.prefix.ranks.global) else { return };
        // The line about the time-out may lack the group that the next line of the rank names.
        if let Some((known, _)) = self
            .ranks
            .iter()
            .find(|((g, r), _)| *r == rank && (g.is_empty() || group.is_empty()))
            .map(|(k, _)| (k.clone(), ()))
            && known.0 != group
        {
            let work = self.ranks.remove(&known);
            if group.is_empty() {
                group.clone_from(&known.0);
            }
            if let Some(mut work) = work {
                work.group.clone_from(&group);
                self.ranks.insert((group.clone(), rank), work);
            }
        }
        if self.ranks.len() >= MAX_RANKS && !self.ranks.contains_key(&(group.clone(), rank)) {
            return;
        }
        let work = self.ranks.entry((group.clone(), rank)).or_insert_with(|| RankWork {
            group,
            rank,
            line: hit.line,
            ..RankWork::default()
        });
        work.seq = work.seq.or(hit.int("seq"));
        work.op = work.op.take().or_else(|| hit.value("op").map(crate::hit::Value::text));
        work.ran_ms = work.ran_ms.or(hit.int("ran_ms"));
        work.last_enqueued = work.last_enqueued.or(hit.int("enqueued"));
        work.last_completed = work.last_completed.or(hit.int("completed"));
    }

    pub(crate) fn ranks(&self) -> Vec<RankWork> {
        self.ranks.values().cloned().collect()
    }

    /// The line where ranks of one group are seen to disagree on what was enqueued or completed last, or, where that is
    /// not told, on the work that timed out.
    pub(crate) fn mismatch(&self) -> Option<u64> {
        let mut groups: BTreeMap<&str, Vec<&RankWork>> = BTreeMap::new();
        for work in self.ranks.values() {
            groups.entry(&work.group).or_default().push(work);
        }
        let differs = |ranks: &[&RankWork]| {
            let several = |value: fn(&RankWork) -> Option<i64>| {
                let mut told = ranks.iter().filter_map(|w| value(w));
                told.next().is_some_and(|first| told.any(|other| other != first))
            };
            let told = ranks.iter().any(|w| w.last_enqueued.is_some());
            let mut ops = ranks.iter().filter_map(|w| w.op.as_deref());
            let kinds = ops.next().is_some_and(|first| ops.any(|other| other != first));
            several(|w| w.last_enqueued)
                || several(|w| w.last_completed)
                || !told && (several(|w| w.seq) || kinds)
        };
        groups
            .values()
            .filter(|ranks| differs(ranks))
            .filter_map(|ranks| ranks.iter().map(|w| w.line).max())
            .min()
    }
}

/// `[PG ID 2 PG GUID 3 Rank 0]`, `[PG 1 Rank 2]`, `[Rank 1]`: group and rank.
fn place(text: &str) -> (String, Option<u32>) {
    for part in text.split('[').skip(1).take(6) {
        let Some(inner) = part.split(']').next() else { continue };
        let Some(at) = inner.rfind("Rank ") else { continue };
        let group = &inner[..at];
        if !(group.is_empty() || group.starts_with("PG ")) {
            continue;
        }
        if let Ok(rank) = inner[at + 5..].trim().parse() {
            return (group.trim().chars().take(80).collect(), Some(rank));
        }
    }
    (String::new(), None)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places() {
        assert_eq!(place("[Rank 2] Watchdog"), (String::new(), Some(2)));
        assert_eq!(place("[PG 1 Rank 3] Exception"), ("PG 1".to_owned(), Some(3)));
        assert_eq!(place("[PG ID 2 PG GUID 3 Rank 0] x"), ("PG ID 2 PG GUID 3".to_owned(), Some(0)));
        assert_eq!(place("Rank 2"), (String::new(), None));
    }
}
