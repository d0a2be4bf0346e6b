//! What a step computes, and what it gives back.

use std::ops::Range;

use crate::config::ModelConfig;
use crate::error::LabError;
use crate::kv::{BlockTable, KvCache};

/// Some tokens of a sequence: a whole prompt, a piece of one, or the token that was chosen last.
#[derive(Debug, Clone, Copy)]
pub struct SeqChunk<'a> {
    /// The pages of the sequence; they hold at least `start + tokens.len()` tokens.
    pub table: &'a BlockTable,
    /// Tokens of the sequence that are in the cache already.
    pub start: usize,
    /// The tokens that follow; at least one.
    pub tokens: &'a [u32],
    /// Whether the logits after the last of them are wanted.
    pub want_logits: bool,
}

/// Logits of a step: a row of `vocab_size` for each chunk that wanted them, in the order of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    pub(super) values: Vec<f32>,
    pub(super) vocab: usize,
}

impl Logits {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.vocab.max(1)
    }

    /// Whether no chunk wanted logits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.vocab.max(1))
    }

    /// A row.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.rows().nth(index)
    }
}

/// The chunks of a step as rows, one a token.
pub(super) struct Rows<'a> {
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<usize>,
    pub(super) pages: Vec<&'a [u32]>,
    pub(super) sequences: Vec<Range<usize>>,
    /// Rows whose logits are wanted.
    pub(super) wanted: Vec<usize>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(config: &ModelConfig, kv: &KvCache, batch: &[SeqChunk<'a>]) -> Result<Self, LabError> {
        let mut rows = Self {
            tokens: Vec::new(),
            positions: Vec::new(),
            pages: Vec::new(),
            sequences: Vec::new(),
            wanted: Vec::new(),
        };
        for (index, chunk) in batch.iter().enumerate() {
            check(config, kv, chunk).map_err(|cause| LabError::Batch { chunk: index, cause })?;
            let first = rows.tokens.len();
            rows.tokens.extend(chunk.tokens);
            rows.positions.extend(chunk.start..chunk.start + chunk.tokens.len());
            rows.pages.resize(rows.tokens.len(), chunk.table.pages());
            rows.sequences.push(first..rows.tokens.len());
            if chunk.want_logits {
                rows.wanted.push(rows.tokens.len() - 1);
            }
        }
        Ok(rows)
    }

    pub(super) fn count(&self) -> usize {
        self.tokens.len()
    }
}

fn check(config: &ModelConfig, kv: &KvCache, chunk: &SeqChunk<'_>) -> Result<(), String> {
    if chunk.tokens.is_empty() {
        return Err("has no tokens".into());
    }
    if let Some(token) = chunk.tokens.iter().find(|t| **t as usize >= config.vocab_size) {
        return Err(format!("token {token} is not one of {}", config.vocab_size));
    }
    let Some(end) = chunk.start.checked_add(chunk.tokens.len()) else {
        return Err("its end overflows".into());
    };
    if end > config.max_position_embeddings {
        return Err(format!("{end} tokens are more than the context of {}", config.max_position_embeddings));
    }
    let pages = chunk.table.pages();
    if pages.len() * kv.page_size() < end {
        return Err(format!("its {} pages do not hold {end} tokens", pages.len()));
    }
    if pages.iter().any(|p| *p as usize >= kv.num_pages()) {
        return Err("its block table is of another cache".into());
    }
    Ok(())
}
