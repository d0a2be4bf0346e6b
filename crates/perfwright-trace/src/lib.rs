//! torch-profiler traces: reader, steps, attribution, tables.
//!
//! [`triage::triage`] is the face of the crate: from a path to a [`report::Triage`], which serialises as it stands
//! and renders through [`render`]. Nothing here prints, exits, or reads arguments or the environment.
//!
//! | stage | modules |
//! |---|---|
//! | bytes to columns | `input`, `scan`, `store`, `cache` |
//! | what a name means | [`names`], [`frames`] |
//! | which pass | [`steps`] |
//! | who launched it | `links`, `attribution`, `backward`, `companion`, `align` |
//! | wall clock | `sweep`, `budget`, `overlap` |
//! | fusions | [`fusion`], `fusion_rows` |
//! | layers of a pass | [`pipeline`] |
//! | operators of a model | [`map`] |
//! | evidence | [`gate`] |
//! | two traces | [`compare`] |
//! | answer | `part` (one trace), `triage` (all of them), [`report`], [`render`] |

mod align;
mod attribution;
mod backward;
pub mod budget;
mod cache;
mod companion;
pub mod compare;
mod describe;
pub mod error;
mod files;
pub mod frames;
pub mod fusion;
mod fusion_rows;
pub mod fusion_table;
pub mod gate;
pub mod input;
pub mod intern;
mod links;
pub mod map;
pub mod names;
pub mod overlap;
mod part;
pub mod pipeline;
pub mod render;
pub mod report;
mod scan;
pub mod steps;
pub mod store;
mod sweep;
pub mod triage;
