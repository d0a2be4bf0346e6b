//! What a PATH may be besides a file.

use crate::{Ran, Shell};

/// A trace of `n` kernels of 2 us.
fn trace(n: usize) -> String {
    let kernel = |i: usize| {
        format!(
            r#"{{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":{},"dur":2,"args":{{"stream":7}}}}"#,
            i * 5
        )
    };
    let events: Vec<String> = (0..n).map(kernel).collect();
    format!("{{\"distributedInfo\":{{\"rank\":0}},\"traceEvents\":[{}]}}", events.join(","))
}

fn piped(shell: &Shell, args: &[&str], text: &str) -> Ran {
    let output = shell.command(args).write_stdin(text).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_pipe_is_read_whole() {
    let shell = Shell::new();
    let text = trace(40_000);
    assert!(text.len() > 2 << 20, "longer than one block");
    let ran = piped(&shell, &["trace", "triage", "/dev/stdin", "--format", "json"], &text);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &answer["partial"]), (0, &serde_json::Value::Null), "{}", ran.stderr);
    assert_eq!(answer["totals"]["kernel"]["count"], 40_000);
}

#[test]
fn a_run_does_not_take_a_pipe() {
    let shell = Shell::new();
    let ran = piped(&shell, &["trace", "triage", "/dev/stdin", "--run-dir", "r"], &trace(3));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("save the input to a file first"), "{}", ran.stderr);
    assert!(!shell.dir.path().join("r").exists());
}

#[test]
fn a_single_trace_of_another_rank_is_refused() {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("t.json"), trace(3)).unwrap();
    assert_eq!(shell.run(&["trace", "triage", "t.json", "--rank", "0"]).code, 0);
    let ran = shell.run(&["trace", "triage", "t.json", "--rank", "3"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("no trace of rank 3"), "{}", ran.stderr);
}

#[test]
fn utf16_is_named() {
    let shell = Shell::new();
    let bytes: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(shell.dir.path().join("t.json"), bytes).unwrap();
    let ran = shell.run(&["trace", "triage", "t.json"]);
    assert!(ran.code == 4 && ran.stderr.contains("UTF-16"), "{}", ran.stderr);
}
