//! Errors of catalogue files.

/// A catalogue text that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The text is not TOML of the expected shape.
    #[error("catalogue {path}: {source}")]
    Parse {
        /// Name of the catalogue text, as given by the caller.
        path: String,
        /// Position and reason.
        source: Box<toml::de::Error>,
    },
    /// An entry is well-formed but makes no sense.
    #[error("catalogue {path}: entry {id}: {reason}")]
    Entry {
        /// Name of the catalogue text.
        path: String,
        /// The entry's id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text larger than the limit.
    #[error("catalogue {path}: {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Name of the catalogue text.
        path: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}
