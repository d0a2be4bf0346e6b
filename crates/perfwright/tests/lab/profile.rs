//! Profiles, read by the trace commands: all device time has a source, and steps and layers are what they were.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::server::Lab;

fn answer(verb: &str, file: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_perfwright"))
        .args(["trace", verb, "--format", "json"])
        .arg(file)
        .env("PERFWRIGHT_CACHE_DIR", file.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn generate(lab: &Lab) -> Value {
    let params = json!({"max_new_tokens": 8, "ignore_eos": true, "temperature": 0});
    let answer = lab.post("/generate", &json!({"text": ["ab", "cdefgh"], "sampling_params": params})).json();
    let of = |n: usize| answer[n]["output_ids"].clone();
    json!([of(0), of(1)])
}

fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

/// The zero of a profile's times.
fn base_ns(file: &Path) -> u128 {
    let trace: Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap())).unwrap();
    trace["baseTimeNanoseconds"].as_u64().unwrap().into()
}

fn wait_for(lab: &Lab, file: PathBuf) -> PathBuf {
    lab.until("the profile is written", |_| file.exists());
    file
}

/// What triage says of a profile: all device time has a source, and every kernel has a category.
fn triage(file: &Path) -> Value {
    let triage = answer("triage", file);
    assert_eq!(triage["partial"], Value::Null);
    assert_eq!(triage["attribution"]["share"], 1.0, "{:#}", triage["attribution"]);
    for row in triage["tables"]["kernels"].as_array().unwrap() {
        assert_ne!(row["category"], "unknown", "{row:#}");
        let source = row["source"].as_str().unwrap();
        assert!(source.starts_with("crates/perfwright-lab/src/"), "{row:#}");
    }
    triage
}

/// Class, requests and tokens of each step.
fn steps(triage: &Value) -> Vec<(String, u64, u64)> {
    let number = |value: &Value| value.as_u64().unwrap();
    let of = |step: &Value| {
        (step["class"].as_str().unwrap().to_owned(), number(&step["batch"]), number(&step["tokens"]))
    };
    triage["steps"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn triage_and_pipeline_understand_a_profile() {
    for ops in ["naive", "fused"] {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::start(&["--ops", ops, "--profile-dir", folder.path().to_str().unwrap()]);
        let before = generate(&lab);
        let body = json!({
            "output_dir": folder.path(), "profile_id": "p", "num_steps": "100", "activities": ["CPU", "GPU"],
        });
        let begun = now_ns();
        assert_eq!(lab.post("/start_profile", &body).status, 200);
        assert_eq!(lab.post("/start_profile", &body).status, 400, "one at a time");
        assert_eq!(generate(&lab), before, "profiling changes no number");
        let stopped = lab.post("/stop_profile", &json!({}));
        assert_eq!(stopped.body, "Stop profiling. This will take some time.\n");
        assert_eq!(lab.post("/stop_profile", &json!({})).status, 400);
        let file = wait_for(&lab, folder.path().join("p-TP-0.trace.json.gz"));
        let base = base_ns(&file);
        assert!((begun..now_ns()).contains(&base), "{base} is not within the profile, begun at {begun}");
        let triage = triage(&file);
        let input = &triage["inputs"][0];
        assert_eq!((&input["framework"], &input["vendor"]), (&json!("perfwright-lab"), &json!("cpu")));
        // The two prompts may come into one pass or two; what they hold is the same.
        let steps = steps(&triage);
        let tokens = |class: &str| steps.iter().filter(|s| s.0 == class).map(|s| s.2).sum::<u64>();
        assert_eq!((tokens("prefill"), tokens("decode")), (3 + 7, 2 * 7), "{steps:?}");
        assert!(
            steps.iter().all(|s| s.0 == "prefill" || s.1 == s.2),
            "a decode pass has one token a request"
        );
        assert!(steps.iter().all(|s| s.0 == "prefill" || s.0 == "decode"), "{steps:?}");
        let pipeline = answer("pipeline", &file);
        assert_eq!(pipeline["layers_per_pass"], 4);
        for evidence in pipeline["evidence"].as_array().unwrap() {
            assert_eq!(evidence["agrees"], true, "{evidence:#}");
        }
    }
}

#[test]
fn stages_are_apart_and_a_profile_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::start(&["--profile-dir", folder.path().to_str().unwrap()]);
    let body = json!({
        "output_dir": "stages", "profile_id": "s", "num_steps": 2, "profile_by_stage": true,
        "profile_prefix": "run",
    });
    assert_eq!(lab.post("/start_profile", &body).status, 200);
    generate(&lab);
    generate(&lab);
    for (stage, class) in [("EXTEND", "prefill"), ("DECODE", "decode")] {
        let file = wait_for(&lab, folder.path().join(format!("stages/run-s-TP-0-{stage}.trace.json.gz")));
        let steps = steps(&triage(&file));
        assert_eq!(steps.len(), 2);
        assert!(steps.iter().all(|step| step.0 == class), "{steps:?}");
    }
    for wrong in [
        json!({"profile_id": "../x"}),
        json!({"num_steps": "many"}),
        json!({"num_steps": 0}),
        json!({"activities": ["RPD"]}),
        json!({"output_dir": "/proc/none"}),
        json!({"output_dir": ".."}),
        json!({"output_dir": "stages/run-s-TP-0-EXTEND.trace.json.gz"}),
    ] {
        assert_eq!(lab.post("/start_profile", &wrong).status, 400, "{wrong}");
    }
}
