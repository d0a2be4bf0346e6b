//! `bench ab` for real: two candidates, launched in turn, measured with the same requests, until the figures decide.
//!
//! ```text
//! AbPlan ─> contract ─> Journal::open ─> measure (launch, offer, stop, row; block after block) ─> deliver (answer, gates)
//! ```
//!
//! [`run`] does the last two. A caller needs no command line: two [`Contender`]s, the load, [`Terms`], a [`Machine`] and
//! a function that is told how far it is.
//!
//! ```no_run
//! use perfwright_bench::decide::paired::{Answer, Terms};
//! use perfwright_bench::live::{Machine, ab};
//! use perfwright_bench::load::Conditions;
//! use perfwright_bench::search::{Journal, SearchError};
//! use perfwright_bench::sla::Sla;
//! use perfwright_evidence::{Basis, RunSpec};
//! use std::path::Path;
//!
//! fn faster(load: Conditions, machine: Machine<'_>, dir: &Path) -> Result<Answer, SearchError> {
//!     let server = "perfwright lab serve --model tiny --port {port}";
//!     let side = |ops: &str| ab::Contender::command("lab", ops, &format!("{server} --ops {ops}"));
//!     let plan = ab::AbPlan {
//!         a: side("naive").map_err(SearchError::Executor)?,
//!         b: side("fused").map_err(SearchError::Executor)?,
//!         load,
//!         bounds: Sla::default(),
//!         terms: Terms {
//!             metric: "output_token_throughput".to_owned(),
//!             threshold: 0.01,
//!             blocks: 16,
//!             control_blocks: 4,
//!             budget_s: Some(60.0),
//!             launch_spread: None,
//!         },
//!         valid_for: String::new(),
//!     };
//!     let spec = RunSpec::new(ab::PROCEDURE, "0.1.0", plan.contract());
//!     let mut journal = Journal::open(dir, &spec, Basis::Measured)?;
//!     let (answer, _finished) = ab::run(&plan, machine, journal, &mut |_| {})?;
//!     Ok(answer)
//! }
//! ```

use std::time::Instant;

use perfwright_evidence::{Finished, Rule, sha256_hex};
use perfwright_report::{Document, markdown};
use serde::Serialize;
use serde_json::{Value, json};

use super::executor::ATTEMPTS;
use super::rig::{Machine, Offer, Rig, Wanted, outside};
use crate::arrival::Arrival;
use crate::decide::ab::document;
use crate::decide::paired::{AB, Answer, Slot, Step, Terms, judge, next, side_rows};
use crate::gate::{AB_ANSWER, GATES};
use crate::load::{Conditions, Progress, Salt};
use crate::plan::{FrameworkPlan, Plan};
use crate::render::{self, command::Listen};
use crate::rows::anchor::export;
use crate::rows::{Framework, Row, Status};
use crate::search::deliver::{CANDIDATES, TRIALS};
use crate::search::journal::JournalError;
use crate::search::run::filled;
use crate::search::space;
use crate::search::{Journal, SearchError, Trialled};
use crate::sla::Sla;
use crate::workload::Spec;

/// The procedure of a run.
pub const PROCEDURE: &str = "bench ab";
/// The answer for people.
const READABLE: &str = "benchmark/ab.md";

/// One side: a server, and what its rows are called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contender {
    /// The framework in rows.
    pub framework: String,
    /// The candidate in rows.
    pub candidate: String,
    /// The server.
    pub server: ServerOf,
}

/// Where a side's server comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerOf {
    /// It runs already. Launches of it are not known, so that a control cannot restart it.
    Url(String),
    /// It is launched for every measurement.
    Command {
        /// How its command is made.
        framework: Box<FrameworkPlan>,
        /// The model that the command is given; empty where the command names it.
        model: String,
        /// Flags in order.
        flags: Vec<(String, Value)>,
    },
}

impl Contender {
    /// A server that runs already.
    #[must_use]
    pub fn url(framework: &str, candidate: &str, url: &str) -> Self {
        Self {
            framework: framework.to_owned(),
            candidate: candidate.to_owned(),
            server: ServerOf::Url(url.to_owned()),
        }
    }

    /// A server by its command. `framework` decides how host and port are given: SGLang, vLLM, TensorRT-LLM and
    /// TokenSpeed get flags; the command of any other holds `{port}` and may hold `{host}`. `perfwright` as the first
    /// word is [`Machine::this_program`].
    ///
    /// # Errors
    /// The command says nothing of its port.
    pub fn command(framework: &str, candidate: &str, command: &str) -> Result<Self, String> {
        let kind = Framework::parse(framework).unwrap_or(Framework::Generic);
        if kind == Framework::Generic && !command.contains("{port}") {
            return Err(format!("the command of {candidate} does not say where {{port}} goes"));
        }
        let plan = FrameworkPlan {
            name: framework.to_owned(),
            kind,
            enabled: true,
            server_command: command.to_owned(),
            base: Vec::new(),
            space: Vec::new(),
            env: std::collections::BTreeMap::new(),
        };
        let (model, flags) = (String::new(), Vec::new());
        render::command(&plan, &model, &flags, None, None)?;
        let server = ServerOf::Command { framework: Box::new(plan), model, flags };
        Ok(Self { framework: framework.to_owned(), candidate: candidate.to_owned(), server })
    }

    /// A candidate of a search plan.
    ///
    /// # Errors
    /// The plan has no such framework, or the search no such candidate.
    pub fn planned(plan: &Plan, framework: &str, candidate: &str) -> Result<Self, String> {
        let named = plan.frameworks.iter().find(|f| f.name == framework);
        let named = named.ok_or_else(|| format!("the plan has no framework {framework}"))?;
        let all = space::candidates(named, &plan.search);
        let ids = || all.iter().map(|c| c.id.as_str()).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|c| c.id == candidate);
        let found = found.ok_or_else(|| format!("{framework} has no candidate {candidate}: {}", ids()))?;
        let server = ServerOf::Command {
            framework: Box::new(named.clone()),
            model: plan.model.name.clone(),
            flags: found.flags.clone(),
        };
        Ok(Self { framework: framework.to_owned(), candidate: candidate.to_owned(), server })
    }

    fn argv(&self, port: u16) -> Result<Vec<String>, String> {
        match &self.server {
            ServerOf::Url(_) => Err("the server is not launched here".to_owned()),
            ServerOf::Command { framework, model, flags } => {
                let listen = Some(Listen { host: "127.0.0.1", port });
                Ok(render::command(framework, model, flags, listen, None)?.argv)
            }
        }
    }
}

/// Everything that is fixed before the first launch.
#[derive(Debug, Clone, PartialEq)]
pub struct AbPlan {
    /// What is held against.
    pub a: Contender,
    /// What may be better.
    pub b: Contender,
    /// The load; its address is filled in for each launch, and its bounds count goodput.
    pub load: Conditions,
    /// Bounds that rows are held against.
    pub bounds: Sla,
    /// What is asked, and how long may be measured.
    pub terms: Terms,
    /// What the figures are valid for: the machine, as the caller describes it. Another one does not continue the run.
    pub valid_for: String,
}

impl AbPlan {
    /// The contract.
    #[must_use]
    pub fn contract(&self) -> Value {
        json!({
            "question": PROCEDURE,
            "a": self.a,
            "b": self.b,
            "load": self.load,
            "bounds": self.bounds.bounds,
            "terms": self.terms,
            "valid_for": self.valid_for,
        })
    }

    fn side(&self, slot: Slot) -> &Contender {
        if slot.control || slot.is_a() { &self.a } else { &self.b }
    }

    /// What prompts are drawn with: the same for both launches of a block. A server that runs on would find them in a
    /// cache, so there each measurement has prompts of its own; lengths and times are the same all the same.
    fn salt(&self, slot: Slot, attempt: usize) -> u64 {
        let launched = |c: &Contender| matches!(c.server, ServerOf::Command { .. });
        let own = (attempt > 0 || !launched(&self.a) || !launched(&self.b)).then_some((slot.second, attempt));
        if self.load.salt == Salt::None && own.is_none() {
            return 0;
        }
        let of = json!([self.load.seed, slot.control, slot.block, own]);
        let hash = sha256_hex(of.to_string().as_bytes());
        u64::from_str_radix(&hash[..16], 16).unwrap_or(1).max(1)
    }
}

/// How far it is.
#[derive(Debug)]
pub enum Event<'e> {
    /// About twice a second while requests are under way.
    Measuring(Slot, &'e Contender, Progress),
    /// A launch is measured, or failed.
    Measured(Slot, &'e Contender, &'e Row),
}

/// Measures until the figures decide, the blocks are done or the time is over, records the answer and closes the run.
/// A run that was interrupted goes on where it was; finished launches are not measured again.
///
/// # Errors
/// The machine is busy, a program cannot be started at all, the run cannot be written, or somebody stopped it. The same
/// call continues it.
pub fn run(
    plan: &AbPlan,
    machine: Machine<'_>,
    mut journal: Journal,
    told: &mut dyn FnMut(Event<'_>),
) -> Result<(Answer, Finished), SearchError> {
    let mut rig = Rig::new(machine, &mut journal)?;
    let measured = measure(plan, &mut rig, &mut journal, told);
    // Whatever ended it, the server is stopped in order and its log kept; the first reason counts.
    let stopped = rig.finish(&mut journal);
    measured.and(stopped)?;
    deliver(plan, journal)
}

fn measure(
    plan: &AbPlan,
    rig: &mut Rig<'_>,
    journal: &mut Journal,
    told: &mut dyn FnMut(Event<'_>),
) -> Result<(), SearchError> {
    while let Step::Measure(slot) = next(&plan.terms, journal.done()) {
        let start = Instant::now();
        let side = plan.side(slot);
        let (trialled, launch) = one(plan, slot, rig, journal, told)?;
        rig.stop(journal)?;
        let mut row = filled(empty_row(plan, slot), trialled);
        row.trial.block = Some(slot.block);
        row.trial.order = Some(slot.order);
        row.trial.launch = Some(launch);
        row.carried.insert(AB.to_owned(), slot.carried(start.elapsed().as_secs_f64()));
        if let Some(proven) = row.carried.get("artifacts").and_then(|a| a.get("path_proven")).cloned() {
            let valid = if row.status == Status::Ok { "valid" } else { "failed" };
            row.carried.insert("validity".to_owned(), json!({ "verdict": valid, "path_proven": proven }));
        }
        journal.append(&slot.key(), &export(&row))?;
        if !journal.done().contains_key(&slot.key()) {
            return Err(SearchError::Stuck(slot.key()));
        }
        told(Event::Measured(slot, side, &row));
    }
    Ok(())
}

/// One launch with its measurement, and the number that the launch has in rows.
fn one(
    plan: &AbPlan,
    slot: Slot,
    rig: &mut Rig<'_>,
    journal: &mut Journal,
    told: &mut dyn FnMut(Event<'_>),
) -> Result<(Trialled, u64), SearchError> {
    let side = plan.side(slot);
    let owner = (side.framework.clone(), side.candidate.clone());
    let mut conditions = plan.load.clone();
    let (number, launch) = match &side.server {
        ServerOf::Url(url) => {
            conditions.url.clone_from(url);
            rig.look(true, journal)?;
            // All measurements of a server that runs on come from one launch, whichever it was.
            (rig.number(), u64::from(!slot.is_a()))
        }
        ServerOf::Command { framework, .. } => {
            let wanted = Wanted { owner: owner.clone(), argv: &|port| side.argv(port), env: &framework.env };
            if let Some(down) = rig.launch(wanted, journal)? {
                let launch = down.launch.unwrap_or_default();
                return Ok((down, launch));
            }
            let number = rig.server.as_ref().map(|s| s.number).ok_or_else(|| outside("no server is up"))?;
            (number, number)
        }
    };
    let mut attempt = 0;
    loop {
        let salt = plan.salt(slot, attempt);
        let offer = Offer { owner: &owner, conditions: conditions.clone(), salt, attempt };
        let mut show = |p: Progress| told(Event::Measuring(slot, side, p));
        let (trialled, again) = rig.measure(&offer, number, journal, &mut show)?;
        attempt += 1;
        if !again || attempt == ATTEMPTS {
            return Ok((trialled, launch));
        }
    }
}

/// The row of a launch before it is measured.
fn empty_row(plan: &AbPlan, slot: Slot) -> Row {
    let side = plan.side(slot);
    let load = &plan.load;
    let mut row = Row::new(&side.framework, &side.candidate, Status::Failed);
    row.model = Some(load.model.clone()).filter(|m| !m.is_empty());
    let w = &mut row.workload;
    w.kind = Some(load.workload.name().to_owned());
    let of = json!([load.workload, load.arrival, load.seed, load.sessions]);
    w.sha256 = Some(sha256_hex(of.to_string().as_bytes()));
    if let Spec::Random { input_len, output_len, .. } | Spec::Exact { input_len, output_len, .. } =
        load.workload
    {
        w.input_len = Some(f64::from(input_len));
        w.output_len = Some(f64::from(output_len));
    }
    w.num_prompts = Some(load.sessions);
    w.request_rate = match load.arrival {
        Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Gamma { rate, .. } => Some(rate),
        _ => None,
    };
    w.max_concurrency = match load.arrival {
        Arrival::Closed { concurrency } => Some(u64::from(concurrency)),
        _ => load.max_concurrency.map(u64::from),
    };
    w.endpoint = Some(load.endpoint.clone());
    row.sla = plan.bounds.clone();
    // Ports differ from launch to launch, the command does not.
    row.server_command = match &side.server {
        ServerOf::Url(_) => None,
        ServerOf::Command { framework, model, flags } => {
            render::command(framework, model, flags, None, None).ok().map(|c| c.line())
        }
    };
    row
}

/// Writes the answer into the run and closes it.
///
/// # Errors
/// The run cannot be written.
fn deliver(plan: &AbPlan, mut journal: Journal) -> Result<(Answer, Finished), SearchError> {
    let trials: String = journal.lines().iter().map(|l| format!("{l}\n")).collect();
    journal.derived(TRIALS, trials.as_bytes(), "application/x-ndjson")?;
    let sides = side_rows(journal.done(), false);
    let lines: String = sides.iter().flatten().map(|r| format!("{}\n", export(r))).collect();
    journal.derived(CANDIDATES, lines.as_bytes(), "application/x-ndjson")?;
    // The rows were read back from the disk, as the gate reads them.
    let answer = judge(&plan.terms, journal.done());
    let json = serde_json::to_vec_pretty(&answer.json())
        .map_err(|e| JournalError::Row { name: AB_ANSWER.to_owned(), cause: e.to_string() })?;
    journal.derived(AB_ANSWER, &json, "application/json")?;
    let readable = match &answer {
        Answer::Compared(report) => document(report),
        Answer::Refused(faults) => {
            let mut out = Document::new("A/B comparison");
            out.warnings.clone_from(faults);
            out
        }
    };
    let text = markdown::document(&readable, markdown::Options::default());
    journal.derived(READABLE, text.as_bytes(), "text/markdown")?;
    let finished = journal.finish(GATES, Rule::AnsweredV1)?;
    Ok((answer, finished))
}
