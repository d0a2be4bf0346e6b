//! The campaign's judgements once more, from the recorded evidence alone.

use std::collections::BTreeSet;

use perfwright_evidence::{CONTRACT, EvidenceSet, Gate, GateResult, sha256_hex};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::accuracy::{self, Accuracy, Outputs};
use super::alike::alike;
use super::amdahl;
use super::compose::{self, Measured};
use super::event::{SotaEvent, Stop};
use super::explain::{Explained, Explanation, explain};
use super::gap::{Gap, Range, compared};
use super::proof::{self, Proof};
use super::spec::SotaSpec;
use super::state::{SotaState, replay};
use super::{inner, names};

/// What every ended campaign is checked by.
pub const CHECKS: &[Gate] = &[SEQUENCE, RUNS_WHOLE, CONDITIONS, SEARCHED, GAP_DECIDED, EXPLAINED];
/// What a proven gain is checked by besides.
pub const GATES: &[Gate] = &[
    SEQUENCE,
    RUNS_WHOLE,
    CONDITIONS,
    SEARCHED,
    GAP_DECIDED,
    EXPLAINED,
    BOUNDED,
    REVIEWED,
    EXECUTED,
    ACCURATE,
    REVALIDATED,
    COMPOSED,
    PROVEN,
];

/// The events are a history that a campaign can have.
pub const SEQUENCE: Gate = Gate { id: "sota.sequence", version: 1, eval: sequence };
/// Runs that were recorded whole are whole, and their gates say the same.
pub const RUNS_WHOLE: Gate = Gate { id: "sota.runs", version: 1, eval: runs };
/// Everything was measured under the locked workload.
pub const CONDITIONS: Gate = Gate { id: "sota.conditions", version: 1, eval: conditions };
/// Every framework of the set was searched, and no other.
pub const SEARCHED: Gate = Gate { id: "sota.searched", version: 1, eval: searched };
/// The recorded A/B decides the gap as the campaign did.
pub const GAP_DECIDED: Gate = Gate { id: "sota.gap", version: 1, eval: gap };
/// The recorded comparison explains the gap as the campaign said.
pub const EXPLAINED: Gate = Gate { id: "sota.explained", version: 1, eval: explained };
/// Every round that began could reach the threshold.
pub const BOUNDED: Gate = Gate { id: "sota.bounded", version: 1, eval: bounded };
/// The accepted commit is the tree that gates and reviewer found clean.
pub const REVIEWED: Gate = Gate { id: "sota.reviewed", version: 1, eval: reviewed };
/// The new path ran.
pub const EXECUTED: Gate = Gate { id: "sota.executed", version: 1, eval: executed };
/// The answers stayed the same.
pub const ACCURATE: Gate = Gate { id: "sota.accurate", version: 1, eval: accurate };
/// The changed target is better than the baseline beyond the threshold.
pub const REVALIDATED: Gate = Gate { id: "sota.revalidated", version: 1, eval: revalidated };
/// The accepted changes hold together.
pub const COMPOSED: Gate = Gate { id: "sota.composed", version: 1, eval: composed };
/// The campaign ended as proven.
pub const PROVEN: Gate = Gate { id: "sota.proven", version: 1, eval: proven };

fn or_stop(result: Result<GateResult, String>) -> GateResult {
    result.unwrap_or_else(GateResult::hard_stop)
}

fn json(evidence: &EvidenceSet, name: &str) -> Result<Value, String> {
    evidence.json(name).map_err(|e| e.to_string())
}

fn typed<T: DeserializeOwned>(evidence: &EvidenceSet, name: &str) -> Result<T, String> {
    serde_json::from_value(json(evidence, name)?).map_err(|e| format!("{name}: {e}"))
}

fn spec(evidence: &EvidenceSet) -> Result<SotaSpec, String> {
    let contract = json(evidence, CONTRACT)?;
    let spec = contract.get("sota").cloned().ok_or("the contract is none of a campaign")?;
    serde_json::from_value(spec).map_err(|e| format!("the contract is of another version: {e}"))
}

fn events(evidence: &EvidenceSet) -> Result<Vec<SotaEvent>, String> {
    typed(evidence, names::EVENTS)
}

fn both(evidence: &EvidenceSet) -> Result<(SotaSpec, Vec<SotaEvent>, SotaState), String> {
    let (spec, events) = (spec(evidence)?, events(evidence)?);
    let state = replay(&spec, &events).map_err(|(n, e)| format!("event {n} cannot have happened: {e}"))?;
    Ok((spec, events, state))
}

fn sequence(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events, state) = both(evidence)?;
        if let Some(problem) = spec.problems().first() {
            return Err(problem.clone());
        }
        Ok(match state.stop {
            Some(stop) => GateResult::pass(format!("{} events, ended as {}", events.len(), stop.name()))
                .measured(stop.name()),
            None => GateResult::fail("the campaign has no end"),
        })
    })())
}

fn runs(evidence: &EvidenceSet) -> GateResult {
    let folders = inner::folders(evidence);
    let mut gates = 0;
    for folder in &folders {
        match inner::check(evidence, folder) {
            Ok(n) => gates += n,
            Err(why) => return GateResult::fail(format!("{folder}: {why}")),
        }
    }
    if folders.is_empty() {
        return GateResult::not_applicable("no run was recorded whole");
    }
    GateResult::pass(format!("{} runs are whole and their {gates} gates say the same", folders.len()))
        .measured(folders.len())
}

/// The load of an A/B's contract is the locked one; the address is filled in for each launch.
fn same_load(contract: &Value, spec: &SotaSpec) -> Result<(), String> {
    let locked = |name: &str| spec.workload.get(name).cloned().unwrap_or(Value::Null);
    if !contract.get("load").is_some_and(|load| alike(load, &locked("load"))) {
        return Err("measured under another load than the locked one".to_owned());
    }
    let metric = contract.pointer("/terms/metric").and_then(Value::as_str);
    if metric != Some(spec.metric.as_str()) {
        return Err("measured by another metric than the locked one".to_owned());
    }
    let threshold = contract.pointer("/terms/threshold").and_then(Value::as_f64);
    if threshold != Some(spec.threshold) {
        return Err("decided by another threshold than the locked one".to_owned());
    }
    Ok(())
}

fn conditions(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events) = (spec(evidence)?, events(evidence)?);
        let recorded = evidence.bytes(names::WORKLOAD).map_err(|e| e.to_string())?;
        if sha256_hex(&recorded) != spec.workload_sha256 {
            return Ok(GateResult::hard_stop("the recorded workload is not the locked one")
                .measured(sha256_hex(&recorded))
                .threshold(spec.workload_sha256));
        }
        let value: Value = serde_json::from_slice(&recorded).map_err(|e| e.to_string())?;
        if !alike(&value, &spec.workload) {
            return Err("the recorded workload says something else than the contract".to_owned());
        }
        let mut held = 0;
        for folder in compared_runs(&events) {
            let contract = json(evidence, &format!("{folder}/{CONTRACT}"))?;
            same_load(&contract, &spec).map_err(|e| format!("{folder}: {e}"))?;
            held += 1;
        }
        if evidence
            .entries()
            .iter()
            .any(|e| e.name == format!("{}/benchmark/candidates.jsonl", names::SEARCH))
        {
            searched_load(evidence, &spec)?;
            held += 1;
        }
        Ok(GateResult::pass("every measurement was made under the locked workload").measured(held))
    })())
}

/// Folders of the A/B runs that events rest on.
fn compared_runs(events: &[SotaEvent]) -> BTreeSet<&String> {
    events
        .iter()
        .filter_map(|e| match e {
            SotaEvent::GapDecided { run, .. }
            | SotaEvent::Accepted { run, .. }
            | SotaEvent::SetMeasured { run, .. } => Some(run),
            _ => None,
        })
        .collect()
}

fn search_rows(evidence: &EvidenceSet) -> Result<Vec<Value>, String> {
    let name = format!("{}/benchmark/candidates.jsonl", names::SEARCH);
    let bytes = evidence.bytes(&name).map_err(|e| e.to_string())?;
    let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    lines.map(|l| serde_json::from_slice(l).map_err(|e| format!("{name}: {e}"))).collect()
}

/// What the search offered: lengths, number and concurrency of the locked load.
fn searched_load(evidence: &EvidenceSet, spec: &SotaSpec) -> Result<(), String> {
    let plan = spec.workload.get("search").ok_or("the workload does not say what is searched")?;
    for row in search_rows(evidence)? {
        for key in ["input_len", "output_len", "num_prompts", "max_concurrency"] {
            let found = row.pointer(&format!("/workload/{key}")).and_then(Value::as_f64);
            let locked = plan.get(key).and_then(Value::as_f64);
            if found.is_none() || found != locked {
                return Err(format!("a searched row has {key} {found:?}, locked is {locked:?}"));
            }
        }
    }
    Ok(())
}

fn searched(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, _, state) = both(evidence)?;
        if state.winners.is_empty() {
            return Ok(GateResult::not_applicable("the campaign ended before the search"));
        }
        let rows = search_rows(evidence)?;
        let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let found: BTreeSet<String> = rows.iter().map(|r| text(r, "framework")).collect();
        let set: BTreeSet<String> = spec.frameworks().cloned().collect();
        if let Some(added) = found.difference(&set).next() {
            return Ok(GateResult::hard_stop(format!("{added} was searched and is not in the set")));
        }
        if let Some(dropped) = set.difference(&found).next() {
            return Ok(GateResult::hard_stop(format!("{dropped} is in the set and was not searched")));
        }
        for (framework, winner) in &state.winners {
            let own = |r: &&Value| text(r, "framework") == *framework && text(r, "status") == "ok";
            let figure = |r: &Value| r.pointer(&format!("/metrics/{}", spec.metric)).and_then(Value::as_f64);
            let best = rows.iter().filter(own).filter_map(|r| Some((figure(r)?, text(r, "candidate_id"))));
            let best = best.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id);
            if best.as_ref() != Some(&winner.candidate) {
                let other = best.unwrap_or_else(|| "none".to_owned());
                return Ok(GateResult::fail(format!(
                    "the best of {framework} is {other}, not {}",
                    winner.candidate
                )));
            }
        }
        Ok(GateResult::pass("each framework of the set was searched, and the winners are the best rows")
            .measured(rows.len()))
    })())
}

fn gap(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events, _) = both(evidence)?;
        let decided = events.iter().rev().find_map(|e| match e {
            SotaEvent::GapDecided { gap, run, gain, .. } => Some((*gap, run, *gain)),
            _ => None,
        });
        let Some((stated, run, gain)) = decided else {
            return Ok(GateResult::not_applicable("no gap was decided"));
        };
        let answer = compared(&json(evidence, &format!("{run}/benchmark/ab.json"))?)
            .ok_or("the answer of the A/B cannot be read")?;
        if !alike(&answer.gain, &gain) || answer.gap(spec.threshold) != stated {
            return Ok(GateResult::fail("the recorded A/B decides something else than the campaign"));
        }
        let range = gain.map_or_else(|| "no interval".to_owned(), |g| g.percent());
        Ok(GateResult::pass(format!("{}: the competitor gains {range}", stated.name()))
            .measured(gain.map_or(Value::Null, |g| g.low.into()))
            .threshold(spec.threshold))
    })())
}

fn explanation_again(evidence: &EvidenceSet, spec: &SotaSpec) -> Result<Explanation, String> {
    let compare = json(evidence, names::COMPARE)?;
    explain(&compare, spec.explained_share, spec.carrier_share)
}

fn explained(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, _, state) = both(evidence)?;
        let Some(stated) = state.explained else {
            return Ok(GateResult::not_applicable("no gap was explained"));
        };
        for name in [
            names::TARGET_TRIAGE,
            names::TARGET_PIPELINE,
            names::COMPETITOR_TRIAGE,
            names::COMPETITOR_PIPELINE,
        ] {
            let answer = json(evidence, name)?;
            if let Some(code) = answer.pointer("/stop/code").and_then(Value::as_str) {
                return Err(format!("{name} stopped with {code}"));
            }
        }
        let again = explanation_again(evidence, &spec)?;
        let stored: Explanation = typed(evidence, names::EXPLANATION)?;
        if !alike(&again, &stored) || again.answer != stated || !alike(&again.carriers, &state.carriers) {
            return Ok(GateResult::fail(
                "the recorded comparison explains something else than the campaign said",
            ));
        }
        Ok(match stated {
            Explained::Explained => GateResult::pass(again.reason),
            other => GateResult::not_applicable(format!("{}: {}", other.name(), again.reason)),
        }
        .measured(again.explained_share)
        .threshold(again.needed_share))
    })())
}

fn bounded(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events, _) = both(evidence)?;
        let compare = json(evidence, names::COMPARE)?;
        let explanation = explanation_again(evidence, &spec)?;
        let mut least: Option<f64> = None;
        for event in &events {
            let SotaEvent::AttemptOpened { bound, attempt, .. } = event else { continue };
            let again = amdahl::bound(&compare, &explanation, &bound.categories, spec.threshold)?;
            if !alike(&again, bound) {
                return Ok(GateResult::fail(format!(
                    "attempt {attempt} has another bound than the recorded one"
                )));
            }
            if !again.starts {
                return Ok(GateResult::fail(format!("attempt {attempt} could not reach the threshold")));
            }
            least = Some(least.map_or(again.at_most, |l: f64| l.min(again.at_most)));
        }
        Ok(match least {
            None => GateResult::fail("no attempt was made"),
            Some(least) => GateResult::pass("every attempt could reach the threshold")
                .measured(least)
                .threshold(spec.threshold),
        })
    })())
}

fn last_accepted(events: &[SotaEvent]) -> Option<(&str, &str, Range, u64)> {
    events.iter().rev().find_map(|e| match e {
        SotaEvent::Accepted { commit, run, gain, launches, .. } => {
            Some((commit.as_str(), run.as_str(), *gain, *launches))
        }
        _ => None,
    })
}

fn reviewed(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let events = events(evidence)?;
        let Some((commit, ..)) = last_accepted(&events) else {
            return Ok(GateResult::fail("no change was accepted"));
        };
        let name = format!("{}/campaign/events.json", names::ROUNDS);
        let rounds: Vec<crate::event::Event> = typed(evidence, &name)?;
        let state = crate::transition::replay(&rounds).map_err(|(n, e)| format!("{name}, event {n}: {e}"))?;
        let clean = state.clean.as_ref().map_or("none", |m| m.commit.as_str());
        if state.phase != crate::state::Phase::Done || clean != commit {
            return Ok(GateResult::fail("the accepted commit is not the one that the rounds found clean")
                .measured(clean)
                .threshold(commit));
        }
        Ok(GateResult::pass("gates and reviewer found the accepted commit clean").measured(commit))
    })())
}

fn executed(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let stored: Proof = typed(evidence, names::EXECUTION)?;
        let (before, after) =
            (json(evidence, names::TARGET_TRIAGE)?, json(evidence, names::CANDIDATE_TRIAGE)?);
        let events = events(evidence)?;
        let categories = events.iter().rev().find_map(|e| match e {
            SotaEvent::AttemptOpened { bound, .. } => Some(bound.categories.clone()),
            _ => None,
        });
        let again = proof::prove(&before, &after, &categories.unwrap_or_default(), &[])?;
        if !alike(&again, &stored) {
            return Ok(GateResult::fail("the recorded profiles show something else than the recorded proof"));
        }
        let launches = last_accepted(&events).map_or(0, |(.., n)| n);
        Ok(if again.proven && again.new_launches == launches {
            GateResult::pass(again.reason).measured(again.new_launches).threshold(1)
        } else {
            GateResult::fail(again.reason).measured(again.new_launches).threshold(1)
        })
    })())
}

fn accurate(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let spec = spec(evidence)?;
        let outputs: Outputs = typed(evidence, names::OUTPUTS)?;
        let stored: Accuracy = typed(evidence, names::ACCURACY)?;
        let again = accuracy::judge(&outputs, &spec.accuracy.prompts, spec.accuracy.min_same);
        if !alike(&again, &stored) {
            return Ok(GateResult::fail("the recorded answers give another judgement than the recorded one"));
        }
        let result =
            if again.passes { GateResult::pass(again.reason) } else { GateResult::fail(again.reason) };
        Ok(result.measured(again.same).threshold(again.min_same))
    })())
}

fn revalidated(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events) = (spec(evidence)?, events(evidence)?);
        let Some((commit, run, gain, _)) = last_accepted(&events) else {
            return Ok(GateResult::fail("no change was accepted"));
        };
        let contract = json(evidence, &format!("{run}/{CONTRACT}"))?;
        let candidate = |side: &str| contract.pointer(&format!("/{side}/candidate")).and_then(Value::as_str);
        if candidate("a") != Some(spec.baseline.commit.as_str()) || candidate("b") != Some(commit) {
            return Ok(GateResult::fail("the A/B is not of the baseline and the accepted commit"));
        }
        let answer = compared(&json(evidence, &format!("{run}/benchmark/ab.json"))?)
            .ok_or("the answer of the A/B cannot be read")?;
        if !alike(&answer.gain, &Some(gain)) {
            return Ok(GateResult::fail("the recorded A/B has another gain than the accepted one"));
        }
        // Target first, so what is behind here is the baseline.
        let better = answer.gap(spec.threshold) == Gap::Behind;
        let text = format!("the accepted commit gains {}", gain.percent());
        let result = if better { GateResult::pass(text) } else { GateResult::fail(text) };
        Ok(result.measured(gain.low).threshold(spec.threshold))
    })())
}

fn composed(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, events, state) = both(evidence)?;
        let stored: compose::Composition = typed(evidence, names::COMPOSITION)?;
        let changes: BTreeSet<String> = state.accepted.iter().map(|c| c.change.clone()).collect();
        let accuracy: Accuracy = typed(evidence, names::ACCURACY)?;
        let off = if accuracy.off_is_baseline { changes.clone() } else { BTreeSet::new() };
        let measured: Vec<Measured> = measured_sets(&changes, &events);
        for one in &measured {
            let answer = compared(&json(evidence, &format!("{}/benchmark/ab.json", one.evidence))?);
            if !alike(&answer.and_then(|a| a.gain), &Some(one.gain)) {
                return Ok(GateResult::fail(format!(
                    "{} shows another gain than the recorded one",
                    one.evidence
                )));
            }
        }
        let again = compose::compose(&changes, &measured, &off, spec.threshold);
        if !alike(&again, &stored) {
            return Ok(GateResult::fail("the recorded measurements compose to something else"));
        }
        let low = again.together.map_or(Value::Null, |g| g.low.into());
        let result =
            if again.holds { GateResult::pass(again.reason) } else { GateResult::fail(again.reason) };
        Ok(result.measured(low).threshold(spec.threshold))
    })())
}

/// The sets of changes that were measured: each change is accepted on top of those before it, so the last A/B holds all
/// of them; others were measured for themselves.
#[must_use]
pub fn measured_sets(changes: &BTreeSet<String>, events: &[SotaEvent]) -> Vec<Measured> {
    let mut on = BTreeSet::new();
    let mut out = Vec::new();
    for event in events {
        if let SotaEvent::Accepted { change, gain, run, .. } = event
            && changes.contains(change)
        {
            on.insert(change.clone());
            out.push(Measured { on: on.clone(), gain: *gain, evidence: run.clone() });
        }
        if let SotaEvent::SetMeasured { on, gain, run } = event {
            out.push(Measured { on: on.iter().cloned().collect(), gain: *gain, evidence: run.clone() });
        }
    }
    out
}

fn proven(evidence: &EvidenceSet) -> GateResult {
    or_stop((|| {
        let (spec, _, state) = both(evidence)?;
        let gain = state.accepted.last().map(|c| c.gain);
        Ok(match (state.stop, gain) {
            (Some(Stop::Proven), Some(gain)) => GateResult::pass(format!("proven: {}", gain.percent()))
                .measured(gain.low)
                .threshold(spec.threshold),
            (stop, _) => GateResult::fail(format!("ended as {}", stop.map_or("under way", Stop::name))),
        })
    })())
}
