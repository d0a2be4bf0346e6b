//! `trace compare`: what got slower, faster, appeared or vanished between two traces, and what explains the gap.
//!
//! Steps come first: only passes of one class that did the same amount of work are compared. See [`run::compare`] for
//! the way from two paths to a [`report::Comparison`].
//!
//! | stage | module |
//! |---|---|
//! | one trace as passes with their kernels and their wall clock | `side` |
//! | which pass is compared with which | `matching` |
//! | one kernel under two names | `rename` |
//! | means, ratios, intervals | `measure`, `rows` |
//! | the layers a difference is in | `positions` |
//! | the gap in wall time | `gap` |
//! | limits for CI | [`limit`] |
//! | gates of a recorded comparison | [`gate`] |
//! | answer | [`report`], `verdict`, [`render`] |

mod gap;
pub mod gate;
pub mod limit;
mod matching;
mod measure;
mod positions;
mod rename;
pub mod render;
pub mod report;
mod rows;
pub mod run;
mod side;
mod verdict;

pub use matching::TOLERANCE;
pub use report::Comparison;
pub use run::{CompareOptions, compare};
