//! Why a campaign cannot go on, with the exit code of a command that ends so.

use std::io;
use std::path::{Path, PathBuf};

use perfwright_evidence::RunError;

use crate::git::GitError;
use crate::plan::PlanError;
use crate::transition::Refused;

/// Why a campaign cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// There is no campaign here.
    #[error("no campaign is registered for {0} or a folder above it")]
    None(PathBuf),
    /// One is under way already.
    #[error("a campaign is under way in {0}")]
    UnderWay(PathBuf),
    /// What keeps the campaign was changed or removed.
    #[error("{0}")]
    Tampered(String),
    /// The plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The run folder refused.
    #[error("{path}: {source}")]
    Run {
        /// The run folder.
        path: PathBuf,
        /// The cause.
        source: Box<RunError>,
    },
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The ledger holds an event that cannot have happened.
    #[error("event {at} of the ledger: {source}")]
    Replay {
        /// Number of the event, from 0.
        at: usize,
        /// The cause.
        source: Refused,
    },
    /// The command does not fit the state.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was asked for needs a campaign that is done.
    #[error("{0}")]
    NotDone(String),
    /// A precondition of starting does not hold.
    #[error("{0}")]
    Precondition(String),
    /// A person has to say so.
    #[error("{0}")]
    Person(String),
}

impl LoopError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn run(path: &Path, source: RunError) -> Self {
        Self::Run { path: path.to_owned(), source: Box::new(source) }
    }

    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::None(_) | Self::UnderWay(_) | Self::Person(_) => 2,
            Self::Precondition(_) => 3,
            Self::NotDone(_) => 1,
            Self::Refused(_) => 2,
            Self::Tampered(_) | Self::Replay { .. } => 6,
            Self::Plan(_) => 4,
            Self::Git(_) | Self::Io { .. } => 5,
            Self::Run { source, .. } => source.exit_code(),
        }
    }
}
