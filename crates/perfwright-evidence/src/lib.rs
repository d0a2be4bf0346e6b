//! Run folders, contracts, ledger, gates and verdicts: what makes a result checkable by somebody else.
//!
//! Writing:
//!
//! ```
//! use perfwright_evidence::{Basis, EvidenceMeta, RunSpec, RunWriter, Rule, Registry, VerifyOptions, verify};
//! use perfwright_evidence::{EvidenceSet, Gate, GateResult};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path().join("run");
//! fn fast_enough(evidence: &EvidenceSet) -> GateResult {
//!     match evidence.json("benchmark/result.json").map(|v| v["ms"].as_f64()) {
//!         Ok(Some(ms)) if ms < 10.0 => GateResult::pass("below the limit").measured(ms).threshold(10.0),
//!         Ok(Some(ms)) => GateResult::fail("not below the limit").measured(ms).threshold(10.0),
//!         _ => GateResult::hard_stop("no result"),
//!     }
//! }
//! const GATES: &[Gate] = &[Gate { id: "demo.fast", version: 1, eval: fast_enough }];
//!
//! let mut spec = RunSpec::new("demo bench", "0.1.0", serde_json::json!({"model": "demo", "limit_ms": 10}));
//! spec.argv = vec!["perfwright".into(), "--api-key".into(), "never-on-disk".into()];
//! let mut run = RunWriter::create_or_resume(&dir, &spec)?;
//! run.event("warmup", &serde_json::json!({"rounds": 3}))?;
//! let meta = EvidenceMeta::new("application/json", Basis::Measured);
//! run.add_bytes("benchmark/result.json", br#"{"ms": 9.5}"#, &meta)?;
//! let finished = run.finish(GATES, Rule::AllPassV1)?;
//! assert_eq!(finished.verdict.outcome.exit_code(), 0);
//!
//! let registry = Registry::new(GATES.iter().copied())?;
//! assert_eq!(verify(&dir, &registry, &VerifyOptions::default())?.exit_code, 0);
//! # Ok(()) }
//! ```
//!
//! Reading: [`list_runs`], [`show`], [`verify`], [`diff`]; each returns a report value that is ready to serialise.
//!
//! Handing out: [`seal`], [`pack`], [`attest`], [`prove_row`].

mod diff;
mod disk;
mod gate;
mod git;
mod hash;
mod host;
pub mod json;
mod ledger;
mod ledger_line;
mod ledger_view;
mod limits;
mod lock;
mod model;
mod name;
mod redact;
mod run;
mod schemas;
mod share;
mod show;
mod time;
mod verdict;
mod verify;

#[cfg(test)]
mod tests;

pub use diff::{DIFF_SCHEMA, DiffError, DiffReport, EvidenceChange, EvidenceDiff, FieldDiff, GateDiff, diff};
pub use gate::{DuplicateGate, EvidenceError, EvidenceSet, Gate, GateResult, Registry};
pub use git::{Repo, RepoState};
pub use hash::{is_sha256_hex, sha256_hex, sha256_of_reader};
pub use host::{Gpu, Gpus, Host};
pub use ledger_line::Data;
pub use ledger_view::{LedgerEvent, LedgerView, ledger_of, ledger_tail, read_ledger};
pub use limits::{Limits, REFERENCE_ABOVE_BYTES};
pub use lock::{LockError, LockPlace, writer_of};
pub use model::{
    Basis, Evidence, EvidenceMeta, GateRecord, LEDGER_SCHEMA, MANIFEST_SCHEMA, Manifest, Outcome,
    VerdictOutcome, VerdictRecord,
};
pub use name::{CONTRACT, LEDGER, MANIFEST, NameError, check_name};
pub use redact::{REDACTED, Redactor, SecretInBinary};
pub use run::{Finished, Head, RunError, RunSpec, RunWriter, set_aside};
pub use schemas::schemas;
pub use share::{
    ATTEST_SCHEMA, Attestation, MerkleSummary, PACK_SCHEMA, PREDICATE_TYPE, PackFile, PackReport, Predicate,
    ROW_PROOF_SCHEMA, RowProof, SEAL_SCHEMA, STATEMENT_TYPE, Seal, ShareError, Sibling, Side, Subject,
    attest, check_row, pack, prove_row, seal,
};
pub use show::{LIST_SCHEMA, ListReport, RunState, RunSummary, SHOW_SCHEMA, ShowReport, list_runs, show};
pub use time::{Clock, default_run_dir_name, is_timestamp, timestamp, timestamp_ms};
pub use verdict::Rule;
pub use verify::report::{
    Checked, Difference, DifferenceKind, GateCheck, GateState, Interrupted, ReferenceCheck, ReferenceState,
    Status, VERIFY_SCHEMA, VerifyReport,
};
pub use verify::{VerifyError, VerifyOptions, verify};
