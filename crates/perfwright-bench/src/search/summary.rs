//! One row per candidate, scenario and concurrency cap, from all rows of a finished search: what `bench compare`
//! ranks. Candidates that failed or were screened out are there too, with the reason.

use super::screen::Screenings;
use super::steps::{Conditions, Done, Fate, Final, walk};
use crate::plan::types::Plan;
use crate::rows::{Objective, Row, Status};

/// The rows; none while trials are missing.
#[must_use]
pub fn summary(
    plan: &Plan,
    conditions: &Conditions,
    done: &Done,
    screenings: &Screenings,
) -> Option<Vec<Row>> {
    let walked = walk(plan, conditions, done, screenings).ok()?;
    let mut out = Vec::new();
    for ((framework, candidate), fate) in &walked.fates {
        match fate {
            Fate::Final => {
                let own =
                    walked.finals.iter().filter(|f| f.framework == *framework && f.candidate == *candidate);
                for fin in own {
                    out.extend(finals(fin, done));
                }
            }
            Fate::Ended(key) => out.extend(done.get(key).cloned()),
            Fate::Screened { rung, place, of } => {
                let row = done.values().find(|r| r.framework == *framework && r.candidate_id == *candidate);
                if let Some(row) = row {
                    let mut row = row.clone();
                    row.status = Status::Skipped;
                    row.failure_reason =
                        Some(format!("screened out: place {place} of {of} in screening round {}", rung + 1));
                    out.push(row);
                }
            }
        }
    }
    Some(out)
}

fn finals(fin: &Final, done: &Done) -> Vec<Row> {
    let rows: Vec<&Row> = fin.keys.iter().filter_map(|k| done.get(k)).collect();
    let Some(found) = &fin.found else { return rows.into_iter().cloned().collect() };
    // The row of the largest load that met the bounds; where none did, that of the smallest, which says so itself.
    let load_of = |r: &Row| match fin.of_concurrency {
        true => r.workload.max_concurrency.map(|c| c as f64),
        false => r.workload.request_rate,
    };
    let at = |load: f64| rows.iter().find(|r| load_of(r) == Some(load));
    if found.value > 0.0
        && let Some(row) = at(found.value)
    {
        let mut row = (*row).clone();
        row.objective = Some(Objective {
            kind: match fin.cap {
                _ if fin.of_concurrency => "max_concurrency".to_owned(),
                Some(cap) => format!("max_rate at concurrency {cap}"),
                None => "max_rate".to_owned(),
            },
            value: found.value,
            low: found.low.min(found.value),
            high: found.high.max(found.value),
            cliff: found.cliff,
        });
        for (said, what) in [
            (found.non_monotone, "a larger load passed although a smaller one failed"),
            (found.beyond, "the largest load of the plan passed: the boundary is beyond it"),
            (!found.complete, "the tolerance was not reached"),
        ] {
            if said {
                row.notes.push(what.to_owned());
            }
        }
        return vec![row];
    }
    rows.first().map(|r| (*r).clone()).into_iter().collect()
}
