//! The numerics, through their public face.

mod common;
mod folder;
mod generation;
mod invariance;
mod pages;
mod sampling;
mod tokenizer;
