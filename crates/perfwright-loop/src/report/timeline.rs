//! A campaign on one clock, in the JSON form of trace events that Perfetto and `chrome://tracing` load.
//!
//! Format: "Trace Event Format", the JSON object form with `X` (complete), `i` (instant), `C` (counter) and `M`
//! (metadata) events; times are microseconds.

use std::path::Path;

use perfwright_evidence::{Evidence, Limits, read_ledger, timestamp_ms};
use serde_json::{Map, Value, json};

use super::account::Account;
use crate::error::LoopError;
use crate::event::{Ended, Event, ReviewResult};
use crate::state::Phase;

/// A row of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Group of rows.
    pub group: String,
    /// The row.
    pub name: String,
    /// What happened in it; spans of one lane lie beside or inside each other.
    pub spans: Vec<Span>,
}

/// Something that took time; an instant where it took none.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What.
    pub name: String,
    /// Begin, in milliseconds since 1970.
    pub start_ms: i64,
    /// How long, in milliseconds.
    pub wall_ms: u64,
    /// What is known of it.
    pub args: Map<String, Value>,
}

impl Span {
    fn new(name: impl Into<String>, start_ms: i64, wall_ms: u64, args: Value) -> Self {
        let args = if let Value::Object(args) = args { args } else { Map::new() };
        Self { name: name.into(), start_ms, wall_ms, args }
    }

    fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add_unsigned(self.wall_ms)
    }
}

fn between(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

fn ended(ended: Ended) -> String {
    match ended {
        Ended::Exit(code) => format!("exit code {code}"),
        Ended::Signal(signal) => format!("signal {signal}"),
        Ended::Timeout => "timeout".to_owned(),
        Ended::NotStarted => "not started".to_owned(),
        Ended::Turn => "end of turn".to_owned(),
        Ended::Interrupted => "interrupted".to_owned(),
    }
}

/// The lanes of a campaign: rounds and phases, executor, gates and what they ran, reviewer, and what else happened.
pub(super) fn lanes(account: &Account) -> Vec<Lane> {
    let rounds = account
        .rounds()
        .iter()
        .map(|r| {
            let refused: Vec<&str> = r
                .judged
                .iter()
                .flat_map(|(_, _, gates)| gates.iter())
                .filter(|g| g.refuses())
                .map(|g| g.id.as_str())
                .collect();
            let phase = r.phase.map_or("", Phase::name);
            let name = format!("round {}", r.round);
            Span::new(
                name,
                r.start_ms,
                between(r.start_ms, r.end_ms),
                json!({ "phase": phase, "refused": refused }),
            )
        })
        .collect();
    let mut phases: Vec<Span> = Vec::new();
    let (mut executor, mut gates, mut commands, mut reviewer, mut notes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut attempt_began, mut review_began, mut blocked) = (None, None, None);
    for m in &account.moments {
        if m.phase != Phase::Plan {
            match phases.last_mut() {
                Some(last) if last.name == m.phase.name() => last.wall_ms = between(last.start_ms, m.at_ms),
                last => {
                    let start = last.map_or(account.start_ms(), |l| l.end_ms());
                    phases.push(Span::new(m.phase.name(), start, between(start, m.at_ms), json!({})));
                }
            }
        }
        let mut note = |name: &str, args: Value| notes.push(Span::new(name, m.at_ms, 0, args));
        match &m.event {
            Event::ExecutorStarted { pid, .. } => attempt_began = Some((m.at_ms, *pid)),
            Event::ExecutorEnded { attempt, ended: how, usage, wall_ms } => {
                let (start, pid) = attempt_began.take().unwrap_or((m.at_ms, 0));
                // A session's turn states no time of its own.
                let wall = if *wall_ms > 0 { *wall_ms } else { between(start, m.at_ms) };
                let args = json!({ "pid": pid, "ended": ended(*how), "tokens": usage.tokens(), "micro_usd": usage.micro_usd });
                executor.push(Span::new(format!("attempt {attempt}"), start, wall, args));
            }
            Event::Judged { mark, gates: lines, wall_ms, times } => {
                let start = m.at_ms.saturating_sub_unsigned(*wall_ms);
                gates.push(Span::new(
                    "judge",
                    start,
                    *wall_ms,
                    json!({ "commit": mark.commit, "tree": mark.tree }),
                ));
                for time in times {
                    let line = lines.iter().find(|l| l.id == time.id);
                    let args =
                        line.map_or(json!({}), |l| json!({ "outcome": l.outcome, "reason": l.reason }));
                    gates.push(Span::new(
                        &time.id,
                        start.saturating_add_unsigned(time.start_ms),
                        time.wall_ms,
                        args,
                    ));
                    if let Some(child) = &time.child {
                        let from = start.saturating_add_unsigned(child.start_ms);
                        commands.push(Span::new(
                            &time.id,
                            from,
                            child.wall_ms,
                            json!({ "ended": ended(child.ended) }),
                        ));
                    }
                }
            }
            Event::ReviewStarted { pid, .. } => review_began = Some((m.at_ms, *pid)),
            Event::Reviewed { attempt, result, usage, wall_ms } => {
                let (start, pid) = review_began.take().unwrap_or((m.at_ms, 0));
                let said = match result {
                    ReviewResult::Answer { verdict, progress, blocking, .. } => {
                        json!({ "verdict": verdict, "progress": progress, "blocking": blocking })
                    }
                    ReviewResult::Invalid { reason } => json!({ "invalid": reason }),
                    ReviewResult::TreeChanged => json!({ "invalid": "the tree changed" }),
                };
                let mut span = Span::new(format!("review {attempt}"), start, *wall_ms, said);
                span.args.insert("pid".to_owned(), pid.into());
                span.args.insert("tokens".to_owned(), usage.tokens().into());
                reviewer.push(span);
            }
            Event::Blocked { reason } => blocked = Some((m.at_ms, reason.clone())),
            Event::Unblocked { answer } => {
                if let Some((start, reason)) = blocked.take() {
                    let args = json!({ "reason": reason, "answer": answer });
                    notes.push(Span::new("blocked", start, between(start, m.at_ms), args));
                }
            }
            Event::Started { driver, .. } => note("started", json!({ "driver": driver })),
            Event::Claimed { host, .. } => note("claimed", json!({ "host": host })),
            Event::StopAnswered { allow, calls, .. } => {
                note(if *allow { "stop allowed" } else { "stop refused" }, json!({ "calls": calls }));
            }
            Event::Raised { by, .. } => note("limits raised", json!({ "by": by })),
            Event::Cancelled { by } => note("cancelled", json!({ "by": by })),
            Event::Reopened { mark } => note("reopened", json!({ "tree": mark.tree })),
        }
    }
    let lane =
        |group: &str, name: &str, spans| Lane { group: group.to_owned(), name: name.to_owned(), spans };
    [
        lane("campaign", "rounds", rounds),
        lane("campaign", "phases", phases),
        lane("campaign", "events", notes),
        lane("gates", "gates", gates),
        lane("child processes", "executor", executor),
        lane("child processes", "gate commands", commands),
        lane("child processes", "reviewer", reviewer),
    ]
    .into_iter()
    .filter(|lane| !lane.spans.is_empty())
    .collect()
}

/// The lanes of another run, for the same clock: its length, its servers, and when it recorded what. A server is known
/// by its `server/launch-*/launch.json`, which is recorded when it has ended and says how long it was up.
///
/// # Errors
/// The folder holds no ledger that can be read, or its chain is broken.
pub fn run_lanes(run_dir: &Path) -> Result<Vec<Lane>, LoopError> {
    let ledger = read_ledger(run_dir, &Limits::default()).map_err(|e| LoopError::io(run_dir, e))?;
    if let Some(first) = ledger.differences.first() {
        return Err(LoopError::Tampered(format!("{}: {}", first.place, first.detail)));
    }
    let group = run_dir.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
    let (mut servers, mut files) = (Vec::new(), Vec::new());
    for event in ledger.events.iter().filter(|e| e.kind == "evidence") {
        let Ok(entry) = event.data.read::<Evidence>() else { continue };
        let at_ms = timestamp_ms(&event.at).unwrap_or_default();
        let launch = entry.name.strip_prefix("server/").and_then(|n| n.strip_suffix("/launch.json"));
        if let Some(launch) = launch {
            let path = run_dir.join(&entry.name);
            let text = std::fs::read(&path).map_err(|e| LoopError::io(&path, e))?;
            let facts: Value = serde_json::from_slice(&text).unwrap_or_default();
            if let Some(up_s) = facts["up_s"].as_f64().filter(|s| (0.0..1e9).contains(s)) {
                let up_ms = (up_s * 1e3) as u64;
                let args = json!({ "command": facts["command"], "ready_s": facts["ready_s"] });
                servers.push(Span::new(launch, at_ms.saturating_sub_unsigned(up_ms), up_ms, args));
            }
        }
        files.push(Span::new(entry.name, at_ms, 0, json!({ "sha256": entry.sha256, "bytes": entry.bytes })));
    }
    let lane = |name: &str, spans| Lane { group: group.clone(), name: name.to_owned(), spans };
    Ok([lane("servers", servers), lane("evidence", files)]
        .into_iter()
        .filter(|l| !l.spans.is_empty())
        .collect())
}

/// The trace: the campaign's own lanes, then `more` on the same clock, which begins with the campaign or, where that is
/// earlier, with the first of all spans.
#[must_use]
pub fn timeline(account: &Account, more: &[Lane]) -> Value {
    let own = lanes(account);
    let all: Vec<&Lane> = own.iter().chain(more).collect();
    let spans = || all.iter().flat_map(|l| &l.spans);
    let zero = spans().map(|s| s.start_ms).chain([account.start_ms()]).min().unwrap_or_default();
    let us = |ms: i64| between(zero, ms).saturating_mul(1000);
    let mut groups: Vec<&str> = Vec::new();
    let mut events: Vec<Value> = Vec::new();
    let meta = |name: &str, pid: usize, tid: usize, to: &str| json!({ "ph": "M", "name": name, "pid": pid, "tid": tid, "args": { "name": to } });
    for (n, lane) in all.iter().enumerate() {
        let pid = groups.iter().position(|g| *g == lane.group).unwrap_or_else(|| {
            groups.push(&lane.group);
            groups.len() - 1
        }) + 1;
        let tid = n + 1;
        events.push(meta("process_name", pid, 0, &lane.group));
        events.push(meta("thread_name", pid, tid, &lane.name));
        for span in &lane.spans {
            let mut event = json!({
                "name": span.name, "cat": lane.name, "pid": pid, "tid": tid, "ts": us(span.start_ms), "args": span.args,
            });
            if span.wall_ms > 0 {
                event["ph"] = "X".into();
                event["dur"] = span.wall_ms.saturating_mul(1000).into();
            } else {
                event["ph"] = "i".into();
                event["s"] = "t".into();
            }
            events.push(event);
        }
    }
    // Cost as it mounts up.
    let (mut tokens, mut micro_usd) = (0_u64, 0_u64);
    for m in &account.moments {
        let (Event::ExecutorEnded { usage, .. } | Event::Reviewed { usage, .. }) = &m.event else { continue };
        tokens = tokens.saturating_add(usage.tokens());
        micro_usd = micro_usd.saturating_add(usage.micro_usd);
        for (name, args) in
            [("tokens", json!({ "tokens": tokens })), ("micro_usd", json!({ "micro_usd": micro_usd }))]
        {
            events.push(
                json!({ "ph": "C", "name": name, "pid": 1, "tid": 0, "ts": us(m.at_ms), "args": args }),
            );
        }
    }
    json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "campaign": account.spec.campaign,
            "title": account.spec.title,
            "head": account.chain.head,
            "zero": perfwright_evidence::timestamp(zero),
        },
        "traceEvents": events,
    })
}
