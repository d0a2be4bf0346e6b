//! Pages are neither lost nor given twice, and the bytes add up.

use std::collections::HashSet;

use crate::common::model;
use perfwright_lab::{BlockTable, KvCache, LabError, ModelConfig, OpTable, SeqChunk};
use proptest::prelude::*;

proptest! {
    #[test]
    fn pages_are_conserved(
        steps in prop::collection::vec((0usize..6, 0usize..200, any::<bool>()), 1..80),
        page_size in prop::sample::select(vec![16usize, 64]),
    ) {
        let mut kv = KvCache::new(&ModelConfig::tiny(), 20, page_size).unwrap();
        let mut tables: Vec<_> = (0..6).map(|_| BlockTable::new()).collect();
        for (who, tokens, free) in steps {
            if free {
                kv.release(&mut tables[who]);
                prop_assert!(tables[who].pages().is_empty());
            } else {
                let before = tables[who].pages().to_vec();
                match kv.reserve(&mut tables[who], tokens) {
                    Ok(()) => {
                        prop_assert!(tables[who].pages().len() * page_size >= tokens);
                        prop_assert!(tables[who].pages().starts_with(&before));
                    }
                    Err(LabError::KvFull { needed, free }) => {
                        prop_assert!(needed > free);
                        prop_assert_eq!(tables[who].pages(), &before[..]);
                    }
                    Err(e) => return Err(TestCaseError::fail(e.to_string())),
                }
            }
            let held: Vec<u32> = tables.iter().flat_map(|t| t.pages().to_vec()).collect();
            prop_assert_eq!(held.iter().collect::<HashSet<_>>().len(), held.len());
            prop_assert_eq!(kv.used_pages(), held.len());
            prop_assert_eq!(kv.used_pages() + kv.free_pages(), kv.num_pages());
        }
    }
}

#[test]
fn bytes_add_up() {
    for config in [ModelConfig::tiny(), ModelConfig::small()] {
        let kv = KvCache::new(&config, 3, 32).unwrap();
        assert_eq!(kv.bytes(), 96 * KvCache::bytes_per_token(&config));
        assert_eq!(kv.capacity_tokens(), 96);
    }
    let model = model(&ModelConfig::tiny(), OpTable::naive(), 1);
    let parameters = model.config().num_parameters();
    let padding = model.weights().bytes() - 4 * parameters;
    // The output head of 260 tokens is padded to 272 rows.
    assert_eq!(padding, 4 * 12 * 128);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let config = ModelConfig::tiny();
    for (pages, size) in [(1, 0), (1, 8), (1, 17), (usize::MAX, 16), (u32::MAX as usize, 1 << 40)] {
        assert!(
            matches!(KvCache::new(&config, pages, size), Err(LabError::Setting { .. })),
            "{pages} {size}"
        );
    }
}

#[test]
fn a_batch_that_cannot_be_computed_is_refused() {
    let mut model = model(&ModelConfig::tiny(), OpTable::fused(), 1);
    let mut kv = KvCache::new(model.config(), 4, 16).unwrap();
    let mut other = KvCache::new(&ModelConfig::small(), 9, 16).unwrap();
    let mut table = BlockTable::new();
    kv.reserve(&mut table, 20).unwrap();
    let mut foreign = BlockTable::new();
    other.reserve(&mut foreign, 9 * 16).unwrap();
    let chunk = |table, start, tokens| SeqChunk { table, start, tokens, want_logits: true };
    let wrong = [
        chunk(&table, 0, &[][..]),
        chunk(&table, 0, &[260]),
        chunk(&table, 32, &[1]),
        chunk(&table, usize::MAX, &[1]),
        chunk(&foreign, 0, &[1]),
    ];
    for (i, chunk) in wrong.into_iter().enumerate() {
        let result = model.forward(&mut kv, &[chunk], None);
        assert!(matches!(result, Err(LabError::Batch { .. })), "case {i}");
    }
    assert!(model.forward(&mut other, &[chunk(&foreign, 0, &[1])], None).is_err());
    assert!(model.forward(&mut kv, &[], None).unwrap().is_empty());
    assert_eq!(model.forward(&mut kv, &[chunk(&table, 0, &[1])], None).unwrap().len(), 1);
}
