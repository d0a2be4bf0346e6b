//! Gates of a campaign: what is checked is data (the catalogue and the plan), how is one function a kind.

mod catalogue;
mod evaluate;
mod files;
mod machine;
mod push;
mod resources;
mod tree;

pub use catalogue::{GateSpec, Kind, Resolved, builtin, resolve};
pub(crate) use evaluate::{Scene, SessionFacts, evaluate};
pub(crate) use files::hash_of;
pub(crate) use machine::{Copy, make_read_only};
pub(crate) use push::remote_refs;
pub(crate) use resources::{available, device_memory};
