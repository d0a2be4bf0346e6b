//! Fusions a trace can decide: which are active, which are missing, and by which kernels.
//!
//! Entries are data (`catalog/fusions/*.toml`). An entry is *active* where a kernel that does the fused
//! work itself was launched; it is *missing* where the unfused kernels follow one another directly on
//! one stream, in one step and (where known) one layer. Nothing else is evidence: no file names, no
//! Python frames, no words inside type names.

mod catalog;
mod engine;
mod pattern;
mod row;

pub use catalog::FusionCatalog;
pub use engine::find;
pub use pattern::{Element, Example, Needs, Pattern};
pub use row::{FusionContext, FusionRow, KernelInfo, LaunchView, State, Vendor};
