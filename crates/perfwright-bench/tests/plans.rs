//! Plans: what is read, what is refused, and what a search makes of them.

use std::collections::BTreeMap;

use perfwright_bench::flags::Help;
use perfwright_bench::plan::{doubts, read_plan};
use perfwright_bench::search::dry::dry_run;

const PLAN: &str = r"
schema_version: 1
model: {name: org/model, tokenizer: org/model, precision: bf16}
hardware: {gpu_model: H100, gpu_count: 4}
dataset:
  kind: random
  num_prompts: 80
  scenario_names: [chat, summarize]
  input_len: [1000, 8000]
  output_len: [1000, 1000]
benchmark:
  endpoint: /v1/completions
  max_concurrency: [null, 8, 16]
  qps: {lower: 0.25, upper: 16, tolerance: 0.1, max_rounds: 5}
  sla: {max_p50_ttft_ms: 1500, tpot_ms: {p50: 30, p99: 80}, success_rate: 0.99}
search: {tier: 2, max_candidates_per_framework: 8}
frameworks:
  sglang:
    base_server_flags: {mem_fraction_static: 0.85, context_length: 12288}
    search_space:
      chunked_prefill_size: [4096, 8192]
      max_running_requests: [64, 96, 128]
  vllm:
    enabled: false
    base_server_flags: {max_model_len: 12288}
  tensorrt_llm:
    backend_policy: fixed_pytorch
    base_server_flags: {backend: pytorch, max_seq_len: 9000}
    search_space: {max_batch_size: [64, 128]}
  my-server:
    server_command: my-server --model {model} --port {port} {flags}
    search_space: {threads: [1, 2, 4]}
";

#[test]
fn a_plan_of_both_shapes_is_read() {
    let plan = read_plan(PLAN).expect("valid");
    let bounds: Vec<String> = plan.sla.bounds.iter().map(|b| format!("{} {}", b.key(), b.limit)).collect();
    assert_eq!(
        bounds,
        ["max_p50_tpot_ms 30", "max_p50_ttft_ms 1500", "max_p99_tpot_ms 80", "min_success_rate 0.99"]
    );
    assert_eq!(plan.max_concurrency, [None, Some(8), Some(16)]);
    let taking_part: Vec<&str> =
        plan.frameworks.iter().filter(|f| f.enabled).map(|f| f.name.as_str()).collect();
    assert_eq!(taking_part, ["sglang", "tensorrt_llm", "my-server"]);
    let top = PLAN.replace("  sla: {max", "  # {max") + "sla: {max_p99_ttft_ms: 900}\n";
    assert_eq!(read_plan(&top).expect("valid").sla.bounds[0].key(), "max_p99_ttft_ms");
    let doubts = doubts(&plan);
    assert!(doubts.iter().any(|d| d.contains("5 rounds over 0.25 to 16 leave")), "{doubts:?}");
    assert!(doubts.iter().any(|d| d.contains("max_p99_tpot_ms")), "{doubts:?}");
}

#[test]
fn faults_are_named_by_line_with_what_was_meant() {
    let broken = PLAN
        .replace("  num_prompts: 80", "  num_prompt: 80")
        .replace("output_len: [1000, 1000]", "output_len: [1000]")
        .replace("max_p50_ttft_ms", "max_p51_ttft_ms")
        .replace("upper: 16", "upper: 0.1")
        .replace("backend: pytorch", "backend: tensorrt")
        .replace("context_length: 12288", "context_length: 8192")
        .replace("{threads: [1, 2, 4]}", "{threads: [on, 2, 2]}");
    let faults = read_plan(&broken).expect_err("faults");
    let has =
        |path: &str, line: usize| faults.iter().any(|f| f.path == path && (line == 0 || f.line == line));
    assert!(has("dataset.num_prompt", 7), "{faults:#?}");
    let typo = faults.iter().find(|f| f.path == "dataset.num_prompt").expect("there");
    assert_eq!(typo.hint.as_deref(), Some("did you mean num_prompts?"));
    assert!(has("dataset.output_len", 10) && has("benchmark.qps.upper", 14), "{faults:#?}");
    assert!(has("benchmark.sla.max_p51_ttft_ms", 15), "{faults:#?}");
    assert!(has("frameworks.tensorrt_llm.base_server_flags.backend", 0), "{faults:#?}");
    assert!(has("frameworks.my-server.search_space.threads", 32), "{faults:#?}");
    // The sequence limit is checked only against scenarios that could be read; here the first pair is left.
    assert_eq!(faults.iter().filter(|f| f.path.contains("context_length")).count(), 0);
    let short = PLAN.replace("context_length: 12288", "context_length: 8192");
    let faults = read_plan(&short).expect_err("a fault");
    assert!(faults[0].cause.contains("9000"), "{faults:?}");
    for text in ["", "[1, 2]", "model: x", "a: [", "\t- x"] {
        assert!(read_plan(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_dry_run_says_what_it_would_do() {
    let plan = read_plan(PLAN).expect("valid");
    let help =
        Help::parse("  --mem-fraction-static X  a\n  --context-length N  b\n  --chunked-prefill-size N  c\n");
    let help = BTreeMap::from([("sglang".to_owned(), help)]);
    let answer = dry_run(&plan, &help, |_, _| None).expect("renders");
    let sglang = &answer.frameworks[0];
    assert_eq!(sglang.candidates.len(), 6, "one at a time, then the last pairs");
    assert!(sglang.coverage.never_tried.is_empty());
    assert_eq!(sglang.coverage.pairs_tried, Some(6));
    assert_eq!(sglang.flag_faults.len(), 1, "{:?}", sglang.flag_faults);
    assert!(sglang.flag_faults[0].starts_with("max_running_requests"));
    assert_eq!(
        answer.frameworks[3].candidates[1].command,
        "my-server --model org/model --port '{port}' --threads 2"
    );
    assert!(answer.frameworks[1].left_out.is_some() && answer.frameworks[1].candidates.is_empty());
    assert!(answer.cost.trials > 0 && answer.cost.load_seconds.is_some());
}
