//! What the server refuses, and that it lives on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::http::{self, Reply};
use crate::server::Lab;

#[test]
fn large_bodies_and_long_prompts_are_refused() {
    let lab = Lab::start(&["--max-body", "1", "--max-total-tokens", "64"]);
    let large = format!("{{\"prompt\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(lab.post_text("/v1/completions", &large).status, 413);
    let mut stream = TcpStream::connect(&lab.address).unwrap();
    stream.write_all(b"POST /generate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..17 {
        // The server may have answered and closed before all is sent.
        let _ = write!(stream, "10000\r\n{}\r\n", "x".repeat(1 << 16));
    }
    assert_eq!(Reply::read(stream).unwrap().status, 413);
    let answer = lab.post("/generate", &json!({"input_ids": vec![65; 60]}));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("exceeds the maximum allowed length (58 tokens)"), "{}", answer.body);
    let fits = json!({"input_ids": vec![65; 58], "sampling_params": {"ignore_eos": true}});
    let answer = lab.post("/generate", &fits);
    assert_eq!(answer.json()["meta_info"]["completion_tokens"], 5, "what the cache leaves");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(lab.post_text("/generate", &deep).status, 400);
}

#[test]
fn a_full_queue_is_a_503_and_loses_nothing() {
    let lab = Lab::start(&["--max-running-requests", "1", "--max-queued-requests", "2", "--threads", "1"]);
    let params = json!({"max_new_tokens": 4000, "ignore_eos": true});
    let body = json!({"text": "x", "stream": true, "sampling_params": params});
    let mut running = lab.open("/generate", &body);
    running.event().unwrap().unwrap();
    let waiting: Vec<_> =
        (0..2).map(|_| lab.open("/generate", &body)).inspect(|reply| assert_eq!(reply.status, 200)).collect();
    let refused = lab.post("/generate", &body);
    assert_eq!((refused.status, refused.body.contains("The request queue is full.")), (503, true));
    lab.until("the snapshot shows them", |lab| lab.load()["num_waiting_reqs"] == 2);
    // Passive endpoints and the health check do not depend on a place in the queue.
    assert_eq!(lab.get("/health").status, 200);
    assert_eq!(lab.get("/metrics").status, 200);
    drop((running, waiting));
    lab.until("all are gone", |lab| lab.load()["num_running_reqs"] == 0);
    assert_eq!(lab.post("/generate", &json!({"text": "x"})).status, 200);
}

#[test]
fn slow_and_silent_clients_are_cut_off() {
    let lab = Lab::start(&["--read-timeout", "2", "--max-connections", "4"]);
    let mut slow = Vec::new();
    // Each try adds a client, so that places are taken however long a try takes; one too many is told so at once.
    lab.until("the places are taken", |lab| {
        let mut stream = TcpStream::connect(&lab.address).unwrap();
        let _ = stream.write_all(b"GET /ready HTTP/1.1\r\nx: ");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        slow.push(stream);
        http::send(&lab.address, "GET", "/ready", "").is_ok_and(|reply| reply.status == 503)
    });
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed, with or without an answer; reading ends either way.
        let _ = stream.read_to_end(&mut rest);
    }
    lab.until("places are free", |lab| {
        http::send(&lab.address, "GET", "/ready", "").is_ok_and(|reply| reply.status == 200)
    });
    let mut stream = TcpStream::connect(&lab.address).unwrap();
    stream.write_all(b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").unwrap();
    assert_eq!(Reply::read(stream).unwrap().status, 408);
    let mut stream = TcpStream::connect(&lab.address).unwrap();
    let head = format!("GET /ready HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(64 * 1024));
    let _ = stream.write_all(head.as_bytes());
    assert_eq!(Reply::read(stream).unwrap().status, 431);
}

#[test]
fn a_request_of_http_1_1_names_one_host() {
    let lab = Lab::start(&[]);
    for (head, status) in [
        ("GET /ready HTTP/1.1\r\n\r\n", 400),
        ("GET /ready HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /nothing HTTP/1.1\r\n\r\n", 400),
        ("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /ready HTTP/1.0\r\n\r\n", 200),
    ] {
        let mut stream = TcpStream::connect(&lab.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let reply = Reply::read(stream).unwrap();
        assert_eq!(reply.status, status, "{head}");
        if status == 400 {
            assert!(reply.body().unwrap().contains("Host"), "{head}");
        }
    }
}

#[test]
fn odd_paths_and_queries_are_answered_in_json() {
    let lab = Lab::start(&[]);
    for (path, status) in [
        ("/v1/models/%00%ff", 400),
        ("/v1/models/none", 404),
        ("/v1/loads?dp_rank=x", 400),
        ("/v1/loads?dp_rank=1&dp_rank=2", 400),
        ("/%ff", 404),
    ] {
        let answer = lab.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.json()["error"]["message"].is_string(), "{path}: {}", answer.body);
    }
}
