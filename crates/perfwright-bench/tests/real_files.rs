//! Result files of the tools themselves, and rows made to deceive.

use std::path::{Path, PathBuf};

use perfwright_bench::decide::report::Input;
use perfwright_bench::decide::{CompareOptions, VerdictWord, compare};
use perfwright_bench::import::load;
use perfwright_bench::rows::{Basis, Row};
use perfwright_bench::sla::State;

fn data(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bench")).join(name)
}

fn rows(name: &str) -> Vec<Row> {
    let bytes = std::fs::read(data(name)).expect("the data is there");
    load(&bytes, name, None, Basis::Imported).expect("it loads")
}

#[test]
#[ignore = "needs ../shared/data"]
fn rows_made_to_deceive_do_not_win() {
    let rows = rows("adversarial_rows.jsonl");
    assert_eq!(rows.len(), 9);
    let answer = compare(Vec::<Input>::new(), &rows, &CompareOptions::default());
    assert_eq!(answer.scenarios.len(), 1);
    let chat = &answer.scenarios[0];
    assert_eq!((chat.scenario.as_str(), chat.refused.as_ref()), ("chat", None));
    let order: Vec<(usize, &str)> = chat.ranking.iter().map(|r| (r.rank, &*r.candidate_id)).collect();
    // Two rows have the same figures to the last digit and count once; the first stays.
    assert_eq!(order, [(1, "vllm_real"), (2, "passed_missing"), (3, "honest"), (3, "1gpu"), (5, "8gpu")]);
    let aside = |id: &str| chat.set_aside.iter().find(|s| s.candidate_id == id).map(|s| s.kind.as_str());
    assert_eq!(aside("lies_sla"), Some("sla"));
    assert_eq!(aside("nan"), Some("unusable"));
    assert_eq!(aside("dup"), Some("duplicate"));
    assert_eq!(aside("accept0"), Some("unfair"));
    assert_eq!(answer.verdict.outcome, VerdictWord::Inconclusive, "imported rows prove nothing");
    assert!(answer.diagnostics.iter().any(|d| d.contains("lies_sla")), "{:?}", answer.diagnostics);
}

#[test]
#[ignore = "needs ../shared/data"]
fn result_files_of_four_tools_load() {
    let rust = &rows("sglang_0.5.23_rust_client.jsonl")[0];
    let python = &rows("sglang_0.5.23_py_client.jsonl")[0];
    for row in [rust, python] {
        assert_eq!((row.source.format.as_str(), row.framework.as_str()), ("sglang", "vllm"));
        assert_eq!((row.workload.request_rate, row.workload.max_concurrency), (None, Some(200)));
        assert!(row.problems.is_empty(), "{:?}", row.problems);
        assert_eq!(row.requests, None, "the file does not say how many were sent");
    }
    assert_eq!(rust.metric("p50_ttft_ms"), Some(89.664_161_5));
    assert_eq!(python.metric("p99_e2e_ms"), Some(2_699.998_401_270_140_7));

    let aiperf = &rows("aiperf_0.13.0_c200.json")[0];
    assert_eq!(aiperf.workload.max_concurrency, Some(200));
    assert_eq!(aiperf.metric("p50_ttft_ms"), Some(97.427_825_5));
    assert!(aiperf.metric("p50_tpot_ms").is_none(), "it rests on another token count");
    let tokens = aiperf.metric("output_token_throughput").expect("there");
    assert!((tokens - 80_000.0 / 13.942_345_984).abs() < 1e-6, "{tokens}");
    let csv = &rows("aiperf_0.13.0_c200.csv")[0];
    assert_eq!(csv.metric("p50_ttft_ms"), Some(97.43));
    assert_eq!(csv.requests, aiperf.requests);
    let rate = &rows("aiperf_0.13.0_rate500.csv")[0];
    assert_eq!(rate.metric("request_throughput"), Some(211.38));

    let guidellm = &rows("guidellm_0.8.1_concurrent100.json.gz")[0];
    assert_eq!(guidellm.workload.max_concurrency, Some(100));
    assert_eq!(guidellm.metric("success_rate"), Some(1.0));
    let ttft = guidellm.metric("p50_ttft_ms").expect("there");
    assert!((ttft - 82.945_108).abs() < 1e-4);
    let tpot = guidellm.metric("mean_tpot_ms").expect("there");
    assert!((24.0..26.0).contains(&tpot), "{tpot}: (E2E - TTFT) / (tokens - 1), not E2E / tokens");
    let rate = guidellm.metric("request_throughput").expect("there");
    assert!((rate - 200.0 / 6.204_282_522_2).abs() < 1e-6, "{rate}");
}

#[test]
#[ignore = "needs ../shared/data"]
fn an_sla_that_a_file_cannot_prove_is_not_met() {
    let mut row = rows("sglang_0.5.23_rust_client.jsonl").remove(0);
    row.sla.bounds = vec![perfwright_bench::sla::Bound::parse("min_success_rate", 0.99).expect("a bound")];
    assert_eq!(row.sla.evaluate(&row).state, State::Unproven);
}
