//! A search and an A/B against a real third-party engine: llama.cpp's HTTP server on a tiny model of random parameters.
//! `tests/engines/install.sh` installs it; `cargo xtask test` runs these tests where it is there.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_perfwright");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A model, and the command of a server for it.
fn server(dir: &Path) -> (PathBuf, String) {
    let python = format!("{ROOT}/target/engines/llamacpp/bin/python");
    let model = dir.join("tiny.gguf");
    let made =
        Command::new(&python).arg(format!("{ROOT}/tests/engines/tiny_gguf.py")).arg(&model).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    (model, format!("{python} {ROOT}/tests/engines/llamacpp.py"))
}

fn verified(run: &Path) {
    let out = Command::new(BIN).args(["run", "verify"]).arg(run).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(said(&out).contains("bench.trials/v1"), "{}", said(&out));
}

/// Processes whose command line holds the path.
fn running(path: &Path) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|e| std::fs::read(e.unwrap().path().join("cmdline")).ok());
    let held = |l: &Vec<u8>| {
        let text = String::from_utf8_lossy(l);
        text.contains("llamacpp.py") && text.contains(&*path.to_string_lossy())
    };
    lines.filter(held).count()
}

#[test]
#[ignore = "needs llama.cpp"]
fn engine_llamacpp_is_searched_end_to_end_also_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let (model, command) = server(root.path());
    let plan = root.path().join("plan.yaml");
    let text = format!(
        "model: {{name: {}}}
dataset: {{num_prompts: 12, scenario_names: [short, long], input_len: [16, 64], output_len: [12, 6]}}
benchmark: {{max_concurrency: [4], sla: {{max_p99_ttft_ms: 60000, min_success_rate: 0.5}}}}
search: {{max_candidates_per_framework: 3, repeats: 1}}
frameworks:
  llama.cpp:
    server_command: {command} --model {{model}} --port {{port}} {{flags}}
    search_space: {{parallel: [1, 4], batch_size: [64, 512]}}
  broken:
    server_command: {command} --model {{model}} --port {{port}} --no-such-flag
",
        model.display()
    );
    std::fs::write(&plan, text).unwrap();
    let run = root.path().join("run");
    let search = || {
        let mut command = Command::new(BIN);
        command
            .args(["bench", "search", "--allow-busy", "--format", "json", "--run-dir"])
            .arg(&run)
            .arg(&plan);
        command
    };
    let mut child = search().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let first = run.join("benchmark/rows/00000.json");
    while !first.is_file() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let kept = std::fs::read(&first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let out = search().output().unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}", said(&out));
    assert_eq!(std::fs::read(&first).unwrap(), kept, "a finished row changed");
    verified(&run);
    assert_eq!(running(&model), 0);
    let candidates = std::fs::read_to_string(run.join("benchmark/candidates.jsonl")).unwrap();
    let rows: Vec<Value> = candidates.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |framework: &str, status: &str| {
        rows.iter().filter(|r| r["framework"] == framework && r["status"] == status).count()
    };
    // Two candidates are measured to the end in both scenarios, the third may be the baseline's rival or screened out.
    assert!(of("llama.cpp", "ok") >= 4 && of("llama.cpp", "failed") == 0, "{candidates}");
    assert_eq!(of("broken", "failed"), 1, "{candidates}");
    let measured = rows.iter().find(|r| r["status"] == "ok").unwrap();
    assert_eq!(measured["metrics"]["success_rate"], 1.0, "{measured}");
    assert_eq!(measured["requests"]["succeeded"], measured["requests"]["sent"], "{measured}");
}

#[test]
#[ignore = "needs llama.cpp"]
fn engine_llamacpp_is_compared_in_turn() {
    let root = tempfile::tempdir().unwrap();
    let (model, command) = server(root.path());
    let run = root.path().join("run");
    let side =
        |slots: u32| format!("{command} --model {} --port {{port}} --parallel {slots}", model.display());
    let out = Command::new(BIN)
        .args(["bench", "ab", "--allow-busy", "--format", "json", "--framework", "llama.cpp", "--run-dir"])
        .arg(&run)
        .args(["--a-server", &side(1), "--b-server", &side(4), "--blocks", "4", "--control", "1"])
        .args(["--input-len", "16", "--output-len", "8", "--requests", "8", "--concurrency", "4"])
        .output()
        .unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}", said(&out));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (&answer["blocks"], &answer["a"]["rows"], &answer["b"]["unusable"]),
        (&4.into(), &4.into(), &0.into())
    );
    // The engine does not state every part of its path, so whatever the figures say is not claimed.
    assert_eq!(answer["verdict"], "inconclusive", "{answer}");
    verified(&run);
    assert_eq!(running(&model), 0);
}
