//! Lab servers that are asked directly: profiles and greedy answers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perfwright_process::{Child, Launch, Waited};
use serde_json::{Value, json};

use crate::codes;
use crate::diagnostic::Diagnostic;

/// How long a server may take to start, to answer, and to end.
const LIMIT: Duration = Duration::from_secs(120);
/// The largest answer that is read.
const MAX_ANSWER: u64 = 16 << 20;

/// A server that is up.
pub(super) struct Server {
    child: Child,
    port: u16,
}

fn fault(cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(codes::QUICKSTART_STOPPED, "a lab server does not do what it is asked").cause(cause)
}

impl Server {
    /// Starts a server and waits until it says where it listens. `mark` is what a later process finds it by, where this one
    /// is killed.
    pub(super) fn start(
        argv: &[String],
        env: &[(String, String)],
        mark: &str,
        log: &Path,
    ) -> Result<Self, Diagnostic> {
        let mut launch = Launch::new(argv.to_vec());
        for (key, value) in env {
            launch = launch.var(key, value);
        }
        launch.max_output = 4 << 20;
        launch.mark = Some(mark.to_owned());
        let mut child = Child::start(&launch, log).map_err(|e| fault(e.to_string()))?;
        let mut text = String::new();
        let waited = child.wait_ready(LIMIT, |bytes| {
            text.push_str(&String::from_utf8_lossy(bytes));
            port(&text).map(|_| Ok::<(), ()>(()))
        });
        match (waited.map_err(|e| fault(e.to_string()))?, port(&text)) {
            (Waited::Ready(_), Some(port)) => Ok(Self { child, port }),
            _ => {
                let last =
                    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no output").to_owned();
                Err(fault(format!("it did not start: {last}")))
            }
        }
    }

    /// Ends it.
    pub(super) fn stop(self) -> Result<(), Diagnostic> {
        self.child.stop(Duration::from_secs(20)).map(|_| ()).map_err(|e| fault(e.to_string()))
    }

    /// Greedy answers to `prompts`, in one batch, as token ids.
    pub(super) fn answers(&self, prompts: &[String], tokens: u32) -> Result<Vec<Vec<u64>>, Diagnostic> {
        let params = json!({"max_new_tokens": tokens, "ignore_eos": true, "temperature": 0});
        let body = self.post("/generate", &json!({"text": prompts, "sampling_params": params}))?;
        let all: Value = serde_json::from_str(&body).map_err(|e| fault(e.to_string()))?;
        let ids = |answer: &Value| -> Option<Vec<u64>> {
            answer.get("output_ids")?.as_array()?.iter().map(Value::as_u64).collect()
        };
        let list = all.as_array().ok_or_else(|| fault("the answer to a batch is no list"))?;
        list.iter().map(|a| ids(a).ok_or_else(|| fault("an answer without token ids"))).collect()
    }

    /// Records a profile of answering `prompts` and gives the trace. `dir` is the server's folder for profiles.
    pub(super) fn profile(&self, prompts: &[String], tokens: u32, dir: &Path) -> Result<PathBuf, Diagnostic> {
        self.answers(prompts, tokens)?;
        self.post("/start_profile", &json!({"profile_id": "quickstart", "activities": ["CPU", "GPU"]}))?;
        self.answers(prompts, tokens)?;
        self.post("/stop_profile", &json!({}))?;
        let file = dir.join("quickstart-TP-0.trace.json.gz");
        let since = Instant::now();
        while !file.is_file() {
            if since.elapsed() > LIMIT {
                return Err(fault("the profile was not written"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(file)
    }

    fn post(&self, path: &str, body: &Value) -> Result<String, Diagnostic> {
        self.exchange(path, &body.to_string()).map_err(|e| fault(format!("{path}: {e}")))
    }

    fn exchange(&self, path: &str, body: &str) -> Result<String, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let text = |e: std::io::Error| e.to_string();
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(text)?;
        stream.set_read_timeout(Some(LIMIT)).map_err(text)?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(text)?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes).map_err(text)?;
        let answer = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let status = head.split(' ').nth(1).unwrap_or("");
        if status != "200" {
            return Err(format!("status {status}: {}", body.chars().take(200).collect::<String>()));
        }
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            return Ok(unchunked(body));
        }
        Ok(body.to_owned())
    }
}

/// A body that came in chunks.
fn unchunked(body: &str) -> String {
    let (mut out, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Some(n) = usize::from_str_radix(size.trim(), 16).ok().filter(|n| *n > 0) else { break };
        let Some(piece) = after.get(..n) else { break };
        out.push_str(piece);
        rest = after.get(n + 2..).unwrap_or("");
    }
    out
}

fn port(text: &str) -> Option<u16> {
    let line = text.lines().find(|l| l.contains("listening on http://127.0.0.1:"))?;
    let digits: String = line.rsplit(':').next()?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_chunks_are_read() {
        assert_eq!(port("log\nlistening on http://127.0.0.1:4711\n"), Some(4711));
        assert_eq!(port("listening on http://127.0.0.1:"), None);
        assert_eq!(unchunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
        assert_eq!(unchunked("ff\r\nshort"), "");
    }
}
