//! Profiles, read by the trace commands: all device time has a source, and steps and layers are what they were.

use std::path::{Path, PathBuf};
use std::process::Command;

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

fn wait_for(lab: &Lab, file: PathBuf) -> PathBuf {
    lab.until("the profile is written", |_| file.exists());
    file
}

/// Device time that has a source line, in per cent, and that no rule names.
fn check_triage(file: &Path) -> Value {
    let triage = answer("triage", file);
    let traces = triage["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 1);
    assert_eq!(triage["partial"].as_bool().unwrap_or(false), false);
    triage
}

#[test]
fn triage_and_pipeline_understand_a_profile() {
    for ops in ["naive", "fused"] {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::start(&["--ops", ops]);
        let before = generate(&lab);
        let body = json!({
            "output_dir": folder.path(), "profile_id": "p", "num_steps": "100", "activities": ["CPU", "GPU"],
        });
        assert_eq!(lab.post("/start_profile", &body).status, 200);
        assert_eq!(lab.post("/start_profile", &body).status, 400, "one at a time");
        assert_eq!(generate(&lab), before, "profiling changes no number");
        let stopped = lab.post("/stop_profile", &json!({}));
        assert_eq!(stopped.body, "Stop profiling. This will take some time.\n");
        assert_eq!(lab.post("/stop_profile", &json!({})).status, 400);
        let file = wait_for(&lab, folder.path().join("p-TP-0.trace.json.gz"));
        let triage = check_triage(&file);
        let text = triage.to_string();
        assert!(!text.contains("\"unknown\",\"category\""), "{text}");
        let trace = &triage["traces"][0];
        check_attributed(trace);
        check_steps(trace);
        let pipeline = answer("pipeline", &file);
        check_layers(&pipeline);
    }
}

fn check_attributed(trace: &Value) {
    let methods = trace["attribution"].as_array().unwrap_or_else(|| panic!("{trace:#}"));
    assert_eq!(methods.len(), 1, "{methods:#?}");
    assert_eq!(methods[0]["method"], "launch");
}

fn check_steps(trace: &Value) {
    let steps = trace["steps"].as_array().unwrap_or_else(|| panic!("{trace:#}"));
    let of = |class: &str| steps.iter().find(|step| step["class"] == class).unwrap().clone();
    assert_eq!((of("prefill")["steps"].as_u64(), of("decode")["steps"].as_u64()), (Some(1), Some(7)));
}

fn check_layers(pipeline: &Value) {
    assert_eq!(pipeline["layers"], 4, "{pipeline:#}");
}

#[test]
fn stages_are_apart_and_a_profile_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::start(&[]);
    let body = json!({
        "output_dir": folder.path(), "profile_id": "s", "num_steps": 2, "profile_by_stage": true,
        "profile_prefix": "run",
    });
    assert_eq!(lab.post("/start_profile", &body).status, 200);
    generate(&lab);
    generate(&lab);
    for (stage, class) in [("EXTEND", "prefill"), ("DECODE", "decode")] {
        let file = wait_for(&lab, folder.path().join(format!("run-s-TP-0-{stage}.trace.json.gz")));
        let triage = check_triage(&file);
        let steps = triage["traces"][0]["steps"].as_array().unwrap().clone();
        assert_eq!(steps.len(), 1);
        assert_eq!((&steps[0]["class"], &steps[0]["steps"]), (&json!(class), &json!(2)));
    }
    for wrong in [
        json!({"profile_id": "../x"}),
        json!({"num_steps": "many"}),
        json!({"num_steps": 0}),
        json!({"activities": ["RPD"]}),
        json!({"output_dir": "/proc/none"}),
    ] {
        assert_eq!(lab.post("/start_profile", &wrong).status, 400, "{wrong}");
    }
}
