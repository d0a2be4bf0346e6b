//! Any bytes through the reader, the whole triage and the tables.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perfwright_trace::render::{CUT_OFF, document};
use perfwright_trace::triage::{Catalogs, triage_text};

static CATALOGS: LazyLock<Catalogs> = LazyLock::new(|| Catalogs::new(&[], &[]).expect("the built-in catalogues"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(answer) = triage_text(bytes, &CATALOGS) {
        let device = answer.totals.device_ns();
        assert_eq!(answer.tables.kernels.iter().map(|r| r.total_ns).sum::<i64>(), device);
        for row in &answer.budget {
            assert_eq!(row.parts().iter().map(|(_, ns)| ns).sum::<i64>(), row.wall_ns);
        }
        let _ = document(&answer, Some(CUT_OFF));
    }
});
