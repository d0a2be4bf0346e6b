//! `perfwright bench ab` with servers that are launched and measured.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use perfwright_bench::arrival::Arrival;
use perfwright_bench::decide::ab::AbReport;
use perfwright_bench::decide::paired::{Answer, Terms};
use perfwright_bench::gate::judged_again;
use perfwright_bench::live::ab::{AbPlan, Contender, Event, PROCEDURE, run as measure};
use perfwright_bench::live::{conditions, workloads};
use perfwright_bench::load::{Conditions, Limits, Millis, Salt};
use perfwright_bench::measure::PathDemand;
use perfwright_bench::plan::node::MAX_BYTES as MAX_PLAN;
use perfwright_bench::plan::{Plan, read_plan};
use perfwright_bench::rows::Row;
use perfwright_bench::search::journal::JournalError;
use perfwright_bench::search::{Journal, Load};
use perfwright_bench::sla::Sla;
use perfwright_bench::workload::Spec;
use perfwright_evidence::{Basis, EvidenceSet, RunError};
use perfwright_logs::Catalog;
use serde_json::{Map, Value};

use super::bench_ab::{refused, told};
use super::bench_rows::threshold;
use super::bench_run::{progress_line, watch_for_interrupt};
use super::bench_search::{invalid, read_text};
use super::bench_search_live::{broken, failed, finished, hardware, machine, offering};
use crate::cli::bench_decide::{AbLiveArgs, BenchAbArgs};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::output;
use crate::record::{run_dir, spec};

/// Requests of a measurement that nobody gave a number.
const DEFAULT_REQUESTS: u64 = 32;
/// Requests under way where neither they nor a rate are given.
const DEFAULT_CONCURRENCY: u32 = 4;
/// Requests before the measured ones.
const WARMUP: u32 = 2;

/// Whether something is to be measured.
pub(super) fn asked(args: &AbLiveArgs) -> bool {
    let sides =
        [&args.a_server, &args.b_server, &args.a_url, &args.b_url, &args.a_candidate, &args.b_candidate];
    sides.iter().any(|s| s.is_some())
}

/// Measures both sides in turn, or goes on where it was, or prints the answer of a finished run.
pub(super) fn run(args: &BenchAbArgs, metric: &str, context: &mut Context) -> Outcome {
    let live = &args.live;
    let mut plan = plan(args, metric)?;
    let dir = run_dir(live.run_dir.as_deref(), "bench-ab", metric, context);
    let mut run_spec = spec(&dir, PROCEDURE, Value::Null, context)?;
    plan.valid_for = hardware(&run_spec);
    run_spec.contract = plan.contract();
    let journal = match Journal::open(&dir, &run_spec, Basis::Measured) {
        Ok(journal) => journal,
        Err(JournalError::Run(RunError::Closed(_))) => {
            let manifest = finished(&dir, &run_spec.contract)?;
            let evidence = EvidenceSet::new(&dir, manifest.evidence, run_spec.limits);
            let answer = judged_again(&evidence).map_err(|e| {
                Diagnostic::new(codes::RUN_TAMPERED, "a recorded row cannot be read").file(&dir).cause(e)
            })?;
            context.note(0, "the comparison is finished; nothing was measured");
            return answered(answer, context);
        }
        Err(e) => return Err(broken(&dir, &e)),
    };
    let catalog = Catalog::builtin().map_err(|e| {
        Diagnostic::new(codes::INTERNAL, "the catalogue of logs cannot be read").cause(e.to_string())
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_interrupt(&stop);
    let machine = machine((&dir, &journal), &catalog, &stop, (&live.quiet, live.ready_timeout), context)?;
    let terminal = std::io::stderr().is_terminal() && !context.settings.quiet;
    let mut show = |event: Event<'_>| match event {
        Event::Measuring(_, side, p) if terminal => {
            output::stderr(&format!("{} {}", progress_line(&p), side.candidate));
        }
        Event::Measuring(..) => {}
        Event::Measured(slot, side, row) => {
            if terminal {
                output::stderr("\r\x1b[K");
            }
            let series = if slot.control { "control block" } else { "block" };
            context.note(
                0,
                &format!("{series} {}: {}: {}", slot.block + 1, side.candidate, outcome(row, metric)),
            );
        }
    };
    let (answer, _) = measure(&plan, machine, journal, &mut show).map_err(|e| failed(&dir, e))?;
    context.note(0, &format!("recorded in {}", dir.display()));
    answered(answer, context)
}

fn answered(answer: Answer, context: &mut Context) -> Outcome {
    match answer {
        Answer::Compared(report) => told(&report as &AbReport, context),
        Answer::Refused(faults) => Err(refused(faults)),
    }
}

fn outcome(row: &Row, metric: &str) -> String {
    match (&row.failure_reason, row.metric(metric)) {
        (Some(reason), _) => format!("{}: {reason}", row.status.name()),
        (None, Some(value)) => format!("{metric} {value:.6}"),
        (None, None) => format!("{} without {metric}", row.status.name()),
    }
}

fn usage(message: impl Into<Box<str>>) -> Diagnostic {
    Diagnostic::new(codes::USAGE, message)
}

/// What the arguments fix.
fn plan(args: &BenchAbArgs, metric: &str) -> Result<AbPlan, Diagnostic> {
    let live = &args.live;
    let searched = match &live.plan {
        Some(path) => {
            let text = read_text(path, MAX_PLAN)?;
            Some((path, read_plan(&text).map_err(|faults| invalid(path, &faults))?))
        }
        None => None,
    };
    let planned = searched.as_ref().map(|(_, plan)| plan);
    let side = |name: &str, server: &Option<String>, url: &Option<String>, candidate: &Option<String>| {
        let label = name.to_ascii_lowercase();
        match (server, url, candidate, planned) {
            (Some(command), _, _, _) => Contender::command(&live.framework, &label, command).map_err(usage),
            (_, Some(url), _, _) => Ok(Contender::url(&live.framework, &label, url)),
            (_, _, Some(text), Some(plan)) => {
                let (framework, id) = text
                    .split_once('/')
                    .ok_or_else(|| usage(format!("{text:?} is not FRAMEWORK/CANDIDATE")))?;
                Contender::planned(plan, framework, id)
                    .map_err(|e| usage(e).help("`perfwright bench search PLAN --dry-run` lists the candidates"))
            }
            _ => Err(usage(format!("side {name} is missing")).help(
                "give --a-server and --b-server (or -url, or -candidate with --plan), or rows with --a and --b",
            )),
        }
    };
    let a = side("A", &live.a_server, &live.a_url, &live.a_candidate)?;
    let b = side("B", &live.b_server, &live.b_url, &live.b_candidate)?;
    if live.budget.is_some_and(|s| !(s > 0.0 && s.is_finite())) {
        return Err(usage("--budget must be above 0"));
    }
    let (load, bounds) = match &searched {
        Some((path, plan)) => planned_load(live, path, plan)?,
        None => (stated_load(live), Sla::default()),
    };
    // A server that runs on cannot be restarted for a control.
    let launched = live.a_url.is_none() && live.b_url.is_none();
    Ok(AbPlan {
        a,
        b,
        load: Conditions { question: PROCEDURE.to_owned(), ..load },
        bounds,
        terms: Terms {
            metric: metric.to_owned(),
            threshold: threshold(args.threshold)?,
            blocks: live.blocks,
            control_blocks: if launched { live.control } else { 0 },
            budget_s: live.budget,
            launch_spread: args.launch_spread.map(threshold).transpose()?,
        },
        valid_for: String::new(),
    })
}

/// The load of a scenario of the plan.
fn planned_load(live: &AbLiveArgs, path: &Path, plan: &Plan) -> Result<(Conditions, Sla), Diagnostic> {
    let base = path.parent().unwrap_or(Path::new(""));
    let all = workloads(plan, base).map_err(|e| offering(path, e))?;
    let scenario = match &live.scenario {
        Some(name) => plan.scenarios.iter().find(|s| s.name == *name),
        None => plan.scenarios.first(),
    };
    let found = scenario.and_then(|s| all.get(&s.name));
    let workload = found.ok_or_else(|| usage("the plan has no such scenario"))?;
    let stated = live.rate.is_some() || live.concurrency.is_some();
    let load = match stated {
        true => Load { request_rate: live.rate, max_concurrency: live.concurrency.map(u64::from) },
        false => Load {
            request_rate: plan.request_rates.first().copied(),
            max_concurrency: plan.max_concurrency.iter().flatten().max().copied(),
        },
    };
    let load = conditions(plan, load, live.requests.unwrap_or(plan.num_prompts), workload);
    Ok((load, plan.sla.clone()))
}

/// The load that the arguments state.
fn stated_load(live: &AbLiveArgs) -> Conditions {
    let arrival = match live.rate {
        Some(rate) => Arrival::Poisson { rate },
        None => Arrival::Closed { concurrency: live.concurrency.unwrap_or(DEFAULT_CONCURRENCY) },
    };
    Conditions {
        question: String::new(),
        url: String::new(),
        endpoint: live.endpoint.name().to_owned(),
        model: live.model.clone(),
        workload: Spec::Random { input_len: live.input_len, output_len: live.output_len, range_ratio: 1.0 },
        max_concurrency: live.concurrency.filter(|_| arrival.is_open()),
        arrival,
        sessions: live.requests.unwrap_or(DEFAULT_REQUESTS),
        seed: live.seed,
        salt: Salt::Unique,
        warmup: WARMUP,
        cut_warmup: false,
        ignore_eos: true,
        extra_body: Map::new(),
        timeouts: Millis::default(),
        limits: Limits::for_sla(&[]),
        sla: Vec::new(),
        client_threads: 1,
        path: PathDemand::default(),
    }
}
