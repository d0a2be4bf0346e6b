//! `perfwright bench`.

use serde_json::{Value, json};

use super::Shell;

fn row(framework: &str, id: &str, throughput: f64, ttft: f64) -> Value {
    json!({
        "framework": framework, "candidate_id": id, "status": "ok", "workload": {"scenario": "chat"},
        "sla": {"max_p50_ttft_ms": 100, "passed": true}, "hardware": {"gpu_count": 1},
        "metrics": {"request_throughput": throughput, "p50_ttft_ms": ttft},
    })
}

fn shell(rows: &[Value]) -> Shell {
    let shell = Shell::new();
    let text: String = rows.iter().map(|r| format!("{r}\n")).collect();
    std::fs::write(shell.dir.path().join("rows.jsonl"), text).unwrap();
    shell
}

#[test]
fn compare_ranks_by_figures_and_proves_nothing_of_imported_rows() {
    let shell = shell(&[
        row("sglang", "liar", 99.0, 9999.0),
        row("vllm", "good", 50.0, 50.0),
        row("sglang", "fair", 40.0, 50.0),
    ]);
    let ran = shell.run(&[
        "bench",
        "compare",
        "rows.jsonl",
        "--format",
        "json",
        "--run-dir",
        "run",
        "--export",
        "out.jsonl",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "perfwright.bench-compare/v1");
    assert_eq!(answer["scenarios"][0]["ranking"][0]["candidate_id"], "good");
    assert_eq!(answer["scenarios"][0]["set_aside"][0]["candidate_id"], "liar");
    assert_eq!(answer["verdict"]["outcome"], "inconclusive");
    assert_eq!(shell.run(&["run", "verify", "run"]).code, 0);
    let out = std::fs::read_to_string(shell.dir.path().join("out.jsonl")).unwrap();
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["sla"]["passed"], false);
    // Another bound makes the liar an honest row.
    let ran =
        shell.run(&["bench", "compare", "rows.jsonl", "--sla", "max_p50_ttft_ms=1e5", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["scenarios"][0]["ranking"][0]["candidate_id"], "liar");
}

#[test]
fn compare_refuses_unequal_acceptance_and_unreadable_files() {
    let mut spec = row("sglang", "spec", 60.0, 50.0);
    spec["spec_decode"] = json!({"enabled": true, "mean_accept_length": 3.0});
    let mut other = row("vllm", "spec", 50.0, 50.0);
    other["spec_decode"] = json!({"enabled": true, "mean_accept_length": 2.0});
    let shell = shell(&[spec, other]);
    let ran = shell.run(&["bench", "compare", "rows.jsonl", "--format", "json"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("PW0441"), "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["scenarios"][0]["ranking"], json!([]));
    std::fs::write(shell.dir.path().join("log.txt"), "not rows\n").unwrap();
    let ran = shell.run(&["bench", "compare", "log.txt"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("PW0440"), "{}", ran.stderr);
    assert_eq!(shell.run(&["bench", "compare", "rows.jsonl", "--sla", "ttft=1"]).code, 2);
}

#[test]
fn ab_answers_from_blocks() {
    let shell = Shell::new();
    for (name, factor) in [("a", 1.0), ("b", 1.05)] {
        let text: String = (0..32u32)
            .map(|i| {
                let mut row = row("sglang", name, 10.0 * factor * (1.0 + 0.001 * f64::from(i * 7 % 5)), 50.0);
                let second = u32::from((i % 2 == 0) == (name == "b"));
                row["trial"] = json!({"block": i, "launch": 2 * i + second, "order": 2 * i + second});
                format!("{row}\n")
            })
            .collect();
        std::fs::write(shell.dir.path().join(name), text).unwrap();
    }
    let ran = shell.run(&["bench", "ab", "--a", "a", "--b", "b", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &answer["figures_say"], &answer["verdict"]),
        (1, &json!("better"), &json!("inconclusive"))
    );
    assert_eq!(shell.run(&["bench", "ab", "--a", "a", "--b", "b", "--metric", "speed"]).code, 2);
    let other = row("sglang", "b", 1.0, 1.0);
    let mut other = other;
    other["workload"]["request_rate"] = json!(3);
    std::fs::write(shell.dir.path().join("c"), other.to_string()).unwrap();
    let ran = shell.run(&["bench", "ab", "--a", "a", "--b", "c"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("request_rate"), "{}", ran.stderr);
}

const PLAN: &str = "\
model: {name: org/m}
dataset: {input_len: [1000], output_len: [100]}
sla: {max_p50_ttft_ms: 500}
frameworks:
  vllm:
    base_server_flags: {max_model_len: 4096}
    search_space: {max_num_seqs: [16, 32], dtype: [auto, half]}
";

#[test]
fn search_shows_its_plan_and_names_faults() {
    let shell = Shell::new();
    let write = |name: &str, text: &str| std::fs::write(shell.dir.path().join(name), text).unwrap();
    write("plan.yaml", PLAN);
    let ran = shell.run(&["bench", "search", "plan.yaml", "--dry-run", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        answer["frameworks"][0]["candidates"][0]["command"],
        "vllm serve org/m --max-model-len 4096 --max-num-seqs 16 --dtype auto"
    );
    assert_eq!(answer["frameworks"][0]["coverage"]["never_tried"], json!([]));
    // A search whose server's program is not there ends outside, and says so.
    let ran = shell.run(&["bench", "search", "--allow-busy", "plan.yaml", "--run-dir", "r"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot start \"vllm\""), "{}", ran.stderr);
    std::fs::create_dir(shell.dir.path().join("help")).unwrap();
    write(
        "help/vllm_serve_all.txt",
        "  --max-model-len N  x\n  --max-num-seq N  x\n  --dtype {auto,half}  x\n",
    );
    let ran = shell.run(&["bench", "search", "plan.yaml", "--dry-run", "--help-dir", "help"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("did you mean --max-num-seq?"), "{}", ran.stderr);
    write("bad.yaml", &PLAN.replace("dataset:", "datasets:"));
    let ran = shell.run(&["bench", "search", "bad.yaml", "--dry-run"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("did you mean dataset?"), "{}", ran.stderr);
}
