//! Single-file HTML pages: no script, nothing loaded from elsewhere, light and dark, wide and narrow, on paper too.

mod escape;
mod page;
mod table;

pub use escape::escape;
pub use page::{Badge, Block, Page, Tone, document, page};
