//! JSON as the run folder needs it: a strict, bounded reader and one canonical way of writing.

mod canonical;
mod read;

pub use canonical::{CanonicalError, canonical, ecmascript_number};
pub use read::{JsonError, JsonErrorKind, JsonLimits, read, read_prefix};
