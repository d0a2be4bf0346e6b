//! Answers that become runs: every verb that can be recorded verifies, and a changed byte is named.

use std::path::Path;

use serde_json::Value;

use crate::Shell;
use crate::model::QWEN3_8B;

/// A trace of six decode steps of three layers; the attention kernel takes `attention` microseconds.
fn trace(attention: u32) -> String {
    let mut events = Vec::new();
    let mut at = 1000;
    let mut event = |cat: &str, name: &str, ts: u32, dur: u32, args: &str| {
        events.push(format!(
            r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":0,"tid":7,"ts":{ts},"dur":{dur},"args":{{{args}}}}}"#
        ));
    };
    for _ in 0..6 {
        let start = at;
        for _ in 0..3 {
            for (name, dur) in [
                ("void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>", 3),
                ("nvjet_tst_64x8_64x16_4x1_v_bz_TNT", 20),
                ("void flashinfer::BatchDecodeWithPagedKVCacheKernel<64u>", attention),
                ("void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16>", 5),
            ] {
                event("kernel", name, at, dur, r#""stream":7,"device":0"#);
                at += dur + 2;
            }
        }
        event("gpu_user_annotation", "step[DECODE bs=4]", start, at - start, r#""stream":7"#);
        at += 50;
    }
    format!("{{\"distributedInfo\":{{\"rank\":0}},\"traceEvents\":[{}]}}", events.join(","))
}

/// A shell with two traces and a config.
fn shell() -> Shell {
    let shell = Shell::new();
    let write = |name: &str, text: &str| std::fs::write(shell.dir.path().join(name), text).unwrap();
    write("a.json", &trace(30));
    write("b.json", &trace(39));
    write("config.json", QWEN3_8B);
    shell
}

fn verify(shell: &Shell) -> (i32, Value) {
    let ran = shell.run(&["run", "verify", "r", "--format", "json"]);
    (ran.code, serde_json::from_str(&ran.stdout).unwrap())
}

/// Flips one byte in the middle of a file, keeping its length.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
    std::fs::write(path, bytes).unwrap();
}

/// Records, verifies, changes a byte of the answer and of an input, and expects each to be named.
fn recorded(args: &[&str], code: i32, outcome: &str, evidence: &str, input: &str) {
    let shell = shell();
    let ran = shell.run(&[args, &["--run-dir", "r"]].concat());
    assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
    let (code, report) = verify(&shell);
    assert_eq!((code, &report["status"]), (0, &"clean".into()), "{args:?}: {report}");
    assert_eq!(report["recomputed_verdict"]["outcome"], outcome, "{args:?}: {report}");
    for file in [evidence, input] {
        let path = shell.dir.path().join("r").join(file);
        let before = std::fs::read(&path).unwrap();
        flip(&path);
        let (code, report) = verify(&shell);
        assert_eq!((code, &report["status"]), (6, &"tampered".into()), "{args:?}: {file}");
        let places: Vec<&str> =
            report["differences"].as_array().unwrap().iter().filter_map(|d| d["place"].as_str()).collect();
        assert!(places.iter().any(|p| p.contains(file)), "{args:?}: {file} in {places:?}");
        std::fs::write(&path, before).unwrap();
    }
    assert_eq!(verify(&shell).0, 0, "the bytes are back");
}

#[test]
fn pipeline() {
    let evidence = "analysis/pipeline.json";
    recorded(&["trace", "pipeline", "a.json"], 0, "answered", evidence, "inputs/0-a.json");
    let with_config = ["trace", "pipeline", "a.json", "--config", "config.json"];
    recorded(&with_config, 0, "answered", evidence, "inputs/config-0-config.json");
}

#[test]
fn compare() {
    let evidence = "analysis/compare.json";
    recorded(&["trace", "compare", "a.json", "b.json"], 0, "answered", evidence, "inputs/b-0-b.json");
    // The limits are held against the recorded rows once more: the run's verdict is theirs.
    let limited = ["trace", "compare", "a.json", "b.json", "--fail-on", "kernel.decode>10%"];
    recorded(&limited, 1, "fail", evidence, "inputs/a-0-a.json");
    let unproven = ["trace", "compare", "a.json", "b.json", "--fail-on", "step.prefill>1%"];
    recorded(&unproven, 3, "hard_stop", evidence, "inputs/a-0-a.json");
}

#[test]
fn model() {
    let config = ["--config", "config.json"];
    let input = "inputs/0-config.json";
    let ask = |verb: &[&'static str]| [&["model"], verb, &config].concat();
    recorded(&ask(&["memory", "--gpu", "h100"]), 0, "answered", "analysis/model-memory.json", input);
    let ops = ask(&["ops", "--phase", "decode", "--batch", "4", "--context", "1024", "--gpu", "h100"]);
    let evidence = "analysis/model-ops.json";
    recorded(&ops, 0, "answered", evidence, input);
    let impossible = [&ops[..], &["--measured-us", "1"]].concat();
    recorded(&impossible, 3, "hard_stop", evidence, input);
    let whatif = ask(&["whatif", "--gpu", "h200", "--batch", "1,8", "--tp", "1,2,3"]);
    recorded(&whatif, 0, "answered", "analysis/model-whatif.json", input);
}

#[test]
fn another_question_does_not_go_on_with_the_run() {
    let shell = shell();
    assert_eq!(shell.run(&["model", "memory", "--config", "config.json", "--run-dir", "r"]).code, 0);
    let other = shell.run(&["model", "memory", "--config", "config.json", "--tp", "2", "--run-dir", "r"]);
    assert_ne!(other.code, 0);
    assert_eq!(verify(&shell).0, 0, "the first run stays as it was");
}

#[test]
fn record_makes_a_folder_of_its_own() {
    let shell = shell();
    let ran = shell.run(&["trace", "compare", "a.json", "b.json", "--record"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let entries = std::fs::read_dir(shell.dir.path().join("runs")).unwrap();
    let runs = entries.filter(|e| e.as_ref().unwrap().path().join("manifest.json").is_file()).count();
    assert_eq!(runs, 1);
}
