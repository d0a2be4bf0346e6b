//! The process: its line, its log, its exit codes.

use std::process::Command;

use serde_json::json;

use crate::server::Lab;

fn fails(args: &[&str]) -> (i32, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_perfwright")).args(["lab", "serve"]).args(args).output().unwrap();
    assert_eq!(output.stdout, b"", "nothing is listening");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_start_says_why() {
    let lab = Lab::start(&[]);
    let port = lab.address.rsplit(':').next().unwrap();
    for (code, says, args) in [
        (5, "error[PW0315]: cannot listen on 127.0.0.1:", &["--port", port][..]),
        (2, "known: slow-prefill=MS", &["--fault", "flood"]),
        (2, "a missing value in the fault `hang`", &["--fault", "hang"]),
        (2, "error[PW0001]", &["--ops", "fast"]),
        (2, "error[PW0317]", &["--mem-budget", "1", "--port", "0"]),
        (2, "error[PW0317]", &["--page-size", "10", "--port", "0"]),
        (4, "error[PW0101]", &["--weights", "no/such/folder", "--port", "0"]),
    ] {
        let (got, text) = fails(args);
        assert_eq!(got, code, "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
}

#[test]
fn a_pipe_for_weights_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("config.json")).status().unwrap();
    assert!(made.success());
    let (code, text) = fails(&["--weights", folder.path().to_str().unwrap(), "--port", "0"]);
    assert_eq!((code, text.contains("is not a regular file")), (4, true), "{text}");
}

#[test]
fn the_startup_log_states_terms_that_add_up() {
    let lab = Lab::start(&["--ops", "fused", "--max-total-tokens", "4096"]);
    let (code, log) = lab.terminate();
    assert_eq!(code, Some(0));
    let after = |text: &str, mark: &str| -> f64 {
        let rest = text.split(mark).nth(1).unwrap_or_else(|| panic!("no {mark:?} in {text}"));
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').parse().unwrap()
    };
    let line = |mark: &str| log.lines().find(|l| l.contains(mark)).unwrap_or_else(|| panic!("{mark}: {log}"));
    let total = after(line("Load weight begin."), "avail mem=");
    let weights = after(line("Load weight end."), "mem usage=");
    let pool = line("KV Cache is allocated.");
    let kv = after(pool, "K size: ") + after(pool, "V size: ");
    assert_eq!(after(pool, "#tokens: "), 4096.0);
    let work = after(line("Activation workspace"), "mem usage=");
    let free = after(line("max_total_num_tokens="), "available_gpu_mem=");
    assert!((total - weights - kv - work - free).abs() < 4e-6, "{log}");
    let identity = line("Memory identity in bytes");
    let bytes = |mark: &str| after(identity, mark);
    let sum =
        bytes("= weights ") + bytes("KV cache ") + bytes("activations ") + bytes("graph ") + bytes("free ");
    assert_eq!(bytes("budget "), sum, "{identity}");
    assert_eq!(bytes("KV cache "), 4096.0 * bytes("tokens x "));
    assert!(line("server_args=ServerArgs(").contains("max_total_tokens=4096"));
    assert!(log.contains("The server is fired up and ready to roll!"));
}

#[test]
fn a_signal_lets_running_requests_end_and_refuses_new_ones() {
    let lab = Lab::start(&["--decode-log-interval", "10", "--threads", "1", "--drain", "60"]);
    let params = json!({"max_new_tokens": 200, "ignore_eos": true});
    let mut reply = lab.open("/generate", &json!({"text": "x", "stream": true, "sampling_params": params}));
    reply.event().unwrap().unwrap();
    let rest = std::thread::spawn(move || reply.events());
    let (code, log) = lab.terminate();
    assert_eq!(code, Some(0), "{log}");
    let last = rest.join().unwrap().pop().unwrap();
    assert_eq!(last["meta_info"]["completion_tokens"], 200);
    assert!(
        log.contains("Prefill batch, #new-seq: 1, #new-token: 2, #cached-token: 0, token usage: 0.00"),
        "{log}"
    );
    assert!(log.contains("Decode batch, #running-req: 1, #token: "), "{log}");
}
