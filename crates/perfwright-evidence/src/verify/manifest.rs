//! The manifest against the closing event and against the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::check::read_limited;
use super::faults::{Fault, planted};
use super::report::{Difference, DifferenceKind, VerifyReport};
use crate::disk::open_regular;
use crate::hash::sha256_hex;
use crate::json::read;
use crate::ledger::Scan;
use crate::limits::Limits;
use crate::model::{Evidence, MANIFEST_SCHEMA, Manifest};
use crate::name::MANIFEST;
use crate::run::Opening;
use crate::time::is_timestamp;

/// Reads and checks the manifest; `None` where it is not the one that the run was closed with.
pub(super) fn read_manifest(
    dir: &Path,
    limits: &Limits,
    ledger: &Scan,
    recorded: &[Evidence],
    report: &mut VerifyReport,
) -> Option<Manifest> {
    let mut differ = |kind, detail: String| report.differences.push(Difference::new(kind, MANIFEST, detail));
    let file = match open_regular(&dir.join(MANIFEST)) {
        Ok(file) => file,
        Err(error) => {
            differ(DifferenceKind::ManifestMissing, error.to_string());
            return None;
        }
    };
    let bytes = match read_limited(file, limits.max_manifest_bytes as u64) {
        Ok(bytes) => bytes,
        Err(error) => {
            differ(DifferenceKind::Unreadable, error.to_string());
            return None;
        }
    };
    let hash = sha256_hex(&bytes);
    if let Some(closed) = ledger.closed.as_ref().filter(|closed| **closed != hash)
        && !planted(Fault::SkipManifestHash)
    {
        differ(DifferenceKind::ManifestHash, format!("the file is {hash}, the closing event names {closed}"));
        return None;
    }
    let value = match read(&bytes, &limits.manifest_json()) {
        Ok(value) => value,
        Err(error) => {
            differ(DifferenceKind::ManifestMalformed, error.to_string());
            return None;
        }
    };
    match value["schema"].as_str() {
        Some(MANIFEST_SCHEMA) => {}
        Some(other) => {
            differ(DifferenceKind::SchemaUnknown, format!("schema {other:?}"));
            return None;
        }
        None => {
            differ(DifferenceKind::ManifestMalformed, "no schema".to_owned());
            return None;
        }
    }
    let manifest = match serde_json::from_value::<Manifest>(value.clone()) {
        Ok(manifest) => manifest,
        Err(error) => {
            differ(DifferenceKind::ManifestMalformed, error.to_string());
            return None;
        }
    };
    if !is_timestamp(&manifest.started) || !is_timestamp(&manifest.ended) {
        differ(DifferenceKind::ManifestMalformed, "started and ended are not time stamps".to_owned());
    }
    let mut gates = BTreeSet::new();
    if manifest.evidence.len() > limits.max_entries || manifest.gates.len() > limits.max_gates {
        let detail =
            format!("{} evidence entries and {} gates", manifest.evidence.len(), manifest.gates.len());
        differ(DifferenceKind::LimitExceeded, detail);
        return None;
    }
    for gate in &manifest.gates {
        if !gates.insert((gate.id.as_str(), gate.version)) {
            differ(DifferenceKind::ManifestMalformed, format!("gate {} is listed twice", gate.label()));
            return None;
        }
    }
    // A broken ledger is named already; comparing with it would only repeat that.
    if ledger.differences.is_empty() && ledger.lines > 0 && !planted(Fault::SkipManifestLedger) {
        for detail in disagreements(&value, &manifest, ledger, recorded) {
            differ(DifferenceKind::ManifestLedger, detail);
        }
    }
    Some(manifest)
}

fn disagreements(value: &Value, manifest: &Manifest, ledger: &Scan, recorded: &[Evidence]) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(first) = ledger.events.first() {
        let body = first.body.value();
        for key in Opening::SHARED.into_iter().filter(|key| *key != "contract_sha256") {
            if value[key] != body[key] {
                details.push(format!("{key} differs from the first event"));
            }
        }
        if manifest.started != first.at {
            details.push("started differs from the first event".to_owned());
        }
    }
    let in_ledger: BTreeMap<&str, &Evidence> = recorded.iter().map(|e| (e.name.as_str(), e)).collect();
    let in_manifest: BTreeSet<&str> = manifest.evidence.iter().map(|e| e.name.as_str()).collect();
    for entry in &manifest.evidence {
        if in_ledger.get(entry.name.as_str()) != Some(&entry) {
            details.push(format!("{:?} is not as the ledger records it", entry.name));
        }
    }
    for name in in_ledger.keys().filter(|name| !in_manifest.contains(*name)) {
        details.push(format!("{name:?} is recorded in the ledger only"));
    }
    if details.is_empty() && manifest.evidence != recorded {
        details.push("the evidence is another sequence than in the ledger".to_owned());
    }
    details
}
