//! The end of a quickstart: its record verified, and what it came to.

use std::path::Path;

use perfwright_evidence::{MANIFEST, VerdictOutcome, VerifyOptions, verify};
use perfwright_loop::sota::names;

use super::flow::{QUESTION, say};
use super::trees::read;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::registry;

/// Verifies a finished quickstart and tells what it came to; the last line is the report's path.
pub(super) fn told(run: &Path, context: &mut Context) -> Outcome {
    let report = verify(run, &registry()?, &VerifyOptions::default()).map_err(|e| {
        Diagnostic::new(codes::RUN_FOREIGN_FOLDER, "the folder cannot be read").file(run).cause(e.to_string())
    })?;
    let manifest: perfwright_evidence::Manifest = serde_json::from_slice(&read(&run.join(MANIFEST))?)
        .map_err(|e| {
            Diagnostic::new(codes::RUN_TAMPERED, "the manifest cannot be read").file(run).cause(e.to_string())
        })?;
    if manifest.procedure != QUESTION {
        return Err(Diagnostic::new(codes::RUN_FOREIGN_FOLDER, "the folder holds another run").file(run));
    }
    let clean = report.exit_code == 0;
    let proven = manifest.verdict.outcome == VerdictOutcome::Pass;
    let word = if proven { "" } else { "not proven: " };
    let because =
        manifest.gates.iter().find(|g| g.id == if proven { "sota.proven" } else { "sota.sequence" });
    let because = because.map_or("", |g| g.reason.as_str());
    say(context, &format!("verdict  {word}{because}"))?;
    let gates = manifest.gates.len();
    let state = if clean { "clean" } else { "NOT clean" };
    say(
        context,
        &format!("verify   {state}: {gates} gates computed again from {} files", manifest.evidence.len()),
    )?;
    say(context, &format!("again    perfwright run verify {}", run.display()))?;
    if !clean {
        context.tell(
            &Diagnostic::new(codes::RUN_TAMPERED, "the record of the quickstart does not verify")
                .file(run)
                .help("`perfwright run verify` says what differs"),
        );
    }
    say(context, &run.join(names::PAGE).to_string_lossy())?;
    Ok(match (clean, proven) {
        (false, _) => Exit::Tampered,
        (true, true) => Exit::Done,
        (true, false) => Exit::No,
    })
}
