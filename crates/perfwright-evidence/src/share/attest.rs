//! A run as an in-toto statement: what it is about, by hash, and what its verdict is.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::ShareError;
use super::row::tree_of;
use super::seal::intact;
use crate::limits::Limits;
use crate::model::{Basis, GateRecord, VerdictRecord};
use crate::name::MANIFEST;

/// Name of the JSON Schema of an [`Attestation`]; the statement itself is versioned by in-toto's `_type`.
pub const ATTEST_SCHEMA: &str = "perfwright.run-attestation/v1";
/// `_type` of an in-toto statement (in-toto attestation framework, spec v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of a run.
pub const PREDICATE_TYPE: &str = "urn:perfwright:run:v1";

/// An in-toto statement about a closed run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// The manifest and every recorded file.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What is stated.
    pub predicate: Predicate,
}

/// One file that the statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subject {
    /// Path in the run folder, or the name of a referenced input.
    pub name: String,
    /// Its digests by algorithm: `sha256`.
    pub digest: std::collections::BTreeMap<String, String>,
}

/// What is stated of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Predicate {
    /// The name of this form.
    pub schema: String,
    /// Version of the program that wrote the run.
    pub perfwright: String,
    /// The procedure.
    pub procedure: String,
    /// UTC time of the first event.
    pub started: String,
    /// UTC time of the end.
    pub ended: String,
    /// The contract's hash.
    pub contract_sha256: String,
    /// Head of the ledger.
    pub head: String,
    /// How one row can be proved.
    pub merkle: MerkleSummary,
    /// The gates with their outcomes.
    pub gates: Vec<GateRecord>,
    /// Their combination.
    pub verdict: VerdictRecord,
    /// The weakest basis among the evidence.
    pub basis: Option<Basis>,
}

/// The tree over the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MerkleSummary {
    /// `rfc6962-sha256`.
    pub algorithm: String,
    /// Files in the tree.
    pub files: u64,
    /// Its root.
    pub root: String,
}

/// States the closed run in `dir`. Bytes are checked; gates are as stored.
///
/// # Errors
/// The folder is no run, is not closed, or its bytes are not those recorded.
pub fn attest(dir: &Path, limits: &Limits) -> Result<Attestation, ShareError> {
    let run = intact(dir, limits)?;
    let tree = tree_of(dir, &run, limits)?;
    let subject = |name: &str, sha256: &str| Subject {
        name: name.to_owned(),
        digest: [("sha256".to_owned(), sha256.to_owned())].into(),
    };
    let m = run.manifest;
    let subjects = std::iter::once(subject(MANIFEST, &run.manifest_sha256))
        .chain(m.evidence.iter().map(|e| subject(&e.name, &e.sha256)))
        .collect();
    Ok(Attestation {
        kind: STATEMENT_TYPE.to_owned(),
        subject: subjects,
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            schema: ATTEST_SCHEMA.to_owned(),
            perfwright: m.perfwright,
            procedure: m.procedure,
            started: m.started,
            ended: m.ended,
            contract_sha256: m.contract_sha256,
            head: run.head,
            merkle: MerkleSummary {
                algorithm: "rfc6962-sha256".to_owned(),
                files: tree.names.len() as u64,
                root: tree.root_hex(),
            },
            basis: m.evidence.iter().map(|e| e.basis).min(),
            gates: m.gates,
            verdict: m.verdict,
        },
    })
}
