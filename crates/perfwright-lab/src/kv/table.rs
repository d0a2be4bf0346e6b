//! Which pages hold the keys and values of a sequence.

/// The pages of one sequence, in the order of its tokens. Made empty, filled by [`KvCache::reserve`], given back by
/// [`KvCache::release`]; it is not `Clone`, so a page has one owner.
///
/// [`KvCache::reserve`]: crate::KvCache::reserve
/// [`KvCache::release`]: crate::KvCache::release
#[derive(Debug, Default)]
pub struct BlockTable {
    pub(super) pages: Vec<u32>,
}

impl BlockTable {
    /// A table without pages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The pages, in the order of the tokens.
    #[must_use]
    pub fn pages(&self) -> &[u32] {
        &self.pages
    }
}
