//! Four ledgers as JSON lines: attempts, optimisations, source ideas, lineage. Each line names the event that it is from.

use serde_json::{Value, json};

use super::event::SotaEvent;

/// Every ledger with its name.
#[must_use]
pub fn all(events: &[SotaEvent]) -> Vec<(&'static str, String)> {
    vec![
        ("ledgers/attempts.jsonl", lines(events, attempt)),
        ("ledgers/optimisations.jsonl", lines(events, optimisation)),
        ("ledgers/ideas.jsonl", lines(events, idea)),
        ("ledgers/lineage.jsonl", lines(events, lineage)),
    ]
}

fn lines(events: &[SotaEvent], make: fn(&[SotaEvent], &SotaEvent) -> Option<Value>) -> String {
    let mut out = String::new();
    for (n, event) in events.iter().enumerate() {
        if let Some(mut line) = make(events, event) {
            line["event"] = json!(n);
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

fn attempt(_: &[SotaEvent], event: &SotaEvent) -> Option<Value> {
    Some(match event {
        SotaEvent::AttemptOpened { attempt, technique, bound, .. } => {
            json!({"attempt": attempt, "what": "opened", "technique": technique, "at_most": bound.at_most})
        }
        SotaEvent::AttemptRefused { technique, reason } => {
            json!({"attempt": null, "what": "refused", "technique": technique, "reason": reason})
        }
        SotaEvent::Failed { attempt, failure, signature, evidence } => {
            json!({"attempt": attempt, "what": failure.name(), "signature": signature, "evidence": evidence})
        }
        SotaEvent::Accepted { attempt, change, gain, run, .. } => {
            json!({"attempt": attempt, "what": "accepted", "change": change, "gain": gain, "evidence": run})
        }
        _ => return None,
    })
}

fn optimisation(_: &[SotaEvent], event: &SotaEvent) -> Option<Value> {
    let SotaEvent::Accepted { attempt, change, commit, gain, run, launches } = event else { return None };
    Some(json!({
        "change": change, "attempt": attempt, "commit": commit, "gain": gain, "launches": launches, "evidence": run,
    }))
}

fn idea(_: &[SotaEvent], event: &SotaEvent) -> Option<Value> {
    let SotaEvent::AttemptOpened { attempt, technique, idea, .. } = event else { return None };
    Some(json!({"attempt": attempt, "technique": technique, "source": idea.source, "says": idea.says}))
}

fn lineage(events: &[SotaEvent], event: &SotaEvent) -> Option<Value> {
    let SotaEvent::Accepted { attempt, commit, .. } = event else { return None };
    let parent = events.iter().find_map(|e| match e {
        SotaEvent::AttemptOpened { attempt: of, parent, .. } if of == attempt => Some(parent.clone()),
        _ => None,
    });
    Some(json!({"commit": commit, "parent": parent, "attempt": attempt}))
}
