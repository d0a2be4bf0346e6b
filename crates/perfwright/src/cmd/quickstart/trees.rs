//! The folders of a quickstart and the commits in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use perfwright_evidence::sha256_hex;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::output::not_writable;

/// Where everything lies. The run folder holds evidence and nothing else; what is worked on lies beside it.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The run.
    pub run: PathBuf,
    /// The target repository; it stays.
    pub target: PathBuf,
    /// Unfinished runs, profiles, scripts; removed at the end.
    pub work: PathBuf,
}

impl Places {
    /// The places beside the run folder, whose parent is made.
    pub(super) fn of(run: &Path) -> Result<Self, Diagnostic> {
        let parent = run.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fail = |e: &std::io::Error| not_writable(&parent.to_string_lossy(), e);
        fs::create_dir_all(parent).map_err(|e| fail(&e))?;
        let parent = parent.canonicalize().map_err(|e| fail(&e))?;
        let name = run.file_name().unwrap_or(OsStr::new("quickstart")).to_string_lossy().into_owned();
        Ok(Self {
            run: parent.join(&name),
            target: parent.join(format!("{name}.target")),
            work: parent.join(format!("{name}.work")),
        })
    }

    /// What servers of this quickstart carry, so that those which a killed one left are found.
    pub(super) fn mark(&self) -> String {
        sha256_hex(self.run.to_string_lossy().as_bytes())[..32].to_owned()
    }

    /// A file or folder of the work folder.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }
}

/// Runs git and gives its output. Settings of the user do not decide what happens here.
pub(super) fn git(dir: &Path, args: &[&str]) -> Result<String, Diagnostic> {
    let fixed = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false"];
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(fixed)
        .args(args)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .map_err(|e| {
            Diagnostic::new(codes::LOOP_GIT, "git cannot be started")
                .cause(e.to_string())
                .help("install git; quickstart keeps its target in a repository")
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Diagnostic::new(codes::LOOP_GIT, "git refused")
        .file(dir)
        .cause(format!("git {}: {said}", args.join(" "))))
}

/// A copy of a commit, which nobody works in.
pub(super) fn copy(places: &Places, commit: &str) -> Result<PathBuf, Diagnostic> {
    let to = places.at("trees").join(commit);
    if !to.join("serve.sh").is_file() {
        let _ = fs::remove_dir_all(&to);
        let (from, into) = (places.target.to_string_lossy().into_owned(), to.to_string_lossy().into_owned());
        git(&places.work, &["clone", "--quiet", "--no-checkout", "--template=", "--", &from, &into])?;
        git(&to, &["checkout", "--quiet", "--detach", commit])?;
    }
    Ok(to)
}

/// Writes a file below `dir`.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Diagnostic> {
    let path = dir.join(name);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
    made.map_err(|e| not_writable(&path.to_string_lossy(), &e))?;
    Ok(path)
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    fs::read(path).map_err(|e| Diagnostic::reading(path, &e))
}
