//! The final report, out of events alone.

use std::fmt::Write as _;

use super::event::SotaEvent;
use super::spec::SotaSpec;
use super::state::SotaState;

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "| {name} | {} |", value.replace('|', "\\|").replace('\n', " "));
}

/// The report as Markdown: boundary, decision, all winner commands, attempts, what was not available.
#[must_use]
pub fn final_report(spec: &SotaSpec, state: &SotaState, events: &[SotaEvent]) -> String {
    let mut out = format!("# {}\n\n| boundary | |\n| --- | --- |\n", spec.title);
    let b = &spec.boundary;
    row(&mut out, "model", &b.model);
    row(&mut out, "hardware", &b.hardware);
    row(&mut out, "accelerators", &b.gpus.to_string());
    row(&mut out, "precision", &b.precision);
    row(&mut out, "parallelism", &b.parallelism);
    row(&mut out, "workload", &spec.workload_sha256);
    row(&mut out, "metric", &format!("{}, threshold {} %", spec.metric, 100.0 * spec.threshold));
    row(&mut out, "baseline", &spec.baseline.commit);
    let open = match (&spec.baseline.none_because, spec.baseline.open_changes.len()) {
        (Some(why), _) => format!("none: {why} ({})", spec.baseline.source),
        (None, n) => format!("{n} ({})", spec.baseline.source),
    };
    row(&mut out, "open changes on hot files", &open);
    for e in &spec.excluded {
        row(&mut out, &format!("left out: {}", e.framework), &e.reason);
    }
    let end = state.stop.map_or("under way", super::event::Stop::name);
    let _ = writeln!(out, "\n## End: {end}\n");
    if let Some(SotaEvent::Closed { reason, .. }) = events.last() {
        let _ = writeln!(out, "{reason}\n");
    }
    out.push_str("## Winner commands\n\n");
    for (framework, winner) in &state.winners {
        let _ =
            writeln!(out, "- {framework} ({}):\n\n  ```sh\n  {}\n  ```\n", winner.candidate, winner.command);
    }
    out.push_str("## What happened\n\n");
    for (n, event) in events.iter().enumerate() {
        let _ = writeln!(out, "{n}. {}", sentence(event));
    }
    out.push_str(
        "\n## Techniques\n\n| technique | attempts | accepted | exhausted by |\n| --- | --- | --- | --- |\n",
    );
    for (name, t) in &state.register.techniques {
        let exhausted = t.exhausted.as_deref().unwrap_or("-");
        let _ = writeln!(out, "| {name} | {} | {} | {exhausted} |", t.attempts, t.accepted);
    }
    out
}

/// One event in a sentence.
#[must_use]
pub fn sentence(event: &SotaEvent) -> String {
    match event {
        SotaEvent::Opened { baseline, workload_sha256 } => {
            format!("Locked baseline {} and workload {}.", short(baseline), short(workload_sha256))
        }
        SotaEvent::Searched { framework, winner, candidates, run, .. } => {
            format!("Searched {framework}: {candidates} candidates measured, best {winner} ({run}).")
        }
        SotaEvent::GapDecided { competitor, gap, gain, run } => {
            let range = gain.map_or_else(|| "no interval".to_owned(), |g| g.percent());
            format!("The target is {} against {competitor}, which gains {range} ({run}).", gap.name())
        }
        SotaEvent::Profiled { side, triage, pipeline } => {
            let layers = pipeline.as_deref().unwrap_or("no layers");
            format!("Profiled {side}: {triage}, {layers}.")
        }
        SotaEvent::GapExplained { answer, carriers, evidence } => {
            let names: Vec<String> =
                carriers.iter().map(|c| format!("{} {:.0} %", c.category, 100.0 * c.share)).collect();
            format!("The gap is {}: {} ({evidence}).", answer.name(), names.join(", "))
        }
        SotaEvent::AttemptOpened { attempt, technique, bound, idea, .. } => format!(
            "Attempt {attempt}, {technique}, for {}: {:.1} % at most, {:.1} % if as fast as the competitor; idea from {}.",
            bound.categories.join(", "),
            100.0 * bound.at_most,
            100.0 * bound.as_competitor,
            idea.source
        ),
        SotaEvent::AttemptRefused { technique, reason } => {
            format!("Not tried: {technique}, because {reason}.")
        }
        SotaEvent::Failed { attempt, failure, signature, evidence } => {
            format!("Attempt {attempt}, {} failure: {signature} ({evidence}).", failure.name())
        }
        SotaEvent::Accepted { attempt, change, commit, gain, run, launches } => format!(
            "Accepted {change} of attempt {attempt} as {}: {}, new path launched {launches} times ({run}).",
            short(commit),
            gain.percent()
        ),
        SotaEvent::SetMeasured { on, gain, run } => {
            format!("Measured {} without the other changes: {} ({run}).", on.join(" and "), gain.percent())
        }
        SotaEvent::Composed { holds, together, evidence } => {
            let range = together.map_or_else(|| "no interval".to_owned(), |g| g.percent());
            let verb = if *holds { "hold" } else { "do not hold" };
            format!("The accepted changes {verb} together: {range} ({evidence}).")
        }
        SotaEvent::NotAvailable { what, why } => format!("Not available: {what}, because {why}."),
        SotaEvent::Closed { stop, reason } => format!("Ended as {}: {reason}.", stop.name()),
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
