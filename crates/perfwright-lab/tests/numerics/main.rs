//! The numerics, through their public face.
#![allow(clippy::unwrap_used, reason = "tests; helpers outside test functions are not recognised as such")]

mod common;
mod external;
mod folder;
mod generation;
mod invariance;
mod observer;
mod pages;
mod reference;
mod sampling;
mod tokenizer;
