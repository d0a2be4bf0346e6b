//! The paged key/value cache.

mod cache;
mod table;

pub(crate) use cache::LayerKv;
pub use cache::{KvCache, PAGE_QUANTUM};
pub use table::BlockTable;
