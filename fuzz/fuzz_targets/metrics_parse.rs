//! Any text as Prometheus metrics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_client::metrics::{MAX_LABELS, Metrics};

fuzz_target!(|text: &str| {
    let metrics = Metrics::parse(text);
    assert!(metrics.samples.len() <= text.lines().count());
    for sample in &metrics.samples {
        assert!(!sample.name.is_empty() && sample.labels.len() <= MAX_LABELS);
        let _ = metrics.sum(&sample.name);
    }
});
