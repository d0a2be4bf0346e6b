//! Commands of a campaign: executor, reviewer, tests, benchmarks. Each runs in a process group of its own, with its
//! output in files, so that nothing it leaves behind can hold a pipe of ours open.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use perfwright_process::{carrying, group_members, process_info};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::LoopError;
use crate::event::Ended;

/// The variable by which a process is known as one of a campaign, wherever it went.
pub const MARKER: &str = "PERFWRIGHT_LOOP";

/// More output than this on one stream ends the command.
pub(crate) const MAX_STREAM: u64 = 256 << 20;

/// How long processes that were asked to end may take: git takes its lock files away when it is asked, and leaves
/// them behind when it is killed, so killing comes late.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct Job<'a> {
    /// Given to `sh -c`.
    pub(crate) command: &'a str,
    /// Working directory.
    pub(crate) dir: &'a Path,
    /// Standard input.
    pub(crate) input: &'a [u8],
    /// Variables besides those of this process.
    pub(crate) env: Vec<(String, String)>,
    /// When it is ended.
    pub(crate) timeout: Duration,
    /// Folder for its streams.
    pub(crate) scratch: &'a Path,
}

/// A command at work.
#[derive(Debug)]
pub(crate) struct Started {
    child: std::process::Child,
    since: Instant,
    timeout: Duration,
    out: PathBuf,
    err: PathBuf,
}

/// What it left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) ended: Ended,
    /// Standard output, at most `limit` bytes.
    pub(crate) out: Vec<u8>,
    /// Standard error, at most 64 KiB.
    pub(crate) err: Vec<u8>,
    /// How long it took.
    pub(crate) wall_ms: u64,
}

/// Starts a command.
pub(crate) fn start(job: &Job) -> Result<Started, LoopError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| LoopError::Io { path, source }
    };
    fs::create_dir_all(job.scratch).map_err(io(job.scratch))?;
    let (input, out, err) = (job.scratch.join("in"), job.scratch.join("out"), job.scratch.join("err"));
    fs::write(&input, job.input).map_err(io(&input))?;
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(job.command)
        .current_dir(job.dir)
        .envs(job.env.iter().map(|(k, v)| (k, v)))
        .stdin(File::open(&input).map_err(io(&input))?)
        .stdout(Stdio::from(File::create(&out).map_err(io(&out))?))
        .stderr(Stdio::from(File::create(&err).map_err(io(&err))?))
        .process_group(0)
        .spawn()
        .map_err(io(job.dir))?;
    Ok(Started { child, since: Instant::now(), timeout: job.timeout, out, err })
}

impl Started {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, ends it when its time is over, and ends what is left of its group.
    pub(crate) fn wait(mut self, limit: u64) -> Ran {
        let mut nap = Duration::from_millis(2);
        let ended = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    break match (status.code(), status.signal()) {
                        (Some(code), _) => Ended::Exit(code),
                        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
                    };
                }
                Ok(None) => {}
                Err(_) => break Ended::Interrupted,
            }
            let flooded = [&self.out, &self.err]
                .iter()
                .any(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_STREAM));
            if flooded || self.since.elapsed() >= self.timeout {
                end_group(self.child.id());
                let _ = self.child.wait();
                break Ended::Timeout;
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(50));
        };
        let wall_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        end_group(self.child.id());
        Ran { ended, out: bounded(&self.out, limit), err: bounded(&self.err, 64 << 10), wall_ms }
    }
}

/// Runs a command to its end.
pub(crate) fn run(job: &Job, limit: u64) -> Result<Ran, LoopError> {
    Ok(start(job)?.wait(limit))
}

fn bounded(path: &Path, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    bytes
}

/// Asks a group to end, and ends it where it does not. Members that have ended and only wait to be looked at do not
/// count: nobody may be there to look.
pub(crate) fn end_group(pid: u32) {
    let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let since = Instant::now();
    while kill_process_group(group, Signal::TERM).is_ok() && !group_members(pid).is_empty() {
        if since.elapsed() > PATIENCE {
            let _ = kill_process_group(group, Signal::KILL);
            return;
        }
        thread::sleep(Duration::from_millis(15));
    }
}

/// Start time of a process in clock ticks after boot; none where there is no such process.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    process_info(pid).map(|p| p.started)
}

/// Ends a command that an earlier engine left at work, if it is still that command.
pub(crate) fn end_left_over(pid: u32, pid_start: u64) -> bool {
    let same = pid > 0 && start_ticks(pid) == Some(pid_start);
    if same {
        end_group(pid);
    }
    same
}

/// Processes that carry the campaign's marker, other than this one.
pub(crate) fn marked(campaign: &str) -> Vec<u32> {
    let mut found: Vec<u32> =
        carrying(MARKER, campaign).iter().map(|p| p.pid).filter(|pid| *pid != std::process::id()).collect();
    found.sort_unstable();
    found
}

/// Ends the processes that carry the marker; true where there were any.
pub(crate) fn end_marked(campaign: &str) -> bool {
    let since = Instant::now();
    let mut asked = BTreeSet::new();
    let mut quiet = 0;
    loop {
        let left = marked(campaign);
        // A process that is just being replaced by another program shows no variables: one look is not enough.
        quiet = if left.is_empty() { quiet + 1 } else { 0 };
        let over = since.elapsed();
        if quiet == 3 || over > 2 * PATIENCE {
            return !asked.is_empty();
        }
        let (signal, kill) = if over > PATIENCE { (Signal::KILL, true) } else { (Signal::TERM, false) };
        for pid in left {
            if let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw)
                && (asked.insert(pid) || kill)
            {
                let _ = rustix::process::kill_process(id, signal);
            }
        }
        thread::sleep(Duration::from_millis(if asked.is_empty() { 3 } else { 15 }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job<'a>(command: &'a str, dir: &'a Path) -> Job<'a> {
        Job {
            command,
            dir,
            input: b"hello",
            env: vec![(MARKER.to_owned(), format!("test-{}", dir.display()))],
            timeout: Duration::from_secs(20),
            scratch: dir,
        }
    }

    #[test]
    fn commands_end_with_their_group() {
        let dir = tempfile::tempdir().expect("tempdir");
        let ran = run(&job("cat; echo err >&2; exit 3", dir.path()), 1 << 20).expect("runs");
        assert_eq!(
            (ran.ended, ran.out.as_slice(), ran.err.as_slice()),
            (Ended::Exit(3), &b"hello"[..], &b"err\n"[..])
        );
        let pids = dir.path().join("pid");
        let left = format!("sleep 600 & echo $! > {}", pids.display());
        run(&job(&left, dir.path()), 100).expect("runs");
        let pid: u32 = fs::read_to_string(&pids).expect("pid").trim().parse().expect("number");
        assert!(
            process_info(pid).is_none_or(|p| matches!(p.state, 'Z' | 'X')),
            "what the command left in its group is ended"
        );
        let late = Job { timeout: Duration::from_millis(100), ..job("sleep 600", dir.path()) };
        assert_eq!(run(&late, 100).expect("runs").ended, Ended::Timeout);
    }

    #[test]
    fn processes_are_known_by_their_marker_and_start() {
        let dir = tempfile::tempdir().expect("tempdir");
        let campaign = format!("test-{}", dir.path().display());
        let mut started = start(&job("exec setsid sleep 600", dir.path())).expect("starts");
        // `setsid` forks out of the group; a process that is just becoming another program shows no environment.
        for _ in 0..500 {
            if marked(&campaign).iter().any(|pid| *pid != started.pid()) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let ticks = start_ticks(started.pid()).expect("alive");
        assert!(!end_left_over(started.pid(), ticks + 1), "another process under the same id");
        for _ in 0..500 {
            end_marked(&campaign);
            if marked(&campaign).is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = started.child.wait();
        assert_eq!(marked(&campaign), Vec::<u32>::new());
    }
}
