//! Entries: the rows of one candidate under one set of conditions, with one value to rank by.

use std::collections::BTreeMap;

use super::contract::Conditions;
use super::fairness;
use crate::rows::{Row, Status};
use crate::sla::State;

/// One candidate of a ranking.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Its rows, in the order of reading; several are repeats.
    pub rows: Vec<&'a Row>,
    /// What is compared, one value a row; more is better.
    pub values: Vec<f64>,
    /// Ends of the interval that a search gave.
    pub interval: Option<(f64, f64)>,
    /// GPUs it used.
    pub gpus: Option<u32>,
}

/// A row that is kept and not ranked.
#[derive(Debug, Clone)]
pub struct Aside<'a> {
    /// The row.
    pub row: &'a Row,
    /// Why.
    pub reason: String,
    /// In a word: `failed`, `oom`, `timeout`, `skipped`, `sla`, `duplicate`, `unfair` or `unusable`.
    pub kind: &'static str,
}

/// What a group is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankedBy {
    /// What a search found, per GPU.
    Objective,
    /// Requests per second per GPU.
    ThroughputPerGpu,
    /// At a fixed offered rate every candidate that keeps up has the same throughput: fewer GPUs, then latency.
    LatencyAtRate,
}

impl RankedBy {
    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Objective => "largest load under the SLA, per GPU",
            Self::ThroughputPerGpu => "requests per second per GPU",
            Self::LatencyAtRate => "GPUs, then latency, at the same offered rate",
        }
    }
}

/// What the rows under these conditions are ranked by.
#[must_use]
pub fn ranked_by(conditions: &Conditions) -> RankedBy {
    if conditions.contains_key("objective") {
        RankedBy::Objective
    } else if conditions.contains_key("request_rate") {
        RankedBy::LatencyAtRate
    } else {
        RankedBy::ThroughputPerGpu
    }
}

/// A candidate that serves less than this share of what the offered rate allows did not keep up.
pub const KEPT_UP: f64 = 0.9;

/// Puts the rows of one group into entries, and aside what cannot be ranked.
#[must_use]
pub fn entries<'a>(rows: &[&'a Row], by: RankedBy) -> (Vec<Entry<'a>>, Vec<Aside<'a>>) {
    let mut asides = Vec::new();
    let mut seen: BTreeMap<String, &Row> = BTreeMap::new();
    let counted = rows.iter().any(|r| usable(r) && r.hardware.gpu_count.is_some());
    let mut groups: Vec<(String, Entry<'a>)> = Vec::new();
    for row in rows {
        let aside = |reason: String, kind: &'static str| Aside { row, reason, kind };
        if let Some(bad) = refused(row, counted) {
            asides.push(aside(bad.1, bad.0));
            continue;
        }
        if let Some(first) = seen.get(&figures(row)) {
            let at = &first.source;
            let reason = format!(
                "the same figures to the last digit as {} {} ({}{})",
                first.framework,
                first.candidate_id,
                at.file,
                at.line.map_or_else(String::new, |l| format!(", line {l}"))
            );
            asides.push(aside(reason, "duplicate"));
            continue;
        }
        seen.insert(figures(row), row);
        let value = match value(row, by) {
            Ok(value) => value,
            Err(reason) => {
                asides.push(aside(reason, "unusable"));
                continue;
            }
        };
        let key = format!(
            "{}\0{}\0{:?}\0{:?}\0{:?}",
            row.framework,
            row.candidate_id,
            row.server_command,
            row.hardware.gpu_count,
            row.framework_version
        );
        let per_gpu = f64::from(row.hardware.gpu_count.unwrap_or(1));
        let interval = row.objective.as_ref().map(|o| (o.low / per_gpu, o.high / per_gpu));
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, entry)) => {
                entry.rows.push(row);
                entry.values.push(value);
            }
            None => {
                let (rows, gpus) = (vec![*row], row.hardware.gpu_count);
                groups.push((key, Entry { rows, values: vec![value], interval, gpus }));
            }
        }
    }
    // A candidate meets its SLA when every repeat does.
    let mut kept = Vec::new();
    for (_, entry) in groups {
        let answers: Vec<_> = entry.rows.iter().map(|r| r.sla.evaluate(r)).collect();
        let good = |s: State| matches!(s, State::Passed | State::NotStated);
        let met = answers.iter().filter(|a| good(a.state)).count();
        if met == entry.rows.len() {
            kept.push(entry);
            continue;
        }
        let first = answers.iter().find_map(crate::sla::SlaAnswer::reason).unwrap_or_default();
        for row in &entry.rows {
            let reason = match entry.rows.len() {
                1 => first.clone(),
                n => format!("{met} of {n} repeats meet the SLA; {first}"),
            };
            asides.push(Aside { row, reason, kind: "sla" });
        }
    }
    (kept, asides)
}

fn usable(row: &Row) -> bool {
    row.status == Status::Ok && row.problems.is_empty()
}

/// Why a row cannot be ranked whatever the others are.
fn refused(row: &Row, gpus_counted: bool) -> Option<(&'static str, String)> {
    if row.status != Status::Ok {
        let reason = row.failure_reason.clone().or_else(|| row.problems.first().cloned());
        return Some((row.status.name(), reason.unwrap_or_else(|| "no reason was recorded".to_owned())));
    }
    if !row.problems.is_empty() {
        return Some(("unusable", row.problems.join("; ")));
    }
    if let Some(reason) = fairness::unfair(row) {
        return Some(("unfair", reason));
    }
    if gpus_counted && row.hardware.gpu_count.is_none() {
        return Some((
            "unusable",
            "the number of GPUs is not stated, and other rows state theirs".to_owned(),
        ));
    }
    None
}

/// All figures of a row: two measurements never agree in all of them to the last digit by chance, unless there are
/// next to none.
fn figures(row: &Row) -> String {
    format!(
        "{}\0{:?}\0{:?}\0{:?}",
        row.framework,
        row.metrics.iter().map(|(k, v)| (k, v.to_bits())).collect::<Vec<_>>(),
        row.hardware.gpu_count,
        row.objective.as_ref().map(|o| o.value.to_bits())
    )
}

fn value(row: &Row, by: RankedBy) -> Result<f64, String> {
    let gpus = f64::from(row.hardware.gpu_count.unwrap_or(1));
    let throughput = row.metric("request_throughput");
    match by {
        RankedBy::Objective => Ok(row.objective.as_ref().map_or(0.0, |o| o.value) / gpus),
        RankedBy::ThroughputPerGpu => {
            throughput.map(|t| t / gpus).ok_or_else(|| "no request_throughput".to_owned())
        }
        RankedBy::LatencyAtRate => {
            let throughput = throughput.ok_or_else(|| "no request_throughput".to_owned())?;
            // A finite load also takes as long as its last request.
            let (rate, last) = (row.workload.request_rate, row.metric("mean_e2e_ms"));
            if let (Some(rate), Some(n), Some(last)) = (rate, row.workload.num_prompts, last) {
                let n = n as f64;
                let possible = n / (n / rate + last / 1000.0);
                if throughput < KEPT_UP * possible {
                    return Err(format!(
                        "{throughput:.4} requests per second were served, {possible:.4} were possible at the offered {rate}"
                    ));
                }
            }
            let names =
                ["p50_e2e_ms", "mean_e2e_ms", "p50_tpot_ms", "mean_tpot_ms", "p50_ttft_ms", "mean_ttft_ms"];
            let latency = names.iter().find_map(|n| row.metric(n)).filter(|l| *l > 0.0);
            // More is better everywhere, so latency is turned round.
            latency.map(|l| 1000.0 / l).ok_or_else(|| "no latency".to_owned())
        }
    }
}
