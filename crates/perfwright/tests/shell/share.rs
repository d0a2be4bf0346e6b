//! Handing a run to somebody else.

use std::process::Command;

use serde_json::Value;

use crate::Shell;

/// A recorded triage of three kernels in the folder `r`.
fn recorded() -> Shell {
    let shell = Shell::new();
    let kernel = |i: usize| {
        format!(
            r#"{{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":{},"dur":2,"args":{{}}}}"#,
            i * 5
        )
    };
    let events: Vec<String> = (0..3).map(kernel).collect();
    let text = format!("{{\"traceEvents\":[{}]}}", events.join(","));
    std::fs::write(shell.dir.path().join("t.json"), text).unwrap();
    assert_eq!(shell.run(&["trace", "triage", "t.json", "--run-dir", "r"]).code, 0);
    shell
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_sealed_head_is_checked() {
    let shell = recorded();
    let ran = shell.run(&["run", "seal", "r", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let head = json(&ran.stdout)["head"].as_str().unwrap().to_owned();
    assert_eq!(shell.run(&["run", "verify", "r", "--head", &head]).code, 0);
    let other = head.replace(|c: char| c.is_ascii_digit(), "f");
    let ran = shell.run(&["run", "verify", "r", "--head", &other, "--format", "json"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert_eq!(json(&ran.stdout)["differences"][0]["kind"], "head_differs");
    assert_eq!(shell.run(&["run", "verify", "r", "--head", "abc"]).code, 2);
}

#[test]
fn a_row_is_proved_to_somebody_without_the_run() {
    let shell = recorded();
    let root = json(&shell.run(&["run", "seal", "r", "--format", "json"]).stdout)["merkle_root"].clone();
    let root = root.as_str().unwrap();
    let ran = shell.run(&["run", "attest", "r", "--row", "ledger.jsonl:2"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let proof = shell.dir.path().join("proof.json");
    std::fs::write(&proof, &ran.stdout).unwrap();
    let check = |root: &str| shell.run(&["run", "attest", "--check", "proof.json", "--root", root]).code;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verify/verify_run.py");
    // Where there is no Python the second checker stays out of this test; its vectors are reported elsewhere.
    let second = |root: &str| {
        Command::new("python3")
            .args([script, "--row"])
            .arg(&proof)
            .arg(root)
            .status()
            .ok()
            .and_then(|s| s.code())
    };
    assert_eq!(check(root), 0);
    assert!(matches!(second(root), Some(0) | None));
    assert_eq!(check(&"0".repeat(64)), 1);
    assert!(matches!(second(&"0".repeat(64)), Some(1) | None));
    for (from, to) in [("\"line\": 2", "\"line\": 3"), ("\"side\": \"left\"", "\"side\": \"right\"")] {
        let changed = ran.stdout.replacen(from, to, 1);
        assert_ne!(changed, ran.stdout, "{from} is in the proof");
        std::fs::write(&proof, changed).unwrap();
        assert_eq!(check(root), 1, "{from}");
        assert!(matches!(second(root), Some(1) | None), "{from}");
    }
    std::fs::write(&proof, "{}").unwrap();
    assert_eq!(check(root), 4);
    assert_eq!(shell.run(&["run", "attest", "r", "--row", "ledger.jsonl:999"]).code, 2);
    assert_eq!(shell.run(&["run", "attest", "r", "--row", "../t.json:1"]).code, 2);
    let stated = json(&shell.run(&["run", "attest", "r"]).stdout);
    assert_eq!(stated["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(stated["predicate"]["merkle"]["root"], root);
}

#[test]
fn a_bundle_is_written_once() {
    let shell = recorded();
    assert_eq!(shell.run(&["run", "pack", "r"]).code, 0);
    assert!(shell.dir.path().join("r.tar").exists());
    assert_eq!(shell.run(&["run", "pack", "r"]).code, 5);
    assert_eq!(shell.run(&["run", "pack", "r", "-o", "missing/x.tar"]).code, 5);
    assert_eq!(shell.run(&["run", "pack", "t.json"]).code, 4);
}

#[test]
fn a_changed_run_is_not_handed_out() {
    let shell = recorded();
    let ledger = shell.dir.path().join("r/ledger.jsonl");
    let text = std::fs::read_to_string(&ledger).unwrap();
    std::fs::write(&ledger, text.replacen("\"seq\":1", "\"seq\":2", 1)).unwrap();
    for args in [&["run", "seal", "r"][..], &["run", "pack", "r"], &["run", "attest", "r"]] {
        assert_eq!(shell.run(args).code, 6, "{args:?}");
    }
}
