//! Storage for keys and values, in pages.

use super::table::BlockTable;
use crate::config::ModelConfig;
use crate::error::LabError;
use crate::ops::packed::PANEL;

/// Page sizes are multiples of this many tokens: one vector of scores.
pub const PAGE_QUANTUM: usize = PANEL;

/// Keys and values of all layers, and the list of free pages.
///
/// A layer holds, for each key/value head, all pages: keys as `[page / 16][head_dim][16 tokens]`, so that the scores of
/// 16 tokens are one vector, and values as `[head_dim / 16][page][16]`, so that 16 output elements are one. Heads are
/// the outer dimension because attention reads one head of many pages: with the heads of a page side by side, the
/// processor fetches the others' bytes ahead too and memory gives half its bandwidth.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerKv>,
    free: Vec<u32>,
    num_pages: usize,
}

impl KvCache {
    /// A cache of `num_pages` pages of `page_size` tokens. The memory is taken now.
    ///
    /// # Errors
    /// When `page_size` is not a multiple of [`PAGE_QUANTUM`], or the sizes overflow.
    pub fn new(config: &ModelConfig, num_pages: usize, page_size: usize) -> Result<Self, LabError> {
        if page_size == 0 || !page_size.is_multiple_of(PAGE_QUANTUM) {
            let cause = format!("{page_size} is not a multiple of {PAGE_QUANTUM}");
            return Err(LabError::Setting { setting: "page_size", cause });
        }
        let elements = u32::try_from(num_pages)
            .ok()
            .and_then(|_| page_size.checked_mul(config.kv_size())?.checked_mul(num_pages))
            .filter(|n| n.checked_mul(8 * config.num_layers).is_some_and(|b| isize::try_from(b).is_ok()));
        let Some(elements) = elements else {
            let cause = format!("{num_pages} pages do not fit in the address space");
            return Err(LabError::Setting { setting: "num_pages", cause });
        };
        let layer = || LayerKv {
            k: vec![0.0; elements],
            v: vec![0.0; elements],
            page_size,
            num_pages,
            heads: config.num_kv_heads,
            head_dim: config.head_dim,
        };
        Ok(Self {
            layers: (0..config.num_layers).map(|_| layer()).collect(),
            // Taken from the end, so that the first page is taken first.
            free: (0..num_pages as u32).rev().collect(),
            num_pages,
        })
    }

    /// Bytes that a token takes in a cache of this model, all layers, keys and values (32-bit floats).
    #[must_use]
    pub fn bytes_per_token(config: &ModelConfig) -> usize {
        2 * config.num_layers * config.kv_size() * size_of::<f32>()
    }

    /// Tokens of a page.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.layers.first().map_or(PAGE_QUANTUM, |l| l.page_size)
    }

    /// All pages.
    #[must_use]
    pub fn num_pages(&self) -> usize {
        self.num_pages
    }

    /// Pages that no table holds.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        self.free.len()
    }

    /// Pages that tables hold.
    #[must_use]
    pub fn used_pages(&self) -> usize {
        self.num_pages - self.free.len()
    }

    /// Tokens that all pages hold.
    #[must_use]
    pub fn capacity_tokens(&self) -> usize {
        self.num_pages * self.page_size()
    }

    /// Bytes of all pages. `num_pages * page_size * bytes_per_token`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(LayerKv::bytes).sum()
    }

    /// Pages that a sequence of `tokens` tokens takes.
    #[must_use]
    pub fn pages_for(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.page_size())
    }

    /// Pages that `table` lacks to hold `tokens` tokens.
    #[must_use]
    pub fn missing_pages(&self, table: &BlockTable, tokens: usize) -> usize {
        self.pages_for(tokens).saturating_sub(table.pages.len())
    }

    /// Gives `table` the pages it lacks to hold `tokens` tokens.
    ///
    /// # Errors
    /// [`LabError::KvFull`] when too few are free; `table` then keeps what it had and gets nothing.
    pub fn reserve(&mut self, table: &mut BlockTable, tokens: usize) -> Result<(), LabError> {
        let needed = self.missing_pages(table, tokens);
        let free = self.free.len();
        let Some(first) = free.checked_sub(needed) else {
            return Err(LabError::KvFull { needed, free });
        };
        table.pages.extend(self.free.drain(first..).rev());
        Ok(())
    }

    /// Takes all pages of `table` back; it is empty afterwards.
    pub fn release(&mut self, table: &mut BlockTable) {
        self.free.extend(table.pages.drain(..).rev());
        debug_assert!(self.free.len() <= self.num_pages, "a table of another cache was released");
    }

    pub(crate) fn layer_mut(&mut self, layer: usize) -> &mut LayerKv {
        &mut self.layers[layer]
    }

    /// Whether the cache was made for a model of this shape.
    pub(crate) fn fits(&self, config: &ModelConfig) -> bool {
        let fits = |l: &LayerKv| l.heads == config.num_kv_heads && l.head_dim == config.head_dim;
        self.layers.len() == config.num_layers && self.layers.iter().all(fits)
    }
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(crate) struct LayerKv {
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) page_size: usize,
    pub(crate) num_pages: usize,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
}

impl LayerKv {
    fn bytes(&self) -> usize {
        (self.k.len() + self.v.len()) * size_of::<f32>()
    }

    /// Elements of a head within a page.
    #[inline(always)]
    fn head_elements(&self) -> usize {
        self.page_size * self.head_dim
    }

    #[inline(always)]
    fn head_start(&self, pages: &[u32], position: usize, head: usize) -> usize {
        let page = pages[position / self.page_size] as usize;
        (head * self.num_pages + page) * self.head_elements()
    }

    /// Keys of the 16 tokens from `position` on (a multiple of 16): a vector for each element of the head.
    #[inline(always)]
    pub(crate) fn key_panel(&self, pages: &[u32], position: usize, head: usize) -> &[[f32; PANEL]] {
        let within = position % self.page_size / PANEL * (PANEL * self.head_dim);
        let start = self.head_start(pages, position, head) + within;
        self.k[start..start + PANEL * self.head_dim].as_chunks().0
    }

    /// Elements `16 * block..` of the values of `count` tokens from `position` on, all within a page.
    #[inline(always)]
    pub(crate) fn value_panel(
        &self,
        pages: &[u32],
        position: usize,
        count: usize,
        head: usize,
        block: usize,
    ) -> &[[f32; PANEL]] {
        let within = (block * self.page_size + position % self.page_size) * PANEL;
        let start = self.head_start(pages, position, head) + within;
        self.v[start..start + count * PANEL].as_chunks().0
    }

    /// Stores the key and value of one token and head.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "one index for two strides")]
    pub(crate) fn store(&mut self, pages: &[u32], position: usize, head: usize, key: &[f32], value: &[f32]) {
        let start = self.head_start(pages, position, head);
        let slot = position % self.page_size;
        let keys = start + slot / PANEL * (PANEL * self.head_dim) + slot % PANEL;
        for d in 0..self.head_dim {
            self.k[keys + d * PANEL] = key[d];
        }
        for (block, x) in value.chunks_exact(PANEL).enumerate() {
            let at = start + (block * self.page_size + slot) * PANEL;
            self.v[at..at + PANEL].copy_from_slice(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found() {
        let config = ModelConfig::tiny();
        for page_size in [16, 48] {
            let mut kv = KvCache::new(&config, 8, page_size).unwrap();
            let mut table = BlockTable::new();
            kv.reserve(&mut table, 100).unwrap();
            let layer = kv.layer_mut(1);
            let element = |what: usize, position: usize, head: usize, d: usize| {
                (what * 1_000_000 + position * 1000 + head * 100 + d) as f32
            };
            for position in 0..100 {
                for head in 0..2 {
                    let row = |what| (0..16).map(|d| element(what, position, head, d)).collect::<Vec<_>>();
                    layer.store(table.pages(), position, head, &row(1), &row(2));
                }
            }
            for position in 0..100 {
                for head in 0..2 {
                    let keys = layer.key_panel(table.pages(), position / 16 * 16, head);
                    let values = layer.value_panel(table.pages(), position, 1, head, 0);
                    for d in 0..16 {
                        assert_eq!(keys[d][position % 16], element(1, position, head, d));
                        assert_eq!(values[0][d], element(2, position, head, d));
                    }
                }
            }
        }
    }
}
