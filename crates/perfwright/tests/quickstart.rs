//! `quickstart` through the binary: real servers, a real repository, its cheats and its record. How fast this machine is
//! decides no test: every honest verdict is accepted, and what must hold in each case is asserted.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn pw(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perfwright"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Begins a quickstart and kills it, with everything it has not yet told, once it decides the gap.
fn killed(dir: &Path) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_perfwright"))
        .args(["quickstart", "--short", "--run-dir", "run"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reached = stdout.lines().map_while(Result::ok).any(|line| line.starts_with("2 gap"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached, "it ended before the gap");
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_quickstart_refuses_cheats_and_leaves_a_record_that_verifies() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let ran = pw(dir.path(), &["quickstart", "--short", "--run-dir", "run"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let code = ran.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}\n{stdout}\n{stderr}");
    assert!(
        !stdout.contains("1 search"),
        "what was measured before the kill is not measured again\n{stdout}"
    );
    let run = dir.path().canonicalize().unwrap().join("run");
    let page = run.join("report.html");
    assert_eq!(stdout.lines().last(), page.to_str(), "{stdout}");
    assert!(fs::read_to_string(&page).unwrap().contains("no model is involved"));
    assert!(!dir.path().join("run.work").exists(), "nothing but the run and the target is left");

    let verified = pw(dir.path(), &["run", "verify", "run"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let manifest = json(&run.join("manifest.json"));
    let outcome = manifest["verdict"]["outcome"].as_str().unwrap();
    assert_eq!(
        outcome == "pass",
        code == Some(0),
        "{outcome}: exit code 0 is a proven gain and nothing else"
    );
    let events = json(&run.join("campaign/sota-events.json"));
    let named =
        |name: &str| events.as_array().unwrap().iter().filter(|e| e["type"] == name).collect::<Vec<_>>();
    if named("attempt_opened").is_empty() {
        // A machine that measures no gap, or does not explain it, gives no change to try.
        assert_eq!(code, Some(1));
    } else {
        for refused in ["gate locked", "is not believed: the nonce"] {
            let seen = named("failed").iter().any(|e| e["signature"].as_str().unwrap().contains(refused));
            assert!(seen && stdout.contains(refused), "{refused}\n{stdout}");
        }
    }
    if code == Some(0) {
        let gain = &named("accepted")[0]["gain"];
        assert!(gain["low"].as_f64().unwrap() > 0.01, "{gain}");
        let target = dir.path().join("run.target");
        let head = Command::new("git").arg("-C").arg(target).args(["rev-parse", "HEAD"]).output().unwrap();
        let head = String::from_utf8(head.stdout).unwrap();
        assert_eq!(named("accepted")[0]["commit"], head.trim());
    }
    // A run that was recorded whole within is a run of its own.
    let inner = pw(dir.path(), &["run", "verify", "run/runs/search"]);
    assert_eq!(inner.status.code(), Some(0), "{}", String::from_utf8_lossy(&inner.stdout));

    // Asked again, it measures nothing and says the same.
    let again = pw(dir.path(), &["quickstart", "--short", "--run-dir", "run"]);
    assert_eq!(again.status.code(), code);
    assert_eq!(String::from_utf8_lossy(&again.stdout).lines().last(), page.to_str());

    // One changed byte, wherever it is, is named.
    for name in ["runs/search/benchmark/candidates.jsonl", "campaign/sota-events.json", "report.html"] {
        let path = run.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, &changed).unwrap();
        let verified = pw(dir.path(), &["run", "verify", "run"]);
        assert_eq!(verified.status.code(), Some(6), "{name}");
        assert!(String::from_utf8_lossy(&verified.stdout).contains(name), "{name} is not named");
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(pw(dir.path(), &["run", "verify", "run"]).status.code(), Some(0));
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/file"), "mine").unwrap();
    let ran = pw(dir.path(), &["quickstart", "--short", "--run-dir", "mine"]);
    assert_eq!(ran.status.code(), Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("mine/file")).unwrap(), "mine");
}
