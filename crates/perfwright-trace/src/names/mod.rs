//! What a kernel name means.
//!
//! Two stages, both pure and run once per distinct name:
//! [`Symbol::parse`] turns a raw name (mangled or demangled C++, Triton, Tensile, a vendor's flat
//! name) into its meaning-bearing base symbol; [`Catalog::classify`] looks that symbol up in the
//! ordered rules of `catalog/kernels/*.toml`. No rule ever sees the whole raw name: template
//! arguments and parameter lists name types, and types of one library appear in kernels of every
//! other (`cutlass::bfloat16_t` is no GEMM).

mod builtin;
mod catalog;
mod category;
mod cond;
mod cpp;
mod demangle;
mod display;
mod error;
mod index;
mod rule;
mod symbol;
mod words;

pub use catalog::{Catalog, Source};
pub use category::{By, Category, Classified, Comm, Phase, Tag};
pub use cond::Cond;
pub use error::CatalogError;
pub use rule::{OpRule, Rule};
pub use symbol::{MAX_NAME, Symbol, normalise};
pub use words::Words;
