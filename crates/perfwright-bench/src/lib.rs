//! Serving benchmarks: what was measured, whether it may be compared, and what follows.
//!
//! | question | module |
//! |---|---|
//! | what one measured candidate is | [`rows`] |
//! | do the figures meet the agreed bounds | [`sla`] |
//! | what other tools' result files hold | [`import`] |
//! | which rows may be compared, and in which order they stand | [`rank`] |
//! | better, worse, same or inconclusive | [`decide`] |
//! | what a search is asked to do | [`plan`] |
//! | how a server is started | [`render`], [`flags`] |
//! | which candidates are tried, and what is kept of each | [`search`] |

pub mod decide;
pub mod flags;
pub mod gate;
pub mod import;
pub mod plan;
pub mod rank;
pub mod render;
pub mod rows;
pub mod search;
pub mod sla;
