//! What goes wrong on demand.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::http;
use crate::server::Lab;

fn tokens(count: usize) -> serde_json::Value {
    json!({"input_ids": vec![65; count], "sampling_params": {"max_new_tokens": 4, "ignore_eos": true}})
}

#[test]
fn a_hang_leaves_loads_old_and_health_failing() {
    let args = ["--fault", "hang=77", "--health-timeout", "3", "--drain", "0.1"];
    let lab = Lab::start(&args);
    assert_eq!(lab.post("/generate", &tokens(76)).status, 200);
    assert_eq!(lab.get("/health_generate").status, 200);
    let address = lab.address.clone();
    let victim = std::thread::spawn(move || {
        let reply = http::send(&address, "POST", "/generate", &tokens(77).to_string()).unwrap();
        reply.status
    });
    lab.until("it hangs", |lab| lab.get("/health_generate").status == 503);
    assert_eq!(lab.get("/health").status, 503);
    assert_eq!(lab.get("/ready").status, 503);
    let (first, metrics) = (lab.load()["timestamp"].clone(), lab.get("/metrics").status);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(lab.load()["timestamp"], first, "an idle scheduler would have renewed it twice");
    assert_eq!(metrics, 200);
    assert_eq!(lab.post("/flush_cache", &json!({})).status, 503);
    let (code, log) = lab.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("Health check failed. Server couldn't get a response from detokenizer"), "{log}");
    assert_eq!(victim.join().unwrap(), 503);
}

#[test]
fn the_watchdog_ends_a_server_that_hangs() {
    let mut lab = Lab::start(&["--fault", "hang=5", "--watchdog-timeout", "0.2"]);
    let _victim = std::net::TcpStream::connect(&lab.address).map(|mut stream| {
        let body = tokens(5).to_string();
        let head = format!("POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        std::io::Write::write_all(&mut stream, format!("{head}{body}").as_bytes()).unwrap();
        stream
    });
    let (code, log) = lab.end();
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("Scheduler watchdog timeout (self.watchdog_timeout="), "{log}");
    assert!(log.contains("error[PW0318]"), "{log}");
}

#[test]
fn a_crash_is_logged_and_ends_the_process() {
    let mut lab = Lab::start(&["--fault", "crash=9"]);
    assert_eq!(lab.post("/generate", &tokens(8)).status, 200);
    // The server may be gone before it has answered.
    let _ = http::send(&lab.address, "POST", "/generate", &tokens(9).to_string());
    let (code, log) = lab.end();
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("Scheduler hit an exception"), "{log}");
    assert!(log.contains("error[PW0318]: the lab's scheduler ended"), "{log}");
}

#[test]
fn slow_prefill_shows_where_it_is() {
    let lab = Lab::start(&["--fault", "slow-prefill=60"]);
    let began = Instant::now();
    assert_eq!(lab.post("/generate", &tokens(4)).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert!(lab.metric("sglang:time_to_first_token_seconds_sum", "") >= 0.06);
    let stage =
        |name: &str| lab.metric("sglang:per_stage_req_latency_seconds_sum", &format!("stage=\"{name}\""));
    assert!(stage("prefill_forward") >= 0.06);
    assert!(lab.log().contains("Faults are on: slow-prefill=60"));
}

#[test]
fn stale_loads_keep_their_first_snapshot() {
    let lab = Lab::start(&["--fault", "stale-loads"]);
    let first = lab.load();
    assert_eq!(lab.post("/generate", &tokens(4)).status, 200);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(lab.load(), first);
    assert_eq!(lab.get("/health").status, 200, "the engine itself is well");
}
