//! Why a run cannot be written, with the exit code of a command that ends so.

use std::io;
use std::path::PathBuf;

use crate::json::CanonicalError;
use crate::lock::LockError;
use crate::name::NameError;
use crate::verify::report::VerifyReport;

/// Why a run cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file that shall become evidence cannot be read.
    #[error("cannot read {path}: {source}")]
    Source {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Whoever watches the ledger could not take note of an event, so it was not appended.
    #[error("the head of the ledger cannot be kept: {source}")]
    Watcher {
        /// The cause.
        source: io::Error,
    },
    /// Another writer, or no place for a lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder exists and is not an empty one.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The folder is no run.
    #[error("{0} is not a run folder")]
    NotARun(PathBuf),
    /// The run belongs to another procedure.
    #[error("the run was started by `{recorded}`, not by `{given}`")]
    OtherProcedure {
        /// What the ledger says.
        recorded: String,
        /// What was asked for.
        given: String,
    },
    /// The run has ended.
    #[error("{0} is closed and cannot be continued")]
    Closed(PathBuf),
    /// The run was started under another contract.
    #[error("the run's contract is {recorded}, the command's is {given}")]
    ContractDiffers {
        /// Hash in the ledger.
        recorded: String,
        /// Hash of the command's contract.
        given: String,
    },
    /// What the run recorded is not intact.
    #[error("the run is not intact: {}", first_difference(report))]
    Broken {
        /// What verify says.
        report: Box<VerifyReport>,
    },
    /// The run folder holds files that nothing recorded.
    #[error("the run folder holds files that nothing recorded: {}", .0.join(", "))]
    Strangers(Vec<String>),
    /// The evidence name is not allowed.
    #[error("evidence name {name:?} is not allowed: {source}")]
    Name {
        /// The name.
        name: String,
        /// The broken rule.
        source: NameError,
    },
    /// The name is taken, as a file or as a folder.
    #[error("evidence {0:?} is already recorded")]
    Taken(String),
    /// Beyond the limits of the format.
    #[error("{what} is {size}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// An event kind is reserved or not made of `a-z0-9._-`.
    #[error("event kind {0:?} is not allowed")]
    Kind(String),
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A secret where it cannot be replaced: in a name or in binary content.
    #[error("{0:?} holds a secret that cannot be replaced")]
    Secret(String),
    /// An earlier write failed in a way that leaves the ledger's end unknown; resume the run.
    #[error("an earlier write failed, the run must be resumed")]
    Poisoned,
}

fn first_difference(report: &VerifyReport) -> String {
    report.differences.first().map_or_else(
        || "it cannot be checked".to_owned(),
        |d| format!("{}: {} ({} in all)", d.place, d.detail, report.differences.len()),
    )
}

impl RunError {
    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exists(_)
            | Self::NotARun(_)
            | Self::OtherProcedure { .. }
            | Self::Closed(_)
            | Self::Name { .. }
            | Self::Taken(_)
            | Self::Kind(_) => 2,
            Self::ContractDiffers { .. } => 3,
            Self::Source { .. } | Self::TooLarge { .. } | Self::Canonical(_) | Self::Secret(_) => 4,
            Self::Io { .. } | Self::Watcher { .. } | Self::Lock(_) | Self::Poisoned => 5,
            Self::Broken { .. } | Self::Strangers(_) => 6,
        }
    }
}
