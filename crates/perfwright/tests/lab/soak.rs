//! Load with cancellations: no token lost or doubled, memory flat, counters that add up, a clean end.
//!
//! A few seconds here; `cargo xtask soak lab` runs it for a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::server::Lab;

const STREAMS: u64 = 64;
/// Different requests; each stream goes round them.
const REQUESTS: u64 = 24;

fn request(n: u64) -> Value {
    let length = 3 + (n * 37) % 200;
    let tokens = 8 + (n * 13) % 60;
    let ids: Vec<u64> = (0..length).map(|i| (i * i + n * 7) % 256).collect();
    let temperature = if n.is_multiple_of(2) { 0.0 } else { 0.7 };
    let params = json!({
        "max_new_tokens": tokens, "ignore_eos": true, "temperature": temperature, "sampling_seed": n,
    });
    json!({"input_ids": ids, "stream": true, "sampling_params": params})
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What the streams saw.
#[derive(Default)]
struct Seen {
    finished: AtomicU64,
    cancelled: AtomicU64,
    tokens: AtomicU64,
    cut_tokens: AtomicU64,
}

/// One request: to its end, or `cut` events of it.
fn one(address: &str, n: u64, cut: Option<usize>, truth: &Value, seen: &Seen) {
    let mut reply = http::send(address, "POST", "/generate", &request(n).to_string()).unwrap();
    assert_eq!(reply.status, 200);
    let wanted = truth.as_array().unwrap();
    let mut had = 0;
    while let Some(event) = reply.event().unwrap() {
        if event == "[DONE]" {
            break;
        }
        let event: Value = serde_json::from_str(&event).unwrap();
        had += 1;
        let ids = event["output_ids"].as_array().unwrap_or_else(|| panic!("{event}"));
        assert_eq!(ids.len(), had, "one token an event, none lost and none twice");
        assert_eq!(ids[..], wanted[..had], "request {n}");
        if cut == Some(had) {
            seen.cancelled.fetch_add(1, Ordering::Relaxed);
            seen.cut_tokens.fetch_add(had as u64, Ordering::Relaxed);
            return;
        }
    }
    assert_eq!(had, wanted.len());
    seen.finished.fetch_add(1, Ordering::Relaxed);
    seen.tokens.fetch_add(had as u64, Ordering::Relaxed);
}

#[test]
fn streams_and_cancellations_leave_nothing_behind() {
    let seconds = std::env::var("PERFWRIGHT_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    // The cache is small enough that requests wait and are retracted.
    let lab = Lab::start(&[
        "--ops",
        "fused",
        "--max-total-tokens",
        "3072",
        "--schedule-conservativeness",
        "0.1",
        "--chunked-prefill-size",
        "128",
        "--log-level",
        "warning",
    ]);
    let truth: Vec<Value> = (0..REQUESTS)
        .map(|n| {
            let mut body = request(n);
            body["stream"] = json!(false);
            lab.post("/generate", &body).json()["output_ids"].clone()
        })
        .collect();
    let truth_tokens: u64 = truth.iter().map(|ids| ids.as_array().unwrap().len() as u64).sum();
    let seen = Seen::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        for stream in 0..STREAMS {
            let (address, truth, seen) = (&lab.address, &truth, &seen);
            scope.spawn(move || {
                let mut round = 0;
                while Instant::now() < end {
                    let n = (stream * 5 + round) % REQUESTS;
                    let cut = (stream + round).is_multiple_of(5).then_some(1 + (round % 7) as usize);
                    one(address, n, cut, &truth[n as usize], seen);
                    round += 1;
                }
            });
        }
        // Four samples at least, however slow the machine is.
        while Instant::now() < end || memory.len() < 4 {
            std::thread::sleep(Duration::from_millis(250));
            assert_eq!(lab.get("/health").status, 200);
            memory.push(resident_kb(lab.pid()));
        }
    });
    lab.until("all have left", |lab| {
        lab.load()["num_running_reqs"] == 0 && lab.load()["num_used_tokens"] == 0
    });
    lab.until("all are counted", |lab| {
        let ended = seen.finished.load(Ordering::Relaxed) + seen.cancelled.load(Ordering::Relaxed) + REQUESTS;
        lab.metric("sglang:num_requests_total", "") == ended as f64
    });
    let (finished, cancelled) = (seen.finished.into_inner(), seen.cancelled.into_inner());
    let aborted = lab.metric("sglang:num_aborted_requests_total", "") as u64;
    // A cancellation may come when the request has just ended.
    assert!(aborted <= cancelled, "{aborted} aborted, {cancelled} cancelled");
    assert!(finished > 0 && cancelled > 0);
    let generated = lab.metric("sglang:generation_tokens_total", "") as u64;
    let least = truth_tokens + seen.tokens.into_inner();
    assert!(generated >= least + seen.cut_tokens.into_inner(), "{generated} counted, {least} seen");
    assert_eq!(
        lab.metric("sglang:kv_available_tokens", ""),
        lab.load()["max_total_num_tokens"].as_f64().unwrap(),
        "all pages are free"
    );
    // Flat: the second half of the time is no higher than the first, but for what allocators keep.
    let half = memory.len() / 2;
    let (early, late) = (memory[..half].iter().max().unwrap(), memory[half..].iter().max().unwrap());
    assert!(late - late.min(early) <= 16 * 1024, "resident memory grew from {early} to {late} kB");
    let retracted = lab.metric("sglang:num_retracted_requests_total", "");
    let (code, log) = lab.terminate();
    assert_eq!(code, Some(0), "{log}");
    println!(
        "soak: {seconds} s, {STREAMS} streams: {finished} finished, {cancelled} cancelled, {generated} tokens, \
         {retracted} retractions, resident memory {early} then {late} kB"
    );
}
