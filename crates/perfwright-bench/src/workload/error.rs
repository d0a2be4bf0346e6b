//! Why a workload cannot be built.

use std::path::PathBuf;

/// Why a workload cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is longer than the limit.
    #[error("{} is over the limit of {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A line or entry cannot be used.
    #[error("{}: {place}: {cause}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// `line 3` or `entry 7`.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// The file holds nothing to ask.
    #[error("{} holds no request", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one of the contract.
    #[error("{} has changed since the conditions were locked", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Stated lengths or counts are out of range.
    #[error("{0}")]
    Range(String),
}
