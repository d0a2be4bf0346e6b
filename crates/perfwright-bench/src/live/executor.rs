//! Measuring trials: one launch serves all trials of a candidate that follow each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_logs::Catalog;
use perfwright_logs::path::Side;
use perfwright_process::{Launch, ProcessError, kill_marked};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::figures::{CLIENT, CONDITIONS, PATH, RECORDS, SERVER, metrics, recompute};
use super::gate::TRIAL_DIR;
use super::path::{TrialPath, judge, side};
use super::server::{MAX_LOG, Order, Server, Started, start};
use super::{offer, probe};
use crate::load::{Access, Conditions, Control, LoadError, Progress, drive, plan as draw, preflight};
use crate::measure::{BenchRun, write_records};
use crate::plan::Plan;
use crate::render::{self, command::Listen};
use crate::rows::{Requests, Status};
use crate::search::{Journal, SearchError, Trial, Trialled};
use crate::workload::Spec;

/// Measurements of one trial of which the last may be one that the generator spoilt.
const ATTEMPTS: usize = 3;
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

/// What a search needs to run for real.
pub struct Setup<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The workload of each scenario.
    pub workloads: BTreeMap<String, Spec>,
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
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

/// Starts, measures and stops servers.
pub struct Executor<'a> {
    setup: Setup<'a>,
    server: Option<Box<Server<'a>>>,
    next_launch: u64,
    mark: String,
}

impl<'a> Executor<'a> {
    /// Makes ready, after ending the servers that a killed process left of this run, and keeping their logs.
    ///
    /// # Errors
    /// A server cannot be ended, or the folder cannot be made.
    pub fn new(setup: Setup<'a>, mark: String, journal: &mut Journal) -> Result<Self, SearchError> {
        if !kill_marked(&mark, VANISH) {
            return Err(outside("a server of the interrupted search cannot be ended"));
        }
        let mut last = journal.done().values().filter_map(|r| r.trial.launch).max().unwrap_or(0);
        let number = |name: &str| name.strip_prefix("launch-")?.get(..4)?.parse::<u64>().ok();
        for entry in fs::read_dir(&setup.scratch).into_iter().flatten().flatten() {
            if let Some(n) = number(&entry.file_name().to_string_lossy()) {
                last = last.max(n);
                keep_log(journal, n, &entry.path())?;
            }
        }
        let recorded = journal.names().filter_map(|n| number(n.strip_prefix("server/")?)).max();
        last = last.max(recorded.unwrap_or(0));
        remove(&setup.scratch)?;
        fs::create_dir(&setup.scratch).map_err(|e| at(&setup.scratch, &e))?;
        Ok(Self { setup, server: None, next_launch: last + 1, mark })
    }

    /// Measures one trial. What its row will rest on is in the journal when this returns.
    ///
    /// # Errors
    /// Something outside keeps the search from going on, or somebody stopped it. It can be continued.
    pub fn execute(
        &mut self,
        trial: &Trial,
        journal: &mut Journal,
        progress: &mut dyn FnMut(&Trial, Progress),
    ) -> Result<Trialled, SearchError> {
        let owner = (trial.framework.clone(), trial.candidate.id.clone());
        if self.server.as_ref().is_some_and(|s| s.owner != owner) {
            self.stop(journal)?;
        }
        if self.server.is_none()
            && let Some(ended) = self.launch(trial, owner, journal)?
        {
            return Ok(ended);
        }
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let Some(server) = self.server.as_mut() else { break };
            let result = measure(&self.setup, server, trial, attempt, journal, progress)?;
            let again = result.1;
            last = Some(result.0);
            if !again {
                break;
            }
        }
        let trialled = last.ok_or_else(|| outside("no server is up"))?;
        if trialled.status != Status::Ok {
            self.stop(journal)?;
        }
        Ok(trialled)
    }

    /// Stops the server that is up, keeps its log, and removes the folder for logs.
    ///
    /// # Errors
    /// The server cannot be stopped or its log not be kept.
    pub fn finish(mut self, journal: &mut Journal) -> Result<(), SearchError> {
        self.stop(journal)?;
        remove(&self.setup.scratch)
    }

    fn stop(&mut self, journal: &mut Journal) -> Result<(), SearchError> {
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

    /// Starts the server of a candidate; the row of its trial, where it does not come up.
    fn launch(
        &mut self,
        trial: &Trial,
        owner: (String, String),
        journal: &mut Journal,
    ) -> Result<Option<Trialled>, SearchError> {
        let Setup { plan, .. } = self.setup;
        let framework = plan.frameworks.iter().find(|f| f.name == trial.framework);
        let framework = framework.ok_or_else(|| outside("the plan has no such framework"))?;
        let port = probe::free_port().map_err(|e| outside(format!("there is no free port: {e}")))?;
        let listen = Some(Listen { host: "127.0.0.1", port });
        let argv = render::command(framework, &plan.model.name, &trial.candidate.flags, listen, None)
            .map_err(outside)?
            .argv;
        let mut words = argv.clone();
        if let Some(first) = words.first_mut().filter(|w| *w == "perfwright") {
            first.clone_from(&self.setup.this_program);
        }
        let env = self.setup.env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut launch = Launch::new(words).inherit(env, &INHERITED);
        for (key, value) in &framework.env {
            launch = launch.var(key, value);
        }
        launch.max_output = MAX_LOG;
        launch.mark = Some(self.mark.clone());
        let number = self.next_launch;
        self.next_launch += 1;
        let log = self.setup.scratch.join(format!("launch-{number:04}.log"));
        let order = Order { owner, number, argv, port, launch, log };
        match start(order, self.setup.catalog, self.setup.ready_limit, self.setup.stop) {
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
}

/// One measurement, and whether it should be made again because the generator spoilt it.
fn measure(
    setup: &Setup<'_>,
    server: &mut Server<'_>,
    trial: &Trial,
    attempt: usize,
    journal: &mut Journal,
    progress: &mut dyn FnMut(&Trial, Progress),
) -> Result<(Trialled, bool), SearchError> {
    let workload = setup.workloads.get(&trial.scenario.name);
    let workload = workload.ok_or_else(|| outside("the scenario has no workload"))?;
    let url = format!("http://127.0.0.1:{}", server.port);
    let conditions = offer::conditions(setup.plan, trial, workload, &url);
    let drawn = draw(&conditions, offer::salt(setup.plan, trial, attempt)).map_err(outside)?;
    let access = match preflight(&conditions, None) {
        Ok(access) => access,
        Err(e) => return unreachable(server, &e).map(|t| (t, false)),
    };
    let mut show = |p: Progress| {
        // Reading the log meanwhile keeps the queue of its pieces short.
        server.listen();
        progress(trial, p);
    };
    let mut control = Control { stop: setup.stop, progress: &mut show };
    let taken = drive(&conditions, &access, drawn, &mut control).map_err(outside)?;
    if taken.interrupted {
        return Err(SearchError::Interrupted);
    }
    server.listen();
    let fault = server.fault().map_err(|e| process(&e))?;
    // Asked again, because what matters is the state that was measured.
    let after = preflight(&conditions, None).unwrap_or_else(|_| access.clone());
    let dir = format!("{TRIAL_DIR}{:05}-{:04}-{attempt}", journal.lines().len(), server.number);
    put(journal, &format!("{dir}/{CONDITIONS}"), &conditions)?;
    put(journal, &format!("{dir}/{CLIENT}"), &taken.client)?;
    put(journal, &format!("{dir}/{SERVER}"), &access.facts())?;
    let records = write_records(&taken.records).map_err(outside)?;
    journal.derived(&format!("{dir}/{RECORDS}"), &records, "application/jsonl")?;
    let (proven, stops) = path(setup, server, trial, &after, &dir, journal)?;
    let run = recompute(&dir, |name| journal.bytes(name).map_err(|e| e.to_string())).map_err(outside)?;
    let mut trialled = row(&run, &conditions);
    trialled.launch = Some(server.number);
    trialled.version = server.digest.report(&server.reader).version;
    trialled.artifacts = Map::from_iter([
        ("trial".to_owned(), dir.into()),
        ("log".to_owned(), log_name(server.number).into()),
        ("path_proven".to_owned(), proven.into()),
    ]);
    let mut again = run.validity.verdict == "invalid_client" && attempt + 1 < ATTEMPTS;
    if let Some((status, reason)) = fault {
        (trialled.status, trialled.reason, again) = (status, Some(reason), false);
    } else if !stops.is_empty() {
        (trialled.status, again) = (Status::Failed, false);
        trialled.reason = Some(format!("path: {}", stops.join("; ")));
    }
    Ok((trialled, again))
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
    if conditions.workload.file().is_none() {
        out.notes
            .push("lengths are nominal: prompts are made of words, and the server counts tokens".to_owned());
    }
    out
}

/// Keeps what is known of the path by now, and compares it with all that was seen of the candidate before.
fn path(
    setup: &Setup<'_>,
    server: &Server<'_>,
    trial: &Trial,
    after: &Access,
    dir: &str,
    journal: &mut Journal,
) -> Result<(bool, Vec<String>), SearchError> {
    let name = format!("launch {}, trial {}", server.number, journal.lines().len());
    let info = after.info.server_info.as_ref();
    let log = (&server.digest, &server.reader);
    let own = TrialPath {
        framework: trial.framework.clone(),
        candidate: trial.candidate.id.clone(),
        side: side(setup.catalog, name, &server.argv, log, info),
    };
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
fn unreachable(server: &mut Server<'_>, e: &LoadError) -> Result<Trialled, SearchError> {
    server.listen();
    let (status, reason) =
        server.fault().map_err(|e| process(&e))?.unwrap_or_else(|| (Status::Failed, e.to_string()));
    let mut ended = Trialled::ended(status, reason);
    ended.launch = Some(server.number);
    ended.artifacts.insert("log".to_owned(), log_name(server.number).into());
    Ok(ended)
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

fn put(journal: &mut Journal, name: &str, value: &impl Serialize) -> Result<(), SearchError> {
    let value: Value = serde_json::to_value(value).map_err(outside)?;
    Ok(journal.derived(name, format!("{value}\n").as_bytes(), "application/json")?)
}

fn remove(dir: &Path) -> Result<(), SearchError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(at(dir, &e)),
        _ => Ok(()),
    }
}

fn outside<'e>(e: impl Into<Box<dyn std::error::Error + 'e>>) -> SearchError {
    SearchError::Executor(e.into().to_string())
}

fn process(e: &ProcessError) -> SearchError {
    outside(e)
}

fn at(path: &Path, e: &std::io::Error) -> SearchError {
    outside(format!("{}: {e}", path.display()))
}
