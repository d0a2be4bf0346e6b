//! The whole of verify: integrity, then every gate again, then the verdict.

use std::fs;
use std::path::Path;

use super::check::{Integrity, integrity};
use super::error::VerifyError;
use super::faults::{Fault, planted};
use super::report::{
    Difference, DifferenceKind, GateCheck, GateState, ReferenceCheck, ReferenceState, Status, VerifyReport,
};
use crate::disk::open_regular;
use crate::gate::{EvidenceSet, Registry};
use crate::hash::sha256_of_reader;
use crate::limits::Limits;
use crate::model::{Evidence, GateRecord, Manifest};
use crate::verdict::{Rule, basis_of};

/// How to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions {
    /// What is read at most.
    pub limits: Limits,
    /// Whether to hash inputs that lie outside of the run folder, where their size still fits.
    pub hash_references: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), hash_references: true }
    }
}

/// Checks the run folder `dir` and recomputes its verdict with the gates of `registry`.
///
/// ```no_run
/// use perfwright_evidence::{Registry, VerifyOptions, verify};
/// # fn run(gates: Vec<perfwright_evidence::Gate>) -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new(gates)?;
/// let report = verify("runs/x".as_ref(), &registry, &VerifyOptions::default())?;
/// for difference in &report.differences {
///     // difference.place names the file, the ledger line or the gate
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// The folder is not a run or cannot be read. Everything else is in the report.
pub fn verify(dir: &Path, registry: &Registry, options: &VerifyOptions) -> Result<VerifyReport, VerifyError> {
    let Integrity { mut report, manifest, evidence, .. } = integrity(dir, &options.limits)?;
    if let Some(manifest) = &manifest {
        recompute(dir, registry, options, manifest, &mut report);
    }
    report.references = evidence
        .iter()
        .filter_map(|entry| Some((entry, entry.reference.as_deref()?)))
        .map(|(entry, path)| ReferenceCheck {
            name: entry.name.clone(),
            path: path.to_owned(),
            state: reference_state(entry, Path::new(path), options),
        })
        .collect();
    let worst =
        [6, 1, 3].into_iter().find(|&code| report.differences.iter().any(|d| d.kind.exit_code() == code));
    (report.status, report.exit_code) = match worst {
        Some(6) => (Status::Tampered, 6),
        Some(1) => (Status::Differs, 1),
        Some(_) => (Status::CannotRecompute, 3),
        None if report.status == Status::Interrupted => (Status::Interrupted, 3),
        None => (Status::Clean, 0),
    };
    report.left_off = report.differences.len().saturating_sub(options.limits.max_differences) as u64;
    report.differences.truncate(options.limits.max_differences);
    Ok(report)
}

fn recompute(
    dir: &Path,
    registry: &Registry,
    options: &VerifyOptions,
    manifest: &Manifest,
    report: &mut VerifyReport,
) {
    let intact = report.status != Status::Tampered;
    report.stored_verdict = Some(manifest.verdict.clone());
    for record in &manifest.gates {
        if basis_of(&record.used, &manifest.evidence) != Ok(record.basis) {
            let detail = "its basis is not that of the evidence it used";
            report.differences.push(Difference::new(DifferenceKind::GateDiffers, place(record), detail));
        }
    }
    let set = EvidenceSet::new(dir, manifest.evidence.clone(), options.limits);
    let mut again = Vec::with_capacity(manifest.gates.len());
    for stored in &manifest.gates {
        let gate = registry.find(&stored.id, stored.version);
        let (record, state) = match gate {
            _ if !intact => (stored.clone(), GateState::NotEvaluated),
            None => {
                if !planted(Fault::AcceptUnknownGate) {
                    let detail = "this version does not know the gate and cannot recompute it";
                    report.differences.push(Difference::new(
                        DifferenceKind::GateUnknown,
                        place(stored),
                        detail,
                    ));
                }
                (stored.clone(), GateState::Unknown)
            }
            Some(_) if planted(Fault::SkipGates) => (stored.clone(), GateState::Same),
            Some(gate) => {
                let record = set.evaluate(gate);
                let changes = changes(stored, &record);
                let state = if changes.is_empty() { GateState::Same } else { GateState::Differs };
                if state == GateState::Differs && !report.differences.iter().any(|d| d.place == place(stored))
                {
                    let detail = changes.join("; ");
                    report.differences.push(Difference::new(
                        DifferenceKind::GateDiffers,
                        place(stored),
                        detail,
                    ));
                }
                (record, state)
            }
        };
        again.push(record);
        report.gates.push(GateCheck { id: stored.id.clone(), version: stored.version, state });
    }
    let Some(rule) = Rule::by_name(&manifest.verdict.rule) else {
        let detail = format!("this version does not know the rule {:?}", manifest.verdict.rule);
        report.differences.push(Difference::new(DifferenceKind::RuleUnknown, "verdict", detail));
        return;
    };
    let (combined, recomputed) = (rule.combine(&manifest.gates), rule.combine(&again));
    if planted(Fault::SkipVerdict) {
        return;
    }
    if combined != manifest.verdict {
        let detail = format!("the stored gates give {combined:?}, stored is {:?}", manifest.verdict);
        report.differences.push(Difference::new(DifferenceKind::VerdictDiffers, "verdict", detail));
    } else if recomputed != manifest.verdict {
        let detail =
            format!("the gates evaluated again give {recomputed:?}, stored is {:?}", manifest.verdict);
        report.differences.push(Difference::new(DifferenceKind::VerdictDiffers, "verdict", detail));
    }
    report.recomputed_verdict = Some(recomputed);
}

fn place(record: &GateRecord) -> String {
    format!("gate {}", record.label())
}

fn changes(stored: &GateRecord, again: &GateRecord) -> Vec<String> {
    let mut changes = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            changes.push(format!("{what} is {b}, stored is {a}"));
        }
    };
    compare("outcome", format!("{:?}", stored.outcome), format!("{:?}", again.outcome));
    compare("measured", text(stored.measured.as_ref()), text(again.measured.as_ref()));
    compare("threshold", text(stored.threshold.as_ref()), text(again.threshold.as_ref()));
    compare("reason", format!("{:?}", stored.reason), format!("{:?}", again.reason));
    compare("used", stored.used.join(" "), again.used.join(" "));
    compare("basis", format!("{:?}", stored.basis), format!("{:?}", again.basis));
    changes
}

/// Values compare by their canonical text, so that 1 and 1.0 are one number to every verifier.
fn text(value: Option<&serde_json::Value>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |v| {
            crate::json::canonical(v)
                .map_or_else(|_| v.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        },
    )
}

fn reference_state(entry: &Evidence, path: &Path, options: &VerifyOptions) -> ReferenceState {
    let Ok(meta) = fs::metadata(path) else { return ReferenceState::Gone };
    if !meta.is_file() || meta.len() != entry.bytes {
        return ReferenceState::Changed;
    }
    if !options.hash_references || entry.bytes > options.limits.max_reference_bytes {
        return ReferenceState::NotChecked;
    }
    match open_regular(path).and_then(|file| sha256_of_reader(file, entry.bytes)) {
        Ok((sha256, _)) if sha256 == entry.sha256 => ReferenceState::Present,
        Ok(_) => ReferenceState::Changed,
        Err(_) => ReferenceState::Gone,
    }
}
