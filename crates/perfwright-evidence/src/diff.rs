//! Two runs side by side. Results are compared only under one contract; both runs are checked first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::disk::open_regular;
use crate::json::read;
use crate::limits::Limits;
use crate::model::{Evidence, GateRecord, Manifest, VerdictRecord};
use crate::name::CONTRACT;
use crate::verify::VerifyError;
use crate::verify::check::{Integrity, integrity, read_limited};
use crate::verify::report::Status;

/// The `schema` field of a [`DiffReport`].
pub const DIFF_SCHEMA: &str = "perfwright.run-diff/v1";

/// The answer of `run diff`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DiffReport {
    /// [`DIFF_SCHEMA`].
    pub schema: String,
    /// The first run folder.
    pub a: String,
    /// The second run folder.
    pub b: String,
    /// 0 nothing differs, 1 something differs, 3 not comparable.
    pub exit_code: u8,
    /// Whether results may be compared: one contract, one procedure.
    pub comparable: bool,
    /// Why not, where they may not.
    pub reason: Option<String>,
    /// Fields of the contracts that differ, as JSON pointers.
    pub contract: Vec<FieldDiff>,
    /// Fields of the machines, environments, repositories and versions that differ, as JSON pointers.
    pub conditions: Vec<FieldDiff>,
    /// Evidence that differs.
    pub evidence: Vec<EvidenceDiff>,
    /// Evidence that is equal.
    pub equal_evidence: u64,
    /// Gates that differ; empty where the runs are not comparable.
    pub gates: Vec<GateDiff>,
    /// Verdicts of a and b, where they differ and the runs are comparable.
    pub verdicts: Option<(VerdictRecord, VerdictRecord)>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FieldDiff {
    /// JSON pointer (RFC 6901).
    pub field: String,
    /// Value in a; none where absent.
    pub a: Option<Value>,
    /// Value in b; none where absent.
    pub b: Option<Value>,
}

/// One evidence file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EvidenceDiff {
    /// The name.
    pub name: String,
    /// How it differs.
    pub change: EvidenceChange,
    /// Record in a.
    pub a: Option<Evidence>,
    /// Record in b.
    pub b: Option<Evidence>,
}

/// How evidence differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceChange {
    /// Only a holds it.
    OnlyA,
    /// Only b holds it.
    OnlyB,
    /// Both hold it with different bytes or records.
    Differs,
}

/// One gate that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GateDiff {
    /// `id/vN`.
    pub gate: String,
    /// Result in a.
    pub a: Option<GateRecord>,
    /// Result in b.
    pub b: Option<GateRecord>,
}

/// Why two runs cannot be laid side by side.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One of them is no run or cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// One of them is not intact; `run verify` says where.
    #[error("{0} is not intact")]
    Tampered(PathBuf),
    /// One of them has not ended.
    #[error("{0} is not closed")]
    NotClosed(PathBuf),
}

impl DiffError {
    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Verify(_) => 4,
            Self::Tampered(_) => 6,
            Self::NotClosed(_) => 3,
        }
    }
}

/// Compares two closed runs.
///
/// # Errors
/// One of them is no run, not closed, or not intact.
pub fn diff(a: &Path, b: &Path, limits: &Limits) -> Result<DiffReport, DiffError> {
    let (left, right) = (closed(a, limits)?, closed(b, limits)?);
    let reason = if left.contract_sha256 != right.contract_sha256 {
        Some(format!("the contracts are {} and {}", left.contract_sha256, right.contract_sha256))
    } else if left.procedure != right.procedure {
        Some(format!("the procedures are `{}` and `{}`", left.procedure, right.procedure))
    } else {
        None
    };
    let mut contract = Vec::new();
    if left.contract_sha256 != right.contract_sha256 {
        fields("", contract_of(a, limits).as_ref(), contract_of(b, limits).as_ref(), &mut contract);
    }
    let mut conditions = Vec::new();
    fields("", Some(&conditions_of(&left)), Some(&conditions_of(&right)), &mut conditions);
    let (evidence, equal_evidence) = evidence_diffs(&left, &right);
    let (gates, verdicts) = if reason.is_none() {
        let differ = left.verdict != right.verdict;
        (gate_diffs(&left, &right), differ.then(|| (left.verdict.clone(), right.verdict.clone())))
    } else {
        (Vec::new(), None)
    };
    let same = conditions.is_empty() && evidence.is_empty() && gates.is_empty() && verdicts.is_none();
    Ok(DiffReport {
        schema: DIFF_SCHEMA.to_owned(),
        a: a.to_string_lossy().into_owned(),
        b: b.to_string_lossy().into_owned(),
        exit_code: match (&reason, same) {
            (Some(_), _) => 3,
            (None, true) => 0,
            (None, false) => 1,
        },
        comparable: reason.is_none(),
        reason,
        contract,
        conditions,
        evidence,
        equal_evidence,
        gates,
        verdicts,
    })
}

fn closed(dir: &Path, limits: &Limits) -> Result<Manifest, DiffError> {
    let Integrity { report, manifest, .. } = integrity(dir, limits)?;
    match (report.status, manifest) {
        (Status::Tampered, _) => Err(DiffError::Tampered(dir.to_owned())),
        (_, Some(manifest)) => Ok(manifest),
        (_, None) => Err(DiffError::NotClosed(dir.to_owned())),
    }
}

/// The contract's value; the integrity check has compared its bytes with the record already.
fn contract_of(dir: &Path, limits: &Limits) -> Option<Value> {
    let file = open_regular(&dir.join(CONTRACT)).ok()?;
    let bytes = read_limited(file, limits.max_contract_bytes as u64).ok()?;
    read(&bytes, &limits.contract_json()).ok()
}

fn conditions_of(manifest: &Manifest) -> Value {
    serde_json::json!({
        "perfwright": manifest.perfwright,
        "procedure": manifest.procedure,
        "host": manifest.host,
        "repos": manifest.repos,
        "env": manifest.env,
    })
}

/// Differing leaves below two values. Depth is bounded by the reader of both.
fn fields(at: &str, a: Option<&Value>, b: Option<&Value>, out: &mut Vec<FieldDiff>) {
    match (a, b) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                fields(&pointer, left.get(key), right.get(key), out);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for i in 0..left.len().max(right.len()) {
                fields(&format!("{at}/{i}"), left.get(i), right.get(i), out);
            }
        }
        _ if a == b => {}
        _ => out.push(FieldDiff { field: at.to_owned(), a: a.cloned(), b: b.cloned() }),
    }
}

fn evidence_diffs(a: &Manifest, b: &Manifest) -> (Vec<EvidenceDiff>, u64) {
    let mut both: BTreeMap<&str, (Option<&Evidence>, Option<&Evidence>)> = BTreeMap::new();
    for entry in a.evidence.iter().filter(|e| e.name != CONTRACT) {
        both.entry(&entry.name).or_default().0 = Some(entry);
    }
    for entry in b.evidence.iter().filter(|e| e.name != CONTRACT) {
        both.entry(&entry.name).or_default().1 = Some(entry);
    }
    let mut equal = 0;
    let mut diffs = Vec::new();
    for (name, (left, right)) in both {
        let change = match (left, right) {
            (Some(x), Some(y)) if x == y => {
                equal += 1;
                continue;
            }
            (Some(_), Some(_)) => EvidenceChange::Differs,
            (Some(_), None) => EvidenceChange::OnlyA,
            (None, _) => EvidenceChange::OnlyB,
        };
        diffs.push(EvidenceDiff { name: name.to_owned(), change, a: left.cloned(), b: right.cloned() });
    }
    (diffs, equal)
}

fn gate_diffs(a: &Manifest, b: &Manifest) -> Vec<GateDiff> {
    let mut both: BTreeMap<String, (Option<&GateRecord>, Option<&GateRecord>)> = BTreeMap::new();
    for gate in &a.gates {
        both.entry(gate.label()).or_default().0 = Some(gate);
    }
    for gate in &b.gates {
        both.entry(gate.label()).or_default().1 = Some(gate);
    }
    both.into_iter()
        .filter(|(_, (left, right))| left != right)
        .map(|(gate, (left, right))| GateDiff { gate, a: left.cloned(), b: right.cloned() })
        .collect()
}
