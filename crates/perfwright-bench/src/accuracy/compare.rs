//! Two results: is there a difference that the questions can show?

use std::collections::BTreeMap;

use perfwright_stats::share::{Pairs, ShareEstimate, mcnemar, paired, unpaired, wilson};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{CONFIDENCE, Score};
use crate::rows::Basis;

/// What a difference has to reach. Parts of one: 0.01 is a point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompareSettings {
    /// Differences up to this matter to nobody.
    pub threshold: f64,
    /// How far the interval of results that show no difference may reach.
    pub margin: f64,
}

/// What became of one question on a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Whether the answer is right; none where the request failed.
    pub right: Option<bool>,
    /// Hash of the prompt, where known.
    pub prompt: Option<String>,
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Where it is from.
    pub source: String,
    /// Whether it was measured, as far as it is recorded.
    pub basis: Basis,
    /// The task.
    pub task: String,
    /// Questions answered.
    pub n: u64,
    /// Right answers.
    pub correct: u64,
    /// Right answers at least and at most, where a file states a rounded share.
    pub between: (u64, u64),
    /// Answers with nothing to judge, where known.
    pub unanswered: Option<u64>,
    /// Each question by its id, where known.
    pub items: Option<BTreeMap<String, Item>>,
    /// What has to be equal on both sides, where both state it.
    pub settings: BTreeMap<String, String>,
    /// Why it cannot be believed.
    pub faults: Vec<String>,
    /// What is to be known before it is used.
    pub notes: Vec<String>,
}

impl Side {
    /// The result with Wilson's interval. Where the number of right answers is only known within bounds the interval
    /// reaches from the low end of the lowest to the high end of the highest.
    #[must_use]
    pub fn score(&self) -> Score {
        let of = |k: u64| wilson(k, self.n, CONFIDENCE);
        let unknown = ShareEstimate { value: 0.0, low: 0.0, high: 1.0 };
        Score {
            task: self.task.clone(),
            n: self.n,
            correct: self.correct,
            value: of(self.correct).map(|e| e.value),
            ci_low: of(self.between.0).unwrap_or(unknown).low,
            ci_high: of(self.between.1).unwrap_or(unknown).high,
            interval: "Wilson score, 95 %, over the choice of questions".to_owned(),
        }
    }
}

/// What a comparison says of the result against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// More right answers, by more than the threshold.
    Better,
    /// Fewer right answers, by more than the threshold.
    Worse,
    /// No difference: the interval lies within the threshold, or holds zero and lies within the margin.
    Same,
    /// The questions do not decide.
    Inconclusive,
    /// The results may not be compared.
    Refused,
}

/// How both sides answered the same questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PairCounts {
    /// Questions that both sides answered.
    pub n: u64,
    /// Right on both sides.
    pub both: u64,
    /// Right in the baseline only.
    pub only_baseline: u64,
    /// Right in this result only.
    pub only_this: u64,
    /// Wrong on both sides.
    pub neither: u64,
    /// Questions left out because a request failed on a side.
    pub left_out: u64,
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The baseline.
    pub baseline: Score,
    /// Where it is from.
    pub baseline_source: String,
    /// Whether it was measured.
    pub baseline_basis: Basis,
    /// Questions were paired.
    pub paired: bool,
    /// How, where they were.
    pub pairs: Option<PairCounts>,
    /// This share minus the baseline's; null where it was refused.
    pub difference: Option<f64>,
    /// Low end of its interval.
    pub ci_low: Option<f64>,
    /// High end of its interval.
    pub ci_high: Option<f64>,
    /// Which interval it is.
    pub interval: String,
    /// Exact McNemar test of the pairs, two-sided.
    pub p_value: Option<f64>,
    /// What a difference had to reach.
    pub settings: CompareSettings,
    /// The answer.
    pub verdict: Word,
    /// Why.
    pub reasons: Vec<String>,
}

/// Compares a result with a baseline.
#[must_use]
pub fn compare(baseline: &Side, this: &Side, settings: CompareSettings) -> Comparison {
    let mut out = Comparison {
        baseline: baseline.score(),
        baseline_source: baseline.source.clone(),
        baseline_basis: baseline.basis,
        paired: false,
        pairs: None,
        difference: None,
        ci_low: None,
        ci_high: None,
        interval: String::new(),
        p_value: None,
        settings,
        verdict: Word::Refused,
        reasons: refusals(baseline, this),
    };
    if !out.reasons.is_empty() {
        return out;
    }
    let estimate = match (&baseline.items, &this.items) {
        (Some(a), Some(b)) => match pair(a, b) {
            Ok((pairs, left_out)) => {
                out.paired = true;
                out.interval = "Tango score for paired shares, 95 %".to_owned();
                out.p_value = Some(mcnemar(&pairs));
                out.pairs = Some(PairCounts {
                    n: pairs.n(),
                    both: pairs.both,
                    only_baseline: pairs.first_only,
                    only_this: pairs.second_only,
                    neither: pairs.neither,
                    left_out,
                });
                paired(&pairs, CONFIDENCE)
            }
            Err(reason) => {
                out.reasons.push(reason);
                return out;
            }
        },
        _ => {
            out.interval = "Newcombe hybrid score for unpaired shares, 95 %".to_owned();
            apart(baseline, this)
        }
    };
    let Some(e) = estimate else {
        out.reasons.push("no question was answered on both sides".to_owned());
        return out;
    };
    (out.difference, out.ci_low, out.ci_high) = (Some(e.value), Some(e.low), Some(e.high));
    let imported = [baseline, this].iter().any(|s| s.basis != Basis::Measured);
    let (word, reason) = decide(&e, settings, imported);
    out.verdict = word;
    out.reasons.push(reason);
    if !out.paired {
        out.reasons.push(
            "a side does not state its answers one by one, so the interval is wider than over pairs"
                .to_owned(),
        );
    }
    out
}

fn refusals(a: &Side, b: &Side) -> Vec<String> {
    let mut out = Vec::new();
    if !a.task.eq_ignore_ascii_case(&b.task) {
        out.push(format!("the task is {} in the baseline and {} here", a.task, b.task));
    }
    for (key, value) in &a.settings {
        if let Some(other) = b.settings.get(key).filter(|v| *v != value) {
            out.push(format!("{key} is {value} in the baseline and {other} here"));
        }
    }
    for (name, side) in [("the baseline", a), ("this result", b)] {
        out.extend(side.faults.iter().map(|f| format!("{name}: {f}")));
    }
    out
}

fn pair(a: &BTreeMap<String, Item>, b: &BTreeMap<String, Item>) -> Result<(Pairs, u64), String> {
    let missing = |from: &BTreeMap<String, Item>, of: &BTreeMap<String, Item>| {
        let mut ids = from.keys().filter(|id| !of.contains_key(*id));
        ids.next().map(|first| (first.clone(), ids.count() + 1))
    };
    for (place, gap) in [("the baseline", missing(a, b)), ("this result", missing(b, a))] {
        if let Some((first, count)) = gap {
            return Err(format!("{count} questions are in {place} alone, the first {first:?}"));
        }
    }
    let (mut pairs, mut left_out) = (Pairs::default(), 0);
    for (id, x) in a {
        let Some(y) = b.get(id) else { continue };
        if let (Some(p), Some(q)) = (&x.prompt, &y.prompt)
            && p != q
        {
            return Err(format!("the prompt of question {id:?} is another on each side"));
        }
        match (x.right, y.right) {
            (Some(true), Some(true)) => pairs.both += 1,
            (Some(true), Some(false)) => pairs.first_only += 1,
            (Some(false), Some(true)) => pairs.second_only += 1,
            (Some(false), Some(false)) => pairs.neither += 1,
            _ => left_out += 1,
        }
    }
    Ok((pairs, left_out))
}

/// The unpaired interval, over everything that rounded shares may mean.
fn apart(a: &Side, b: &Side) -> Option<ShareEstimate> {
    let of = |x: u64, y: u64| unpaired((x, a.n), (y, b.n), CONFIDENCE);
    let middle = of(a.correct, b.correct)?;
    Some(ShareEstimate {
        value: middle.value,
        low: of(a.between.1, b.between.0)?.low,
        high: of(a.between.0, b.between.1)?.high,
    })
}

fn decide(e: &ShareEstimate, s: CompareSettings, imported: bool) -> (Word, String) {
    let p = |v: f64| format!("{:+.2}", v * 100.0);
    let range = format!("the difference lies between {} and {} points", p(e.low), p(e.high));
    if e.low > s.threshold {
        if imported {
            let reason = format!("{range}: better, and imported results prove nothing");
            return (Word::Inconclusive, reason);
        }
        return (Word::Better, range);
    }
    if e.high < -s.threshold {
        return (Word::Worse, range);
    }
    if e.low >= -s.threshold && e.high <= s.threshold {
        return (Word::Same, format!("{range}, within {:.2}", s.threshold * 100.0));
    }
    let holds_zero = e.low <= 0.0 && e.high >= 0.0;
    if holds_zero && e.low >= -s.margin && e.high <= s.margin {
        return (Word::Same, format!("{range}: it shows none, and none beyond {:.2}", s.margin * 100.0));
    }
    (Word::Inconclusive, format!("{range}: ask more questions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: CompareSettings = CompareSettings { threshold: 0.01, margin: 0.03 };

    fn side(rights: &[Option<bool>], basis: Basis) -> Side {
        let items: BTreeMap<String, Item> = rights
            .iter()
            .enumerate()
            .map(|(i, r)| (format!("q{i}"), Item { right: *r, prompt: Some("p".into()) }))
            .collect();
        let correct = rights.iter().filter(|r| **r == Some(true)).count() as u64;
        Side {
            source: "s".into(),
            basis,
            task: "gsm8k".into(),
            n: rights.iter().flatten().count() as u64,
            correct,
            between: (correct, correct),
            unanswered: None,
            items: Some(items),
            settings: BTreeMap::new(),
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn of(n: usize, right: impl Fn(usize) -> bool) -> Side {
        side(&(0..n).map(|i| Some(right(i))).collect::<Vec<_>>(), Basis::Measured)
    }

    #[test]
    fn half_a_point_on_gsm8k_is_the_same() {
        // 0.915 and 0.920 of 1319: nested, with 5 % of answers that change, and with no relation at all.
        let a = of(1319, |i| i < 1207);
        let nested = of(1319, |i| i < 1213);
        let changing = of(1319, |i| (30..1243).contains(&i));
        let unrelated = of(1319, |i| i >= 106);
        for b in [&nested, &changing, &unrelated] {
            let c = compare(&a, b, POINTS);
            assert_eq!((c.verdict, c.paired), (Word::Same, true), "{:?}", c.reasons);
        }
        let (mut x, mut y) = (a, nested);
        (x.items, y.items) = (None, None);
        let c = compare(&x, &y, POINTS);
        assert_eq!((c.verdict, c.paired), (Word::Same, false), "{:?}", c.reasons);
    }

    #[test]
    fn differences_are_found_and_few_questions_decide_nothing() {
        let a = of(1319, |i| i < 1207);
        let worse = of(1319, |i| i < 1150);
        assert_eq!(compare(&a, &worse, POINTS).verdict, Word::Worse);
        assert_eq!(compare(&worse, &a, POINTS).verdict, Word::Better);
        let mut told = a.clone();
        told.basis = Basis::Imported;
        assert_eq!(compare(&worse, &told, POINTS).verdict, Word::Inconclusive);
        let (few, other) = (of(50, |i| i < 45), of(50, |i| i > 4));
        assert_eq!(compare(&few, &other, POINTS).verdict, Word::Inconclusive);
    }

    #[test]
    fn other_questions_are_refused_and_failed_ones_left_out() {
        let a = side(&[Some(true), None, Some(false)], Basis::Measured);
        let b = side(&[Some(true), Some(true), Some(false)], Basis::Measured);
        let c = compare(&a, &b, POINTS);
        assert_eq!(c.pairs.map(|p| (p.n, p.left_out)), Some((2, 1)));
        let refused = |change: &dyn Fn(&mut Side), word: &str| {
            let mut other = b.clone();
            change(&mut other);
            let c = compare(&a, &other, POINTS);
            assert_eq!(c.verdict, Word::Refused);
            assert!(c.reasons[0].contains(word), "{:?}", c.reasons);
        };
        refused(&|s| s.task = "mmlu".into(), "task");
        refused(&|s| s.faults.push("half of it failed".into()), "this result: half");
        let gone = |s: &mut Side| {
            s.items.as_mut().unwrap().remove("q2");
        };
        refused(&gone, "baseline alone");
        let other = |s: &mut Side| s.items.as_mut().unwrap().get_mut("q0").unwrap().prompt = Some("x".into());
        refused(&other, "prompt");
        let mut x = a.clone();
        x.settings.insert("shots".into(), "5".into());
        let mut y = b.clone();
        y.settings.insert("shots".into(), "0".into());
        assert_eq!(compare(&x, &y, POINTS).reasons, ["shots is 5 in the baseline and 0 here"]);
    }
}
