//! Outside bytes of any kind: an answer or an error, never a panic.

use perfwright_bench::decide::{CompareOptions, compare};
use perfwright_bench::flags::Help;
use perfwright_bench::import::load;
use perfwright_bench::plan::read_plan;
use perfwright_bench::rows::Basis;
use proptest::prelude::*;

const SEEDS: [&str; 5] = [
    "model: {name: m}\ndataset: {input_len: [10, 20], output_len: [1, 2]}\nbenchmark: {qps: {lower: 1, upper: 8}, max_concurrency: [null, 4]}\nsla: {ttft_ms: {p99: 5}}\nframeworks:\n  vllm: {base_server_flags: &a {x: [1, {y: ~}]}, search_space: {k: [1, 2]}}\n",
    "{\"framework\":\"trtllm\",\"candidate_id\":\"c\",\"status\":\"ok\",\"metrics\":{\"request_throughput\":NaN,\"p50_ttft_ms\":5},\"workload\":{\"request_rate\":3,\"num_prompts\":8},\"spec_decode\":{\"mean_accept_length\":2},\"objective\":{\"kind\":\"max_rate\",\"value\":2,\"low\":1,\"high\":3}}\n",
    "{\"backend\":\"vllm\",\"completed\":3,\"request_throughput\":1,\"num_prompts\":4,\"mean_ttft_ms\":1}",
    "Metric,avg,p50\nTime to First Token (ms),1.0,2.0\n\nMetric,Value\nRequest Count,3\n",
    "  -h, --help  x\n  --a {b,c}, --no-a  d [choices: e, f]\n      --g <H>\n  Possible values:\n  - i: j\n",
];

fn feed(bytes: &[u8]) {
    if let Ok(rows) = load(bytes, "f", None, Basis::Imported) {
        let _ = compare(Vec::new(), &rows, &CompareOptions::default());
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = read_plan(&text).map(|plan| perfwright_bench::plan::doubts(&plan));
    let _ = Help::parse(&text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        feed(&bytes);
    }

    #[test]
    fn changed_seeds(seed in 0..SEEDS.len(), edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..3u8), 1..6)) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = usize::from(at) % bytes.len().max(1);
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        feed(&bytes);
    }
}

#[test]
fn the_seeds_are_what_they_seem() {
    assert!(read_plan(SEEDS[0]).is_ok(), "{:?}", read_plan(SEEDS[0]));
    for seed in &SEEDS[1..4] {
        assert_eq!(load(seed.as_bytes(), "f", None, Basis::Imported).map(|r| r.len()), Ok(1), "{seed}");
    }
    assert_eq!(Help::parse(SEEDS[4]).flags().len(), 3);
}
