//! Any text as a kernel name: parsed, shown and classified.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perfwright_trace::names::{Catalog, Symbol};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().expect("the built-in catalogue"));

fuzz_target!(|name: &str| {
    let symbol = Symbol::parse(name);
    let _ = CATALOG.classify(&symbol, Some(name));
    assert!(symbol.display.len() <= 4096);
});
