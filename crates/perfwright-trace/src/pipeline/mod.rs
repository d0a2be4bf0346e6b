//! `trace pipeline`: the forward passes of a trace, the layers in each, and the kernels that flow through a layer.
//!
//! | question | module |
//! |---|---|
//! | what part a kernel plays in a layer | `kind` |
//! | where layers begin and end in a run of kernels | `segment`, `blocks`, `period` |
//! | which kernels make a pass | `passes` |
//! | which layers are alike, which passes are steady | `clusters`, `steady` |
//! | what supports the layer count | `evidence`, `config` |
//! | kernels of one layer, two layers side by side | `flow` |
//! | which layer each piece of work is in | `position` |
//! | answer | `run`, `assemble`, `report`, `render` |

pub(crate) mod assemble;
mod blocks;
mod clusters;
pub mod config;
mod evidence;
mod flow;
pub(crate) mod kind;
pub(crate) mod passes;
mod period;
mod position;
pub mod render;
pub mod report;
mod run;
pub(crate) mod segment;
mod steady;

pub(crate) use position::{AFTER, BEFORE, NOWHERE, positions};
pub(crate) use render::ranges as number_ranges;
pub use run::{PipelineOptions, pipeline, pipeline_store};
