//! What can go wrong in the numerics.

use std::path::PathBuf;

/// An error of the lab's numerics. Says where, what, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of the model folder is not what it has to be.
    #[error("{}: {place}: {cause}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it: a field, a tensor, a byte offset.
        place: String,
        /// What is wrong there.
        cause: String,
    },
    /// The model is well-formed, but this engine does not run its kind.
    #[error("{}: {what} is not supported ({hint})", path.display())]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// What is not supported.
        what: String,
        /// What is.
        hint: String,
    },
    /// A setting has no meaning.
    #[error("{setting}: {cause}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong and what is allowed.
        cause: String,
    },
    /// The KV cache has not enough free pages.
    #[error("the KV cache is full: {needed} pages needed, {free} free")]
    KvFull {
        /// Pages that were asked for.
        needed: usize,
        /// Pages that are free.
        free: usize,
    },
    /// A batch that cannot be computed: a token outside the vocabulary, a chunk outside its block table.
    #[error("chunk {chunk} of the batch: {cause}")]
    Batch {
        /// Index of the chunk in the batch.
        chunk: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// An operator from outside failed.
    #[error("external operator {name}: {cause}")]
    External {
        /// Its name.
        name: String,
        /// What it said.
        cause: String,
    },
}
