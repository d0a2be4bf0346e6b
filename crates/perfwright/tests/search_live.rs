//! `perfwright bench search` over the lab: whole, killed at random moments, finished, and on another path than asked for.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_perfwright");

/// Two candidates of the lab, both measured to the end whatever the noise, and a server that cannot start.
fn plan(dir: &Path, name: &str) -> PathBuf {
    let text = format!(
        "model: {{name: tiny}}
dataset: {{num_prompts: 12, scenario_names: [short, long], input_len: [8, 24], output_len: [8, 4]}}
benchmark: {{max_concurrency: [3], sla: {{max_p99_ttft_ms: 60000, min_success_rate: 0.5}}}}
search: {{tier: 1, max_candidates_per_framework: 2, repeats: 2}}
frameworks:
  broken:
    server_command: perfwright lab serve --model {{model}} --port {{port}} --no-such-flag
  lab:
    server_command: perfwright lab serve --model {{model}} --port {{port}} --threads 1 --served-model-name {name} {{flags}}
    search_space: {{ops: [naive, fused], max_running_requests: [1, 8]}}
"
    );
    let path = dir.join("plan.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

fn search(plan: &Path, run: &Path) -> Command {
    let mut command = Command::new(BIN);
    command.args(["bench", "search", "--allow-busy", "--format", "json", "--run-dir"]).arg(run).arg(plan);
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The rows as they lie on the disk; files that are being written have a dot in front.
fn rows(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(run.join("benchmark/rows")) else { return BTreeMap::new() };
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let done = names.filter(|n| n.ends_with(".json") && !n.starts_with('.'));
    done.map(|n| (n.clone(), std::fs::read(run.join("benchmark/rows").join(n)).unwrap())).collect()
}

/// What became of each candidate: framework, candidate, scenario, status.
fn fates(run: &Path) -> BTreeSet<[String; 4]> {
    let text = std::fs::read_to_string(run.join("benchmark/candidates.jsonl")).unwrap();
    let one = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        ["/framework", "/candidate_id", "/workload/scenario", "/status"]
            .map(|p| row.pointer(p).unwrap().as_str().unwrap().to_owned())
    };
    text.lines().map(one).collect()
}

fn verified(run: &Path) {
    let out = Command::new(BIN).args(["run", "verify"]).arg(run).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
}

/// Processes whose command line holds the name.
fn running(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|e| std::fs::read(e.unwrap().path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).filter(|l| l.contains(name)).collect()
}

#[test]
fn killed_at_random_moments_it_ends_with_the_same_candidates_and_no_server_is_left() {
    let root = tempfile::tempdir().unwrap();
    let name = format!("search-{}", std::process::id());
    let plan = plan(root.path(), &name);
    let whole = root.path().join("whole");
    let out = search(&plan, &whole).output().unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}", said(&out));
    verified(&whole);
    let expected = fates(&whole);
    let statuses: Vec<&str> = expected.iter().map(|f| f[3].as_str()).collect();
    assert_eq!(statuses, ["failed", "ok", "ok", "ok", "ok"], "{expected:?}");
    let first: Value = serde_json::from_slice(&rows(&whole)["00000.json"]).unwrap();
    let reason = first["failure_reason"].as_str().unwrap();
    assert!(reason.starts_with("the server ended with exit code 2: "), "{reason}");
    assert!(running(&name).is_empty());

    let dir = root.path().join("killed");
    let (mut state, mut kills, mut kept) = (0x9e37_79b9_u64, 0, BTreeMap::new());
    let last = loop {
        let mut child = search(&plan, &dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        if kills < 10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(50 + (state >> 33) % 900));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
        }
        let out = child.wait_with_output().unwrap();
        let now = rows(&dir);
        assert!(kept.iter().all(|(n, bytes)| now.get(n) == Some(bytes)), "a finished row changed or is gone");
        kept = now;
        if let Some(code) = out.status.code() {
            assert!(matches!(code, 0 | 1), "{}", said(&out));
            break out;
        }
    };
    assert!(kills > 0, "nothing was killed");
    verified(&dir);
    assert_eq!(fates(&dir), expected);
    let keys = |rows: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        let key =
            |b: &Vec<u8>| serde_json::from_slice::<Value>(b).unwrap()["key"].as_str().unwrap().to_owned();
        rows.values().map(key).collect()
    };
    assert_eq!(keys(&kept), keys(&rows(&whole)), "each trial has one row, in the same order");
    assert!(running(&name).is_empty(), "{:?}", running(&name));
    for file in ["winning-commands.md", "failed-candidates.md", "comparison.json", "trials.jsonl"] {
        assert!(dir.join("benchmark").join(file).is_file(), "{file}");
    }

    // A finished search answers again, and measures nothing.
    let again = search(&plan, &dir).output().unwrap();
    assert_eq!((again.status.code(), &again.stdout), (last.status.code(), &last.stdout), "{}", said(&again));
    assert_eq!(rows(&dir), kept);
    let other = root.path().join("other.yaml");
    std::fs::write(&other, std::fs::read_to_string(&plan).unwrap().replace("repeats: 2", "repeats: 1"))
        .unwrap();
    let refused = search(&other, &dir).output().unwrap();
    assert!(refused.status.code() == Some(2) && said(&refused).contains("PW0450"), "{}", said(&refused));
}

#[test]
fn a_server_on_another_path_than_its_flags_is_a_hard_stop() {
    let root = tempfile::tempdir().unwrap();
    let text = format!(
        "model: {{name: tiny}}
dataset: {{num_prompts: 8, input_len: [8], output_len: [4]}}
benchmark: {{max_concurrency: [2]}}
search: {{repeats: 1}}
frameworks:
  wrapped:
    server_command: >-
      sh -c 'exec {BIN} lab serve --port {{port}}' {{model}} --attention-backend fa3
"
    );
    let plan = root.path().join("plan.yaml");
    std::fs::write(&plan, text).unwrap();
    let run = root.path().join("run");
    let out = search(&plan, &run).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("PW0449"), "{}", said(&out));
    let row: Value = serde_json::from_slice(&rows(&run)["00000.json"]).unwrap();
    let reason = row["failure_reason"].as_str().unwrap();
    assert_eq!(row["status"], "failed");
    assert!(reason.starts_with("path: attention_backend") && reason.contains("fa3"), "{reason}");
    verified(&run);
}

#[test]
fn a_program_that_is_not_there_stops_the_search_and_can_be_mended() {
    let root = tempfile::tempdir().unwrap();
    let plan = root.path().join("plan.yaml");
    let text = "model: {name: tiny}\ndataset: {num_prompts: 8, input_len: [8], output_len: [4]}\nsearch: {repeats: 1}\n\
                frameworks: {x: {server_command: 'no-such-server-anywhere {model} {port}'}}\n";
    std::fs::write(&plan, text).unwrap();
    let out = search(&plan, &root.path().join("run")).output().unwrap();
    assert!(out.status.code() == Some(5) && said(&out).contains("PW0448"), "{}", said(&out));
    assert!(rows(&root.path().join("run")).is_empty(), "no candidate failed");
}

#[test]
fn ctrl_c_ends_the_server_keeps_what_is_measured_and_the_search_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let name = format!("search-int-{}", std::process::id());
    let plan = plan(root.path(), &name);
    let run = root.path().join("run");
    let child = search(&plan, &run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A row is on the disk, so that there is something to lose; the rest of the search is still to come.
    while rows(&run).is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", said(&out));
    assert!(said(&out).contains("PW0416"), "{}", said(&out));
    assert!(running(&name).is_empty(), "{:?}", running(&name));
    let kept = rows(&run);
    let verify = Command::new(BIN).args(["run", "verify"]).arg(&run).output().unwrap();
    assert!(said(&verify).contains("interrupted"), "{}", said(&verify));
    let out = search(&plan, &run).output().unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}", said(&out));
    let whole = rows(&run);
    assert!(kept.iter().all(|(n, bytes)| whole.get(n) == Some(bytes)), "a finished row changed or is gone");
    verified(&run);
}

#[test]
fn a_plan_names_its_folder_and_may_refuse_to_go_on() {
    let root = tempfile::tempdir().unwrap();
    let text = "model: {name: tiny}\ndataset: {num_prompts: 8, input_len: [8], output_len: [4]}\n\
                benchmark: {max_concurrency: [2], output_dir: runs/named}\n\
                search: {repeats: 1, resume: false}\n\
                frameworks: {lab: {server_command: 'perfwright lab serve --model {model} --port {port}'}}\n";
    let plan = root.path().join("plan.yaml");
    std::fs::write(&plan, text).unwrap();
    let search = || {
        let mut command = Command::new(BIN);
        command.args(["bench", "search", "--allow-busy", "plan.yaml"]).current_dir(root.path());
        command.output().unwrap()
    };
    let out = search();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}", said(&out));
    let run = root.path().join("runs/named");
    verified(&run);
    let kept = rows(&run);
    let out = search();
    assert!(out.status.code() == Some(2) && said(&out).contains("PW0452"), "{}", said(&out));
    assert_eq!(rows(&run), kept);
}
