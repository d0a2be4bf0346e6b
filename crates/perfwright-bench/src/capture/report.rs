//! The answer of `trace capture`, and its gate.

use std::collections::BTreeMap;

use perfwright_evidence::{EvidenceError, EvidenceSet, Gate, GateResult};
use perfwright_report::{Cell, Column, Document, Table};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::conditions::{Framework, Stage};

/// Schema of [`CaptureReport`].
pub const CAPTURE_SCHEMA: &str = "perfwright.trace-capture/v1";
/// Where a run keeps it.
pub const CAPTURE_EVIDENCE: &str = "profiles/capture.json";

/// One trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CapturedFile {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StageReport {
    /// What was profiled.
    pub stage: Stage,
    /// Its traces.
    pub files: Vec<CapturedFile>,
    /// Requests sent under the profiler.
    pub requests: u64,
    /// Steps that the profiler was asked for.
    pub steps_asked: u32,
    /// What is to be known of it.
    pub notes: Vec<String>,
}

/// The answer of `trace capture`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CaptureReport {
    /// [`CAPTURE_SCHEMA`].
    pub schema: String,
    /// The server.
    pub url: String,
    /// The framework.
    pub framework: Framework,
    /// The model's name in requests.
    pub model: String,
    /// Words of a prompt and tokens of an answer.
    pub lengths: (u32, u32),
    /// The stages.
    pub stages: Vec<StageReport>,
    /// The path is proven.
    pub path_proven: bool,
    /// Fields of the path that are proven, with their values.
    pub path: BTreeMap<String, String>,
    /// What goes against it.
    pub stops: Vec<String>,
}

/// The answer for people.
#[must_use]
pub fn document(r: &CaptureReport) -> Document {
    let mut doc = Document::new("Captured traces");
    doc.warnings.extend(r.stops.iter().map(|s| format!("path: {s}")));
    doc.fact("server", r.url.as_str());
    doc.fact("model", r.model.as_str());
    doc.fact("lengths", format!("{} words in, {} tokens out", r.lengths.0, r.lengths.1));
    doc.fact("path proven", if r.path_proven { "yes" } else { "no: not every part of it is stated" });
    let columns = vec![
        Column::text("stage", "Stage"),
        Column::code("path", "Trace"),
        Column::number("bytes", "Bytes"),
        Column::number("steps", "Steps asked"),
    ];
    let mut table = Table::new("traces", "Traces", columns);
    for stage in &r.stages {
        for file in &stage.files {
            table.push(vec![
                Cell::text(stage.stage.name()),
                Cell::text(file.path.as_str()),
                Cell::count(file.bytes),
                Cell::count(u64::from(stage.steps_asked)),
            ]);
        }
        doc.notes.extend(stage.notes.iter().map(|n| format!("{}: {n}", stage.stage.name())));
    }
    doc.tables.push(table);
    doc.notes.push("`perfwright trace triage FOLDER` reads them".to_owned());
    doc
}

/// Every gate that this module exports.
pub const GATES: &[Gate] = &[CAPTURED];
/// Every stage has traces, and they are the recorded ones.
const CAPTURED: Gate = Gate { id: "trace.captured", version: 1, eval: captured };

fn captured(evidence: &EvidenceSet) -> GateResult {
    let answer = match evidence.json(CAPTURE_EVIDENCE) {
        Ok(answer) => answer,
        Err(EvidenceError::Missing(_)) => return GateResult::not_applicable("the run captured no trace"),
        Err(e) => return GateResult::hard_stop(e.to_string()),
    };
    let stages = answer["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut count = 0_u64;
    for stage in stages {
        let files = stage["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        if files.is_empty() {
            return GateResult::hard_stop(format!("{} has no trace", stage["stage"]));
        }
        for file in files {
            let named = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or_default();
            if !evidence.entries().iter().any(|e| e.sha256 == named("sha256")) {
                return GateResult::hard_stop(format!("{} is not recorded", named("path")));
            }
            count += 1;
        }
    }
    if count == 0 {
        return GateResult::hard_stop("no stage was captured");
    }
    GateResult::pass("every stage has its traces").measured(count)
}
