//! What git says of the work tree. Git is only asked; it changes nothing but copies that are ours.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::event::Mark;

/// How long git may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much of its output is read.
const MAX_OUTPUT: u64 = 32 << 20;

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("git {command}: {message}")]
pub struct GitError {
    /// The subcommand.
    pub command: String,
    /// What it said.
    pub message: String,
}

/// Runs git in `dir` and gives its output.
///
/// # Errors
/// It cannot be started, fails, or does not answer in a minute.
pub(crate) fn git(dir: &Path, args: &[&str]) -> Result<Vec<u8>, GitError> {
    let fail =
        |message: String| GitError { command: args.first().copied().unwrap_or_default().to_owned(), message };
    // What a repository's configuration may name to be run is switched off, as far as git knows it.
    let mut child = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.quotePath=false", "-c", "diff.external=", "-c", "core.pager=cat"])
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| fail(format!("cannot be started: {e}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (send, receive) = mpsc::channel();
    let send_err = send.clone();
    thread::spawn(move || {
        let mut out = Vec::new();
        if let Some(pipe) = stdout {
            let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut out);
        }
        let _ = send.send((true, out));
    });
    thread::spawn(move || {
        let mut err = Vec::new();
        if let Some(pipe) = stderr {
            let _ = pipe.take(1 << 20).read_to_end(&mut err);
        }
        let _ = send_err.send((false, err));
    });
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        match receive.recv_timeout(TIMEOUT) {
            Ok((true, bytes)) => out = bytes,
            Ok((false, bytes)) => err = bytes,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(fail("no answer within a minute".to_owned()));
            }
        }
    }
    let status = child.wait().map_err(|e| fail(format!("was lost: {e}")))?;
    if status.success() {
        return Ok(out);
    }
    let text = String::from_utf8_lossy(&err);
    Err(fail(text.lines().next().unwrap_or("failed without a word").trim().to_owned()))
}

/// As [`git`], the output as one trimmed text.
pub(crate) fn git_text(dir: &Path, args: &[&str]) -> Result<String, GitError> {
    Ok(String::from_utf8_lossy(&git(dir, args)?).trim().to_owned())
}

/// The top of the work tree that holds `dir`.
pub(crate) fn top(dir: &Path) -> Result<PathBuf, GitError> {
    let text = git_text(dir, &["rev-parse", "--show-toplevel"])?;
    let path = PathBuf::from(&text);
    path.canonicalize()
        .map_err(|e| GitError { command: "rev-parse".to_owned(), message: format!("{text}: {e}") })
}

/// What HEAD holds.
pub(crate) fn mark(root: &Path) -> Result<Mark, GitError> {
    let text = git_text(root, &["rev-parse", "HEAD^{commit}", "HEAD^{tree}"])?;
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(commit), Some(tree)) => Ok(Mark { commit: commit.to_owned(), tree: tree.to_owned() }),
        _ => Err(GitError { command: "rev-parse".to_owned(), message: "HEAD names no commit".to_owned() }),
    }
}

/// The branch that is checked out, none on a detached head.
pub(crate) fn branch(root: &Path) -> Option<String> {
    git_text(root, &["symbolic-ref", "--quiet", "--short", "HEAD"]).ok().filter(|b| !b.is_empty())
}

/// Changed and untracked paths, without those below `except` (the run folder, where it lies in the tree).
pub(crate) fn changed(root: &Path, except: &[PathBuf]) -> Result<Vec<String>, GitError> {
    let out = git(root, &["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"])?;
    let mut paths = Vec::new();
    for record in out.split(|&b| b == 0).filter(|r| r.len() > 3) {
        let path = String::from_utf8_lossy(&record[3..]).into_owned();
        let full = root.join(&path);
        let ours = record.starts_with(b"??") && except.iter().any(|e| full.starts_with(e));
        if !ours {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Paths that differ between two commits, with deletions.
pub(crate) fn diff_paths(root: &Path, from: &str, to: &str) -> Result<Vec<String>, GitError> {
    let out = git(root, &["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", from, to])?;
    Ok(out
        .split(|&b| b == 0)
        .filter(|p| !p.is_empty())
        .map(|p| String::from_utf8_lossy(p).into_owned())
        .collect())
}

/// Every ref with its object id.
pub(crate) fn refs(root: &Path, under: &str) -> Result<Vec<(String, String)>, GitError> {
    let text = git_text(root, &["for-each-ref", "--format=%(objectname) %(refname)", under])?;
    Ok(text
        .lines()
        .filter_map(|l| l.split_once(' '))
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
        .collect())
}

/// Whether `a` is `b` or an ancestor of it; false also where one is unknown.
pub(crate) fn is_ancestor(root: &Path, a: &str, b: &str) -> bool {
    a == b || git(root, &["merge-base", "--is-ancestor", a, b]).is_ok()
}

/// A copy of the commit in `to`, with history, that shares nothing writable with the repository's own files but the
/// object store it reads from.
pub(crate) fn copy(root: &Path, commit: &str, to: &Path) -> Result<(), GitError> {
    let from = root.to_string_lossy().into_owned();
    let target = to.to_string_lossy().into_owned();
    git(root, &["clone", "--quiet", "--shared", "--no-checkout", "--template=", "--", &from, &target])?;
    git(to, &["checkout", "--quiet", "--detach", commit])?;
    git(to, &["remote", "remove", "origin"])?;
    Ok(())
}

/// The folder of the repository's own files, also for a linked work tree; found without starting git.
pub(crate) fn git_dir(root: &Path) -> Option<PathBuf> {
    let dot = root.join(".git");
    let meta = std::fs::symlink_metadata(&dot).ok()?;
    if meta.is_dir() {
        return Some(dot);
    }
    let mut text = String::new();
    File::open(&dot).ok()?.take(4096).read_to_string(&mut text).ok()?;
    let path = text.strip_prefix("gitdir:")?.trim();
    Some(root.join(path))
}

/// Takes away the lock files that a killed git left in the repository, and names them. Nothing is taken while a git
/// works in the tree, and nothing that is younger than `age`.
pub(crate) fn drop_stale_locks(root: &Path, age: Duration) -> Vec<PathBuf> {
    let Some(dir) = git_dir(root) else { return Vec::new() };
    let mut names = vec!["index.lock".to_owned(), "HEAD.lock".to_owned()];
    names.extend(branch(root).map(|b| format!("refs/heads/{b}.lock")));
    let old = |path: &PathBuf| {
        let touched = std::fs::symlink_metadata(path).and_then(|meta| meta.modified());
        touched.is_ok_and(|at| at.elapsed().is_ok_and(|past| past >= age))
    };
    let found: Vec<PathBuf> = names.iter().map(|n| dir.join(n)).filter(old).collect();
    if found.is_empty() || at_work(root) {
        return Vec::new();
    }
    found.into_iter().filter(|path| std::fs::remove_file(path).is_ok()).collect()
}

/// Whether a git runs with the work tree, or a folder in it, as its place.
fn at_work(root: &Path) -> bool {
    perfwright_process::processes().iter().filter(|p| p.name.starts_with("git")).any(|p| {
        std::fs::read_link(format!("/proc/{}/cwd", p.pid)).is_ok_and(|place| place.starts_with(root))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_a_dead_git_are_taken_away_and_young_ones_are_not() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path");
        git(&root, &["init", "-q", "-b", "main"]).expect("init");
        for name in ["index.lock", "refs/heads/main.lock", "config.lock"] {
            std::fs::write(root.join(".git").join(name), b"").expect("lock");
        }
        assert_eq!(drop_stale_locks(&root, Duration::from_secs(3600)), Vec::<PathBuf>::new());
        let gone = drop_stale_locks(&root, Duration::ZERO);
        assert_eq!(gone, ["index.lock", "refs/heads/main.lock"].map(|n| root.join(".git").join(n)));
        assert!(root.join(".git/config.lock").exists(), "only what the loop's own commands need");
        git(&root, &["add", "-A"]).expect("works again");
    }
}
