//! Where a SOTA campaign stands: one pure function over its events. It refuses what comes out of order: a patch before
//! profile, layers and explanation, a category that does not carry the gap, a round that can give too little.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{SotaEvent, Stage, Stop};
use super::explain::{Carrier, Explained};
use super::gap::{Gap, Range};
use super::spec::SotaSpec;
use super::technique::{Failure, Register};

/// The best of a framework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Winner {
    /// The candidate.
    pub candidate: String,
    /// Its command.
    pub command: String,
}

/// An accepted change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The attempt.
    pub attempt: u32,
    /// Its name.
    pub change: String,
    /// Its commit.
    pub commit: String,
    /// Gain over the baseline, alone.
    pub gain: Range,
}

/// An attempt that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    /// Its number.
    pub attempt: u32,
    /// Its technique.
    pub technique: String,
    /// Categories that it is for.
    pub categories: Vec<String>,
}

/// Where a campaign stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SotaState {
    /// Events so far.
    pub events: u64,
    /// The boundary is locked.
    pub opened: bool,
    /// Winners by framework.
    pub winners: BTreeMap<String, Winner>,
    /// The decision on the gap.
    pub gap: Option<Gap>,
    /// The competitor that the target is held against.
    pub competitor: Option<String>,
    /// Gain of that competitor.
    pub gap_range: Option<Range>,
    /// Sides with tables.
    pub triaged: BTreeSet<String>,
    /// Sides with layers.
    pub layered: BTreeSet<String>,
    /// Whether the gap is explained.
    pub explained: Option<Explained>,
    /// Categories that carry it.
    pub carriers: Vec<Carrier>,
    /// Attempts so far.
    pub attempts: u32,
    /// The one under way.
    pub open: Option<Open>,
    /// Accepted changes.
    pub accepted: Vec<Change>,
    /// Techniques and failures.
    pub register: Register,
    /// Accepted changes hold together.
    pub composed: Option<bool>,
    /// Parts that were not available, with the reason.
    pub not_available: BTreeMap<String, String>,
    /// Why it ended.
    pub stop: Option<Stop>,
}

impl SotaState {
    /// What is due.
    #[must_use]
    pub fn stage(&self, spec: &SotaSpec) -> Stage {
        if self.stop.is_some() {
            Stage::End
        } else if !self.opened {
            Stage::Boundary
        } else if !spec.frameworks().all(|f| self.winners.contains_key(f)) {
            Stage::Search
        } else if self.gap.is_none() {
            Stage::Gap
        } else if !["target", "competitor"].iter().all(|s| self.triaged.contains(*s)) {
            Stage::Profile
        } else if self.explained.is_none() {
            Stage::Explain
        } else if self.open.is_some() || self.accepted.is_empty() {
            Stage::Attempts
        } else if self.composed.is_none() {
            Stage::Compose
        } else {
            Stage::End
        }
    }

    /// Why the campaign has to end now, if it has to.
    #[must_use]
    pub fn due_stop(&self, spec: &SotaSpec) -> Option<(Stop, String)> {
        let end = |stop, reason: &str| Some((stop, reason.to_owned()));
        match self.gap {
            Some(Gap::Ahead | Gap::Level) => return end(Stop::NotBehind, "the target is not behind"),
            Some(Gap::Open) => {
                return end(Stop::Inconclusive, "the gap is not decided; repeat on a quieter machine");
            }
            Some(Gap::Behind) | None => {}
        }
        match self.explained {
            Some(Explained::NotExplained | Explained::NoGap) => {
                return end(Stop::NotExplained, "the profiles do not explain the gap");
            }
            Some(Explained::Explained) | None => {}
        }
        if let Some(over) = self.register.over(&spec.budgets) {
            return Some((Stop::Budget, over));
        }
        match self.composed {
            Some(true) => end(Stop::Proven, "the accepted changes are proven together"),
            Some(false) => end(Stop::Inconclusive, "the accepted changes do not hold together"),
            None => None,
        }
    }
}

/// An event that came out of order, or that a gate of the campaign forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event}: {why}")]
pub struct OutOfOrder {
    /// The event's name.
    pub event: &'static str,
    /// Why it may not be.
    pub why: String,
}

/// The state after `event`.
///
/// # Errors
/// The event may not come here; the state is then unchanged.
pub fn apply(spec: &SotaSpec, state: &SotaState, event: &SotaEvent) -> Result<SotaState, OutOfOrder> {
    let mut next = state.clone();
    step(spec, &mut next, event).map_err(|why| OutOfOrder { event: event.name(), why })?;
    next.events += 1;
    Ok(next)
}

/// The state after all of `events`.
///
/// # Errors
/// The number of the first that may not be, from 0, and why.
pub fn replay(spec: &SotaSpec, events: &[SotaEvent]) -> Result<SotaState, (usize, OutOfOrder)> {
    let mut state = SotaState::default();
    for (n, event) in events.iter().enumerate() {
        state = apply(spec, &state, event).map_err(|e| (n, e))?;
    }
    Ok(state)
}

fn need(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn step(spec: &SotaSpec, s: &mut SotaState, event: &SotaEvent) -> Result<(), String> {
    need(s.stop.is_none(), "the campaign has ended")?;
    let opens = matches!(event, SotaEvent::Opened { .. });
    need(opens || s.opened, "nothing is locked yet")?;
    match event {
        SotaEvent::Opened { baseline, workload_sha256 } => {
            need(!s.opened, "it is open already")?;
            need(*baseline == spec.baseline.commit, "another baseline than the locked one")?;
            need(*workload_sha256 == spec.workload_sha256, "another workload than the locked one")?;
            s.opened = true;
        }
        SotaEvent::Searched { framework, winner, command, candidates, .. } => {
            need(s.gap.is_none(), "the gap is decided; searching goes before")?;
            let in_set = spec.frameworks().any(|f| f == framework);
            need(in_set, format!("{framework} is not in the set; none is added"))?;
            need(
                !s.winners.contains_key(framework),
                format!("{framework} was searched; once, before any patch"),
            )?;
            need(*candidates > 0, format!("no candidate of {framework} was measured"))?;
            let won = Winner { candidate: winner.clone(), command: command.clone() };
            s.winners.insert(framework.clone(), won);
        }
        SotaEvent::GapDecided { competitor, gap, gain, .. } => {
            let missing = spec.frameworks().find(|f| !s.winners.contains_key(*f));
            need(missing.is_none(), format!("{} was not searched", missing.map_or("", String::as_str)))?;
            need(spec.competitors.contains(competitor), format!("{competitor} is no competitor"))?;
            need(s.gap.is_none() || s.gap == Some(Gap::Open), "the gap is decided")?;
            need(s.triaged.is_empty(), "profiles come after the decision")?;
            s.gap = Some(*gap);
            s.gap_range = *gain;
            s.competitor = Some(competitor.clone());
        }
        SotaEvent::Profiled { side, pipeline, .. } => {
            need(s.gap == Some(Gap::Behind), "only a target that is behind is profiled")?;
            s.triaged.insert(side.clone());
            if pipeline.is_some() {
                s.layered.insert(side.clone());
            }
        }
        SotaEvent::GapExplained { answer, carriers, .. } => {
            for side in ["target", "competitor"] {
                need(s.triaged.contains(side), format!("{side} has no tables"))?;
                need(s.layered.contains(side), format!("{side} has no layers: the pipeline is missing"))?;
            }
            need(s.open.is_none() && s.accepted.is_empty(), "explaining comes before the first patch")?;
            need(
                *answer == Explained::Explained || carriers.is_empty(),
                "carriers of a gap without explanation",
            )?;
            s.explained = Some(*answer);
            s.carriers.clone_from(carriers);
        }
        SotaEvent::AttemptOpened { attempt, technique, bound, .. } => {
            need(s.explained == Some(Explained::Explained), "no patch without an explained gap")?;
            need(s.open.is_none(), "an attempt is under way")?;
            need(*attempt == s.attempts + 1, "attempts are counted one by one")?;
            need(!bound.categories.is_empty(), "an attempt is for at least one category")?;
            for category in &bound.categories {
                let carries = s.carriers.iter().any(|c| c.category == *category);
                need(carries, format!("{category} does not carry the gap"))?;
            }
            let enough = bound.at_most > spec.threshold && bound.starts;
            need(enough, format!("{:.2} % at most: under the threshold", 100.0 * bound.at_most))?;
            if let Some(why) = s.register.refuses(technique, &spec.budgets) {
                return Err(why);
            }
            s.attempts = *attempt;
            s.open = Some(Open {
                attempt: *attempt,
                technique: technique.clone(),
                categories: bound.categories.clone(),
            });
        }
        SotaEvent::AttemptRefused { .. } => {
            need(s.explained.is_some(), "nothing was to be tried yet")?;
        }
        SotaEvent::Failed { attempt, failure, signature, .. } => {
            let open =
                s.open.clone().filter(|o| o.attempt == *attempt).ok_or("no such attempt is under way")?;
            need(!signature.trim().is_empty(), "a failure without a signature")?;
            s.register.failed(&open.technique, *failure, signature, &spec.budgets);
            // What broke a rule or the machine is made again within the attempt; what was measured has ended it.
            if *failure == Failure::Scientific {
                s.open = None;
            }
        }
        SotaEvent::Accepted { attempt, change, commit, gain, launches, .. } => {
            let open =
                s.open.take().filter(|o| o.attempt == *attempt).ok_or("no such attempt is under way")?;
            need(gain.low > spec.threshold, "its interval does not exclude the threshold")?;
            need(*launches > 0, "the new path was never launched")?;
            need(s.triaged.contains("candidate"), "the change was not profiled")?;
            need(!s.accepted.iter().any(|c| c.change == *change), "it was accepted already")?;
            s.register.accepted(&open.technique);
            s.accepted.push(Change {
                attempt: *attempt,
                change: change.clone(),
                commit: commit.clone(),
                gain: *gain,
            });
        }
        SotaEvent::SetMeasured { on, .. } => {
            let known = |c: &String| s.accepted.iter().any(|a| a.change == *c);
            need(!on.is_empty() && on.iter().all(known), "a set of changes that were not accepted")?;
        }
        SotaEvent::Composed { holds, .. } => {
            need(!s.accepted.is_empty(), "nothing was accepted")?;
            need(s.open.is_none(), "an attempt is under way")?;
            s.composed = Some(*holds);
        }
        SotaEvent::NotAvailable { what, why } => {
            need(!why.trim().is_empty(), "not available without a reason")?;
            s.not_available.insert(what.clone(), why.clone());
        }
        SotaEvent::Closed { stop, .. } => {
            need(
                *stop != Stop::Proven || s.composed == Some(true),
                "proven before the changes were measured together",
            )?;
            let behind = !matches!(s.gap, Some(Gap::Ahead | Gap::Level));
            need(*stop != Stop::NotBehind || !behind, "the target is not known to be level or ahead")?;
            s.open = None;
            s.stop = Some(*stop);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::amdahl::Bound;
    use super::super::event::Idea;
    use super::super::spec::tests::spec;
    use super::*;

    fn range(low: f64, high: f64) -> Range {
        Range { value: (low + high) / 2.0, low, high }
    }

    fn searched(framework: &str) -> SotaEvent {
        SotaEvent::Searched {
            framework: framework.to_owned(),
            winner: "baseline".to_owned(),
            command: "serve".to_owned(),
            candidates: 2,
            run: "runs/search".to_owned(),
        }
    }

    fn decided(gap: Gap) -> SotaEvent {
        let gain = Some(range(0.1, 0.2));
        SotaEvent::GapDecided { competitor: "other".to_owned(), gap, gain, run: "runs/gap".to_owned() }
    }

    fn profiled(side: &str, pipeline: bool) -> SotaEvent {
        let pipeline = pipeline.then(|| "p.json".to_owned());
        SotaEvent::Profiled { side: side.to_owned(), triage: "t.json".to_owned(), pipeline }
    }

    fn explained(answer: Explained) -> SotaEvent {
        let carriers = match answer {
            Explained::Explained => {
                vec![Carrier { category: "attention".to_owned(), share: 0.9, kernels: true }]
            }
            _ => Vec::new(),
        };
        SotaEvent::GapExplained { answer, carriers, evidence: "e.json".to_owned() }
    }

    fn opened(attempt: u32, category: &str, at_most: f64) -> SotaEvent {
        SotaEvent::AttemptOpened {
            attempt,
            technique: "fuse".to_owned(),
            bound: Bound {
                categories: vec![category.to_owned()],
                share: 0.5,
                at_most,
                as_competitor: 0.1,
                threshold: 0.01,
                starts: at_most > 0.01,
            },
            idea: Idea { source: "profile".to_owned(), says: "x".to_owned() },
            parent: "a".repeat(40),
        }
    }

    fn failed(failure: Failure, signature: &str) -> SotaEvent {
        SotaEvent::Failed { attempt: 1, failure, signature: signature.to_owned(), evidence: "e".to_owned() }
    }

    fn accepted(low: f64, launches: u64) -> SotaEvent {
        SotaEvent::Accepted {
            attempt: 1,
            change: "fused".to_owned(),
            commit: "b".repeat(40),
            gain: range(low, 0.3),
            run: "runs/revalidation".to_owned(),
            launches,
        }
    }

    fn composed(holds: bool) -> SotaEvent {
        SotaEvent::Composed { holds, together: Some(range(0.1, 0.2)), evidence: "c.json".to_owned() }
    }

    fn closed(stop: Stop) -> SotaEvent {
        SotaEvent::Closed { stop, reason: "r".to_owned() }
    }

    fn begin() -> SotaEvent {
        SotaEvent::Opened { baseline: "a".repeat(40), workload_sha256: "0".repeat(64) }
    }

    /// A whole campaign that ends as proven.
    fn whole() -> Vec<SotaEvent> {
        vec![
            begin(),
            searched("target"),
            searched("other"),
            decided(Gap::Behind),
            profiled("target", true),
            profiled("competitor", true),
            explained(Explained::Explained),
            opened(1, "attention", 0.5),
            failed(Failure::Invalid, "locked"),
            profiled("candidate", false),
            accepted(0.05, 9),
            composed(true),
            closed(Stop::Proven),
        ]
    }

    #[test]
    fn a_whole_campaign_goes_from_stage_to_stage() {
        let (spec, events) = (spec(), whole());
        let stages: Vec<Stage> =
            (0..=events.len()).map(|n| replay(&spec, &events[..n]).unwrap().stage(&spec)).collect();
        use Stage::{Attempts, Boundary, Compose, End, Explain, Gap, Profile, Search};
        let expected = [
            Boundary, Search, Search, Gap, Profile, Profile, Explain, Attempts, Attempts, Attempts, Attempts,
            Compose, End, End,
        ];
        assert_eq!(stages, expected);
        assert_eq!(replay(&spec, &events).unwrap().stop, Some(Stop::Proven));
    }

    #[test]
    fn leaving_out_any_step_is_refused() {
        let (spec, events) = (spec(), whole());
        for n in 0..events.len() {
            // The refused try within the attempt is the one event that need not have been; the last ends it.
            if matches!(events[n], SotaEvent::Failed { .. }) || n + 1 == events.len() {
                continue;
            }
            let mut without = events.clone();
            let missing = without.remove(n);
            assert!(replay(&spec, &without).is_err(), "{} may not be left out", missing.name());
        }
    }

    #[test]
    fn what_may_not_be_says_why() {
        let spec = spec();
        let events = whole();
        let cases: Vec<(usize, SotaEvent, &str)> = vec![
            (
                0,
                SotaEvent::Opened { baseline: "b".repeat(40), workload_sha256: "0".repeat(64) },
                "another baseline",
            ),
            (
                0,
                SotaEvent::Opened { baseline: "a".repeat(40), workload_sha256: "1".repeat(64) },
                "another workload",
            ),
            (1, searched("third"), "none is added"),
            (2, searched("target"), "once"),
            (2, decided(Gap::Behind), "other was not searched"),
            (4, searched("other"), "the gap is decided"),
            (7, opened(1, "gemm", 0.5), "does not carry the gap"),
            (7, opened(1, "attention", 0.009), "under the threshold"),
            (7, opened(2, "attention", 0.5), "one by one"),
            (10, accepted(0.009, 9), "exclude the threshold"),
            (10, accepted(0.05, 0), "never launched"),
            (11, closed(Stop::Proven), "measured together"),
            (11, closed(Stop::NotBehind), "not known"),
            (13, closed(Stop::Proven), "has ended"),
        ];
        for (n, event, why) in cases {
            let state = replay(&spec, &events[..n]).unwrap();
            let refused = apply(&spec, &state, &event).unwrap_err();
            assert!(refused.why.contains(why), "{why}: {refused}");
        }
    }

    #[test]
    fn a_missing_pipeline_keeps_the_gap_unexplained() {
        let spec = spec();
        let mut events = whole();
        events[5] = profiled("competitor", false);
        let (at, refused) = replay(&spec, &events).unwrap_err();
        assert_eq!((at, refused.why.as_str()), (6, "competitor has no layers: the pipeline is missing"));
    }

    #[test]
    fn ends_that_are_due_are_named() {
        let (spec, events) = (spec(), whole());
        let due = |events: &[SotaEvent]| replay(&spec, events).unwrap().due_stop(&spec).map(|(stop, _)| stop);
        let after = |n: usize, event: SotaEvent| [&events[..n], &[event]].concat();
        assert_eq!(due(&events[..7]), None);
        for (gap, stop) in
            [(Gap::Level, Stop::NotBehind), (Gap::Ahead, Stop::NotBehind), (Gap::Open, Stop::Inconclusive)]
        {
            assert_eq!(due(&after(3, decided(gap))), Some(stop));
        }
        assert_eq!(due(&after(6, explained(Explained::NotExplained))), Some(Stop::NotExplained));
        assert_eq!(due(&after(11, composed(false))), Some(Stop::Inconclusive));
        let mut tired = events[..8].to_vec();
        tired.extend((0..3).map(|n| failed(Failure::Invalid, &format!("cheat {n}"))));
        assert_eq!(due(&tired), Some(Stop::Budget));
    }
}
