//! The OpenAI endpoints.

use serde_json::{Value, json};

use crate::server::Lab;

fn text_of(events: &[Value], field: impl Fn(&Value) -> Option<&str>) -> String {
    events.iter().filter_map(field).collect()
}

#[test]
fn completions_stream_the_same_text_that_they_give_whole() {
    let lab = Lab::start(&[]);
    let mut request = json!({"model": "lab-tiny", "prompt": "The lab", "max_tokens": 24, "temperature": 0});
    let whole = lab.post("/v1/completions", &request);
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["usage"]["prompt_tokens"], 8, "seven bytes and the begin of text");
    let text = whole["choices"][0]["text"].as_str().unwrap();
    request["stream"] = json!(true);
    let events = lab.open("/v1/completions", &request).events();
    assert_eq!(text_of(&events, |e| e["choices"][0]["text"].as_str()), text);
    assert!(events.iter().all(|e| e.get("usage").is_none()), "usage was not asked for");
    request["stream_options"] = json!({"include_usage": true});
    let events = lab.open("/v1/completions", &request).events();
    let last = events.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
}

#[test]
fn several_prompts_give_several_choices_in_order() {
    let lab = Lab::start(&[]);
    let ask = |prompt: Value| {
        let answer = lab.post("/v1/completions", &json!({"prompt": prompt, "temperature": 0}));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let both = ask(json!(["one", "two"]));
    assert_eq!(both["usage"]["completion_tokens"], 32, "16 tokens each where none are named");
    for (index, prompt) in ["one", "two"].into_iter().enumerate() {
        assert_eq!(both["choices"][index]["index"], index);
        assert_eq!(both["choices"][index]["text"], ask(json!(prompt))["choices"][0]["text"]);
    }
    let ids: Vec<u32> = std::iter::once(256).chain("one".bytes().map(u32::from)).collect();
    assert_eq!(ask(json!(ids))["choices"][0]["text"], both["choices"][0]["text"]);
    assert_eq!(ask(json!([ids]))["choices"][0]["text"], both["choices"][0]["text"]);
}

#[test]
fn chat_begins_with_a_role_and_ends_with_a_reason() {
    let lab = Lab::start(&[]);
    let mut request = json!({
        "model": "lab-tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        ],
        "max_completion_tokens": 9, "temperature": 0, "ignore_eos": true,
    });
    let whole = lab.post("/v1/chat/completions", &request).json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 9);
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let events = lab.open("/v1/chat/completions", &request).events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text = text_of(&events, |e| e["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text, choice["message"]["content"].as_str().unwrap());
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    let reasons: Vec<_> = events.iter().filter_map(|e| e["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["length"]);
}

#[test]
fn seeds_repeat_and_stop_strings_end() {
    let lab = Lab::start(&[]);
    let ask = |extra: Value| {
        let mut request = json!({"prompt": "x", "max_tokens": 40, "ignore_eos": true, "temperature": 0.9});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = lab.post("/v1/completions", &request);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["choices"][0].clone()
    };
    let first = ask(json!({"seed": 7, "top_p": 0.9, "top_k": 40}));
    assert_eq!(first, ask(json!({"seed": 7, "top_p": 0.9, "top_k": 40})));
    assert_ne!(first["text"], ask(json!({"seed": 8, "top_p": 0.9, "top_k": 40}))["text"]);
    // A stop string that does come: two characters out of the middle of the greedy text.
    let greedy = ask(json!({"temperature": 0}));
    let text = greedy["text"].as_str().unwrap();
    let stop: String = text.chars().skip(10).take(2).collect();
    let stopped = ask(json!({"temperature": 0, "stop": [stop]}));
    assert_eq!(stopped["finish_reason"], "stop");
    assert_eq!(stopped["matched_stop"], stop);
    assert_eq!(stopped["text"].as_str().unwrap(), text.split(&stop).next().unwrap());
}

#[test]
fn log_probabilities_belong_to_the_tokens() {
    let lab = Lab::start(&[]);
    let answer = lab
        .post("/v1/completions", &json!({"prompt": "x", "max_tokens": 5, "temperature": 0, "logprobs": 3}))
        .json();
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 5);
    for (chosen, top) in logprobs["token_logprobs"]
        .as_array()
        .unwrap()
        .iter()
        .zip(logprobs["top_logprobs"].as_array().unwrap())
    {
        let best = top.as_object().unwrap().values().filter_map(Value::as_f64).fold(f64::MIN, f64::max);
        assert_eq!(chosen.as_f64().unwrap(), best, "greedy takes the likeliest");
    }
    let chat = json!({
        "messages": [{"role": "user", "content": "x"}], "max_tokens": 4, "logprobs": true, "top_logprobs": 2,
    });
    let answer = lab.post("/v1/chat/completions", &chat).json();
    let content = answer["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    assert_eq!(content.len(), 4);
    assert!(content.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
}

#[test]
fn models_are_listed_and_an_unknown_one_is_not_found() {
    let lab = Lab::start(&["--served-model-name", "mine"]);
    assert_eq!(lab.get("/v1/models").json()["data"][0]["id"], "mine");
    assert_eq!(lab.get("/v1/models/mine").json()["max_model_len"], 4096);
    let answer = lab.post("/v1/completions", &json!({"model": "other", "prompt": "x"}));
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(lab.get("/v1/models/other").status, 404);
}

#[test]
fn what_cannot_be_done_is_refused_with_a_body_that_says_so() {
    let lab = Lab::start(&[]);
    for (status, path, body, says) in [
        (400, "/v1/completions", "{", "not JSON"),
        (422, "/v1/completions", "{}", "prompt"),
        (422, "/v1/completions", r#"{"prompt": 7}"#, "wrong field"),
        (400, "/v1/completions", r#"{"prompt": "x", "echo": true}"#, "echo"),
        (400, "/v1/completions", r#"{"prompt": "x", "n": 2}"#, "n = 1"),
        (400, "/v1/completions", r#"{"prompt": "x", "temperature": -1}"#, "temperature"),
        (400, "/v1/completions", r#"{"prompt": "x", "top_p": 0}"#, "top_p"),
        (400, "/v1/completions", r#"{"prompt": "x", "max_tokens": 0}"#, "at least 1"),
        (400, "/v1/completions", r#"{"prompt": "x", "max_tokens": 9999999}"#, "context length"),
        (400, "/v1/completions", r#"{"prompt": [999999]}"#, "vocabulary"),
        (400, "/v1/completions", r#"{"prompt": []}"#, "empty"),
        (400, "/v1/chat/completions", r#"{"messages": []}"#, "messages"),
        (400, "/v1/chat/completions", r#"{"messages": [{"role": "king", "content": "x"}]}"#, "role"),
        (
            400,
            "/v1/chat/completions",
            r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
            "text",
        ),
        (400, "/v1/completions", r#"{"prompt": "x", "logit_bias": {"50": -100}}"#, "logit_bias"),
        (400, "/v1/completions", r#"{"prompt": "x", "frequency_penalty": 0.5}"#, "frequency_penalty"),
        (400, "/generate", r#"{"text": "x", "sampling_params": {"min_new_tokens": 5}}"#, "min_new_tokens"),
        (404, "/v1/nothing", "{}", "no /v1/nothing"),
        (405, "/v1/models", "{}", "POST"),
    ] {
        let answer = lab.post_text(path, body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{path} {body}: {message}");
    }
    // Fields that no engine knows are no error, nor are known ones with a value that changes nothing.
    let neutral = json!({
        "prompt": "x", "presence_penalty": 0, "repetition_penalty": 1.0, "logit_bias": {}, "min_p": null,
        "response_format": {"type": "text"},
    });
    assert_eq!(lab.post("/v1/completions", &neutral).status, 200);
    assert_eq!(lab.post("/v1/completions", &json!({"prompt": "x", "new_field": {"a": 1}})).status, 200);
}
