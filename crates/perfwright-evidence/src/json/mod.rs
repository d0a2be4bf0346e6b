//! JSON as the run folder needs it: a strict, bounded reader, one canonical way of writing, and the proof of that form.

mod canonical;
mod form;
mod read;

pub(crate) use form::Prover;

pub use canonical::{CanonicalError, canonical, ecmascript_number};
pub use form::is_canonical;
pub use read::{JsonError, JsonErrorKind, JsonLimits, read, read_prefix};
