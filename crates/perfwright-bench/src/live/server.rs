//! One launch of a candidate's server.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use perfwright_logs::{Catalog, Digest, LogReport, Reader};
use perfwright_process::{Child, Ending, Launch, ProcessError, Stopped, Waited, wait_port_free};

use super::probe;
use crate::rows::Status;

/// How often a starting server is asked.
const ASK: Duration = Duration::from_millis(100);
/// How long a server may take to end, and its port to be free.
const GRACE: Duration = Duration::from_secs(20);
/// Characters of a log line in a reason.
const MAX_LINE: usize = 300;
/// Log kept of a launch.
pub(super) const MAX_LOG: u64 = 8 << 20;

/// A server that is up.
pub(super) struct Server<'c> {
    /// Framework and candidate.
    pub owner: (String, String),
    /// The launch, from 1.
    pub number: u64,
    /// The command as the plan means it.
    pub argv: Vec<String>,
    pub port: u16,
    /// Seconds until it was ready.
    pub ready_s: f64,
    /// When it was started.
    pub since: Instant,
    pub reader: Reader<'c>,
    pub digest: Digest,
    child: Child,
}

/// What starting came to.
pub(super) enum Started<'c> {
    Up(Box<Server<'c>>),
    /// It did not become ready; it is gone.
    Down {
        status: Status,
        reason: String,
        log: PathBuf,
    },
    /// Somebody stopped the search.
    Interrupted,
}

/// What is to be started.
pub(super) struct Order {
    pub owner: (String, String),
    pub number: u64,
    pub argv: Vec<String>,
    pub port: u16,
    pub launch: Launch,
    pub log: PathBuf,
}

enum Refusal {
    Interrupted,
    Failed,
}

/// Starts a server and waits until it answers over HTTP; a log line alone is not believed, since the port may be wrong.
pub(super) fn start<'c>(
    order: Order,
    catalog: &'c Catalog,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Started<'c>, ProcessError> {
    let (mut reader, mut digest) = (Reader::new(catalog), Digest::new());
    let since = Instant::now();
    let mut child = Child::start(&order.launch, &order.log)?;
    let mut asked = Instant::now();
    let waited = child.wait_ready(limit, |bytes| {
        reader.feed(bytes, &mut digest);
        if stop.load(Ordering::Relaxed) {
            return Some(Err(Refusal::Interrupted));
        }
        if digest.failed().is_some() {
            return Some(Err(Refusal::Failed));
        }
        if asked.elapsed() < ASK {
            return None;
        }
        asked = Instant::now();
        probe::answers(order.port).then_some(Ok(()))
    })?;
    let (status, what) = match waited {
        Waited::Ready(after) if child.is_running()? => {
            let Order { owner, number, argv, port, .. } = order;
            let ready_s = after.as_secs_f64();
            return Ok(Started::Up(Box::new(Server {
                owner,
                number,
                argv,
                port,
                ready_s,
                since,
                reader,
                digest,
                child,
            })));
        }
        Waited::Ready(_) => (Status::Failed, "it ended while another server answered on its port".to_owned()),
        Waited::Refused(Refusal::Interrupted) => {
            child.stop(GRACE)?;
            return Ok(Started::Interrupted);
        }
        Waited::Refused(Refusal::Failed) => {
            (Status::Failed, "the server says that it cannot start".to_owned())
        }
        Waited::Ended(ending) => (Status::Failed, format!("the server ended with {}", say(ending))),
        Waited::TimedOut => {
            (Status::Timeout, format!("the server was not ready after {} s", limit.as_secs()))
        }
    };
    child.stop(GRACE)?;
    let report = read_log(catalog, &order.log);
    let (class, text) = cause(&report);
    let status = if class.contains("oom") { Status::Oom } else { status };
    let told = match class.is_empty() {
        true => last_line(&order.log),
        false => [class, text].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(": "),
    };
    let reason = if told.is_empty() { what } else { format!("{what}: {told}") };
    Ok(Started::Down { status, reason, log: order.log })
}

impl Server<'_> {
    /// Reads what it has written since.
    pub(super) fn listen(&mut self) {
        while let Some(bytes) = self.child.next_output(Duration::ZERO) {
            self.reader.feed(&bytes, &mut self.digest);
        }
    }

    /// Why the server is gone or will be, when it is: status and reason.
    pub(super) fn fault(&mut self) -> Result<Option<(Status, String)>, ProcessError> {
        if self.child.is_running()? {
            return Ok(None);
        }
        let end = match self.child.wait_end(Duration::ZERO)? {
            Some(ending) => say(ending),
            None => "an unknown status".to_owned(),
        };
        self.listen();
        let (class, text) = cause(&self.digest.report(&self.reader));
        let status = if class.contains("oom") { Status::Oom } else { Status::Failed };
        let why = if class.is_empty() { String::new() } else { format!(": {class}: {text}") };
        Ok(Some((status, format!("the server ended with {end} while it was measured{why}"))))
    }

    /// Stops it and waits for its port; the log is in the file it was started with.
    pub(super) fn end(self) -> Result<(Stopped, bool, PathBuf), ProcessError> {
        let log = self.child.log().to_owned();
        let stopped = self.child.stop(GRACE)?;
        let free = wait_port_free(self.port, GRACE);
        Ok((stopped, free, log))
    }
}

fn say(ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("exit code {code}"),
        Ending::Signal(signal) => format!("signal {signal}"),
    }
}

/// The class that explains a failure and the line that says so.
fn cause(report: &LogReport) -> (String, String) {
    if let Some(startup) = &report.startup {
        let text = startup.evidence.as_ref().map(|s| s.text.clone()).unwrap_or_default();
        return (startup.class.clone(), text);
    }
    match &report.incident.evidence {
        Some(seen) => (report.incident.class.clone(), seen.text.clone()),
        None => (String::new(), String::new()),
    }
}

fn read_log(catalog: &Catalog, path: &std::path::Path) -> LogReport {
    let (mut reader, mut digest) = (Reader::new(catalog), Digest::new());
    reader.feed(&fs::read(path).unwrap_or_default(), &mut digest);
    reader.finish(&mut digest);
    digest.report(&reader)
}

/// The last line of a log that no signature knows.
fn last_line(path: &std::path::Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
    line.trim().chars().filter(|c| !c.is_control()).take(MAX_LINE).collect()
}
