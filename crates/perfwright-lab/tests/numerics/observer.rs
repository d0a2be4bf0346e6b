//! What an observer sees of a step.

use std::time::Instant;

use perfwright_lab::{BlockTable, KvCache, ModelConfig, Observer, OpTable, SeqChunk};

use crate::common::model;

#[test]
fn every_call_is_recorded_in_order() {
    for (ops, a_layer) in [(OpTable::fused(), 8), (OpTable::naive(), 16)] {
        let mut model = model(&ModelConfig::tiny(), ops, 1);
        let mut kv = KvCache::new(model.config(), 4, 16).unwrap();
        let mut table = BlockTable::new();
        kv.reserve(&mut table, 40).unwrap();
        let chunk = SeqChunk { table: &table, start: 0, tokens: &[7; 40], want_logits: true };
        let mut observer = Observer::new(Instant::now());
        model.forward(&mut kv, &[chunk], Some(&mut observer)).unwrap();
        let records = observer.take();
        assert!(records.windows(2).all(|w| w[0].start_ns <= w[0].end_ns && w[0].end_ns <= w[1].start_ns));
        for layer in 0..4 {
            let count = records.iter().filter(|r| r.layer == Some(layer)).count();
            // The first norm has nothing pending to add.
            assert_eq!(count + usize::from(layer == 0 && a_layer == 16), a_layer, "layer {layer}");
        }
        assert_eq!(records[0].op, "embedding");
        assert_eq!(records.last().unwrap().role, "lm_head");
        assert_eq!(records.last().unwrap().shapes, [[1, 128], [260, 128], [1, 260]]);
        assert!(records.iter().all(|r| r.site.file().ends_with(".rs") && r.tokens == 40));
        assert!(records.iter().any(|r| r.op == "attention" && r.role == "prefill"));
        assert!(observer.records().is_empty());
    }
}
