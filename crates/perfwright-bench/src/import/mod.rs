//! Result files of other tools, as rows. Every importer says which of its figures differ in meaning from ours.

pub mod aiperf;
pub mod detect;
pub mod guidellm;
pub mod serving;

pub use detect::{Format, load};
