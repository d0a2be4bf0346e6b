//! Why there is nothing to verify.

use std::io;
use std::path::PathBuf;

/// Why there is nothing to verify. A command ends with exit code 4.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder has neither ledger nor manifest.
    #[error("{0} is not a run folder")]
    NotARun(PathBuf),
    /// The folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}
