//! The path of a lab that somebody else started: healthy ones pass `bench run`, others are refused with field, values and
//! place.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::server::Lab;

/// A lab that writes its log into a file, as services do; it is ended when this is dropped.
struct Logged {
    child: Child,
    url: String,
}

impl Logged {
    fn start(args: &[&str], log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_perfwright"))
            .args(["lab", "serve", "--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(url: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perfwright"))
        .args(["bench", "run", "--format", "json", "--url", url, "--input-len", "8", "--output-len", "4"])
        .args(["--requests", "4", "--max-lateness-ms", "60000"])
        .args(args)
        .output()
        .unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ended with exit code 3 and PW0449, naming each of `words`.
fn refused(output: &Output, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for word in [&["PW0449"], words].concat() {
        assert!(said.contains(word), "{word} is not in {said}");
    }
}

fn verify(run: &Path) -> Option<i32> {
    let run = Command::new(env!("CARGO_BIN_EXE_perfwright")).args(["run", "verify"]).arg(run).output();
    run.unwrap().status.code()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_healthy_server_is_proven_and_others_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, run, again) = (dir.path().join("log"), dir.path().join("run"), dir.path().join("again"));
    let naive = Logged::start(&["--ops", "naive"], &log);
    let command = "python -m sglang.launch_server --attention-backend lab_naive --tp 1";
    let healthy = ["--log", text(&log), "--path", "attention_backend=lab_naive", "--server-command", command];
    let output = bench(&naive.url, &[&healthy[..], &["--run-dir", text(&run)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = &answer(&output)["path"];
    assert_eq!((&path["proven"], &path["fields"]["attention_backend"]), (&true.into(), &"lab_naive".into()));
    assert_eq!((&path["fields"]["quantization"], verify(&run)), (&"none".into(), Some(0)), "{path:#}");
    // The same server measured again is on the path of the first run.
    let output =
        bench(&naive.url, &["--log", text(&log), "--same-path-as", text(&run), "--run-dir", text(&again)]);
    assert_eq!((output.status.code(), verify(&again)), (Some(0), Some(0)), "{}", said(&output));
    // The operator path was switched: flags, contract and the other measurement all say so, before any load.
    let other = dir.path().join("other");
    let fused = Logged::start(&["--ops", "fused"], &other);
    let both = ["attention_backend", "lab_naive", "lab_fused"];
    let none = dir.path().join("none");
    for demand in [
        ["--path", "attention_backend=lab_naive"],
        ["--server-command", command],
        ["--same-path-as", text(&run)],
    ] {
        let output =
            bench(&fused.url, &[&demand[..], &["--log", text(&other), "--run-dir", text(&none)]].concat());
        refused(&output, &both);
        assert!(!none.exists(), "nothing is measured on another path");
    }
    // Restarted with other flags: the log holds both starts.
    let restarted = Logged::start(&["--ops", "fused"], &log);
    let output = bench(&restarted.url, &["--log", text(&log)]);
    refused(&output, &[&both[..], &["line 1"]].concat());
}

#[test]
fn a_fallback_while_measuring_is_a_hard_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (log, run, set) = (dir.path().join("log"), dir.path().join("run"), dir.path().join("set.jsonl"));
    // Four bytes and the begin of the sequence.
    std::fs::write(&set, json!({"prompt": "abcd", "output_len": 4}).to_string()).unwrap();
    let lab = Logged::start(&["--fault", "fallback=5"], &log);
    let args =
        ["--log", text(&log), "--workload", "jsonl", "--dataset", text(&set), "--warmup", "0", "--no-salt"];
    let output = bench(&lab.url, &[&args[..], &["--run-dir", text(&run)]].concat());
    refused(&output, &["after the start", "torch_native", "line "]);
    let answer = answer(&output);
    assert_eq!(answer["path"]["proven"], false);
    assert!(!answer["path"]["stops"].as_array().unwrap().is_empty());
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["verdict"]["outcome"], verify(&run)),
        (&"hard_stop".into(), Some(0)),
        "{manifest:#}"
    );
    // Accepted by its words it is no stop, but the backend that it names still differs.
    let output = bench(&lab.url, &["--log", text(&log), "--accept-fallback", "torch_native"]);
    refused(&output, &["attention_backend"]);
}

#[test]
fn an_address_alone_proves_nothing_and_is_no_fault() {
    let server = xtask::misbehave::Server::start(xtask::misbehave::Behaviour::Healthy(1, 1));
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let output = bench(&server.url(), &["--run-dir", text(&run)]);
    assert_eq!((output.status.code(), &answer(&output)["path"]["proven"]), (Some(0), &false.into()));
    assert_eq!(verify(&run), Some(0));
    // What is demanded of it is not proven.
    refused(&bench(&server.url(), &["--path", "tp=8"]), &["tp is 8 (contract)", "nothing proves it"]);
    // A lab whose log is not given states all but its quantisation.
    let lab = Lab::start(&[]);
    let output = bench(&format!("http://{}", lab.address), &["--run-dir", text(&dir.path().join("lab"))]);
    let path = &answer(&output)["path"];
    assert_eq!((output.status.code(), &path["proven"]), (Some(0), &false.into()));
    assert_eq!(path["fields"]["sampling_backend"], "lab_naive");
}
