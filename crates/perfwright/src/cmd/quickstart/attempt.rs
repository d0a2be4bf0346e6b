//! The rounds of a quickstart: the loop with its scripted executor and reviewer, and what came of it.

use std::time::Duration;

use perfwright_bench::render::shlex::quote;
use perfwright_loop::sota::technique::Failure;
use perfwright_loop::state::Phase;
use perfwright_loop::{
    Driver, Event, Journal, Look, Registry, ReviewResult, StartOptions, Surroundings, start,
};

use super::super::loops::failed;
use super::scripts;
use super::trees::{Places, write};
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use perfwright_loop::sota::spec::SotaSpec;

/// How the rounds ended.
pub(super) struct Rounds {
    /// The commit that gates and reviewer found clean.
    pub accepted: Option<String>,
    /// Why not, where there is none.
    pub reason: String,
    /// What was refused on the way, in words and with what shows it.
    pub refused: Vec<(Failure, String)>,
}

/// Runs the rounds to their end, or goes on with them. `tell` gets one line for each thing that happens.
pub(super) fn rounds(
    places: &Places,
    spec: &SotaSpec,
    (program, setting, prompt): (&str, &str, &str),
    tell: &mut dyn FnMut(&str),
    context: &Context,
) -> Result<Rounds, Diagnostic> {
    let surroundings = Surroundings {
        state_dir: places.at("state"),
        version: env!("PW_VERSION").to_owned(),
        argv: context.argv.clone(),
        env: context.env.text_pairs(),
        fault: None,
    };
    let registry = Registry::new(&surroundings.state_dir);
    let run_dir = places.at("rounds");
    let mut journal = match registry.look(&places.target) {
        Look::Known(head) if head.closed => return outcome(places),
        Look::Known(head) => Journal::open(&head, &surroundings, Duration::ZERO).map_err(|e| failed(&e))?,
        Look::Damaged { why, .. } => {
            return Err(failed(&perfwright_loop::LoopError::Tampered(why)));
        }
        Look::None if run_dir.join(perfwright_evidence::MANIFEST).is_file() => return outcome(places),
        Look::None => {
            let baseline = &spec.baseline.commit;
            let work = &places.work;
            let run = places.run.to_string_lossy().into_owned();
            let step = format!("{} quickstart --run-dir {}", quote(program), quote(&run));
            let plan = write(work, "plan.md", &scripts::plan(spec, &step, prompt))?;
            let executor = write(work, "executor.sh", &scripts::executor(baseline, setting))?;
            let seen = places.at("careless-once");
            let reviewer = write(work, "reviewer.sh", &scripts::reviewer(baseline, &seen))?;
            let command = |path: &std::path::Path| format!("sh {}", quote(&path.to_string_lossy()));
            let options = StartOptions {
                plan,
                dir: places.target.clone(),
                run_dir,
                driver: Driver::Owner,
                executor: Some(command(&executor)),
                reviewer: command(&reviewer),
                budgets: Vec::new(),
                session: None,
            };
            start(&options, &surroundings).map_err(|e| failed(&e))?
        }
    };
    let phase = journal.drive(tell).map_err(|e| failed(&e))?;
    if phase == Phase::Blocked {
        // Nobody sits here who could answer.
        let by = "quickstart".to_owned();
        journal.append(&Event::Cancelled { by }).map_err(|e| failed(&e))?;
    }
    journal.close().map_err(|e| failed(&e))?;
    outcome(places)
}

/// What the recorded events of closed rounds say.
fn outcome(places: &Places) -> Result<Rounds, Diagnostic> {
    let path = places.at("rounds").join("campaign/events.json");
    let bytes = super::trees::read(&path)?;
    let events: Vec<Event> = serde_json::from_slice(&bytes).map_err(|e| {
        Diagnostic::new(crate::codes::QUICKSTART_STOPPED, "the rounds cannot be read")
            .file(&path)
            .cause(e.to_string())
    })?;
    let state = perfwright_loop::transition::replay(&events)
        .map_err(|(at, source)| failed(&perfwright_loop::LoopError::Replay { at, source }))?;
    let mut refused = Vec::new();
    for event in &events {
        match event {
            Event::Judged { gates, .. } => {
                for gate in gates.iter().filter(|g| g.refuses()) {
                    let measured = matches!(gate.id.as_str(), "revalidation" | "accuracy");
                    let kind = if measured { Failure::Scientific } else { Failure::Invalid };
                    refused.push((kind, format!("gate {}: {}", gate.id, gate.reason)));
                }
            }
            Event::Reviewed { result: ReviewResult::Invalid { reason }, attempt, .. } => {
                refused.push((Failure::Invalid, format!("review {attempt} is not believed: {reason}")));
            }
            _ => {}
        }
    }
    let done = state.phase == Phase::Done;
    Ok(Rounds {
        accepted: state.clean.filter(|_| done).map(|m| m.commit),
        reason: state.reason.unwrap_or_else(|| state.phase.name().to_owned()),
        refused,
    })
}
