//! Git state of the repositories that a caller names, read by `git` itself without changing anything.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repo {
    /// The name that the caller gave.
    pub name: String,
    /// The path that the caller gave.
    pub path: String,
    /// What git says.
    pub state: RepoState,
}

/// What git says of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepoState {
    /// A work tree with a commit.
    Commit {
        /// Commit id.
        commit: String,
        /// Branch, or none on a detached head.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// Changed and untracked paths; 0 is a clean tree.
        changed_paths: u64,
    },
    /// No state, and why.
    Unavailable {
        /// The reason.
        reason: String,
    },
}

/// How much of git's output is read: enough for a hundred thousand changed paths.
const MAX_OUTPUT: u64 = 8 << 20;

impl Repo {
    /// Asks git about the repository at `path`; no answer within `timeout` is an answer too.
    #[must_use]
    pub fn capture(name: &str, path: &Path, timeout: Duration) -> Self {
        let state = capture(path, timeout).unwrap_or_else(|reason| RepoState::Unavailable { reason });
        Self { name: name.to_owned(), path: path.to_string_lossy().into_owned(), state }
    }
}

fn capture(path: &Path, timeout: Duration) -> Result<RepoState, String> {
    let out =
        git(path, &["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal"], timeout)?;
    let mut commit = None;
    let mut branch = None;
    let mut changed_paths = 0;
    let mut records = out.split(|&b| b == 0).filter(|r| !r.is_empty());
    while let Some(record) = records.next() {
        let text = String::from_utf8_lossy(record);
        if let Some(oid) = text.strip_prefix("# branch.oid ") {
            commit = Some(oid.to_owned()).filter(|o| o != "(initial)");
        } else if let Some(head) = text.strip_prefix("# branch.head ") {
            branch = Some(head.to_owned()).filter(|h| h != "(detached)");
        } else if !text.starts_with('#') {
            changed_paths += 1;
            // A rename is followed by its old path as a record of its own.
            if text.starts_with("2 ") {
                records.next();
            }
        }
    }
    let commit = commit.ok_or("the repository has no commit")?;
    Ok(RepoState::Commit { commit, branch, changed_paths })
}

fn git(path: &Path, args: &[&str], timeout: Duration) -> Result<Vec<u8>, String> {
    // A repository's own configuration can name programs to run on status; the ones git knows are switched off.
    let mut child = Command::new("git")
        .arg("-C")
        .arg(path)
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("git cannot be started: {e}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut err = Vec::new();
        let mut out = Vec::new();
        if let Some(pipe) = stdout {
            let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut out);
        }
        if let Some(pipe) = stderr {
            let _ = pipe.take(4096).read_to_end(&mut err);
        }
        let _ = send.send((out, err));
    });
    let output = receive.recv_timeout(timeout);
    if output.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| format!("git was lost: {e}"))?;
    let (out, err) = output.map_err(|_| format!("git did not answer within {} ms", timeout.as_millis()))?;
    if status.success() {
        return Ok(out);
    }
    let message = String::from_utf8_lossy(&err);
    Err(format!("git: {}", message.lines().next().unwrap_or("failed").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn run(path: &Path, args: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(path)
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.invalid",
                "-c",
                "init.defaultBranch=trunk",
            ])
            .args(args)
            .stdout(Stdio::null())
            .status()
            .expect("git runs");
        assert!(status.success());
    }

    #[test]
    fn names_commit_branch_and_changes() {
        let dir = tempfile::tempdir().expect("tempdir");
        run(dir.path(), &["init", "-q"]);
        fs::write(dir.path().join("a"), "1").expect("write");
        run(dir.path(), &["add", "a"]);
        run(dir.path(), &["commit", "-qm", "first"]);
        let repo = Repo::capture("engine", dir.path(), TIMEOUT);
        let RepoState::Commit { commit, branch, changed_paths } = repo.state else { panic!("{repo:?}") };
        assert_eq!((commit.len(), branch.as_deref(), changed_paths), (40, Some("trunk"), 0));
        fs::write(dir.path().join("a"), "2").expect("write");
        fs::write(dir.path().join("b"), "new").expect("write");
        let RepoState::Commit { changed_paths, .. } = Repo::capture("engine", dir.path(), TIMEOUT).state
        else {
            panic!("no state")
        };
        assert_eq!(changed_paths, 2);
    }

    #[test]
    fn says_why_there_is_no_state() {
        let dir = tempfile::tempdir().expect("tempdir");
        let repo = Repo::capture("nothing", &dir.path().join("absent"), TIMEOUT);
        assert!(
            matches!(&repo.state, RepoState::Unavailable { reason } if reason.contains("git")),
            "{repo:?}"
        );
    }
}
