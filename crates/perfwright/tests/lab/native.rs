//! SGLang's own endpoints.

use serde_json::{Value, json};

use crate::server::Lab;

#[test]
fn generate_streams_all_text_so_far() {
    let lab = Lab::start(&[]);
    let mut request = json!({
        "text": "The lab", "rid": "mine",
        "sampling_params": {"max_new_tokens": 12, "temperature": 0, "ignore_eos": true},
    });
    let whole = lab.post("/generate", &request).json();
    assert_eq!(whole["meta_info"]["id"], "mine");
    assert_eq!(whole["meta_info"]["prompt_tokens"], 8);
    assert_eq!(whole["meta_info"]["completion_tokens"], 12);
    assert_eq!(whole["meta_info"]["cached_tokens"], 0);
    assert_eq!(whole["meta_info"]["finish_reason"], json!({"type": "length", "length": 12}));
    assert!(whole["meta_info"]["e2e_latency"].as_f64().unwrap() > 0.0);
    request["stream"] = json!(true);
    let events = lab.open("/generate", &request).events();
    assert_eq!(events.len(), 12);
    for (n, event) in events.iter().enumerate() {
        assert_eq!(
            event["output_ids"].as_array().unwrap()[..],
            whole["output_ids"].as_array().unwrap()[..=n]
        );
        assert!(whole["text"].as_str().unwrap().starts_with(event["text"].as_str().unwrap()));
        assert_eq!(event["meta_info"]["finish_reason"].is_null(), n < 11);
    }
    assert_eq!(events[11]["text"], whole["text"]);
}

#[test]
fn generate_takes_lists() {
    let lab = Lab::start(&[]);
    let params = json!({"max_new_tokens": 3, "temperature": 0});
    let both =
        lab.post("/generate", &json!({"text": ["a", "b"], "rid": "r", "sampling_params": params})).json();
    let ids: Vec<_> = both.as_array().unwrap().iter().map(|e| e["meta_info"]["id"].clone()).collect();
    assert_eq!(ids, ["r_0", "r_1"]);
    let a = lab.post("/generate", &json!({"input_ids": [256, 97], "sampling_params": params})).json();
    assert_eq!(a["text"], both[0]["text"]);
    let each = json!([{"max_new_tokens": 1}, {"max_new_tokens": 2}]);
    let answer = lab.post("/generate", &json!({"text": ["a", "b"], "sampling_params": each})).json();
    assert_eq!(answer[1]["meta_info"]["completion_tokens"], 2);
    let streamed =
        lab.open("/generate", &json!({"text": ["a", "b"], "stream": true, "sampling_params": params}));
    let last: Vec<Value> =
        streamed.events().into_iter().filter(|e| !e["meta_info"]["finish_reason"].is_null()).collect();
    assert_eq!(last.len(), 2);
    for event in last {
        let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
        assert_eq!(event["text"], both[index]["text"]);
    }
    for wrong in [json!({}), json!({"text": "a", "input_ids": [1]}), json!({"text": []})] {
        assert_eq!(lab.post("/generate", &wrong).status, 400, "{wrong}");
    }
}

#[test]
fn state_endpoints_have_the_fields_that_clients_read() {
    let lab = Lab::start(&["--max-running-requests", "8", "--max-total-tokens", "2048", "--ops", "fused"]);
    for path in ["/health", "/health_generate", "/ready"] {
        let answer = lab.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
    let model = lab.get("/model_info").json();
    assert_eq!(model["is_generation"], true);
    assert_eq!(model["architectures"], json!(["LabForCausalLM"]));
    let info = lab.get("/server_info").json();
    let state = &info["internal_states"][0];
    assert_eq!(info["scheduler_info"]["max_total_num_tokens"], 2048);
    assert_eq!(info["tp_size"], 1);
    assert_eq!(state["effective_max_running_requests_per_dp"], 8);
    assert_eq!(state["memory_usage"]["token_capacity"], 2048);
    assert_eq!(state["attention_backend"], "lab_fused");
    let memory = &state["memory_usage"];
    let gb = |key: &str| memory[key].as_f64().unwrap();
    let sum = gb("weight") + gb("kvcache") + gb("activation") + gb("available");
    assert!((sum - gb("startup_available")).abs() < 1e-12, "{memory}");
    let loads = lab.get("/v1/loads?include=all").json();
    assert_eq!(loads["num_accelerators"], 1);
    assert_eq!(loads["loads"][0]["max_total_num_tokens"], 2048);
    assert_eq!(loads["loads"][0]["queues"]["waiting"], 0);
    assert!(lab.get("/v1/loads").json()["loads"][0].get("memory").is_none());
    assert_eq!(lab.get("/v1/loads?include=core,wrong").status, 400);
    let prometheus = lab.get("/v1/loads?include=all&format=prometheus").body;
    assert!(prometheus.contains("sglang_core_max_running_requests{dp_rank=\"0\"} 8"), "{prometheus}");
    assert!(prometheus.contains("sglang_memory_token_capacity{dp_rank=\"0\"} 2048"), "{prometheus}");
    assert_eq!(lab.post("/flush_cache", &json!({})).status, 200);
}

#[test]
fn metrics_add_up_to_what_was_asked() {
    let lab = Lab::start(&["--chunked-prefill-size", "16"]);
    let count = 5.0;
    for _ in 0..5 {
        let params = json!({"max_new_tokens": 7, "ignore_eos": true});
        lab.post("/generate", &json!({"input_ids": vec![65; 40], "sampling_params": params}));
    }
    assert_eq!(lab.get("/health").status, 200, "a health check does not count");
    for (name, label, value) in [
        ("sglang:num_requests_total", "", count),
        ("sglang:num_aborted_requests_total", "", 0.0),
        ("sglang:prompt_tokens_total", "", 40.0 * count),
        ("sglang:generation_tokens_total", "", 7.0 * count),
        ("sglang:time_to_first_token_seconds_count", "", count),
        ("sglang:inter_token_latency_seconds_count", "", 6.0 * count),
        ("sglang:e2e_request_latency_seconds_count", "", count),
        ("sglang:queue_time_seconds_count", "", count),
        ("sglang:per_stage_req_latency_seconds_count", "stage=\"chunked_prefill\"", 2.0 * count),
        ("sglang:prompt_tokens_histogram_bucket", "le=\"64.0\"", count),
        ("sglang:prompt_tokens_histogram_bucket", "le=\"16.0\"", 0.0),
        ("sglang:realtime_tokens_total", "mode=\"decode\"", 6.0 * count),
        ("sglang:realtime_tokens_total", "mode=\"prefill_compute\"", 40.0 * count + 1.0),
    ] {
        assert_eq!(lab.metric(name, label), value, "{name} {label}");
    }
}

#[test]
fn text_of_any_bytes_comes_back_whole() {
    let lab = Lab::start(&["--log-requests", "--log-requests-level", "3"]);
    let prompt = "héllo\u{1b}[2J\n[2026-01-01 00:00:00] forged \u{1f980}";
    let answer = lab.post("/generate", &json!({"text": prompt, "sampling_params": {"max_new_tokens": 30}}));
    assert_eq!(answer.status, 200);
    let ids: Vec<u8> = answer.json()["output_ids"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|id| u8::try_from(id.as_u64().unwrap()).ok())
        .collect();
    assert_eq!(answer.json()["text"], String::from_utf8_lossy(&ids).as_ref());
    let (code, log) = lab.terminate();
    assert_eq!(code, Some(0));
    assert!(log.contains("Receive: obj=GenerateReqInput(rid="), "{log}");
    assert!(log.contains("Finish: obj=GenerateReqInput(rid="), "{log}");
    assert!(!log.contains('\u{1b}') && log.lines().all(|line| line.starts_with('[')), "{log}");
}
