//! What can go wrong, with the file, the field and what was expected there.

use std::path::PathBuf;

/// A config, a catalogue or a question that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The operating system refused the file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// More bytes than any config has.
    #[error("{} holds {bytes} bytes, more than the limit of {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not JSON.
    #[error("{} is not JSON: {cause} (line {line}, column {column})", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The reader's reason.
        cause: String,
    },
    /// A field holds something else than it must.
    #[error("{}: field `{field}`: expected {expected}, found {found}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Path of the field inside the file.
        field: String,
        /// What belongs there.
        expected: String,
        /// What stands there, shortened.
        found: String,
    },
    /// A field without which nothing can be said is not there.
    #[error("{}: missing field `{field}`: expected {expected}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The field, with its other spellings.
        field: String,
        /// What belongs there.
        expected: String,
    },
    /// The question does not fit the model or has an impossible value.
    #[error("{0}")]
    Question(String),
    /// No GPU of that name in the catalogue.
    #[error("no GPU named `{name}` in the catalogue")]
    NoGpu {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A catalogue file does not follow its form.
    #[error("catalogue {file}: {cause}")]
    Catalog {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
}
