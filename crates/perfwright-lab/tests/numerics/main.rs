//! The numerics, through their public face.

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
