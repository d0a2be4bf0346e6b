//! Requests that are taken back, and pages that run out.

use serde_json::{Value, json};

use crate::server::Lab;

fn long(rid: &str) -> Value {
    let params = json!({"max_new_tokens": 4000, "ignore_eos": true, "temperature": 0});
    json!({"text": "x", "rid": rid, "stream": true, "sampling_params": params})
}

fn idle(lab: &Lab) -> bool {
    let load = lab.load();
    load["num_running_reqs"] == 0 && load["num_waiting_reqs"] == 0 && load["num_used_tokens"] == 0
}

#[test]
fn a_client_that_leaves_gives_its_pages_back() {
    let lab = Lab::start(&["--threads", "1"]);
    let mut reply = lab.open("/generate", &long("leaver"));
    reply.event().unwrap().unwrap();
    drop(reply);
    lab.until("the request is gone", |lab| lab.metric("sglang:num_aborted_requests_total", "") == 1.0);
    lab.until("its pages are free", idle);
    let available = lab.metric("sglang:kv_available_tokens", "");
    assert_eq!(available, lab.load()["max_total_num_tokens"].as_f64().unwrap());
    let generated = lab.metric("sglang:generation_tokens_total", "");
    assert!((1.0..4000.0).contains(&generated), "{generated}");
}

#[test]
fn a_client_that_waits_for_the_whole_answer_may_leave_too() {
    let lab = Lab::start(&["--threads", "1"]);
    let mut body = long("leaver");
    body["stream"] = json!(false);
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(&lab.address).unwrap();
    let head = format!("POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    std::io::Write::write_all(&mut stream, format!("{head}{body}").as_bytes()).unwrap();
    lab.until("it runs", |lab| lab.load()["num_running_reqs"] == 1);
    drop(stream);
    lab.until("the request is gone", |lab| lab.metric("sglang:num_aborted_requests_total", "") == 1.0);
    lab.until("its pages are free", idle);
}

#[test]
fn requests_are_aborted_by_the_start_of_their_name() {
    let lab = Lab::start(&["--threads", "1"]);
    let mut kept = lab.open("/generate", &long("keep"));
    let mut ended = lab.open("/generate", &long("end-1"));
    kept.event().unwrap().unwrap();
    ended.event().unwrap().unwrap();
    assert_eq!(lab.post("/abort_request", &json!({})).status, 400);
    assert_eq!(lab.post("/abort_request", &json!({"rid": "end"})).status, 200);
    let mut last = Vec::new();
    while let Some(event) = ended.event().unwrap() {
        last.push(event);
    }
    assert_eq!(last.pop().as_deref(), Some("[DONE]"));
    assert!(last.pop().unwrap().contains("Aborted"));
    assert!(kept.event().unwrap().is_some(), "the other goes on");
    assert_eq!(lab.post("/abort_request", &json!({"abort_all": true})).status, 200);
    lab.until("all pages are free", idle);
    assert_eq!(lab.metric("sglang:num_aborted_requests_total", ""), 2.0);
}

#[test]
fn retracted_requests_lose_no_token() {
    // Four requests of 10 + 100 tokens in 256: admission hopes, and pages run out.
    let args = ["--max-total-tokens", "256", "--schedule-conservativeness", "0.01", "--threads", "1"];
    let lab = Lab::start(&args);
    let params = json!({"max_new_tokens": 100, "ignore_eos": true, "temperature": 0.8, "sampling_seed": 5});
    let prompts: Vec<String> = (0..4).map(|n| format!("prompt {n} ")).collect();
    let together = lab.post("/generate", &json!({"text": prompts, "sampling_params": params})).json();
    assert!(lab.metric("sglang:num_retracted_requests_total", "") >= 1.0, "{}", lab.log());
    assert!(lab.log().contains("KV cache pool is full. Retract requests. #retracted_reqs: "));
    for (prompt, answer) in prompts.iter().zip(together.as_array().unwrap()) {
        let alone = lab.post("/generate", &json!({"text": prompt, "sampling_params": params})).json();
        assert_eq!(answer["output_ids"], alone["output_ids"], "{prompt}");
    }
    lab.until("its pages are free", idle);
    assert_eq!(lab.metric("sglang:generation_tokens_total", ""), 800.0);
}

#[test]
fn batch_and_chunks_do_not_change_an_answer() {
    let params = json!({"max_new_tokens": 20, "ignore_eos": true, "temperature": 0});
    let prompts: Vec<String> = (1..9).map(|n| "ab c".repeat(n * 7)).collect();
    let answers = |args: &[&str]| -> Vec<Value> {
        let lab = Lab::start(args);
        let body = json!({"text": prompts, "sampling_params": params});
        let all = lab.post("/generate", &body).json();
        all.as_array().unwrap().iter().map(|answer| answer["output_ids"].clone()).collect()
    };
    let alone = answers(&["--max-running-requests", "1", "--chunked-prefill-size", "-1"]);
    assert_eq!(alone, answers(&["--chunked-prefill-size", "13"]));
    assert_eq!(
        alone,
        answers(&["--chunked-prefill-size", "16", "--enable-mixed-chunk", "--page-size", "32"])
    );
    assert_eq!(
        alone,
        answers(&["--schedule-policy", "lof", "--max-running-requests", "3", "--threads", "1"])
    );
}
