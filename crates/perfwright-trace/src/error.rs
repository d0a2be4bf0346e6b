//! What can go wrong while reading a trace, with the file, the place and the cause.

use std::path::PathBuf;

/// A trace that cannot be read at all, or cannot be used for the question asked.
///
/// A trace that is readable in part is not an error: the part is analysed and
/// [`Partial`](crate::store::Partial) says what is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The operating system refused the file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// File or folder asked for.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A folder in which no file looks like a trace.
    #[error("no trace in {}", path.display())]
    NoTrace {
        /// The folder.
        path: PathBuf,
        /// How many files were looked at.
        looked_at: usize,
    },
    /// The file holds no byte, or only white space.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are not JSON.
    #[error("{} is not JSON: {cause} at byte {offset}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Byte offset in the (uncompressed) text.
        offset: u64,
        /// What stood there.
        cause: String,
    },
    /// JSON, but not a trace.
    #[error("{} is JSON but not a trace: {cause}", path.display())]
    NotTrace {
        /// The file.
        path: PathBuf,
        /// What is missing.
        cause: String,
    },
    /// Compressed data that cannot be inflated at all.
    #[error("{} is not a readable gzip file: {cause}", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        cause: String,
    },
    /// Nested more deeply than any trace is.
    #[error("{} is nested more than {limit} levels deep at byte {offset}", path.display())]
    TooDeep {
        /// The file.
        path: PathBuf,
        /// Byte offset in the (uncompressed) text.
        offset: u64,
        /// The limit.
        limit: usize,
    },
    /// A limit of the reader was passed.
    #[error("{}: {what} is over the limit of {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What was too large.
        what: &'static str,
        /// The limit, in `what`'s unit.
        limit: u64,
    },
    /// A user's catalogue folder could not be used.
    #[error("{}: {cause}", path.display())]
    Catalog {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// A rank was asked for that no file belongs to.
    #[error("no trace of rank {rank} in {}", path.display())]
    NoRank {
        /// The folder.
        path: PathBuf,
        /// The rank asked for.
        rank: u32,
    },
    /// A pass or layer was asked for that the trace does not have.
    #[error("{} has no {what}: {have}", path.display())]
    NoSuchPart {
        /// The file or folder.
        path: PathBuf,
        /// What was asked for.
        what: String,
        /// What there is.
        have: String,
    },
}
