//! Campaigns through the binary: real repositories, scripted executors and reviewers, hosts' messages as they send them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

mod compat;
mod defects;
mod gates;
mod hooks;
mod kill;
mod plan;
mod report;
mod verbs;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A repository, a state folder and scripts, in a folder of their own.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// The plan of most tests: one gate that runs something, one criterion.
pub(crate) const PLAN: &str = r#"+++
schema = "perfwright.plan/v1"
title = "hello"
[paths]
allow = ["src/**", "docs/**"]
protect = ["bench/**"]
[limits]
max_rounds = 6
max_reviews = 20
[[gate]]
id = "tests"
kind = "command"
run = "grep -q hello src/a.txt"
EXTRA
+++
# Plan
## Goal
Make a say hello.
In one file.
## Acceptance Criteria
- AC-1: a says hello
  - Positive Tests: grep finds it
  - Negative Tests: without it grep fails
"#;

/// A review with this verdict, this progress and these findings; `MET` criteria.
pub(crate) fn answer(verdict: &str, progress: &str, findings: &str, met: bool) -> String {
    format!(
        "cat >/dev/null\nprintf '{{\"schema\":\"perfwright.loop-review/v1\",\"nonce\":\"%s\",\"tree\":\"%s\",\"verdict\":\"{verdict}\",\
         \"progress\":\"{progress}\",\"findings\":[{findings}],\"criteria\":[{{\"id\":\"AC-1\",\"met\":{met},\"evidence\":\"src/a.txt\"}}]}}' \
         \"$PERFWRIGHT_LOOP_NONCE\" \"$(git rev-parse 'HEAD^{{tree}}')\"\n"
    )
}

/// A reviewer that finds nothing.
pub(crate) fn clean() -> String {
    answer("complete", "advanced", "", true)
}

impl World {
    /// A repository with the plan, whose gate section has `extra` at its end.
    pub(crate) fn with(extra: &str) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.repo()).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["config", "user.email", "t@example.invalid"]);
        world.git(&["config", "user.name", "t"]);
        world.git(&["config", "commit.gpgsign", "false"]);
        world.write("plan.md", &PLAN.replace("EXTRA", extra));
        world.write("src/a.txt", "nothing\n");
        world.write("docs/state.md", "a project's own file\n");
        world.write("bench/contract.json", "{}\n");
        world.commit("begin");
        world
    }

    pub(crate) fn new() -> Self {
        Self::with("")
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Writes a file of the repository.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.repo().join(name)).unwrap()
    }

    /// Writes a script beside the repository and gives the command that runs it.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        format!("sh {}", path.display())
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(self.repo()).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Does the work: a commit that says hello.
    pub(crate) fn work(&self) {
        self.write("src/a.txt", "hello\n");
        self.commit("say hello");
    }

    /// The command in the repository, without settings, with its own state folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("perfwright"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("PERFWRIGHT_STATE_DIR", self.state())
            .current_dir(self.repo())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn pw(&self, args: &[&str]) -> Ran {
        finish(self.command(args), b"")
    }

    /// `loop start` by the owner driver, with these scripts.
    pub(crate) fn start(&self, executor: &str, reviewer: &str) -> Ran {
        self.start_with(executor, reviewer, &[])
    }

    pub(crate) fn start_with(&self, executor: &str, reviewer: &str, more: &[&str]) -> Ran {
        let executor = self.script("executor.sh", executor);
        let reviewer = self.script("reviewer.sh", reviewer);
        let run = self.run_dir();
        let mut args = vec!["loop", "start", "plan.md", "--executor", &executor, "--reviewer", &reviewer];
        let run = run.to_string_lossy().into_owned();
        args.extend(["--run-dir", &run, "--format", "json"]);
        args.extend(more);
        self.pw(&args)
    }

    /// `loop start` for hooks, owned by the session `s1`.
    pub(crate) fn start_hooks(&self, reviewer: &str) -> Ran {
        let reviewer = self.script("reviewer.sh", reviewer);
        let (run, token) = (self.run_dir(), self.dir.path().join("token"));
        let (run, token) = (run.to_string_lossy().into_owned(), token.to_string_lossy().into_owned());
        let args =
            ["loop", "start", "plan.md", "--driver", "hooks", "--reviewer", &reviewer, "--session", "s1"];
        let more = ["--run-dir", &run, "--token-file", &token, "--format", "json"];
        self.pw(&[&args[..], &more[..]].concat())
    }

    /// A hook with the message `input`.
    pub(crate) fn hook(&self, event: &str, input: &str) -> Ran {
        finish(self.command(&["loop", "hook", event]), input.as_bytes())
    }

    /// A stop of the session.
    pub(crate) fn stop(&self, session: &str) -> Ran {
        self.hook("stop", &message("claude", "Stop", session, &self.repo()))
    }

    pub(crate) fn status(&self) -> Value {
        self.pw(&["loop", "status", "--format", "json"]).expect(0).json()
    }

    /// The gate's outcome in the status.
    pub(crate) fn gate(&self, id: &str) -> String {
        let status = self.status();
        let gates = status["gates"].as_array().unwrap();
        let gate = gates.iter().find(|g| g["id"] == id).unwrap_or_else(|| panic!("no gate {id}: {gates:?}"));
        gate["outcome"].as_str().unwrap().to_owned()
    }

    /// How many reviews ran, by the events.
    pub(crate) fn reviews(&self) -> usize {
        self.events().iter().filter(|e| e["type"] == "review_started").count()
    }

    /// The campaign's events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.run_dir().join("ledger.jsonl")).unwrap();
        let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines.filter(|l| l["event"]["kind"] == "loop").map(|l| l["event"]["data"].clone()).collect()
    }
}

pub(crate) fn finish(mut command: Command, input: &[u8]) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A process that ended without reading is part of some tests.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A host's message as Claude Code 2.1.197 and Codex 0.169.0 send it.
pub(crate) fn message(host: &str, event: &str, session: &str, cwd: &Path) -> String {
    let mut value = serde_json::json!({
        "session_id": session,
        "transcript_path": cwd.join("absent.jsonl"),
        "cwd": cwd,
        "hook_event_name": event,
        "permission_mode": "bypassPermissions",
    });
    let of_host = if host == "claude" {
        serde_json::json!({ "prompt_id": "4cdbbeb6", "effort": { "level": "high" } })
    } else {
        serde_json::json!({ "turn_id": "01a2022e", "model": "mock-model" })
    };
    let of_event = match event {
        "Stop" if host == "claude" => serde_json::json!({
            "stop_hook_active": false, "last_assistant_message": "All done, COMPLETE",
            "background_tasks": [], "session_crons": []
        }),
        "Stop" => serde_json::json!({ "stop_hook_active": false, "last_assistant_message": "done" }),
        "PreToolUse" => serde_json::json!({
            "tool_name": "Bash", "tool_input": { "command": "cat a.txt" }, "tool_use_id": "toolu_1"
        }),
        "PostToolUse" => serde_json::json!({
            "tool_name": "Bash", "tool_input": { "command": "cat a.txt" }, "tool_use_id": "toolu_1",
            "tool_response": if host == "claude" {
                serde_json::json!({ "stdout": "hello", "stderr": "", "interrupted": false })
            } else {
                serde_json::json!("hello")
            }
        }),
        "UserPromptSubmit" => serde_json::json!({ "prompt": "do it" }),
        _ => serde_json::json!({ "source": "startup" }),
    };
    for part in [of_host, of_event] {
        value.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    }
    value.to_string()
}

/// A pre-tool-use message for a tool that writes a file.
pub(crate) fn writing(tool: &str, path: &Path, session: &str, cwd: &Path) -> String {
    let mut value: Value = serde_json::from_str(&message("claude", "PreToolUse", session, cwd)).unwrap();
    value["tool_name"] = tool.into();
    value["tool_input"] = serde_json::json!({ "file_path": path, "content": "x" });
    value.to_string()
}
