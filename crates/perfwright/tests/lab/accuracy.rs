//! `perfwright bench accuracy` on the lab: a model of random weights answers wrong, and a set made of its own answers
//! shows that right ones are counted.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use xtask::misbehave::{Behaviour, Server};

use crate::server::Lab;

/// Exit code, answer, standard error.
fn accuracy(args: &[&str]) -> (i32, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_perfwright"))
        .args(["bench", "accuracy", "--format", "json"])
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    (output.status.code().unwrap(), answer, said)
}

fn verify(run: &Path) -> i32 {
    let run = Command::new(env!("CARGO_BIN_EXE_perfwright")).args(["run", "verify"]).arg(run).output();
    run.unwrap().status.code().unwrap()
}

fn records(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("accuracy/answers.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// A set of `questions` in the order of the records, each with the answer that `answer` makes of the record.
fn set_of(questions: &str, records: &[Value], answer: impl Fn(usize, &str) -> String) -> String {
    let lines = questions.lines().zip(records).enumerate().map(|(i, (line, record))| {
        let mut q: Value = serde_json::from_str(line).unwrap();
        q["answer"] = answer(i, record["picked"].as_str().unwrap_or("none")).into();
        q.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_drawn_set_is_asked_and_the_record_verifies() {
    let (lab, dir) = (Lab::start(&[]), tempfile::tempdir().unwrap());
    let url = format!("http://{}", lab.address);
    for endpoint in ["completions", "chat", "generate"] {
        let run = dir.path().join(endpoint);
        let (code, answer, said) = accuracy(&[
            "--url",
            &url,
            "--endpoint",
            endpoint,
            "--generate",
            "arithmetic",
            "--count",
            "24",
            "--shots",
            "2",
            "--max-tokens",
            "48",
            "--max-unanswered",
            "100",
            "--run-dir",
            text(&run),
        ]);
        assert_eq!(code, 0, "{said}");
        let score = &answer["accuracy"];
        assert_eq!((&score["task"], &score["n"]), (&"arithmetic".into(), &22.into()), "{answer:#}");
        let (low, high) = (score["ci_low"].as_f64().unwrap(), score["ci_high"].as_f64().unwrap());
        assert!(0.0 <= low && low < high && high < 1.0, "{score:#}");
        let sum = ["wrong", "unanswered"].map(|k| answer[k].as_u64().unwrap()).iter().sum::<u64>();
        assert_eq!(score["correct"].as_u64().unwrap() + sum, 22);
        assert_eq!((&answer["failed"], &answer["basis"]), (&0.into(), &"measured".into()));
        assert_eq!((records(&run).len(), verify(&run)), (22, 0));
    }
    // A changed answer is found.
    let file = dir.path().join("chat/accuracy/answers.jsonl");
    let changed = std::fs::read_to_string(&file).unwrap().replacen("arithmetic", "arithmetik", 1);
    std::fs::write(&file, changed).unwrap();
    assert_eq!(verify(&dir.path().join("chat")), 6);
}

#[test]
fn right_answers_are_counted_and_operator_sets_compared() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let choices: Vec<String> = (0..26).map(|i| format!("c{i}")).collect();
    let line =
        |i: u32| json!({"question": format!("Which of {i}?"), "choices": choices, "answer": 0}).to_string();
    let first = (0..160).map(line).collect::<Vec<_>>().join("\n");
    std::fs::write(at("first.jsonl"), &first).unwrap();
    let naive = Lab::start(&["--ops", "naive"]);
    let url = format!("http://{}", naive.address);
    let ask = |url: &str, set: &Path, run: &Path, more: &[&str]| {
        let args = [
            "--url",
            url,
            "--questions",
            text(set),
            "--task",
            "own",
            "--by",
            "logprob",
            "--run-dir",
            text(run),
        ];
        accuracy(&[&args, more].concat())
    };
    assert_eq!(ask(&url, &at("first.jsonl"), &at("first"), &["--max-unanswered", "100"]).0, 0);
    // Its own picks are right; every fourth is made wrong.
    let records = records(&at("first"));
    let answered = records.iter().filter(|r| r["picked"].is_string()).count();
    assert!(answered > 80, "26 letters are among the likeliest tokens more often than not: {answered}");
    let other = |letter: &str| if letter == "A" { "B".to_owned() } else { "A".to_owned() };
    let own = set_of(&first, &records, |i, picked| match (picked, i % 4) {
        ("none", _) => "A".to_owned(),
        (_, 0) => other(picked),
        _ => picked.to_owned(),
    });
    std::fs::write(at("own.jsonl"), &own).unwrap();
    let expected =
        records.iter().enumerate().filter(|(i, r)| i % 4 != 0 && r["picked"].is_string()).count() as u64;
    let (code, answer, said) = ask(&url, &at("own.jsonl"), &at("naive"), &["--max-unanswered", "100"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(answer["accuracy"]["correct"], expected, "{answer:#}");
    assert_eq!(answer["accuracy"]["n"], 160);
    // The other operators give the same tokens but for ties, so the pairs agree.
    let fused = Lab::start(&["--ops", "fused"]);
    let base = at("naive");
    let (code, answer, said) = ask(
        &format!("http://{}", fused.address),
        &at("own.jsonl"),
        &at("fused"),
        &["--max-unanswered", "100", "--baseline", text(&base)],
    );
    let c = &answer["comparison"];
    assert_eq!((code, &c["verdict"], &c["paired"]), (0, &"same".into(), &true.into()), "{said}{answer:#}");
    assert_eq!((&c["pairs"]["n"], &c["baseline_basis"]), (&160.into(), &"measured".into()));
    assert_eq!((verify(&at("naive")), verify(&at("fused"))), (0, 0));
    // Other questions are another measurement.
    let (code, answer, said) = ask(
        &url,
        &at("first.jsonl"),
        &at("refused"),
        &["--max-unanswered", "100", "--baseline", text(&base)],
    );
    assert_eq!((code, &answer["comparison"]["verdict"]), (3, &"refused".into()), "{said}");
    assert!(said.contains("PW0445") && said.contains("questions is"), "{said}");
    // Read again from its record: the same result.
    let run = at("fused");
    let (code, answer, _) = accuracy(&["--from", text(&run), "--baseline", text(&base)]);
    assert_eq!((code, &answer["comparison"]["verdict"]), (0, &"same".into()));
}

#[test]
fn servers_that_do_not_answer_give_no_share() {
    for behaviour in [Behaviour::Status(429), Behaviour::Healthy(1, 1)] {
        let server = Server::start(behaviour);
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let (code, answer, said) = accuracy(&[
            "--url",
            &server.url(),
            "--generate",
            "arithmetic",
            "--count",
            "5",
            "--run-dir",
            text(&run),
        ]);
        assert_eq!((code, &answer["validity"]["verdict"]), (3, &"nothing_answered".into()), "{said}");
        assert_eq!((&answer["accuracy"]["n"], &answer["failed"]), (&0.into(), &5.into()));
        assert_eq!(answer["faults"][0]["count"], 5, "{answer:#}");
        assert!(said.contains("PW0418"), "{said}");
        assert_eq!(verify(&run), 0);
    }
}

#[test]
fn results_of_others_are_read_and_half_a_point_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let vllm = |accuracy: f64| {
        json!({"accuracy": accuracy, "invalid_rate": 0.0, "num_questions": 1319, "num_shots": 5}).to_string()
    };
    let (a, b) = (write("a.json", vllm(0.915)), write("b.json", vllm(0.920)));
    let (code, answer, _) = accuracy(&["--from", text(&b), "--baseline", text(&a)]);
    let c = &answer["comparison"];
    assert_eq!((code, &c["verdict"], &c["paired"]), (0, &"same".into(), &false.into()), "{answer:#}");
    // Each question of lm-eval's samples, with 5 % of the answers changing.
    let samples = |right: &dyn Fn(u32) -> bool| {
        let line = |i: u32| {
            json!({"doc_id": i, "filter": "strict-match", "metrics": ["exact_match"],
                "exact_match": f64::from(u8::from(right(i))), "filtered_resps": ["1"], "prompt_hash": i.to_string()})
            .to_string()
        };
        (0..1319).map(line).collect::<Vec<_>>().join("\n")
    };
    let a = write("samples_gsm8k_2026-01-01T00-00-00.1.jsonl", samples(&|i| i < 1207));
    let b = write("samples_gsm8k_2026-01-02T00-00-00.1.jsonl", samples(&|i| (30..1243).contains(&i)));
    let run = dir.path().join("run");
    let (code, answer, _) = accuracy(&["--from", text(&b), "--baseline", text(&a), "--run-dir", text(&run)]);
    let c = &answer["comparison"];
    assert_eq!((code, &c["verdict"], &c["paired"]), (0, &"same".into(), &true.into()), "{answer:#}");
    assert_eq!((&answer["accuracy"]["correct"], &answer["basis"]), (&1213.into(), &"imported".into()));
    assert_eq!(verify(&run), 0);
    let worse = write("samples_gsm8k_2026-01-03T00-00-00.1.jsonl", samples(&|i| i < 1100));
    let (code, answer, _) = accuracy(&["--from", text(&worse), "--baseline", text(&a)]);
    assert_eq!((code, &answer["comparison"]["verdict"]), (1, &"worse".into()));
    let junk = write("junk.json", "{\"a\":1}".to_owned());
    let (code, answer, _) = accuracy(&["--from", text(&junk)]);
    assert_eq!((code, &answer["error"]["code"]), (4, &"PW0440".into()));
    let set = write("set.jsonl", "{\"question\":\"x\",\"answer\":\"none\"}".to_owned());
    let (code, answer, _) = accuracy(&["--url", "http://127.0.0.1:9", "--questions", text(&set)]);
    assert_eq!((code, &answer["error"]["code"]), (4, &"PW0417".into()));
}
