//! `perfwright trace capture` of a running lab: prefill and decode apart, whole traces, and servers that are refused.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::server::Lab;

fn perfwright(args: &[&str], caches: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perfwright"));
    command.args(args).env("PERFWRIGHT_CACHE_DIR", caches).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Class and requests of each step that triage finds in a folder of traces.
fn steps(folder: &Path, caches: &Path) -> Vec<(String, u64)> {
    let output = perfwright(&["trace", "triage", "--format", "json", text(folder)], caches);
    assert!(output.status.success(), "{}", said(&output));
    let triage: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&triage["partial"], &triage["attribution"]["share"]), (&Value::Null, &1.0.into()));
    let of = |s: &Value| (s["class"].as_str().unwrap().to_owned(), s["batch"].as_u64().unwrap());
    triage["steps"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn stages_are_captured_apart_and_another_server_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (root, caches) = (dir.path().join("profiles"), dir.path().join("caches"));
    let lab = Lab::start(&["--ops", "naive", "--profile-dir", text(&root)]);
    let url = format!("http://{}", lab.address);
    let bench = dir.path().join("bench");
    let output = perfwright(
        &[
            "bench",
            "run",
            "--url",
            &url,
            "--input-len",
            "24",
            "--output-len",
            "6",
            "--requests",
            "4",
            "--max-lateness-ms",
            "60000",
            "--run-dir",
            text(&bench),
        ],
        &caches,
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // The path and the lengths are those of the benchmark.
    let (out, run) = (root.join("own"), dir.path().join("run"));
    let output = perfwright(
        &[
            "trace",
            "capture",
            "--format",
            "json",
            "--url",
            &url,
            "--out",
            text(&out),
            "--same-path-as",
            text(&bench),
            "--output-len",
            "3000",
            "--batch",
            "3",
            "--steps",
            "4",
            "--run-dir",
            text(&run),
        ],
        &caches,
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&answer["lengths"], &answer["framework"]),
        (&serde_json::json!([24, 3000]), &"sglang".into())
    );
    assert_eq!(answer["path"]["attention_backend"], "lab_naive");
    for stage in answer["stages"].as_array().unwrap() {
        assert_eq!(
            (&stage["steps_asked"], stage["files"].as_array().unwrap().len()),
            (&5.into(), 1),
            "{answer:#}"
        );
    }
    let prefill = steps(&out.join("prefill"), &caches);
    assert_eq!(prefill, vec![("prefill".to_owned(), 1); 5]);
    let decode = steps(&out.join("decode"), &caches);
    assert_eq!(decode, vec![("decode".to_owned(), 3); 5]);
    let verified = perfwright(&["run", "verify", text(&run)], &caches);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    // A profile of another server is refused before it is made.
    let other = Lab::start(&["--ops", "fused", "--profile-dir", text(&root)]);
    let none = root.join("other");
    let output = perfwright(
        &[
            "trace",
            "capture",
            "--url",
            &format!("http://{}", other.address),
            "--out",
            text(&none),
            "--same-path-as",
            text(&run),
        ],
        &caches,
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for word in ["PW0449", "attention_backend", "lab_naive", "lab_fused"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!none.exists(), "nothing is profiled on another path");
}

#[test]
fn servers_that_do_not_profile_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (root, caches) = (dir.path().join("profiles"), dir.path().join("caches"));
    let lab = Lab::start(&["--profile-dir", text(&root)]);
    let url = format!("http://{}", lab.address);
    let short = ["--input-len", "8", "--stage", "prefill", "--steps", "1", "--warmup", "0"];
    let capture = |out: &Path, more: &[&str]| {
        let args = ["trace", "capture", "--format", "json", "--url", &url, "--out", text(out)];
        let output = perfwright(&[&args, &short[..], more].concat(), &caches);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    // Outside of the folder that the lab writes to.
    let outside = dir.path().join("outside");
    assert_eq!(capture(&outside, &[]), (Some(5), "PW0222".to_owned()));
    // Where nobody looks for it.
    let elsewhere = root.join("elsewhere");
    let lost = ["--server-dir", text(&elsewhere), "--flush-timeout", "1"];
    assert_eq!(capture(&root.join("here"), &lost), (Some(5), "PW0223".to_owned()));
    let args = ["trace", "capture", "--url", &url, "--out", text(&root), "--framework", "vllm"];
    let output = perfwright(&args, &caches);
    assert!(output.status.code() == Some(2) && said(&output).contains("--server-dir"), "{}", said(&output));
}
