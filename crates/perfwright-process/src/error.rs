//! What can go wrong with a child process.

use std::io;
use std::path::PathBuf;

/// A fault of a child process or of the machine.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The command has no words.
    #[error("the command is empty")]
    Empty,
    /// The program cannot be started.
    #[error("cannot start {program:?}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A file of the child's output.
    #[error("cannot write {}: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Waiting for it or signalling it failed.
    #[error("cannot {what} process group {pgid}: {source}")]
    Group {
        /// What was tried.
        what: &'static str,
        /// The group.
        pgid: u32,
        /// The cause.
        source: io::Error,
    },
}
