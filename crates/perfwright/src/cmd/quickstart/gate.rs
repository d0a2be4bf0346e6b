//! The gates of the rounds that run something, as the loop starts them: in a clean copy of the commit, with their answer
//! as JSON. What they measured stays in the work folder for the campaign to record.

use std::path::{Path, PathBuf};

use perfwright_evidence::sha256_hex;
use perfwright_loop::sota::accuracy::{self, OUTPUTS_SCHEMA, Outputs};
use perfwright_loop::sota::gap::{Gap, compared};
use perfwright_loop::sota::proof;
use perfwright_loop::sota::spec::SotaSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::analyse::{Asked, profile, tables};
use super::measure::{Rig, Side, ab_terms, target_command};
use super::setup::WORKLOAD;
use super::terms::{TARGET, Terms};
use super::trees::{Places, copy, git, read, write};
use crate::cli::quickstart::StepGate;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;

/// What the gates need to know, as the campaign left it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub short: bool,
    pub spec: SotaSpec,
    /// Flags of the target's winner.
    pub flags: Vec<(String, Value)>,
    /// Categories that the attempt is for.
    pub categories: Vec<String>,
}

/// Name of [`Step`] in the work folder.
pub(super) const STEP: &str = "step.json";

/// Folder of what the gates measured of a commit.
pub(super) fn results(places: &Places, commit: &str) -> PathBuf {
    places.at("results").join(commit)
}

fn step(places: &Places) -> Result<Step, Diagnostic> {
    let path = places.at(STEP);
    serde_json::from_slice(&read(&path)?).map_err(|e| {
        Diagnostic::new(codes::QUICKSTART_STOPPED, "the step of a quickstart cannot be read")
            .file(path)
            .cause(e.to_string())
    })
}

/// Runs one gate in the current folder, which is a copy of the commit.
pub(super) fn run(kind: StepGate, run: &Path, rig: &Rig<'_>, context: &mut Context) -> Outcome {
    let places = Places::of(run)?;
    let step = step(&places)?;
    let here = std::env::current_dir().map_err(|e| Diagnostic::reading(Path::new("."), &e))?;
    let commit = git(&here, &["rev-parse", "HEAD"])?;
    let dir = results(&places, &commit);
    std::fs::create_dir_all(&dir).map_err(|e| Diagnostic::reading(&dir, &e))?;
    let tree = copy(&places, &commit)?;
    let target = Asked::target(&places, &tree, &rig.program, &step.flags);
    let terms = if step.short { Terms::SHORT } else { Terms::FULL };
    match kind {
        StepGate::Starts => {
            let server = target.start(&dir.join("starts"))?;
            let answers = server.answers(&step.spec.accuracy.prompts[..1], 2);
            server.stop()?;
            context.json(&json!({"verdict": "pass", "answers": answers?.len()}))?;
            Ok(Exit::Done)
        }
        StepGate::Accuracy => {
            let base = Asked::target(
                &places,
                &copy(&places, &step.spec.baseline.commit)?,
                &rig.program,
                &step.flags,
            );
            let ask = |asked: &Asked, name: &str| {
                let server = asked.start(&dir.join(name))?;
                let answers = server.answers(&step.spec.accuracy.prompts, step.spec.accuracy.tokens);
                server.stop()?;
                answers
            };
            let outputs = Outputs {
                schema: OUTPUTS_SCHEMA.to_owned(),
                prompts: step.spec.accuracy.prompts.clone(),
                baseline: ask(&base, "baseline")?,
                candidate: ask(&target, "candidate")?,
                off: ask(&target.clone().off(), "off")?,
            };
            write(&dir, "outputs.json", &json!(outputs).to_string())?;
            let found = accuracy::judge(&outputs, &step.spec.accuracy.prompts, step.spec.accuracy.min_same);
            // One number for both: the off position counts as much as the tokens.
            let share = if found.off_is_baseline { found.same } else { 0.0 };
            context.json(&json!({"passing_share": share, "accuracy": found}))?;
            Ok(Exit::Done)
        }
        StepGate::Execution => {
            let trace = profile(&target, &terms, &dir.join("profile"))?;
            let after = tables(&trace)?;
            write(&dir, "triage.json", &after.to_string())?;
            write(&dir, "trace.path", &trace.to_string_lossy())?;
            let before: Value =
                serde_json::from_slice(&read(&places.at("target-triage.json"))?).unwrap_or_default();
            let found = proof::prove(&before, &after, &step.categories, &[]).map_err(|e| {
                Diagnostic::new(codes::QUICKSTART_STOPPED, "the profiles cannot be compared").cause(e)
            })?;
            context.json(&found)?;
            Ok(if found.proven { Exit::Done } else { Exit::No })
        }
        StepGate::Revalidation => revalidate(&places, &step, &terms, (&here, &commit, &tree), rig, context),
    }
}

fn revalidate(
    places: &Places,
    step: &Step,
    terms: &Terms,
    (here, commit, tree): (&Path, &str, &Path),
    rig: &Rig<'_>,
    context: &mut Context,
) -> Outcome {
    // The workload is that of the tree that is judged, and the answer states its hash; the loop knows the locked one.
    let bytes = read(&here.join(WORKLOAD))?;
    let workload: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let side = |candidate: &str, tree: &Path| Side {
        framework: TARGET.to_owned(),
        candidate: candidate.to_owned(),
        command: target_command(tree),
        flags: step.flags.clone(),
        program: rig.program.clone(),
    };
    let baseline = &step.spec.baseline.commit;
    let (a, b) = (side(baseline, &copy(places, baseline)?), side(commit, tree));
    let dir = results(places, commit).join("revalidation");
    let terms = ab_terms(terms, true, terms.revalidation_s);
    let answer = rig.ab(&dir, (&a, &b), (&workload["load"], terms), &mut |_| (), context)?;
    let found = compared(&answer)
        .ok_or_else(|| Diagnostic::new(codes::QUICKSTART_STOPPED, "the answer of an A/B cannot be read"))?;
    // The baseline stands first, so a baseline that is behind is a change that is better.
    let better = found.gap(step.spec.threshold) == Gap::Behind;
    let verdict = if better { "better" } else { found.verdict.as_str() };
    context.json(&json!({
        "verdict": verdict,
        "measured": found.gain,
        "reasons": found.reasons,
        "contract_sha256": sha256_hex(&bytes),
    }))?;
    Ok(if better { Exit::Done } else { Exit::No })
}
