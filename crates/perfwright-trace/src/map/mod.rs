//! `trace map`: the kernels of a trace joined to the operators of its model, each held against what the GPU allows.
//!
//! | question | module |
//! |---|---|
//! | which products did operators record, each counted once | `dims`, `catalog`, `recorded` |
//! | what must a pass compute | `load`, `plan` |
//! | which kernel does which operator | `role`, `join` |
//! | time, FLOPs and bytes of each operator | `account` |
//! | what contradicts the model | `detect`, `cut` |
//! | answer | `run` (traces), `one_pass`, `answer`, `report`, `verdict`, `render` |

mod account;
mod answer;
mod catalog;
mod cut;
mod detect;
pub mod dims;
mod join;
mod load;
mod one_pass;
mod plan;
mod recorded;
pub mod render;
pub mod report;
mod role;
mod run;
mod verdict;

pub use run::{MapError, MapOptions, map, map_store};
