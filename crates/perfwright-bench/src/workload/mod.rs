//! What is asked: sessions of one or more turns.

mod dataset;
mod error;
mod files;
mod generate;
mod spec;
mod tokenizer;
mod trace;
mod words;

pub use error::WorkloadError;
pub use files::{InputFile, MAX_INPUT};
pub use generate::{build, declared_cached_share};
pub use spec::{Session, Spec, Turn};
pub use words::VOCABULARY;
