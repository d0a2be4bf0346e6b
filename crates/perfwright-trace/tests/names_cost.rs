//! The catalogue is read at every start and every distinct name is classified once.

#![allow(clippy::print_stdout, reason = "figures for the report, shown with --nocapture")]

use std::time::{Duration, Instant};

use perfwright_trace::names::{Catalog, Symbol};

fn best(mut run: impl FnMut()) -> Duration {
    (0..7)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// Release budget: 3 ms to load, 10 us a name. The bounds here leave room for an unoptimised build.
#[test]
fn loading_and_classifying_are_cheap() {
    let load = best(|| drop(Catalog::builtin().expect("catalogue")));
    let catalog = Catalog::builtin().expect("catalogue");
    let names: Vec<&str> = catalog.rules().flat_map(|r| [r.yes.as_str(), r.no.as_str()]).collect();
    let parse = best(|| {
        for name in &names {
            std::hint::black_box(Symbol::parse(name));
        }
    });
    let classify = best(|| {
        for name in &names {
            std::hint::black_box(catalog.classify(&Symbol::parse(name), None));
        }
    });
    let each = classify / u32::try_from(names.len()).expect("few names");
    println!(
        "{} rules loaded in {load:?}; {each:?} a name, {:?} of it parsing, over {} names",
        catalog.rules().count(),
        parse / u32::try_from(names.len()).expect("few names"),
        names.len()
    );
    assert!(load < Duration::from_millis(60), "load {load:?}");
    assert!(each < Duration::from_micros(300), "classify {each:?}");
}
