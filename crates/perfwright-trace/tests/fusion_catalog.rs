//! Every fusion entry proves itself by its own kernel sequences.

use perfwright_trace::fusion::{
    FusionCatalog, FusionContext, FusionRow, KernelInfo, LaunchView, State, find,
};
use perfwright_trace::names::{Catalog, Symbol};

/// The names, launched one after the other on one stream of one step, 10 us each with gaps of 1 us.
fn rows(names: &[String], fusions: &FusionCatalog, catalog: &Catalog) -> Vec<FusionRow> {
    let kernels: Vec<KernelInfo> = names
        .iter()
        .map(|name| {
            let symbol = Symbol::parse(name);
            let class = catalog.classify(&symbol, None);
            KernelInfo { symbol, class }
        })
        .collect();
    let launches: Vec<LaunchView> = (0..names.len())
        .map(|i| LaunchView {
            kernel: u32::try_from(i).expect("few"),
            start_ns: i64::try_from(i).expect("few") * 11_000,
            dur_ns: 10_000,
            stream: 0,
            class: 1,
            step: 0,
            layer: None,
            cpu_op: None,
        })
        .collect();
    find(fusions, &kernels, &launches, &FusionContext::default())
}

#[test]
fn every_entry_gives_its_examples_and_not_its_counterexamples() {
    let fusions = FusionCatalog::builtin().expect("fusions");
    let catalog = Catalog::builtin().expect("catalogue");
    let mut faults = Vec::new();
    for pattern in fusions.patterns() {
        for example in &pattern.examples {
            let found = rows(&example.kernels, &fusions, &catalog);
            let state = found.iter().find(|r| r.pattern == pattern.id).map(|r| r.state);
            if state != Some(example.state) {
                let seen: Vec<String> = example
                    .kernels
                    .iter()
                    .map(|k| {
                        let c = catalog.classify(&Symbol::parse(k), None);
                        format!("{}:{:?}{:?}", c.category, c.rule, c.fused)
                    })
                    .collect();
                faults.push(format!(
                    "{}: {:?} expected, {state:?} found; {}",
                    pattern.id,
                    example.state,
                    seen.join(" -> ")
                ));
            }
        }
        for names in &pattern.counterexamples {
            if rows(names, &fusions, &catalog).iter().any(|r| r.pattern == pattern.id) {
                faults.push(format!("{}: counterexample gives a row", pattern.id));
            }
        }
        if pattern.source.trim().is_empty() || pattern.candidate.trim().is_empty() {
            faults.push(format!("{}: no source or candidate", pattern.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(fusions.patterns().len() >= 25, "only {} families", fusions.patterns().len());
}

#[test]
fn missing_rows_count_removable_kernels_and_gaps_only() {
    let fusions = FusionCatalog::builtin().expect("fusions");
    let catalog = Catalog::builtin().expect("catalogue");
    let names = [
        "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(int)",
        "void vllm::scaled_fp8_quant_kernel_strided<c10::BFloat16, c10::Float8_e4m3fn>(int)",
    ]
    .map(str::to_owned);
    let found = rows(&names, &fusions, &catalog);
    let row = found.iter().find(|r| r.pattern == "rmsnorm-quant").expect("row");
    assert_eq!((row.state, row.related_ns, row.launches, row.sites), (State::Missing, 20_000, 2, 1));
    assert_eq!(row.upper_bound_saving_ns, 11_000, "the quant kernel and the gap before it");
    assert_eq!(row.evidence, [0, 1]);
}
