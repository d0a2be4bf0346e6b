//! Candidates of a search space under a budget, and which listed values they cover.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::plan::check::same;
use crate::plan::types::{FrameworkPlan, Knob, Search};

/// Most pairs of values that are looked at; beyond, pairs are not covered.
const MAX_PAIRS: usize = 50_000;
/// Most candidates, whatever the plan says.
pub const MAX_CANDIDATES: usize = 10_000;

/// One setting of the server.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Candidate {
    /// Its name, unique within the framework.
    pub id: String,
    /// `baseline`, `one_at_a_time`, `covering`, `pairwise` or `product`.
    pub origin: &'static str,
    /// All flags, in order.
    pub flags: Vec<(String, Value)>,
    /// What differs from the baseline.
    pub changed: Vec<(String, Value)>,
}

/// A listed value that no candidate has.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Missed {
    /// The flag.
    pub knob: String,
    /// The value.
    pub value: Value,
}

/// What candidates cover.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// Listed values.
    pub values: usize,
    /// Values that no candidate has.
    pub never_tried: Vec<Missed>,
    /// Pairs of values of two flags.
    pub pairs: usize,
    /// Pairs that some candidate has; none where there are too many to count.
    pub pairs_tried: Option<usize>,
}

/// Candidates with which every listed value is tried one at a time: 1 + sum of (values - 1).
#[must_use]
pub fn needed(framework: &FrameworkPlan) -> usize {
    1 + framework.space.iter().map(|k| k.values.len().saturating_sub(1)).sum::<usize>()
}

/// A point of the space: for each knob the number of its value; 0 is the baseline's.
type Point = Vec<usize>;

/// Values of a knob with the baseline's first: the base flag's value where it is listed, else the first listed.
fn ordered(framework: &FrameworkPlan, knob: &Knob) -> Vec<Value> {
    let base = framework.base.iter().find(|(k, _)| same(k, &knob.name)).map(|(_, v)| v);
    let first = base.and_then(|b| knob.values.iter().position(|v| v == b)).unwrap_or(0);
    let mut values = knob.values.clone();
    let value = values.remove(first);
    values.insert(0, value);
    values
}

/// The candidates: the baseline; each other value by itself; then, as far as the budget goes, pairs of values. Where
/// the budget is too small for one at a time, the last candidates change several flags at once, so that as few values
/// as possible stay untried. The same plan gives the same candidates.
#[must_use]
pub fn candidates(framework: &FrameworkPlan, search: &Search) -> Vec<Candidate> {
    let values: Vec<Vec<Value>> = framework.space.iter().map(|k| ordered(framework, k)).collect();
    let budget = usize::try_from(search.max_candidates).unwrap_or(MAX_CANDIDATES).clamp(1, MAX_CANDIDATES);
    let lens: Vec<usize> = values.iter().map(Vec::len).collect();
    let mut points: Vec<(&'static str, Point)> = vec![("baseline", vec![0; lens.len()])];
    points.extend(covering(&lens, budget - 1));
    points.truncate(budget);
    if search.tier >= 2 {
        pairwise(&lens, budget, &mut points);
    }
    if search.tier >= 3 {
        product(&lens, budget, &mut points);
    }
    points
        .iter()
        .enumerate()
        .map(|(i, (origin, point))| candidate(framework, &values, i, origin, point))
        .collect()
}

/// One at a time, round the knobs; the last few change all knobs at once where that is needed to reach every value.
fn covering(lens: &[usize], budget: usize) -> Vec<(&'static str, Point)> {
    let most = lens.iter().copied().max().unwrap_or(1);
    let mut single: Vec<(usize, usize)> = Vec::new();
    for value in 1..most {
        single.extend((0..lens.len()).filter(|k| value < lens[*k]).map(|k| (k, value)));
    }
    // The most one-at-a-time steps after which the rest still fits.
    let left_after = |t: usize| {
        let mut left: Vec<usize> = lens.iter().map(|l| l.saturating_sub(1)).collect();
        single[..t].iter().for_each(|(k, _)| left[*k] -= 1);
        left.into_iter().max().unwrap_or(0)
    };
    let steps = (0..=single.len().min(budget)).rev().find(|t| left_after(*t) <= budget - t).unwrap_or(0);
    let point = |changes: &[(usize, usize)]| {
        let mut point = vec![0; lens.len()];
        changes.iter().for_each(|(k, v)| point[*k] = *v);
        point
    };
    let mut out: Vec<_> = single[..steps].iter().map(|c| ("one_at_a_time", point(&[*c]))).collect();
    let mut rest: Vec<Vec<usize>> = (0..lens.len())
        .map(|k| single[steps..].iter().filter(|(i, _)| *i == k).map(|(_, v)| *v).rev().collect())
        .collect();
    while out.len() < budget && rest.iter().any(|r| !r.is_empty()) {
        let changes: Vec<(usize, usize)> =
            rest.iter_mut().enumerate().filter_map(|(k, r)| Some((k, r.pop()?))).collect();
        out.push(("covering", point(&changes)));
    }
    out
}

type Pair = (usize, usize, usize, usize);

fn holds(point: &[usize], (i, a, j, b): &Pair) -> bool {
    point[*i] == *a && point[*j] == *b
}

fn all_pairs(lens: &[usize]) -> Option<BTreeSet<Pair>> {
    let total: usize = (0..lens.len())
        .map(|i| (i + 1..lens.len()).map(|j| lens[i].saturating_mul(lens[j])).sum::<usize>())
        .sum();
    if total > MAX_PAIRS {
        return None;
    }
    let mut out = BTreeSet::new();
    for i in 0..lens.len() {
        for j in i + 1..lens.len() {
            out.extend((0..lens[i]).flat_map(|a| (0..lens[j]).map(move |b| (i, a, j, b))));
        }
    }
    Some(out)
}

/// Adds points that cover pairs, each the greedy best around the first pair that is still open.
fn pairwise(lens: &[usize], budget: usize, points: &mut Vec<(&'static str, Point)>) {
    let Some(mut open) = all_pairs(lens) else { return };
    points.iter().for_each(|(_, p)| open.retain(|pair| !holds(p, pair)));
    while points.len() < budget {
        let Some(&(i, a, j, b)) = open.first() else { return };
        let mut point: Vec<Option<usize>> = vec![None; lens.len()];
        (point[i], point[j]) = (Some(a), Some(b));
        for k in 0..lens.len() {
            if point[k].is_some() {
                continue;
            }
            let gain = |v: usize| {
                let with = |(other, w): (usize, &Option<usize>)| {
                    let w = (*w)?;
                    let pair = if other < k { (other, w, k, v) } else { (k, v, other, w) };
                    open.contains(&pair).then_some(())
                };
                point.iter().enumerate().filter_map(with).count()
            };
            // Of equal gains the baseline's value stays.
            let best = (0..lens[k]).rev().max_by_key(|v| gain(*v)).unwrap_or(0);
            point[k] = Some(best);
        }
        let point: Point = point.into_iter().map(|v| v.unwrap_or(0)).collect();
        open.retain(|pair| !holds(&point, pair));
        points.push(("pairwise", point));
    }
}

/// Adds the points that are still missing, up to the budget.
fn product(lens: &[usize], budget: usize, points: &mut Vec<(&'static str, Point)>) {
    if lens.contains(&0) {
        return;
    }
    let mut seen: BTreeSet<Point> = points.iter().map(|(_, p)| p.clone()).collect();
    let mut point = vec![0; lens.len()];
    // Each turn adds a point, or passes one of those already there: at most twice the budget.
    while points.len() < budget {
        if seen.insert(point.clone()) {
            points.push(("product", point.clone()));
        }
        let Some(k) = (0..lens.len()).rev().find(|k| point[*k] + 1 < lens[*k]) else { return };
        point[k] += 1;
        point[k + 1..].fill(0);
    }
}

fn candidate(
    framework: &FrameworkPlan,
    values: &[Vec<Value>],
    index: usize,
    origin: &'static str,
    point: &[usize],
) -> Candidate {
    let mut flags = framework.base.clone();
    let mut changed = Vec::new();
    for ((knob, values), at) in framework.space.iter().zip(values).zip(point) {
        let value = values[*at].clone();
        if *at > 0 {
            changed.push((knob.name.clone(), value.clone()));
        }
        match flags.iter_mut().find(|(k, _)| same(k, &knob.name)) {
            Some((_, old)) => *old = value,
            None => flags.push((knob.name.clone(), value)),
        }
    }
    let id = match &changed[..] {
        [] => "baseline".to_owned(),
        [(name, value)] => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let plain = |c: char| if c.is_ascii_alphanumeric() || "._-=".contains(c) { c } else { '_' };
            let text: String = format!("{name}={text}").chars().map(plain).take(60).collect();
            format!("c{index:02}-{text}")
        }
        _ => format!("c{index:02}-{origin}"),
    };
    Candidate { id, origin, flags, changed }
}

/// What these candidates cover of the listed values.
#[must_use]
pub fn coverage(framework: &FrameworkPlan, candidates: &[Candidate]) -> Coverage {
    let has = |c: &Candidate, knob: &Knob, value: &Value| {
        c.flags.iter().any(|(k, v)| same(k, &knob.name) && v == value)
    };
    let mut never_tried = Vec::new();
    for knob in &framework.space {
        for value in &knob.values {
            if !candidates.iter().any(|c| has(c, knob, value)) {
                never_tried.push(Missed { knob: knob.name.clone(), value: value.clone() });
            }
        }
    }
    let lens: Vec<usize> = framework.space.iter().map(|k| k.values.len()).collect();
    let pairs = all_pairs(&lens);
    let pairs_tried = pairs.as_ref().map(|open| {
        let mut open = open.clone();
        for c in candidates {
            let at = |k: &Knob| k.values.iter().position(|v| has(c, k, v)).unwrap_or(0);
            let point: Point = framework.space.iter().map(at).collect();
            open.retain(|pair| !holds(&point, pair));
        }
        pairs.as_ref().map_or(0, BTreeSet::len) - open.len()
    });
    let values = lens.iter().sum();
    let total = (0..lens.len()).flat_map(|i| lens[i + 1..].iter().map(move |l| (i, l)));
    let pairs = total.map(|(i, l)| lens[i].saturating_mul(*l)).sum();
    Coverage { values, never_tried, pairs, pairs_tried }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rows::Framework;

    fn framework(lens: &[usize]) -> FrameworkPlan {
        let knob = |(i, n): (usize, &usize)| Knob {
            name: format!("knob_{i}"),
            values: (0..*n).map(|v| json!(v)).collect(),
        };
        FrameworkPlan {
            name: "sglang".to_owned(),
            kind: Framework::Sglang,
            enabled: true,
            server_command: "s".to_owned(),
            base: vec![("knob-0".to_owned(), json!(1)), ("other".to_owned(), json!(true))],
            space: lens.iter().enumerate().map(knob).collect(),
            env: std::collections::BTreeMap::new(),
        }
    }

    fn search(max_candidates: u64, tier: u64) -> Search {
        Search { tier, max_candidates, repeats: 3, seed: 1, resume: true, output_dir: None }
    }

    #[test]
    fn the_baseline_comes_first_and_keeps_the_base_flags() {
        let f = framework(&[3, 2]);
        let all = candidates(&f, &search(4, 2));
        assert_eq!(all[0].id, "baseline");
        assert_eq!(
            all[0].flags,
            [("knob-0".into(), json!(1)), ("other".into(), json!(true)), ("knob_1".into(), json!(0))]
        );
        let ids: Vec<&str> = all.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["baseline", "c01-knob_0=0", "c02-knob_1=1", "c03-knob_0=2"]);
        assert_eq!(candidates(&f, &search(1, 2)).len(), 1, "a limit of one is one candidate");
        assert_eq!(candidates(&f, &search(99, 3)).len(), 6, "the whole product");
    }

    proptest! {
        #[test]
        fn every_listed_value_is_tried_when_the_budget_allows(
            lens in proptest::collection::vec(1usize..6, 0..6), budget in 1u64..40, tier in 1u64..4,
        ) {
            let f = framework(&lens);
            let all = candidates(&f, &search(budget, tier));
            prop_assert!(all.len() as u64 <= budget);
            let unique: BTreeSet<String> = all.iter().map(|c| serde_json::to_string(&c.flags).unwrap()).collect();
            prop_assert_eq!(unique.len(), all.len());
            let ids: BTreeSet<&String> = all.iter().map(|c| &c.id).collect();
            prop_assert_eq!(ids.len(), all.len());
            let missed = coverage(&f, &all).never_tried.len();
            let most = lens.iter().copied().max().unwrap_or(1) as u64;
            // One at a time needs 1 + sum(len - 1); changing several at once needs only the longest list.
            if budget >= most {
                prop_assert_eq!(missed, 0);
            }
            prop_assert_eq!(&all, &candidates(&f, &search(budget, tier)));
        }

        #[test]
        fn enough_budget_covers_every_pair(lens in proptest::collection::vec(1usize..4, 0..4)) {
            let f = framework(&lens);
            let c = coverage(&f, &candidates(&f, &search(200, 2)));
            prop_assert_eq!(c.pairs_tried, Some(c.pairs));
        }
    }
}
