//! A lab as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{self, Answer, Reply};

/// A running lab; it is ended when this is dropped.
pub(crate) struct Lab {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Lab {
    /// Starts a lab on a free port and waits for its line.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_perfwright"))
            .args(["lab", "serve", "--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut bytes) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line:?}: {}", log.lock().unwrap())).to_owned();
        Self { child, address, log, reader: Some(reader) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let reply = http::send(&self.address, "GET", path, "").unwrap();
        Answer { status: reply.status, body: reply.body().unwrap() }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> Answer {
        let reply = http::send(&self.address, "POST", path, body).unwrap();
        Answer { status: reply.status, body: reply.body().unwrap() }
    }

    pub(crate) fn open(&self, path: &str, body: &Value) -> Reply {
        http::send(&self.address, "POST", path, &body.to_string()).unwrap()
    }

    /// A metric without labels but its model, or with exactly the given text among its labels.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line =
            text.lines().find(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {name} {label} in {text}"))
    }

    /// The one load.
    pub(crate) fn load(&self) -> Value {
        self.get("/v1/loads?include=all").json()["loads"][0].clone()
    }

    /// Waits until `done` is true of the server.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done(self) {
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGTERM and gives the exit code and the log.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.end()
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status.code(), self.log())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A test that failed leaves no server behind; one that ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
