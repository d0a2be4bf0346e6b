//! Reading a finished or broken `.humanize/rlcr/<time>/` folder (humania-org/humanize 1.16) into a run of ours.
//!
//! Everything in it is imported evidence: what its files say is kept and listed, and proves nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use perfwright_evidence::{Basis, EvidenceMeta, Finished, Rule, RunError, RunSpec, RunWriter};
use perfwright_evidence::{EvidenceSet, Gate, GateResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LoopError;
use crate::journal::Surroundings;

/// Schema name of [`Imported`].
pub const IMPORT_SCHEMA: &str = "perfwright.loop-import/v1";
const SUMMARY: &str = "import.json";
const MAX_FILES: usize = 2000;
const MAX_FILE: u64 = 8 << 20;

/// State files of that loop and what their names mean, the strongest first.
const STATES: [(&str, &str); 8] = [
    ("methodology-analysis-state.md", "methodology"),
    ("finalize-state.md", "finalize"),
    ("state.md", "active"),
    ("complete-state.md", "complete"),
    ("cancel-state.md", "cancelled"),
    ("maxiter-state.md", "max-rounds"),
    ("stop-state.md", "stopped"),
    ("unexpected-state.md", "damaged"),
];

/// One round as its files tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedRound {
    /// The round.
    pub round: u32,
    /// Whether a summary of the executor is there.
    pub summary: bool,
    /// Whether a contract is there.
    pub contract: bool,
    /// The review's words on progress: `advanced`, `stalled`, `regressed`, `unknown`, or none without a review.
    pub progress: Option<String>,
    /// The review's last line, where it is `COMPLETE` or `STOP`.
    pub end: Option<String>,
    /// Lines with a severity mark `[P0]`..`[P9]` anywhere in the review.
    pub findings: u64,
}

/// What an imported loop says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// [`IMPORT_SCHEMA`].
    pub schema: String,
    /// Folder name, the local time it began.
    pub name: String,
    /// How it ended, by the name of its state file.
    pub ended: String,
    /// Its state fields as written.
    pub fields: BTreeMap<String, String>,
    /// Its rounds.
    pub rounds: Vec<ImportedRound>,
    /// Ids of its acceptance criteria.
    pub criteria: Vec<String>,
    /// What our gates would not have let pass.
    pub remarks: Vec<String>,
}

/// Gate of an imported loop: it can at most be known, never be proven.
pub const GATES: &[Gate] = &[Gate { id: "loop.imported", version: 1, eval: imported }];

fn imported(evidence: &EvidenceSet) -> GateResult {
    match evidence.json(SUMMARY) {
        Ok(value) if value["ended"] == "complete" => {
            GateResult::pass("the imported loop says of itself that it was complete")
        }
        Ok(value) => GateResult::fail(format!("the imported loop ended as {}", value["ended"])),
        Err(error) => GateResult::hard_stop(error.to_string()),
    }
}

/// Reads the folder `from` and records it as a run in `run_dir`.
///
/// # Errors
/// It is no such folder, or the run cannot be written.
pub fn import(
    from: &Path,
    run_dir: &Path,
    surroundings: &Surroundings,
) -> Result<(Imported, Finished), LoopError> {
    let files = files_of(from)?;
    let summary = summarize(from, &files)?;
    let fail = |e: RunError| LoopError::run(run_dir, e);
    let contract = serde_json::json!({ "import": "humanize rlcr 1.16", "name": summary.name });
    let mut spec = RunSpec::new("loop import", &surroundings.version, contract);
    spec.argv.clone_from(&surroundings.argv);
    spec.env.clone_from(&surroundings.env);
    let mut run = RunWriter::create(run_dir, &spec).map_err(fail)?;
    for (name, bytes) in &files {
        // Hidden names cannot be evidence names.
        let name = format!("source/{}", name.trim_start_matches('.'));
        let meta = EvidenceMeta::new("text/markdown", Basis::Imported);
        run.add_bytes(&name, bytes, &meta).map_err(fail)?;
    }
    let bytes = serde_json::to_vec_pretty(&summary).unwrap_or_default();
    let meta = EvidenceMeta::new("application/json", Basis::Imported).schema(IMPORT_SCHEMA);
    run.add_bytes(SUMMARY, &bytes, &meta).map_err(fail)?;
    let finished = run.finish(GATES, Rule::AllPassV1).map_err(fail)?;
    Ok((summary, finished))
}

fn files_of(from: &Path) -> Result<BTreeMap<String, Vec<u8>>, LoopError> {
    let io = |e| LoopError::io(from, e);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_type().map_err(io)?.is_file() || files.len() >= MAX_FILES {
            continue;
        }
        let mut bytes = Vec::new();
        let path = entry.path();
        fs::File::open(&path)
            .and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes))
            .map_err(|e| LoopError::io(&path, e))?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    Ok(files)
}

fn summarize(from: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<Imported, LoopError> {
    let text = |name: &str| files.get(name).map(|b| String::from_utf8_lossy(b).into_owned());
    let Some((file, ended)) = STATES.iter().find(|(file, _)| files.contains_key(*file)) else {
        return Err(LoopError::Precondition(format!(
            "{} holds no state file of such a loop",
            from.display()
        )));
    };
    let fields = fields(&text(file).unwrap_or_default());
    let mut rounds: BTreeMap<u32, ImportedRound> = BTreeMap::new();
    for name in files.keys() {
        let Some((number, rest)) = name.strip_prefix("round-").and_then(|n| n.split_once('-')) else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else { continue };
        let round =
            rounds.entry(number).or_insert(ImportedRound { round: number, ..ImportedRound::default() });
        match rest {
            "summary.md" => round.summary = true,
            "contract.md" => round.contract = true,
            "review-result.md" => review(round, &text(name).unwrap_or_default()),
            _ => {}
        }
    }
    let plan = text("plan.md").unwrap_or_default();
    let criteria = crate::plan::parse(plan.as_bytes())
        .map(|p| p.criteria.into_iter().map(|c| c.id).collect())
        .unwrap_or_default();
    let mut remarks = Vec::new();
    let rounds: Vec<ImportedRound> = rounds.into_values().collect();
    if *ended == "complete" {
        remarks.push("no test, benchmark or measurement of the loop's own stands behind this end".to_owned());
        remarks.push("the tree that was reviewed is not recorded".to_owned());
    }
    if fields.get("session_id").is_none_or(String::is_empty) {
        remarks.push("no session was bound: any session could have moved it on".to_owned());
    }
    for round in &rounds {
        if round.end.as_deref() == Some("COMPLETE") && round.findings > 0 {
            remarks.push(format!(
                "the review of round {} says COMPLETE beside {} findings",
                round.round, round.findings
            ));
        }
    }
    Ok(Imported {
        schema: IMPORT_SCHEMA.to_owned(),
        name: from.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        ended: (*ended).to_owned(),
        fields,
        rounds,
        criteria,
        remarks,
    })
}

/// Front matter of a state file; what is not `name: value` is left out.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut parts = text.split("---\n");
    let front = parts.nth(1).unwrap_or_default();
    front
        .lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn review(round: &mut ImportedRound, text: &str) {
    let lower = text.to_lowercase();
    let line = lower.lines().rfind(|l| l.contains("mainline progress verdict:"));
    let words: Vec<&str> = ["advanced", "stalled", "regressed"]
        .into_iter()
        .filter(|word| line.is_some_and(|l| l.contains(word)))
        .collect();
    round.progress = Some(match words.as_slice() {
        [one] => (*one).to_owned(),
        _ => "unknown".to_owned(),
    });
    let last = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default().trim();
    round.end = matches!(last, "COMPLETE" | "STOP").then(|| last.to_owned());
    let marked = |line: &&str| {
        line.as_bytes()
            .windows(4)
            .any(|w| w[0] == b'[' && w[1] == b'P' && w[2].is_ascii_digit() && w[3] == b']')
    };
    round.findings = text.lines().filter(marked).count() as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_summarised_with_what_it_did_not_prove() {
        let dir = tempfile::tempdir().expect("tempdir");
        let from = dir.path().join("2026-01-02_03-04-05");
        fs::create_dir(&from).expect("folder");
        let write = |name: &str, text: &str| fs::write(from.join(name), text).expect("file");
        write("complete-state.md", "---\ncurrent_round: 1\nsession_id:\n---\n");
        write("plan.md", "## Goal\nx\n## Acceptance Criteria\n- AC-1: y\n");
        write("round-0-review-result.md", "[P0] bad\nMainline Progress Verdict: ADVANCED\nCOMPLETE\n");
        write("round-0-summary.md", "done");
        write(".review-phase-started", "build_finish_round=0");
        let surroundings = Surroundings {
            state_dir: dir.path().join("state"),
            version: "0".to_owned(),
            argv: Vec::new(),
            env: Vec::new(),
            fault: None,
        };
        let (summary, finished) = import(&from, &dir.path().join("run"), &surroundings).expect("imports");
        assert_eq!(
            (summary.ended.as_str(), summary.criteria.len(), summary.rounds.len()),
            ("complete", 1, 1)
        );
        assert_eq!(summary.rounds[0].progress.as_deref(), Some("advanced"));
        assert_eq!(summary.remarks.len(), 4, "{:?}", summary.remarks);
        // Imported evidence never supports a pass.
        assert_eq!(finished.verdict.outcome, perfwright_evidence::VerdictOutcome::Inconclusive);
        assert!(import(dir.path(), &dir.path().join("other"), &surroundings).is_err());
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn real_loops_are_read() {
        let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/loop"));
        for (name, ended, rounds) in
            [("happy", "complete", 4), ("drift-stop", "stopped", 4), ("methodology", "complete", 2)]
        {
            let dir = tempfile::tempdir().expect("tempdir");
            let archive = data.join(format!("rlcr-run-{name}.tgz"));
            let status = std::process::Command::new("tar")
                .arg("xzf")
                .arg(&archive)
                .arg("-C")
                .arg(dir.path())
                .status()
                .expect("tar");
            assert!(status.success());
            let rlcr = dir.path().join(".humanize/rlcr");
            let from = fs::read_dir(rlcr).expect("folder").next().expect("one").expect("entry").path();
            let summary = summarize(&from, &files_of(&from).expect("files")).expect("summary");
            assert_eq!((summary.ended.as_str(), summary.rounds.len()), (ended, rounds), "{name}");
            assert_eq!(summary.criteria, ["AC-1"], "{name}");
        }
    }
}
