//! Short-lived tools: bounded in time and output.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::ProcessError;

/// What a tool wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// Its standard output, at most 4 MiB of it.
    pub stdout: String,
    /// It ended with code 0 within the time.
    pub ok: bool,
}

const MAX_OUTPUT: u64 = 4 << 20;

/// Runs a tool with only `PATH` in its environment; after `limit` its group is killed.
///
/// # Errors
/// It cannot be started.
pub fn run_tool(
    program: &str,
    args: &[&str],
    path: &str,
    limit: Duration,
) -> Result<ToolOutput, ProcessError> {
    let fail = |source| ProcessError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(fail)?;
    let pipe = child.stdout.take();
    let (sender, done) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    let bytes = done.recv_timeout(limit);
    let in_time = bytes.is_ok();
    // Also one that closed its output and stays, or that wrote too much, ends here.
    let mut status = child.try_wait().ok().flatten();
    let patience = std::time::Instant::now() + Duration::from_millis(500);
    while in_time && status.is_none() && std::time::Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
        status = child.try_wait().ok().flatten();
    }
    if status.is_none() {
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = child.wait();
    }
    let stdout = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    Ok(ToolOutput { stdout, ok: in_time && status.is_some_and(|s| s.success()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/usr/bin:/bin";

    #[test]
    fn tools_end() {
        let run =
            |script: &str, ms| run_tool("sh", &["-c", script], PATH, Duration::from_millis(ms)).expect("sh");
        assert_eq!(run("echo a", 20_000), ToolOutput { stdout: "a\n".to_owned(), ok: true });
        assert!(!run("echo a; exit 3", 20_000).ok);
        assert!(!run("sleep 60 & sleep 60", 100).ok);
        assert!(run_tool("/nowhere/tool", &[], PATH, Duration::from_secs(1)).is_err());
    }
}
