//! A model driven by hand, as a scheduler would.

use perfwright_lab::{
    BlockTable, KvCache, Model, ModelConfig, ModelOptions, OpTable, SeqChunk, Weights, argmax,
};

/// A model from the seed with the given operators and threads.
pub(crate) fn model(config: &ModelConfig, ops: OpTable, threads: usize) -> Model {
    let options = ModelOptions { threads, ops, ..ModelOptions::default() };
    Model::new(Weights::from_seed(config, 7).unwrap(), options).unwrap()
}

/// Logits after each chunk of one sequence alone.
pub(crate) fn run_chunks(model: &mut Model, page_size: usize, chunks: &[&[u32]]) -> Vec<Vec<f32>> {
    let total: usize = chunks.iter().map(|c| c.len()).sum();
    let mut kv = KvCache::new(model.config(), total.div_ceil(page_size), page_size).unwrap();
    let mut table = BlockTable::new();
    let mut start = 0;
    let mut logits = Vec::new();
    for tokens in chunks {
        kv.reserve(&mut table, start + tokens.len()).unwrap();
        let chunk = SeqChunk { table: &table, start, tokens, want_logits: true };
        logits.push(model.forward(&mut kv, &[chunk], None).unwrap().row(0).unwrap().to_vec());
        start += tokens.len();
    }
    logits
}

/// Greedy tokens after a prompt, one sequence alone.
pub(crate) fn greedy(model: &mut Model, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut kv = KvCache::new(model.config(), (prompt.len() + count).div_ceil(16), 16).unwrap();
    let mut table = BlockTable::new();
    kv.reserve(&mut table, prompt.len() + count).unwrap();
    let mut tokens = prompt.to_vec();
    let mut start = 0;
    for _ in 0..count {
        let chunk = SeqChunk { table: &table, start, tokens: &tokens[start..], want_logits: true };
        let next = argmax(model.forward(&mut kv, &[chunk], None).unwrap().row(0).unwrap());
        start = tokens.len();
        tokens.push(next);
    }
    tokens.split_off(prompt.len())
}
