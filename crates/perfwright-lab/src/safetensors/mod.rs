//! Folders of weights in the safetensors format (<https://github.com/huggingface/safetensors#format>): eight bytes
//! with the length of a JSON header, the header, and the tensors one after the other.

mod folder;
mod header;
mod write;

pub(crate) use folder::{Folder, read_bounded};
pub(crate) use write::{Tensor, write};
