//! The parameters of a model, in the order the operators read them.

mod folder;
mod layout;
mod seed;

pub use layout::Weights;
pub(crate) use layout::{LayerWeights, Parts};
