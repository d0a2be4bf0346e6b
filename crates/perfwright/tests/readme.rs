//! Every command block of the README is run, and where its output is shown, that is what comes out.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fenced block: what stands behind the fence, and the lines, without the fence's own indent.
struct Block {
    info: String,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in markdown.lines() {
        let body = line.trim_start();
        match &mut open {
            Some((_, block)) if body == "```" => {
                found.push(Block {
                    info: std::mem::take(&mut block.info),
                    text: std::mem::take(&mut block.text),
                });
                open = None;
            }
            Some((indent, block)) => {
                block.text.push_str(line.get(*indent..).unwrap_or(body));
                block.text.push('\n');
            }
            None => {
                if let Some(info) = body.strip_prefix("```") {
                    let block = Block { info: info.trim().to_owned(), text: String::new() };
                    open = Some((line.len() - body.len(), block));
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// The port that the README's servers have; here they have a free one.
const PORT: &str = "30000";

/// A server that a line of the README started.
struct Background {
    child: Child,
    address: String,
}

impl Background {
    fn start(command: &str) -> Self {
        let args = command.strip_prefix("perfwright ").expect("a command of ours").replace(PORT, "0");
        let mut child = Command::new(env!("CARGO_BIN_EXE_perfwright"))
            .args(args.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { child, address }
    }

    /// `URL` or `URL -d 'BODY'`; the answer must be a good one.
    fn curl(&self, args: &str) {
        let (url, body) = args.split_once(" -d ").unwrap_or((args, ""));
        let path = url.strip_prefix(&format!("http://127.0.0.1:{PORT}")).expect("the server above");
        let method = if body.is_empty() { "GET" } else { "POST" };
        let body = body.trim_matches('\'');
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{args}: {answer}");
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Where the test failed; a server that has ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_of_the_readme_runs_and_prints_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut last = String::new();
    let mut background = None;
    let (mut ran, mut compared) = (0, 0);
    for block in blocks(&readme) {
        match block.info.as_str() {
            "sh" => {
                for command in block.text.lines() {
                    let command = command.replace("{dir}", &folder.path().display().to_string());
                    if command == "cargo xtask test" {
                        // It runs this very test; that CI runs it word for word is what can be checked here.
                        assert!(ci.lines().any(|l| l == command), "CI does not run {command:?}");
                        continue;
                    }
                    if command == "cargo run --release -- quickstart" {
                        // How it ends depends on the machine; tests/quickstart.rs runs it and accepts every honest end.
                        continue;
                    }
                    if let Some(command) = command.strip_suffix(" &") {
                        assert!(background.replace(Background::start(command)).is_none());
                        continue;
                    }
                    if let Some(args) = command.strip_prefix("curl -s ") {
                        background.as_ref().expect("a server").curl(args);
                        ran += 1;
                        continue;
                    }
                    if command == "kill %1" {
                        background.take().expect("a server").end();
                        continue;
                    }
                    let args = command
                        .strip_prefix("perfwright ")
                        .or_else(|| command.strip_prefix("cargo run --release -- "))
                        .unwrap_or_else(|| panic!("no way to run {command:?}"));
                    let output = Command::new(env!("CARGO_BIN_EXE_perfwright"))
                        .args(args.split_whitespace())
                        .current_dir(root())
                        .env_remove("PERFWRIGHT_FORMAT")
                        .env("PERFWRIGHT_CACHE_DIR", folder.path().join("cache"))
                        .output()
                        .unwrap();
                    assert!(
                        output.status.success(),
                        "{command}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                    last = String::from_utf8(output.stdout).unwrap();
                    ran += 1;
                }
            }
            "text output" => {
                assert_eq!(block.text.trim_end(), last.trim_end(), "the output shown in the README is old");
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(ran >= 5 && compared >= 1, "{ran} commands ran, {compared} outputs were compared");
}
