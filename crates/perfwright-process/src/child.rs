//! A child in its own process group.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ProcessError;
use crate::launch::Launch;
use crate::output::{Output, OutputStats};
use crate::procfs;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// What waiting for readiness came to.
#[derive(Debug)]
pub enum Waited<E> {
    /// It is ready after this time.
    Ready(Duration),
    /// The caller saw that it will not become ready.
    Refused(E),
    /// It ended first.
    Ended(Ending),
    /// The time is over; it still runs.
    TimedOut,
}

impl<E> Waited<E> {
    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

/// What stopping a child came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// How the child itself ended.
    pub ending: Ending,
    /// It did not end within the grace time and was killed.
    pub killed: bool,
    /// Living processes of its group when the child itself had ended.
    pub orphans: Vec<u32>,
    /// Living processes that it had started and that had left its group.
    pub strays: Vec<u32>,
    /// Nothing that it started lives.
    pub group_is_gone: bool,
    /// Its output.
    pub output: OutputStats,
}

/// A started child. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    /// The child leads its group, so this is also its pid. The child is not reaped before the group is done with: so
    /// long the kernel gives its number to nobody else.
    pgid: u32,
    started: Instant,
    output: Output,
    path: PathBuf,
    reaped: bool,
    mark: String,
}

/// How often a state that sends no event is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long killed processes may take to vanish; one in uninterruptible sleep (a driver) takes longer.
const VANISH: Duration = Duration::from_secs(10);

impl Child {
    /// Starts a command with both output streams going to `log`, which is made or emptied.
    ///
    /// # Errors
    /// The command is empty or cannot be started, or the file cannot be written.
    pub fn start(launch: &Launch, log: &Path) -> Result<Self, ProcessError> {
        let (program, args) = launch.argv.split_first().ok_or(ProcessError::Empty)?;
        let output = |source| ProcessError::Output { path: log.to_owned(), source };
        let file = File::create(log).map_err(output)?;
        let (reader, writer) = std::io::pipe().map_err(output)?;
        let second = writer.try_clone().map_err(output)?;
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(launch.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(writer).stderr(second).process_group(0);
        if let Some(dir) = &launch.dir {
            command.current_dir(dir);
        }
        let mark = mark();
        command.env(MARK, &mark);
        let started = Instant::now();
        let mut child =
            command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        // The command holds the writing ends; the pipe ends only when they are closed.
        drop(command);
        let pgid = child.id();
        match Output::start(reader, file, launch.max_output) {
            Ok(output) => {
                Ok(Self { child, pgid, started, output, path: log.to_owned(), reaped: false, mark })
            }
            Err(source) => {
                signal(pgid, Signal::KILL);
                let _ = child.wait();
                Err(output(source))
            }
        }
    }

    /// Its process id, which is also the id of its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pgid
    }

    /// The value of [`MARK`] in the environment of the child and of everything that it starts. Who records it can find
    /// them again with [`crate::marked`], also after being killed.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.path
    }

    /// The next output, when some comes within `limit`; none when there is none or the child will write no more.
    #[must_use]
    pub fn next_output(&self, limit: Duration) -> Option<Vec<u8>> {
        self.output.live.recv_timeout(limit).ok()
    }

    /// Whether the child itself still runs. It is not reaped by asking.
    ///
    /// # Errors
    /// The kernel refuses to say.
    pub fn is_running(&self) -> Result<bool, ProcessError> {
        // Once reaped, its number may name another process.
        Ok(!self.reaped && procfs::process_info(self.pgid).is_some_and(|p| !matches!(p.state, 'Z' | 'X')))
    }

    /// Waits until `look` says that the child is ready (`Some(Ok)`) or never will be (`Some(Err)`). It is called with
    /// every new piece of output, and with nothing at short intervals, so that it can also ask over HTTP.
    ///
    /// # Errors
    /// The state of the child cannot be read.
    pub fn wait_ready<E>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut(&[u8]) -> Option<Result<(), E>>,
    ) -> Result<Waited<E>, ProcessError> {
        let begin = Instant::now();
        loop {
            let running = self.is_running()?;
            let left = limit.saturating_sub(begin.elapsed());
            let piece = match self.output.live.recv_timeout(LOOK.min(left)) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => {
                    // Closing its output is no end: daemons do.
                    if running {
                        std::thread::sleep(LOOK.min(left));
                    }
                    Vec::new()
                }
            };
            match look(&piece) {
                Some(Ok(())) => return Ok(Waited::Ready(self.started.elapsed())),
                Some(Err(why)) => return Ok(Waited::Refused(why)),
                None => {}
            }
            // What it wrote before its end is looked at first.
            if !running && piece.is_empty() {
                return Ok(Waited::Ended(self.ending()?));
            }
            if left.is_zero() {
                return Ok(Waited::TimedOut);
            }
        }
    }

    /// Waits for the child itself to end by its own; none when the time is over.
    ///
    /// # Errors
    /// The state of the child cannot be read.
    pub fn wait_end(&mut self, limit: Duration) -> Result<Option<Ending>, ProcessError> {
        let end = Instant::now() + limit;
        while self.is_running()? {
            if Instant::now() >= end {
                return Ok(None);
            }
            // Output is taken away, or the live queue would count as unheard.
            let _ = self.output.live.recv_timeout(LOOK);
        }
        Ok(Some(self.ending()?))
    }

    /// Ends the child and its group: SIGTERM, after `grace` SIGKILL; then reaps the child.
    ///
    /// # Errors
    /// The child cannot be waited for, or its output could not be written.
    pub fn stop(mut self, grace: Duration) -> Result<Stopped, ProcessError> {
        let end = Instant::now() + grace;
        if self.is_running()? {
            signal(self.pgid, Signal::TERM);
        }
        while self.is_running()? && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        let killed = self.is_running()?;
        if killed {
            signal(self.pgid, Signal::KILL);
        }
        // Grandchildren get what is left of the grace time.
        let orphans = self.others();
        if !orphans.is_empty() && !killed {
            signal(self.pgid, Signal::TERM);
            while Instant::now() < end && !self.others().is_empty() {
                std::thread::sleep(LOOK);
            }
        }
        let mut group_is_gone = self.kill_group();
        let ending = self.ending()?;
        // Those that left the group for a session of their own are still known by their mark.
        let strays: Vec<u32> = procfs::marked(&self.mark).iter().map(|p| p.pid).collect();
        group_is_gone &= procfs::kill_marked(&self.mark, VANISH);
        // A process that left the group may keep the pipe open; the rest of the output is then not waited for.
        let patience = Instant::now() + Duration::from_secs(2);
        while !self.output.ended() && Instant::now() < patience {
            while self.output.live.try_recv().is_ok() {}
            std::thread::sleep(LOOK);
        }
        let output =
            if self.output.ended() { self.output.finish(&self.path)? } else { OutputStats::default() };
        Ok(Stopped { ending, killed, orphans, strays, group_is_gone, output })
    }

    fn others(&self) -> Vec<u32> {
        if self.reaped {
            return Vec::new();
        }
        procfs::group_members(self.pgid).iter().map(|p| p.pid).filter(|p| *p != self.pgid).collect()
    }

    /// Kills what is left of the group; whether nothing of it lives.
    fn kill_group(&self) -> bool {
        let end = Instant::now() + VANISH;
        while !self.reaped && !procfs::group_members(self.pgid).is_empty() {
            signal(self.pgid, Signal::KILL);
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Kills what an ended child left in its group, and reaps the child: in this order, since the number of the group
    /// is free for others once the child is reaped.
    fn ending(&mut self) -> Result<Ending, ProcessError> {
        self.kill_group();
        let status = self.child.wait().map_err(|source| ProcessError::Group {
            what: "wait for",
            pgid: self.pgid,
            source,
        })?;
        self.reaped = true;
        Ok(Ending::of(status))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_group();
            let _ = self.child.wait();
            self.reaped = true;
            procfs::kill_marked(&self.mark, VANISH);
        }
    }
}

/// The variable that marks our children.
pub const MARK: &str = "PW_CHILD";

/// A value that no other child has.
fn mark() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed), since.as_nanos())
}

/// A group that is gone needs no signal, so the answer of the kernel does not matter.
fn signal(pgid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pgid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}
