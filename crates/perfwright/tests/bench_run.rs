//! `perfwright bench run` against real sockets: figures, runs that verify, and servers that misbehave.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use xtask::misbehave::{Behaviour, Server};

fn bench(url: &str, dir: &Path, args: &[&str]) -> Output {
    let run = dir.join("run");
    let mut all =
        vec!["bench", "run", "--url", url, "--format", "json", "--input-len", "20", "--output-len", "8"];
    all.extend(["--first-timeout-ms", "500", "--stall-timeout-ms", "500"]);
    // Machines that run tests are busy; lateness is the subject of one test only.
    if !args.contains(&"--max-lateness-ms") {
        all.extend(["--max-lateness-ms", "5000"]);
    }
    all.extend(["--run-dir", run.to_str().unwrap()]);
    all.extend(args);
    Command::cargo_bin("perfwright")
        .unwrap()
        .args(&all)
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{e}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

fn verify(dir: &Path) -> i32 {
    let out = Command::cargo_bin("perfwright")
        .unwrap()
        .args(["run", "verify"])
        .arg(dir.join("run"))
        .output()
        .unwrap();
    out.status.code().unwrap()
}

fn records(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("run/benchmark/requests.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// NumPy's default percentile, written down from its documentation.
fn percentile(values: &[f64], p: f64) -> f64 {
    let mut v = values.to_vec();
    v.sort_by(f64::total_cmp);
    let at = (v.len() - 1) as f64 * p / 100.0;
    let (low, high) = (v[at.floor() as usize], v[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn near(a: &Value, b: f64) {
    let a = a.as_f64().unwrap();
    assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{a} is not {b}");
}

#[test]
fn figures_are_the_plain_computation_on_the_records_and_the_run_verifies() {
    let server = Server::start(Behaviour::Healthy(5, 2));
    for (endpoint, load) in [
        ("completions", vec!["--rate", "80", "--arrival", "poisson"]),
        ("chat", vec!["--concurrency", "4"]),
        (
            "generate",
            vec!["--rate", "80", "--arrival", "constant", "--concurrency", "8", "--client-threads", "2"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut args = vec!["--endpoint", endpoint, "--requests", "40", "--seed", "7", "--warmup", "2"];
        args.extend(load);
        let out = bench(&server.url(), dir.path(), &args);
        let answer = json(&out);
        assert_eq!(out.status.code(), Some(0), "{endpoint}: {answer:#}");
        assert_eq!(
            (&answer["schema"], &answer["validity"]["verdict"]),
            (&"perfwright.bench-run/v1".into(), &"valid".into())
        );
        assert_eq!((answer["success_rate"].as_f64(), &answer["path"]["proven"]), (Some(1.0), &false.into()));
        assert_eq!((&answer["warmup"]["sent"], &answer["model"]), (&2.into(), &"test-model".into()));
        let measured: Vec<Value> =
            records(dir.path()).into_iter().filter(|r| r["phase"] == "measured").collect();
        assert_eq!(measured.len(), 40);
        let at = |r: &Value, key: &str| r[key].as_u64().unwrap() as f64;
        let ttft: Vec<f64> =
            measured.iter().map(|r| (at(r, "first_token_ns") - at(r, "intended_ns")) / 1e6).collect();
        let e2e: Vec<f64> = measured.iter().map(|r| (at(r, "end_ns") - at(r, "intended_ns")) / 1e6).collect();
        let tpot: Vec<f64> = ttft.iter().zip(&e2e).map(|(t, e)| (e - t) / 7.0).collect();
        let itl: Vec<f64> = measured
            .iter()
            .flat_map(|r| r["gaps_ns"].as_array().unwrap().iter().map(|g| g.as_u64().unwrap() as f64 / 1e6))
            .collect();
        assert_eq!(itl.len(), 40 * 7);
        for (name, values) in [("ttft_ms", &ttft), ("e2e_ms", &e2e), ("tpot_ms", &tpot), ("itl_ms", &itl)] {
            let dist = &answer["metrics"][name];
            near(&dist["mean"], values.iter().sum::<f64>() / values.len() as f64);
            for p in [50.0, 90.0, 99.0] {
                near(&dist[format!("p{p}")], percentile(values, p));
            }
        }
        let start = measured.iter().map(|r| at(r, "intended_ns")).fold(f64::INFINITY, f64::min);
        let end = measured.iter().map(|r| at(r, "end_ns")).fold(0.0, f64::max);
        near(&answer["throughput"]["requests"], 40.0 / ((end - start) / 1e9));
        near(&answer["throughput"]["output_tokens"], 320.0 / ((end - start) / 1e9));
        near(&answer["throughput"]["total_tokens"], 720.0 / ((end - start) / 1e9));
        assert!(answer["client"]["cpu_us_per_event"].as_f64().unwrap() > 0.0);
        assert!(answer["metrics"]["ttft_ms"]["min"].as_f64().unwrap() >= 5.0, "the server waits 5 ms");
        if endpoint == "completions" {
            assert!(answer["offered"]["scheduled_rate"].as_f64().unwrap() > 0.0);
        }
        assert_eq!(verify(dir.path()), 0, "{endpoint}");
    }
}

#[test]
fn a_changed_record_is_found() {
    let server = Server::start(Behaviour::Healthy(1, 1));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(bench(&server.url(), dir.path(), &["--requests", "5"]).status.code(), Some(0));
    let path = dir.path().join("run/benchmark/requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"turn\":0", "\"turn\":1", 1)).unwrap();
    assert_eq!(verify(dir.path()), 6);
}

#[test]
fn a_late_client_is_no_result() {
    let server = Server::start(Behaviour::Healthy(1, 1));
    let dir = tempfile::tempdir().unwrap();
    let out = bench(
        &server.url(),
        dir.path(),
        &["--requests", "20", "--rate", "100", "--max-lateness-ms", "0.000001"],
    );
    let answer = json(&out);
    assert_eq!(out.status.code(), Some(3));
    assert_eq!(answer["validity"]["verdict"], "invalid_client");
    assert!(answer["validity"]["reasons"][0].as_str().unwrap().contains("late"), "{answer:#}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("PW0412"));
    assert_eq!(verify(dir.path()), 0);
}

#[test]
fn requirements_are_certified_or_said_to_need_more() {
    let server = Server::start(Behaviour::Healthy(1, 1));
    let dir = tempfile::tempdir().unwrap();
    let out = bench(
        &server.url(),
        dir.path(),
        &["--requests", "60", "--concurrency", "8", "--sla", "ttft.p90<=60000"],
    );
    let answer = json(&out);
    assert_eq!(
        (out.status.code(), &answer["sla"][0]["outcome"]),
        (Some(0), &"certified".into()),
        "{answer:#}"
    );
    assert_eq!(answer["goodput"]["attainment"]["count"], 60);
    assert_eq!(verify(dir.path()), 0);
    let dir = tempfile::tempdir().unwrap();
    let out = bench(
        &server.url(),
        dir.path(),
        &["--requests", "20", "--concurrency", "8", "--sla", "ttft.p99<=60000"],
    );
    let answer = json(&out);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(
        (&answer["sla"][0]["outcome"], &answer["sla"][0]["needed"]),
        (&"inconclusive".into(), &459.into())
    );
    assert!(String::from_utf8_lossy(&out.stderr).contains("needs 459 requests"));
    let dir = tempfile::tempdir().unwrap();
    let out = bench(&server.url(), dir.path(), &["--requests", "20", "--sla", "ttft.p50<=0.001"]);
    assert_eq!((out.status.code(), &json(&out)["sla"][0]["outcome"]), (Some(1), &"refused".into()));
    assert_eq!(verify(dir.path()), 0);
}

#[test]
fn bad_servers_are_counted_by_class_and_never_succeed() {
    for (behaviour, class) in [
        (Behaviour::Status(429), "http_429"),
        (Behaviour::Status(404), "http_404"),
        (Behaviour::NotStreaming, "not_streaming"),
        (Behaviour::BadJson, "malformed"),
        (Behaviour::Usage(3), "usage_wrong"),
        (Behaviour::Usage(9), "usage_wrong"),
        (Behaviour::Truncated, "truncated"),
        (Behaviour::CutInEvent, "connection_lost"),
        (Behaviour::ErrorEvent, "error_event"),
        (Behaviour::Stalls, "stall_timeout"),
        (Behaviour::Drips, "first_timeout"),
    ] {
        let server = Server::start(behaviour);
        let dir = tempfile::tempdir().unwrap();
        let out =
            bench(&server.url(), dir.path(), &["--requests", "4", "--concurrency", "4", "--warmup", "0"]);
        let answer = json(&out);
        assert_eq!(out.status.code(), Some(1), "{behaviour:?}: {answer:#}");
        assert_eq!(answer["validity"]["verdict"], "no_success", "{behaviour:?}");
        assert_eq!(
            (&answer["failures"][0]["class"], &answer["failures"][0]["count"]),
            (&class.into(), &4.into()),
            "{behaviour:?}"
        );
        assert_eq!(answer["metrics"]["ttft_ms"]["p50"], Value::Null);
        assert_eq!(verify(dir.path()), 0, "{behaviour:?}");
    }
}

#[test]
fn a_server_that_dies_is_counted_from_then_on() {
    let server = Server::start(Behaviour::DiesAfter(6));
    let dir = tempfile::tempdir().unwrap();
    let out = bench(&server.url(), dir.path(), &["--requests", "20", "--warmup", "0"]);
    let answer = json(&out);
    assert_eq!((out.status.code(), &answer["success"]["count"]), (Some(0), &6.into()), "{answer:#}");
    let failed: u64 =
        answer["failures"].as_array().unwrap().iter().map(|f| f["count"].as_u64().unwrap()).sum();
    assert_eq!(failed, 14);
}

#[test]
fn an_unreachable_server_is_exit_5_and_leaves_no_run() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = bench(&format!("http://127.0.0.1:{port}"), dir.path(), &[]);
    assert_eq!((out.status.code(), &json(&out)["error"]["code"]), (Some(5), &"PW0411".into()));
    assert!(!dir.path().join("run").exists());
}

#[test]
fn datasets_and_traces_are_asked_and_recorded() {
    let server = Server::start(Behaviour::Healthy(0, 0));
    let cases = [
        (
            "sharegpt",
            r#"[{"conversations":[{"from":"human","value":"hi there"},{"from":"gpt","value":"one two three"}]}]"#,
            vec![],
        ),
        (
            "jsonl",
            "{\"prompt\":\"a b\",\"output_len\":3}\n{\"prompt\":[{\"role\":\"user\",\"content\":\"c\"}],\"output_len\":2}\n",
            vec![],
        ),
        (
            "mooncake",
            "{\"timestamp\":0,\"input_length\":600,\"output_length\":3,\"hash_ids\":[1,2]}\n{\"timestamp\":20,\"input_length\":5,\"output_length\":2,\"hash_ids\":[]}\n",
            vec!["--arrival", "replay"],
        ),
        (
            "burstgpt",
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,4,3,7,Conversation log\n5.03,GPT-4,2,2,4,API log\n",
            vec!["--arrival", "replay"],
        ),
        (
            "azure",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,4,3\n2023-11-16 18:15:46.7005900,2,2\n",
            vec!["--arrival", "replay", "--speed", "2"],
        ),
    ];
    for (workload, text, more) in cases {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        std::fs::write(&file, text).unwrap();
        let run = dir.path().join("run");
        let mut args = vec!["bench", "run", "--url"];
        let url = server.url();
        args.extend([
            url.as_str(),
            "--workload",
            workload,
            "--dataset",
            file.to_str().unwrap(),
            "--requests",
            "2",
        ]);
        args.extend([
            "--format",
            "json",
            "--endpoint",
            "chat",
            "--max-lateness-ms",
            "5000",
            "--run-dir",
            run.to_str().unwrap(),
        ]);
        args.extend(more);
        let out = Command::new(assert_cmd::cargo::cargo_bin!("perfwright")).args(&args).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{workload}: {}", String::from_utf8_lossy(&out.stderr));
        let answer = json(&out);
        assert_eq!(answer["success"]["count"], 2, "{workload}");
        assert!(run.join("inputs/dataset").exists());
        assert_eq!(verify(dir.path()), 0, "{workload}");
        std::fs::write(&file, "{\"nonsense\": ").unwrap();
        let out = Command::new(assert_cmd::cargo::cargo_bin!("perfwright")).args(&args).output().unwrap();
        assert_eq!(
            (out.status.code(), &json(&out)["error"]["code"]),
            (Some(4), &"PW0415".into()),
            "{workload}"
        );
    }
}

#[test]
fn conversations_grow_by_what_was_answered() {
    let server = Server::start(Behaviour::Healthy(0, 0));
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--workload",
        "multi-turn",
        "--turns",
        "3",
        "--requests",
        "4",
        "--concurrency",
        "2",
        "--warmup",
        "0",
    ];
    let out = bench(&server.url(), dir.path(), &args);
    let answer = json(&out);
    assert_eq!((out.status.code(), &answer["success"]["count"]), (Some(0), &12.into()), "{answer:#}");
    assert_eq!(server.requests(), 12);
    let turns: Vec<u64> = records(dir.path()).iter().map(|r| r["turn"].as_u64().unwrap()).collect();
    assert_eq!(turns, [0, 1, 2].repeat(4));
}

#[test]
fn a_dry_run_asks_nothing() {
    let server = Server::start(Behaviour::Healthy(0, 0));
    let dir = tempfile::tempdir().unwrap();
    let out = bench(&server.url(), dir.path(), &["--dry-run", "--sla", "ttft.p99<=1000", "--rate", "10"]);
    let answer = json(&out);
    assert_eq!(
        (&answer["schema"], &answer["cost"]["requests"]),
        (&"perfwright.bench-run-plan/v1".into(), &663.into())
    );
    assert!(answer["cost"]["schedule_s"].as_f64().unwrap() > 50.0);
    assert_eq!((server.requests(), dir.path().join("run").exists()), (0, false));
    for bad in [["--sla", "ttft"], ["--extra-body", "[1]"], ["--rate", "-1"], ["--workload", "jsonl"]] {
        assert_eq!(bench(&server.url(), dir.path(), &bad).status.code(), Some(2), "{bad:?}");
    }
    let out = bench(&server.url(), dir.path(), &["--tokenizer", "no-such-file"]);
    assert_eq!(out.status.code(), Some(4));
    let out = bench(&server.url(), dir.path(), &["--tokenizer", "x", "--workload", "multi-turn"]);
    assert_ne!(out.status.code(), Some(0), "only random prompts are made by a tokenizer");
}

#[test]
fn with_a_tokenizer_lengths_are_exact_and_its_file_is_kept() {
    let server = Server::start(Behaviour::Healthy(2, 0));
    let dir = tempfile::tempdir().unwrap();
    // Every letter and the blank is a token.
    let vocab: serde_json::Map<String, Value> =
        ('a'..='z').chain([' ', '?']).enumerate().map(|(i, c)| (c.to_string(), i.into())).collect();
    let file = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": false},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "?"}
    });
    let path = dir.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let out = bench(&server.url(), dir.path(), &["--tokenizer", path.to_str().unwrap(), "--requests", "6"]);
    let answer = json(&out);
    assert_eq!(
        (&answer["workload"]["lengths"], &answer["workload"]["input_nominal"]["p50"]),
        (&"exact".into(), &20.0.into())
    );
    assert_eq!(
        std::fs::read(dir.path().join("run/inputs/tokenizer.json")).unwrap(),
        std::fs::read(&path).unwrap()
    );
}
