//! The search: which candidates are tried, at which loads, and what is kept of each. Every decision is a pure function
//! of the plan and the rows so far, so an interrupted search continues where it was.

pub mod boundary;
pub mod deliver;
pub mod dry;
pub mod journal;
pub mod prune;
pub mod run;
pub mod screen;
pub mod space;
pub mod steps;
pub mod summary;

pub use journal::Journal;
pub use run::{SearchError, Trialled, run};
pub use space::{Candidate, Coverage};
pub use steps::{Conditions, Load, Step, Trial, next};
