//! Handing a closed run to somebody else: its head to publish, a bundle, a statement, and the proof of one row.

mod attest;
mod merkle;
mod pack;
mod row;
mod seal;

pub use attest::{
    ATTEST_SCHEMA, Attestation, MerkleSummary, PREDICATE_TYPE, Predicate, STATEMENT_TYPE, Subject, attest,
};
pub use pack::{PACK_SCHEMA, PackFile, PackReport, pack};
pub use row::{ROW_PROOF_SCHEMA, RowProof, Sibling, Side, check_row, prove_row};
pub use seal::{SEAL_SCHEMA, Seal, seal};

use std::path::PathBuf;

use crate::verify::VerifyError;
use crate::verify::report::Status;

/// Why a run cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is nothing to read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Only a closed run whose bytes are as recorded is shared; the status says what is wrong with this one.
    #[error("{dir} is not intact and closed: {detail}")]
    NotIntact {
        /// The run folder.
        dir: PathBuf,
        /// What verifying its bytes says.
        status: Status,
        /// The first difference, or what is missing.
        detail: String,
    },
    /// No such evidence file, or no such line in it.
    #[error("{0}")]
    NoSuchRow(String),
    /// A file is there and cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Secrets stand in files that would be handed out.
    #[error("{count} secrets stand in the run's files; the first in {first}")]
    Secrets {
        /// The first file with one.
        first: String,
        /// How many were found.
        count: u64,
    },
}
