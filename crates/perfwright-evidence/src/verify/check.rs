//! Integrity: are these the bytes that were recorded? No gate is looked at here.

use std::io::{self, Read};
use std::path::Path;

use super::error::VerifyError;
use super::faults::{Fault, planted};
use super::files::check_files;
use super::manifest::read_manifest;
use super::report::{Checked, Difference, DifferenceKind, Interrupted, Status, VERIFY_SCHEMA, VerifyReport};
use super::walk::walk;
use crate::disk::open_regular;
use crate::json::{canonical, read};
use crate::ledger::{Scan, scan};
use crate::limits::Limits;
use crate::model::{Evidence, LEDGER_SCHEMA, Manifest};
use crate::name::{CONTRACT, LEDGER, MANIFEST};
use crate::run::Opening;

/// What the integrity check found, for verify, resume and diff.
#[derive(Debug)]
pub(crate) struct Integrity {
    /// The report so far; its differences are complete as far as bytes go.
    pub(crate) report: VerifyReport,
    /// The ledger.
    pub(crate) ledger: Scan,
    /// The manifest, where the run is closed and the manifest is the one it was closed with.
    pub(crate) manifest: Option<Manifest>,
    /// The manifest's evidence list, or the ledger's without a manifest.
    pub(crate) evidence: Vec<Evidence>,
}

/// Checks bytes, chain, contract and file list.
pub(crate) fn integrity(dir: &Path, limits: &Limits) -> Result<Integrity, VerifyError> {
    let io = |source| VerifyError::Io { path: dir.to_owned(), source };
    let found = walk(dir, limits).map_err(io)?;
    let mut report = empty_report(dir);
    let has_manifest = found.files.contains_key(MANIFEST);
    let mut bytes = Vec::new();
    if found.files.contains_key(LEDGER) {
        let file = open_regular(&dir.join(LEDGER)).map_err(io)?;
        bytes = read_limited(file, limits.max_ledger_bytes).map_err(io)?;
        if bytes.len() as u64 > limits.max_ledger_bytes {
            let detail = format!("larger than {} bytes", limits.max_ledger_bytes);
            report.differences.push(Difference::new(DifferenceKind::LimitExceeded, LEDGER, detail));
            bytes.clear();
        }
    } else if has_manifest || found.is_special(LEDGER) {
        report.differences.push(Difference::new(DifferenceKind::LedgerMissing, LEDGER, "there is no ledger"));
    } else if !(found.files.is_empty() && found.dirs.is_empty() && found.special.is_empty()) {
        return Err(VerifyError::NotARun(dir.to_owned()));
    }
    let ledger = scan(&bytes, limits);
    report.differences.extend(ledger.differences.iter().cloned());
    report.checked.events = ledger.lines;
    report.head = (ledger.lines > 0).then(|| ledger.head.clone());
    let opening = ledger.events.first().filter(|e| e.kind == "open").map(|e| e.body.value());
    if let Some(opening) = opening {
        let text = |key: &str| opening[key].as_str().map(str::to_owned);
        report.procedure = text("procedure");
        report.contract_sha256 = text("contract_sha256");
        if let Some(other) = opening["schema"].as_str().filter(|schema| *schema != LEDGER_SCHEMA) {
            let detail = format!("schema {other:?}");
            report.differences.push(Difference::new(DifferenceKind::SchemaUnknown, LEDGER, detail));
        } else if let Err(error) = serde_json::from_value::<Opening>(opening.clone()) {
            // Everything that the manifest is compared with stands here, so none of it may be left out.
            let place = format!("{LEDGER}:1");
            report.differences.push(Difference::new(
                DifferenceKind::EventMalformed,
                place,
                error.to_string(),
            ));
        }
    }
    let recorded = recorded_evidence(&ledger, &mut report);
    let closed = ledger.closed.is_some() || (planted(Fault::AcceptMissingClose) && has_manifest);
    let manifest = if closed || (has_manifest && ledger.lines == 0 && bytes.is_empty()) {
        read_manifest(dir, limits, &ledger, &recorded, &mut report)
    } else {
        None
    };
    let evidence = manifest.as_ref().map_or_else(|| recorded.clone(), |m| m.evidence.clone());
    let unfinished = check_files(dir, limits, &found, &evidence, closed, &ledger, &mut report);
    check_contract(dir, limits, closed, &evidence, manifest.as_ref(), &mut report);
    let tampered = report.differences.iter().any(|d| d.kind.exit_code() == 6);
    if tampered {
        report.status = Status::Tampered;
    } else if !closed {
        report.status = Status::Interrupted;
        report.interrupted = Some(Interrupted {
            last_at: ledger.events.last().map(|e| e.at.clone()),
            torn_bytes: ledger.torn_bytes,
            pending: unfinished.pending,
            leftovers: unfinished.leftovers,
        });
    }
    Ok(Integrity { report, ledger, manifest, evidence })
}

fn empty_report(dir: &Path) -> VerifyReport {
    VerifyReport {
        schema: VERIFY_SCHEMA.to_owned(),
        dir: dir.to_string_lossy().into_owned(),
        status: Status::Clean,
        exit_code: 0,
        procedure: None,
        contract_sha256: None,
        head: None,
        checked: Checked::default(),
        stored_verdict: None,
        recomputed_verdict: None,
        gates: Vec::new(),
        differences: Vec::new(),
        left_off: 0,
        interrupted: None,
        references: Vec::new(),
    }
}

/// At most one byte more than `limit`, so that the caller can tell.
pub(crate) fn read_limited(file: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The evidence that the ledger's events record.
fn recorded_evidence(ledger: &Scan, report: &mut VerifyReport) -> Vec<Evidence> {
    let mut recorded = Vec::new();
    for event in ledger.events.iter().filter(|e| e.kind == "evidence") {
        match serde_json::from_value::<Evidence>(event.body.value()["evidence"].take()) {
            Ok(entry) => recorded.push(entry),
            Err(error) => {
                let place = format!("{LEDGER}:{}", event.line);
                report.differences.push(Difference::new(
                    DifferenceKind::EventMalformed,
                    place,
                    error.to_string(),
                ));
            }
        }
    }
    recorded
}

fn check_contract(
    dir: &Path,
    limits: &Limits,
    closed: bool,
    evidence: &[Evidence],
    manifest: Option<&Manifest>,
    report: &mut VerifyReport,
) {
    let mut differ = |kind, detail: String| report.differences.push(Difference::new(kind, CONTRACT, detail));
    let Some(entry) = evidence.iter().find(|e| e.name == CONTRACT && e.reference.is_none()) else {
        if closed {
            differ(DifferenceKind::FileMissing, "a closed run records its contract".to_owned());
        }
        return;
    };
    let opened = report.contract_sha256.as_deref();
    let named = manifest.map(|m| m.contract_sha256.as_str());
    let other = |hash: &&str| *hash != entry.sha256;
    if (opened.is_some_and(|h| other(&h)) || named.is_some_and(|h| other(&h)))
        && !planted(Fault::SkipContractHash)
    {
        let detail = format!(
            "the file is {}, the run was opened with {opened:?} and closed with {named:?}",
            entry.sha256
        );
        differ(DifferenceKind::ContractHash, detail);
    }
    let Ok(file) = open_regular(&dir.join(CONTRACT)) else { return };
    let Ok(bytes) = read_limited(file, limits.max_contract_bytes as u64) else { return };
    let form = read(&bytes, &limits.contract_json()).ok().and_then(|value| canonical(&value).ok());
    // A contract whose bytes changed is named by the file check; here it is about the form that was recorded.
    let as_recorded = crate::hash::sha256_hex(&bytes) == entry.sha256;
    if as_recorded && form.as_deref() != Some(bytes.as_slice()) && !planted(Fault::AcceptNonCanonicalContract)
    {
        differ(DifferenceKind::ContractNotCanonical, "the contract is not canonical JSON".to_owned());
    }
}
