//! The transformer: a step over a batch of chunks.

mod batch;
mod engine;
mod observer;
mod operators;
mod recorder;
mod step;

pub use batch::{Logits, SeqChunk};
pub use engine::{Model, ModelOptions};
pub use observer::{Observer, OpRecord, Shape};
