//! The head of a closed run: the one line to publish.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::ShareError;
use super::row::tree_of;
use crate::limits::Limits;
use crate::model::{Manifest, VerdictRecord};
use crate::verify::check::{Integrity, integrity};
use crate::verify::report::Status;

/// The `schema` field of a [`Seal`].
pub const SEAL_SCHEMA: &str = "perfwright.run-seal/v1";

/// The answer of `run seal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seal {
    /// [`SEAL_SCHEMA`].
    pub schema: String,
    /// The run folder as it was given.
    pub dir: String,
    /// SHA-256 of the last ledger line. Whoever keeps it can tell a rewritten run with `run verify --head`.
    pub head: String,
    /// Complete ledger lines.
    pub events: u64,
    /// The procedure.
    pub procedure: String,
    /// The contract's hash.
    pub contract_sha256: String,
    /// SHA-256 of `manifest.json`, as the closing event names it.
    pub manifest_sha256: String,
    /// Root over every recorded file and every line in it; one row can be proved against it.
    pub merkle_root: String,
    /// The stored verdict.
    pub verdict: VerdictRecord,
}

/// Reads the head of the closed run in `dir`, after its bytes were checked. Gates are not evaluated.
///
/// # Errors
/// The folder is no run, is not closed, or its bytes are not those recorded.
pub fn seal(dir: &Path, limits: &Limits) -> Result<Seal, ShareError> {
    let run = intact(dir, limits)?;
    Ok(Seal {
        schema: SEAL_SCHEMA.to_owned(),
        dir: dir.to_string_lossy().into_owned(),
        merkle_root: tree_of(dir, &run, limits)?.root_hex(),
        head: run.head,
        events: run.events,
        procedure: run.manifest.procedure,
        contract_sha256: run.manifest.contract_sha256,
        manifest_sha256: run.manifest_sha256,
        verdict: run.manifest.verdict,
    })
}

/// A closed run whose bytes are as recorded.
pub(super) struct Intact {
    pub(super) manifest: Manifest,
    pub(super) manifest_sha256: String,
    pub(super) head: String,
    pub(super) events: u64,
}

pub(super) fn intact(dir: &Path, limits: &Limits) -> Result<Intact, ShareError> {
    let Integrity { report, ledger, manifest, .. } = integrity(dir, limits)?;
    let closing = ledger.closed.as_ref().and(ledger.events.last());
    let manifest_sha256 = closing.and_then(|e| e.body.value()["manifest_sha256"].as_str().map(str::to_owned));
    let broken = report.differences.iter().find(|d| d.kind.exit_code() == 6);
    if let (None, Some(manifest), Some(manifest_sha256), Some(head)) =
        (broken, manifest, manifest_sha256, report.head)
    {
        return Ok(Intact { manifest, manifest_sha256, head, events: ledger.lines });
    }
    let (status, detail) = match broken {
        Some(d) => (Status::Tampered, format!("{}: {}", d.place, d.detail)),
        None => (Status::Interrupted, "it has no closing event".to_owned()),
    };
    Err(ShareError::NotIntact { dir: dir.to_owned(), status, detail })
}
