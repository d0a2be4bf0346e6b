//! Writing a run folder: start, record, finish, resume.

mod error;
mod opening;
mod resume;
mod writer;

pub use error::RunError;
pub(crate) use opening::Opening;
pub use opening::RunSpec;
pub use resume::set_aside;
pub use writer::{Finished, Head, RunWriter};
