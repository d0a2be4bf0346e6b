//! Starting, measuring and stopping one server at a time, with everything that a row rests on recorded before the row.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_logs::path::Side;
use perfwright_logs::{Catalog, Digest, Reader};
use perfwright_process::{Launch, ProcessError, kill_marked};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::figures::{AFTER, BEFORE, CLIENT, CONDITIONS, PATH, RECORDS, SERVER, metrics, recompute};
use super::gate::TRIAL_DIR;
use super::idle::{Quiet, Seen};
use super::path::{TrialPath, judge, side};
use super::server::{MAX_LOG, Order, Server, Started, start};
use crate::load::{Access, Conditions, Control, LoadError, Progress, drive, plan as draw, preflight};
use crate::measure::cache::counted;
use crate::measure::{BenchRun, write_records};
use crate::render::{self};
use crate::rows::{Requests, SpecDecode, Status};
use crate::search::{Journal, SearchError, Trialled};

/// How long killed orphans may take to vanish.
const VANISH: Duration = Duration::from_secs(20);
/// Variables of engines and their libraries that servers inherit.
const INHERITED: [&str; 18] = [
    "CUDA_*",
    "NVIDIA_*",
    "HIP_*",
    "ROCR_*",
    "ROCM_*",
    "NCCL_*",
    "SGLANG_*",
    "VLLM_*",
    "TRTLLM_*",
    "TORCH*",
    "PYTORCH_*",
    "TRITON_*",
    "HF_*",
    "TRANSFORMERS_*",
    "OMP_*",
    "MKL_*",
    "PYTHONPATH",
    "GGML_*",
];

/// What servers are started and measured with.
pub struct Machine<'a> {
    /// The catalogue that logs are read by.
    pub catalog: &'a Catalog,
    /// The environment, of which servers get what they need.
    pub env: Vec<(String, String)>,
    /// What `perfwright` as the first word of a server command starts: this program itself.
    pub this_program: String,
    /// A folder for logs while servers run; it is made, and removed at the end.
    pub scratch: PathBuf,
    /// How long a server may take until it is ready.
    pub ready_limit: Duration,
    /// What is done about a machine that is busy before a launch.
    pub quiet: Quiet,
    /// Bearer token for servers that ask for one.
    pub token: Option<String>,
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

/// The server of one candidate, or where it is reached.
pub(super) struct Wanted<'w> {
    /// Framework and candidate.
    pub owner: (String, String),
    /// The command, without a port; `None` where the server runs already.
    pub argv: &'w dyn Fn(u16) -> Result<Vec<String>, String>,
    /// Environment beside what is inherited.
    pub env: &'w BTreeMap<String, String>,
}

/// One measurement that is to be made.
pub(super) struct Offer<'o> {
    /// Framework and candidate.
    pub owner: &'o (String, String),
    /// The load; the address is that of the server that is up, unless it names one.
    pub conditions: Conditions,
    /// What prompts are drawn with, beside the seed.
    pub salt: u64,
    /// Which attempt at this trial it is, from 0.
    pub attempt: usize,
}

/// Servers, one after the other.
pub(super) struct Rig<'a> {
    pub machine: Machine<'a>,
    pub server: Option<Box<Server<'a>>>,
    next_launch: u64,
    mark: String,
    /// What the machine did before the last launch.
    pub seen: Option<Seen>,
}

impl<'a> Rig<'a> {
    /// Makes ready, after ending the servers that a killed process left of this run, and keeping their logs.
    ///
    /// # Errors
    /// A server cannot be ended, or the folder cannot be made.
    pub(super) fn new(machine: Machine<'a>, journal: &mut Journal) -> Result<Self, SearchError> {
        let mark = journal.identity()?;
        if !kill_marked(&mark, VANISH) {
            return Err(outside("a server that a killed process left cannot be ended"));
        }
        let mut last = journal.done().values().filter_map(|r| r.trial.launch).max().unwrap_or(0);
        let number = |name: &str| name.strip_prefix("launch-")?.get(..4)?.parse::<u64>().ok();
        for entry in fs::read_dir(&machine.scratch).into_iter().flatten().flatten() {
            if let Some(n) = number(&entry.file_name().to_string_lossy()) {
                last = last.max(n);
                keep_log(journal, n, &entry.path())?;
            }
        }
        let trial = |name: &str| name.strip_prefix(TRIAL_DIR)?.get(6..10)?.parse::<u64>().ok();
        let recorded =
            journal.names().filter_map(|n| n.strip_prefix("server/").and_then(number).or(trial(n)));
        last = last.max(recorded.max().unwrap_or(0));
        remove(&machine.scratch)?;
        fs::create_dir(&machine.scratch).map_err(|e| at(&machine.scratch, &e))?;
        Ok(Self { machine, server: None, next_launch: last + 1, mark, seen: None })
    }

    /// A number that no launch of this run had.
    pub(super) fn number(&mut self) -> u64 {
        self.next_launch += 1;
        self.next_launch - 1
    }

    /// Stops the server that is up, keeps its log, and removes the folder for logs.
    ///
    /// # Errors
    /// The server cannot be stopped or its log not be kept.
    pub(super) fn finish(mut self, journal: &mut Journal) -> Result<(), SearchError> {
        self.stop(journal)?;
        remove(&self.machine.scratch)
    }

    /// Stops the server that is up, if one is, and keeps its log.
    ///
    /// # Errors
    /// It cannot be stopped, or its log not be kept.
    pub(super) fn stop(&mut self, journal: &mut Journal) -> Result<(), SearchError> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let (number, ready_s, argv) = (server.number, server.ready_s, server.argv.clone());
        let since = server.since;
        let (stopped, port_is_free, log) = server.end().map_err(|e| process(&e))?;
        let facts = json!({
            "command": render::shlex::join(&argv),
            "ready_s": ready_s,
            "up_s": since.elapsed().as_secs_f64(),
            "stopped": stopped,
            "port_is_free": port_is_free,
        });
        keep_log(journal, number, &log)?;
        put(journal, &format!("server/launch-{number:04}/launch.json"), &facts)?;
        if !stopped.group_is_gone {
            return Err(outside("processes of the server cannot be ended"));
        }
        Ok(())
    }

    /// Starts a server on a free port once the machine is quiet; what became of it, where it does not come up.
    ///
    /// # Errors
    /// The machine is too busy, the command cannot be made, or the program is not there.
    pub(super) fn launch(
        &mut self,
        wanted: Wanted<'_>,
        journal: &mut Journal,
    ) -> Result<Option<Trialled>, SearchError> {
        self.look(false, journal)?;
        let port = super::probe::free_port().map_err(|e| outside(format!("there is no free port: {e}")))?;
        let argv = (wanted.argv)(port).map_err(outside)?;
        let mut words = argv.clone();
        if let Some(first) = words.first_mut().filter(|w| *w == "perfwright") {
            first.clone_from(&self.machine.this_program);
        }
        let env = self.machine.env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut launch = Launch::new(words).inherit(env, &INHERITED);
        for (key, value) in wanted.env {
            launch = launch.var(key, value);
        }
        launch.max_output = MAX_LOG;
        launch.mark = Some(self.mark.clone());
        let number = self.number();
        let log = self.machine.scratch.join(format!("launch-{number:04}.log"));
        let order = Order { owner: wanted.owner, number, argv, port, launch, log };
        match start(order, self.machine.catalog, self.machine.ready_limit, self.machine.stop) {
            Ok(Started::Up(server)) => {
                self.server = Some(server);
                Ok(None)
            }
            Ok(Started::Interrupted) => Err(SearchError::Interrupted),
            Ok(Started::Down { status, reason, log }) => {
                let name = keep_log(journal, number, &log)?;
                let mut ended = Trialled::ended(status, reason);
                ended.launch = Some(number);
                ended.artifacts.insert("log".to_owned(), name.into());
                Ok(Some(ended))
            }
            Err(e) => Err(process(&e)),
        }
    }

    /// Looks whether the machine is quiet, and keeps what was seen beside the launch that follows, or beside the visit to
    /// a server that runs already.
    ///
    /// # Errors
    /// It is too busy to measure anything on.
    pub(super) fn look(&mut self, theirs: bool, journal: &mut Journal) -> Result<(), SearchError> {
        let first = self.seen.is_none();
        let seen = self.machine.quiet.look(first, theirs, self.machine.stop)?;
        put(journal, &format!("server/launch-{:04}/machine.json", self.next_launch), &seen)?;
        self.seen = Some(seen);
        Ok(())
    }

    /// One measurement, and whether it should be made again because the generator spoilt it.
    ///
    /// # Errors
    /// Something outside keeps it from being made, or somebody stopped it.
    pub(super) fn measure(
        &mut self,
        offer: &Offer<'_>,
        number: u64,
        journal: &mut Journal,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Trialled, bool), SearchError> {
        let mut conditions = offer.conditions.clone();
        if let Some(server) = &self.server {
            conditions.url = format!("http://127.0.0.1:{}", server.port);
        }
        let token = self.machine.token.as_deref();
        let drawn = draw(&conditions, offer.salt).map_err(outside)?;
        let access = match preflight(&conditions, token) {
            Ok(access) => access,
            Err(e) => return self.unreachable(number, &e).map(|t| (t, false)),
        };
        let server = &mut self.server;
        let mut show = |p: Progress| {
            // Reading the log meanwhile keeps the queue of its pieces short.
            if let Some(server) = server {
                server.listen();
            }
            progress(p);
        };
        let mut control = Control { stop: self.machine.stop, progress: &mut show };
        let taken = drive(&conditions, &access, drawn, &mut control).map_err(outside)?;
        if taken.interrupted {
            return Err(SearchError::Interrupted);
        }
        let fault = match self.server.as_mut() {
            Some(server) => {
                server.listen();
                server.fault().map_err(|e| process(&e))?
            }
            None => None,
        };
        // Asked again, because what matters is the state that was measured.
        let after = preflight(&conditions, token).unwrap_or_else(|_| access.clone());
        let dir = format!("{TRIAL_DIR}{:05}-{number:04}-{}", journal.lines().len(), offer.attempt);
        put(journal, &format!("{dir}/{CONDITIONS}"), &conditions)?;
        put(journal, &format!("{dir}/{CLIENT}"), &taken.client)?;
        put(journal, &format!("{dir}/{SERVER}"), &access.facts())?;
        if let (Ok(before), Ok(after)) = (&taken.metrics_before, &taken.metrics_after) {
            for (file, text) in [(BEFORE, before), (AFTER, after)] {
                journal.derived(&format!("{dir}/{file}"), counted(text).as_bytes(), "text/plain")?;
            }
        }
        let records = write_records(&taken.records).map_err(outside)?;
        journal.derived(&format!("{dir}/{RECORDS}"), &records, "application/jsonl")?;
        let (proven, stops) = self.path(offer.owner, number, &after, &dir, journal)?;
        let run = recompute(&dir, |name| journal.bytes(name).map_err(|e| e.to_string())).map_err(outside)?;
        let mut trialled = row(&run, &conditions);
        trialled.launch = Some(number);
        trialled.model = Some(access.model.clone());
        trialled.artifacts =
            Map::from_iter([("trial".to_owned(), dir.into()), ("path_proven".to_owned(), proven.into())]);
        if let Some(server) = &self.server {
            trialled.version = server.digest.report(&server.reader).version;
            trialled.artifacts.insert("log".to_owned(), log_name(server.number).into());
        }
        if let Some(seen) = self.seen.as_ref().filter(|s| !s.idle.idle) {
            trialled.busy.clone_from(&seen.idle.reasons);
        }
        let mut again = run.validity.verdict == "invalid_client";
        if let Some((status, reason)) = fault {
            (trialled.status, trialled.reason, again) = (status, Some(reason), false);
        } else if !stops.is_empty() {
            (trialled.status, again) = (Status::Failed, false);
            trialled.reason = Some(format!("path: {}", stops.join("; ")));
        }
        Ok((trialled, again))
    }

    /// Keeps what is known of the path by now, and compares it with all that was seen of the candidate before.
    fn path(
        &self,
        owner: &(String, String),
        number: u64,
        after: &Access,
        dir: &str,
        journal: &mut Journal,
    ) -> Result<(bool, Vec<String>), SearchError> {
        let name = format!("launch {number}, trial {}", journal.lines().len());
        let info = after.info.server_info.as_ref();
        let catalog = self.machine.catalog;
        let own = match &self.server {
            Some(server) => side(catalog, &name, &server.argv, (&server.digest, &server.reader), info),
            None => side(catalog, &name, &[], (&Digest::new(), &Reader::new(catalog)), info),
        };
        let own = TrialPath { framework: owner.0.clone(), candidate: owner.1.clone(), side: own };
        put(journal, &format!("{dir}/{PATH}"), &own)?;
        let ours = |n: &&str| n.starts_with(TRIAL_DIR) && n.ends_with(&format!("/{PATH}"));
        let names: Vec<String> = journal.names().filter(ours).map(str::to_owned).collect();
        let mut sides: Vec<Side> = Vec::new();
        for name in names {
            let one: TrialPath = serde_json::from_slice(&journal.bytes(&name)?).map_err(outside)?;
            if one.framework == own.framework && one.candidate == own.candidate {
                sides.push(one.side);
            }
        }
        let (report, stops) = judge(sides);
        Ok((report.proven, stops))
    }

    /// The row of a server that was ready and cannot be reached any more.
    fn unreachable(&mut self, number: u64, e: &LoadError) -> Result<Trialled, SearchError> {
        let mut fault = None;
        if let Some(server) = self.server.as_mut() {
            server.listen();
            fault = server.fault().map_err(|e| process(&e))?;
        }
        let (status, reason) = fault.unwrap_or_else(|| (Status::Failed, e.to_string()));
        let mut ended = Trialled::ended(status, reason);
        ended.launch = Some(number);
        if self.server.is_some() {
            ended.artifacts.insert("log".to_owned(), log_name(number).into());
        }
        Ok(ended)
    }
}

/// The row of a measurement.
fn row(run: &BenchRun, conditions: &Conditions) -> Trialled {
    let (status, reason) = match run.validity.verdict.as_str() {
        "valid" => (Status::Ok, None),
        "no_success" => {
            let first = run.failures.first();
            let slow = first.is_some_and(|f| f.class.contains("timeout"));
            let why = first.map_or_else(String::new, |f| format!(": {} {}: {}", f.count, f.class, f.example));
            (if slow { Status::Timeout } else { Status::Failed }, Some(format!("no request succeeded{why}")))
        }
        "invalid_client" => {
            let why = run.validity.reasons.join("; ");
            (Status::Failed, Some(format!("the load generator was itself the bottleneck: {why}")))
        }
        other => (Status::Failed, Some(other.to_owned())),
    };
    let mut out = Trialled::ended(status, String::new());
    out.reason = reason;
    out.metrics = metrics(run);
    out.requests = Some(Requests { sent: run.success.of, succeeded: run.success.count });
    out.notes.clone_from(&run.warnings);
    if let Some(told) = &run.speculation {
        out.spec_decode = SpecDecode {
            enabled: Some(true),
            mean_accept_length: Some(told.accept_length),
            ..SpecDecode::default()
        };
    }
    let cache = &run.prefix_cache;
    if cache.usage_share.is_some() || cache.counter_share.is_some() {
        out.cache = serde_json::to_value(cache).ok();
    }
    if conditions.workload.file().is_none() {
        out.notes
            .push("lengths are nominal: prompts are made of words, and the server counts tokens".to_owned());
    }
    out
}

fn log_name(number: u64) -> String {
    format!("server/launch-{number:04}/server.log")
}

/// Keeps a server's log, once.
fn keep_log(journal: &mut Journal, number: u64, file: &Path) -> Result<String, SearchError> {
    let name = log_name(number);
    let bytes = fs::read(file).map_err(|e| at(file, &e))?;
    // Secrets are looked for in text.
    let text = String::from_utf8_lossy(&bytes);
    journal.derived(&name, text.as_bytes(), "text/plain")?;
    Ok(name)
}

pub(super) fn put(journal: &mut Journal, name: &str, value: &impl Serialize) -> Result<(), SearchError> {
    let value: Value = serde_json::to_value(value).map_err(outside)?;
    Ok(journal.derived(name, format!("{value}\n").as_bytes(), "application/json")?)
}

fn remove(dir: &Path) -> Result<(), SearchError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(at(dir, &e)),
        _ => Ok(()),
    }
}

pub(super) fn outside<'e>(e: impl Into<Box<dyn std::error::Error + 'e>>) -> SearchError {
    SearchError::Executor(e.into().to_string())
}

pub(super) fn process(e: &ProcessError) -> SearchError {
    outside(e)
}

fn at(path: &Path, e: &std::io::Error) -> SearchError {
    outside(format!("{}: {e}", path.display()))
}
