//! `perfwright bench ab` over servers of the lab: whole, killed at random moments, interrupted, finished, with a side that
//! cannot start, and against servers that run already. What the figures say is left to the machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_perfwright");

fn server(name: &str, ops: &str) -> String {
    format!("perfwright lab serve --port {{port}} --threads 1 --served-model-name {name} --ops {ops}")
}

fn ab(run: &Path, sides: [&str; 2]) -> Command {
    let mut command = Command::new(BIN);
    command.args(["bench", "ab", "--allow-busy", "--format", "json", "--blocks", "4", "--control", "1"]);
    command.args([
        "--input-len",
        "8",
        "--output-len",
        "4",
        "--requests",
        "6",
        "--concurrency",
        "2",
        "--run-dir",
    ]);
    command.arg(run).args(["--a-server", sides[0], "--b-server", sides[1]]);
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

fn verified(run: &Path) {
    let out = Command::new(BIN).args(["run", "verify"]).arg(run).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(said(&out).contains("bench.ab/v1") && said(&out).contains("bench.trials/v1"), "{}", said(&out));
}

/// Processes whose command line holds the name.
fn running(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|e| std::fs::read(e.unwrap().path().join("cmdline")).ok());
    let lines = lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
    lines.filter(|l| l.contains(name) && l.contains("lab serve --port") && !l.contains("bench ab")).collect()
}

#[test]
fn killed_and_interrupted_it_goes_on_where_it_was_and_no_server_is_left() {
    let root = tempfile::tempdir().unwrap();
    let name = format!("ab-{}", std::process::id());
    let (a, b) = (server(&name, "naive"), server(&name, "fused"));
    let dir = root.path().join("run");
    let (mut state, mut stops, mut kept) = (0x9e37_79b9_u64, 0, BTreeMap::new());
    let last = loop {
        let mut child = ab(&dir, [&a, &b]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut interrupted = false;
        if stops < 6 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(300 + (state >> 33) % 1500));
            if child.try_wait().unwrap().is_none() {
                // Every second time as Ctrl-C does it.
                interrupted = stops % 2 == 1;
                let id = child.id().to_string();
                let signal = if interrupted { "-INT" } else { "-KILL" };
                assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
                stops += 1;
            }
        }
        let out = child.wait_with_output().unwrap();
        let now = rows(&dir);
        assert!(kept.iter().all(|(n, bytes)| now.get(n) == Some(bytes)), "a finished row changed or is gone");
        kept = now;
        match out.status.code() {
            Some(130) => {
                assert!(interrupted, "{}", said(&out));
                assert!(running(&name).is_empty(), "{:?}", running(&name));
            }
            Some(code) => {
                assert!(matches!(code, 0 | 1), "{}", said(&out));
                break out;
            }
            None => {}
        }
    };
    assert!(stops > 0, "nothing was stopped");
    assert!(running(&name).is_empty(), "{:?}", running(&name));
    verified(&dir);
    assert_eq!(kept.len(), 2 * 4 + 2, "four blocks and one of the control");
    let answer: Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(
        answer["series"]["ended"].as_str().map(|e| e == "blocks" || e == "decided"),
        Some(true),
        "{answer}"
    );
    assert_eq!(answer["control"]["blocks"], 1);
    let launches: Vec<u64> = kept
        .values()
        .map(|b| serde_json::from_slice::<Value>(b).unwrap()["trial"]["launch"].as_u64().unwrap())
        .collect();
    assert!(launches.windows(2).all(|w| w[0] < w[1]), "each row has a launch of its own: {launches:?}");

    // Both sides of a block were asked the same, the blocks were not.
    let salts: Vec<String> = kept
        .values()
        .map(|bytes| {
            let row: Value = serde_json::from_slice(bytes).unwrap();
            let trial = row["artifacts"]["trial"].as_str().unwrap();
            let client = std::fs::read(dir.join(trial).join("client.json")).unwrap();
            serde_json::from_slice::<Value>(&client).unwrap()["salt"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(salts[0] == salts[1] && salts[2] == salts[3] && salts[0] != salts[2], "{salts:?}");

    // A finished one answers again, and measures nothing; another question is another run.
    let again = ab(&dir, [&a, &b]).output().unwrap();
    assert_eq!((again.status.code(), &again.stdout), (last.status.code(), &last.stdout), "{}", said(&again));
    assert_eq!(rows(&dir), kept);
    let refused = ab(&dir, [&a, &a]).output().unwrap();
    assert!(refused.status.code() == Some(2) && said(&refused).contains("PW0450"), "{}", said(&refused));
    // An edited answer is found out even by who mends the hashes: the rows give another one. Here the hashes tell.
    std::fs::write(dir.join("benchmark/ab.json"), "{}").unwrap();
    let out = Command::new(BIN).args(["run", "verify"]).arg(&dir).output().unwrap();
    assert_eq!(out.status.code(), Some(6), "{}", said(&out));
}

#[test]
fn a_side_that_cannot_start_is_given_up_and_recorded() {
    let root = tempfile::tempdir().unwrap();
    let name = format!("abdown-{}", std::process::id());
    let (good, bad) = (server(&name, "fused"), format!("{} --no-such-flag", server(&name, "fused")));
    let dir = root.path().join("run");
    let out = ab(&dir, [&good, &bad]).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(
        said(&out).contains("PW0445") && said(&out).contains("3 of 3 launches of B failed"),
        "{}",
        said(&out)
    );
    let verify = Command::new(BIN).args(["run", "verify"]).arg(&dir).output().unwrap();
    assert_eq!(verify.status.code(), Some(0), "{}", said(&verify));
    assert!(running(&name).is_empty());
}
