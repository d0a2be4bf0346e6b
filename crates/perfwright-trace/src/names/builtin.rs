//! The catalogue texts compiled into the program.

use super::catalog::parse;
use super::error::CatalogError;
use super::rule::File;

macro_rules! text {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/kernels/", $name)))
    };
}

/// In the order of asking: what is specific comes before what is general.
const TEXTS: [(&str, &str); 10] = [
    text!("lab.toml"),
    text!("communication.toml"),
    text!("attention.toml"),
    text!("moe.toml"),
    text!("norm.toml"),
    text!("sequence.toml"),
    text!("gemm.toml"),
    text!("pytorch.toml"),
    text!("general.toml"),
    text!("cpu_ops.toml"),
];

pub(super) fn kernels() -> Result<Vec<File>, CatalogError> {
    TEXTS.iter().map(|(path, text)| parse(path, text)).collect()
}
