//! `perfwright bench search` for real: servers are started and measured.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_bench::decide::Comparison;
use perfwright_bench::decide::render::document;
use perfwright_bench::decide::report::VerdictWord;
use perfwright_bench::gate::same;
use perfwright_bench::live::{Executor, Machine, OfferError, Quiet, Setup, hashes, workloads};
use perfwright_bench::load::Progress;
use perfwright_bench::plan::Plan;
use perfwright_bench::search::deliver::{CANDIDATES, deliver, ranked};
use perfwright_bench::search::journal::JournalError;
use perfwright_bench::search::prune::prove;
use perfwright_bench::search::{self, Conditions, Journal, SearchError, Trial, Trialled};
use perfwright_evidence::{
    Basis, CONTRACT, GateRecord, LEDGER, MANIFEST, Manifest, Outcome as GateOutcome, RunError, RunSpec,
    VerdictOutcome, VerifyOptions, sha256_hex, verify,
};
use perfwright_logs::Catalog;
use perfwright_model::arch::Architecture;
use perfwright_model::hardware::Gpu;
use serde_json::{Value, json};

use super::bench_run::{making, progress_line, watch_for_interrupt};
use crate::cli::bench_decide::{BenchSearchArgs, QuietArgs};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::environment::PATH;
use crate::exit::Exit;
use crate::output;
use crate::record::{diagnostic, registry, run_dir, spec};
use crate::settings::Format;

/// The gate that a path which is not the one asked for trips.
const PATHS: &str = "bench.paths";

/// Runs the search to its end, goes on with an interrupted one, or prints the answer of a finished one.
pub(super) fn run(
    args: &BenchSearchArgs,
    text: &str,
    plan: &Plan,
    known: Option<&(Architecture, Gpu)>,
    context: &mut Context,
) -> Outcome {
    let base = args.plan.parent().unwrap_or(Path::new(""));
    let workloads = workloads(plan, base).map_err(|e| offering(&args.plan, e))?;
    let slug = args.plan.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let asked = args.run_dir.as_deref().or(plan.search.output_dir.as_deref().map(Path::new));
    let dir = run_dir(asked, "bench-search", &slug, context);
    if !plan.search.resume && dir.join(LEDGER).exists() {
        return Err(Diagnostic::new(
            codes::BENCH_NO_RESUME,
            "the plan continues no run, and the folder holds one",
        )
        .file(&dir)
        .cause("search.resume is false")
        .help("name a new folder with --run-dir, or set search.resume to true"));
    }
    let plan_sha256 = sha256_hex(text.as_bytes());
    let workload_sha256 = hashes(plan, &workloads);
    let contract = json!({
        "question": "bench search",
        "plan_sha256": plan_sha256,
        "workload_sha256": workload_sha256,
        "ready_timeout_s": args.ready_timeout,
    });
    let spec = spec(&dir, "bench search", contract.clone(), context)?;
    let mut journal = match Journal::open(&dir, &spec, Basis::Measured) {
        Ok(journal) => journal,
        Err(JournalError::Run(RunError::Closed(_))) => return stored(&dir, &contract, context),
        Err(e) => return Err(broken(&dir, &e)),
    };
    journal.derived("inputs/plan.yaml", text.as_bytes(), "application/yaml").map_err(|e| broken(&dir, &e))?;
    let conditions = Conditions {
        plan_sha256,
        workload_sha256,
        engine_versions: std::collections::BTreeMap::new(),
        hardware: hardware(&spec),
    };
    let catalog = Catalog::builtin().map_err(|e| {
        Diagnostic::new(codes::INTERNAL, "the catalogue of logs cannot be read").cause(e.to_string())
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_interrupt(&stop);
    let machine = machine((&dir, &journal), &catalog, &stop, (&args.quiet, args.ready_timeout), context)?;
    let setup = Setup { plan, workloads, machine };
    let mut executor = Executor::new(setup, &mut journal).map_err(|e| failed(&dir, e))?;
    let live = std::io::stderr().is_terminal() && !context.settings.quiet;
    let mut show = |trial: &Trial, p: Progress| {
        if live {
            output::stderr(&format!("{} {}", progress_line(&p), label(trial)));
        }
    };
    let prune = |trial: &Trial| {
        known.and_then(|(model, gpu)| prove(model, gpu, &plan.sla, &trial.candidate.flags, &trial.scenario))
    };
    let execute = |trial: &Trial, journal: &mut Journal| {
        let result = executor.execute(trial, journal, &mut show)?;
        if live {
            output::stderr("\r\x1b[K");
        }
        context.note(0, &format!("{}: {}", label(trial), outcome(&result)));
        Ok(result)
    };
    let searched = search::run(plan, &conditions, &mut journal, prune, execute);
    // Whatever ended the search, its server is stopped in order and its log kept; the first reason counts.
    let stopped = executor.finish(&mut journal);
    searched.and(stopped).map_err(|e| failed(&dir, e))?;
    let (answer, finished) = deliver(plan, &conditions, journal).map_err(|e| failed(&dir, e))?;
    context.note(0, &format!("recorded in {}", dir.display()));
    told(&answer, &finished.gates, finished.verdict.outcome, context)
}

/// A plan that no load follows from.
pub(super) fn offering(plan: &Path, e: OfferError) -> Diagnostic {
    match e {
        OfferError::Workload(e) => making(&e),
        OfferError::Plan(cause) => {
            Diagnostic::new(codes::BENCH_PLAN_INVALID, "the plan is not valid").file(plan).cause(cause)
        }
    }
}

/// What the servers of a run are started with.
pub(super) fn machine<'a>(
    (dir, journal): (&Path, &Journal),
    catalog: &'a Catalog,
    stop: &'a AtomicBool,
    (quiet, ready_timeout): (&QuietArgs, u64),
    context: &Context,
) -> Result<Machine<'a>, Diagnostic> {
    let program =
        std::env::current_exe().map_err(|e| stopped("cannot find this program").cause(e.to_string()))?;
    let mark = journal.identity().map_err(|e| broken(dir, &e))?;
    Ok(Machine {
        catalog,
        env: context.env.text_pairs(),
        this_program: program.to_string_lossy().into_owned(),
        scratch: std::env::temp_dir().join(format!("perfwright-{mark}")),
        ready_limit: Duration::from_secs(ready_timeout),
        quiet: Quiet {
            wait: Duration::from_secs(quiet.wait),
            allow_busy: quiet.allow_busy,
            path: context.env.get(PATH.name).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
            ..Quiet::default()
        },
        token: None,
        stop,
    })
}

/// The answer of a finished run.
fn stored(dir: &Path, contract: &Value, context: &mut Context) -> Outcome {
    let manifest = finished(dir, contract)?;
    let answer = ranked(&recorded(dir, CANDIDATES)?, perfwright_bench::rows::Basis::Measured)
        .map_err(|e| failed(dir, e))?;
    context.note(0, "the search is finished; nothing was measured");
    told(&answer, &manifest.gates, manifest.verdict.outcome, context)
}

/// The manifest of a finished run, where its record is intact and it answered this contract.
pub(super) fn finished(dir: &Path, contract: &Value) -> Result<Manifest, Diagnostic> {
    let report = verify(dir, &registry()?, &VerifyOptions::default()).map_err(|e| {
        Diagnostic::new(codes::RUN_FOREIGN_FOLDER, "the folder cannot be read").file(dir).cause(e.to_string())
    })?;
    if report.exit_code != 0 {
        return Err(Diagnostic::new(codes::RUN_TAMPERED, "the finished run does not verify")
            .file(dir)
            .help(format!("`perfwright run verify {}` says what differs", dir.display())));
    }
    let stored: Value = serde_json::from_slice(&recorded(dir, CONTRACT)?).unwrap_or_default();
    if !same(&stored, contract) {
        return Err(Diagnostic::new(
            codes::BENCH_SEARCH_OTHER,
            "the finished run in the folder answered another question",
        )
        .file(dir)
        .help("name a new folder with --run-dir"));
    }
    serde_json::from_slice(&recorded(dir, MANIFEST)?)
        .map_err(|e| Diagnostic::new(codes::RUN_TAMPERED, "the manifest cannot be read").cause(e.to_string()))
}

/// A file of a finished run.
pub(super) fn recorded(dir: &Path, name: &str) -> Result<Vec<u8>, Diagnostic> {
    std::fs::read(dir.join(name)).map_err(|e| Diagnostic::reading(dir.join(name), &e))
}

/// Prints the answer; where a server ran on another path, no table.
fn told(
    answer: &Comparison,
    gates: &[GateRecord],
    verdict: VerdictOutcome,
    context: &mut Context,
) -> Outcome {
    if verdict == VerdictOutcome::HardStop {
        let path = gates.iter().find(|g| g.id == PATHS && g.outcome == GateOutcome::HardStop);
        let other = gates.iter().find(|g| g.outcome == GateOutcome::HardStop);
        let (code, message) = match path {
            Some(_) => (codes::BENCH_PATH_DIFFERS, "a server ran on another path than its flags ask for"),
            None => (codes::BENCH_UNFAIR, "the rows may not be compared"),
        };
        let reason = path.or(other).map(|g| g.reason.clone()).unwrap_or_default();
        context.tell(&Diagnostic::new(code, message).cause(reason));
        if context.settings.format == Format::Json {
            context.answer(document(answer), answer)?;
        }
        return Ok(Exit::HardStop);
    }
    context.answer(document(answer), answer)?;
    Ok(match answer.verdict.outcome {
        VerdictWord::Winner | VerdictWord::Tie => Exit::Done,
        VerdictWord::Inconclusive | VerdictWord::NoWinner => Exit::No,
        VerdictWord::Refused => Exit::HardStop,
    })
}

fn label(trial: &Trial) -> String {
    let rate = trial.load.request_rate.map_or_else(String::new, |r| format!(", {r:.3} requests/s"));
    let cap = trial.load.max_concurrency.map_or_else(String::new, |c| format!(", at most {c} at once"));
    let round = match trial.rung {
        Some(rung) => format!("screening {}", rung + 1),
        None => format!("repeat {}", trial.repeat + 1),
    };
    format!("{} {} {}{rate}{cap}, {round}", trial.framework, trial.candidate.id, trial.scenario.name)
}

fn outcome(result: &Trialled) -> String {
    match &result.reason {
        Some(reason) => format!("{}: {reason}", result.status.name()),
        None => {
            let rate = result.metrics.get("request_throughput").copied().unwrap_or(0.0);
            format!("{}, {rate:.2} requests/s answered", result.status.name())
        }
    }
}

/// What rows are valid for: another machine measures anew.
pub(super) fn hardware(spec: &RunSpec) -> String {
    let host = &spec.host;
    let gpus: Vec<&str> = host.gpus.devices.iter().map(|g| g.name.as_str()).collect();
    format!("{:?} {:?} {:?} {gpus:?}", host.cpu, host.logical_cpus, host.memory_bytes)
}

fn stopped(message: &str) -> Diagnostic {
    Diagnostic::new(codes::BENCH_SEARCH_STOPPED, message)
}

pub(super) fn broken(dir: &Path, e: &JournalError) -> Diagnostic {
    match e {
        JournalError::Run(e) => diagnostic(dir, e),
        JournalError::Row { .. } => Diagnostic::new(codes::RUN_TAMPERED, "a recorded row cannot be read")
            .file(dir)
            .cause(e.to_string()),
    }
}

pub(super) fn failed(dir: &Path, e: SearchError) -> Diagnostic {
    let again = "the same command goes on where it was";
    match e {
        SearchError::Journal(e) => broken(dir, &e),
        SearchError::Interrupted => {
            Diagnostic::new(codes::BENCH_INTERRUPTED, "stopped before the end").file(dir).help(again)
        }
        SearchError::Busy(reasons) => {
            let start =
                Diagnostic::new(codes::BENCH_BUSY, "the machine is busy with something else").file(dir);
            reasons.into_iter().fold(start, Diagnostic::cause).help(
                "--wait SECONDS waits for quiet; --allow-busy measures all the same, and the rows say so",
            )
        }
        SearchError::Executor(cause) => {
            stopped("the measuring cannot go on").file(dir).cause(cause).help(again)
        }
        SearchError::Stuck(_) => Diagnostic::new(codes::INTERNAL, e.to_string()),
    }
}
