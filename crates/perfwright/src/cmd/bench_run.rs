//! `perfwright bench run`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perfwright_bench::arrival::Arrival;
use perfwright_bench::load::{
    Access, BenchPlan, Conditions, Control, Limits, LoadError, Millis, Plan, PlanError, Progress, Salt,
    Taken, drive, plan, preflight,
};
use perfwright_bench::measure::{
    BenchRun, Evidence, GATES, Sla, csv, document, figures, is_stated, names, plan_requests, write_records,
};
use perfwright_bench::workload::{InputFile, Spec, WorkloadError};
use perfwright_evidence::{CONTRACT, Gate, Rule, sha256_hex};
use perfwright_logs::path::PATH_EVIDENCE;
use perfwright_report::markdown;
use serde::Serialize;
use serde_json::{Map, Value};

use super::bench_path;
use crate::cli::bench_run::{ArrivalArg, RunArgs, WorkloadArg};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::output;
use crate::record::{Recording, run_dir};

/// Requests of a run that nobody gave a number.
const DEFAULT_REQUESTS: u64 = 80;

/// Plans, measures, records, prints.
pub(super) fn run(args: &RunArgs, context: &mut Context) -> Outcome {
    let conditions = conditions(args)?;
    let salt = if conditions.salt == Salt::Unique { fresh_salt(context) } else { 0 };
    let plan = plan(&conditions, salt).map_err(|e| planning(&e))?;
    if args.dry_run {
        let answer = BenchPlan::new(&conditions, &plan);
        context.answer(answer.document(), &answer)?;
        return Ok(Exit::Done);
    }
    let token = token(args.api_key_env.as_deref(), context)?;
    // Nothing is locked for a server that is not there, or is not the one that is meant.
    let access = preflight(&conditions, token.as_deref()).map_err(|e| loading(&e))?;
    let others = bench_path::others(&conditions.path, context)?;
    let look = |after: Option<&Access>| {
        let told = bench_path::told(&access, after);
        bench_path::look(&conditions.path, &others, &told)
    };
    if let Some(stop) = bench_path::refused(&bench_path::reasons(&look(None)?)) {
        return Err(stop);
    }
    let contract = serde_json::to_value(&conditions).map_err(|e| internal(&e))?;
    let dir = run_dir(args.run_dir.as_deref(), "bench", conditions.workload.name(), context);
    let mut recording = Recording::start(&dir, "bench run", contract, context)?;
    if !recording.has(names::RECORDS) {
        if recording.has(names::CLIENT) {
            return Err(Diagnostic::new(
                codes::RUN_FOREIGN_FOLDER,
                "the run was interrupted while it was recorded",
            )
            .file(&dir)
            .help("name a new folder with --run-dir"));
        }
        if let Some(file) = conditions.workload.file() {
            let exact = matches!(conditions.workload, Spec::Exact { .. });
            recording.input(if exact { "inputs/tokenizer.json" } else { "inputs/dataset" }, &file.path)?;
        }
        let taken = measure(&conditions, &access, plan, context)?;
        // A server that is gone by now states no more than it did.
        let path = look(preflight(&conditions, token.as_deref()).ok().as_ref())?;
        if is_stated(&path) {
            recording.measured(PATH_EVIDENCE, &pretty(&path)?, "application/json", None)?;
        }
        record(&mut recording, &access, &taken)?;
    }
    let answer = answer(&mut recording)?;
    let rule = if conditions.sla.is_empty() { Rule::AnsweredV1 } else { Rule::AllPassV1 };
    let gates: Vec<Gate> = GATES.iter().chain(perfwright_logs::path::GATES).copied().collect();
    recording.decide(&gates, rule, context)?;
    context.answer(document(&answer), &answer)?;
    if let Some(stop) = bench_path::refused(&answer.path.stops) {
        context.tell(&stop);
        return Ok(stop.code.exit);
    }
    Ok(told(&answer, context))
}

/// Carries the plan out, with a line of progress on a terminal.
fn measure(
    conditions: &Conditions,
    access: &Access,
    plan: Plan,
    context: &Context,
) -> Result<Taken, Diagnostic> {
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_interrupt(&stop);
    let live = std::io::stderr().is_terminal() && !context.settings.quiet;
    let mut show = |p: Progress| {
        if live {
            output::stderr(&progress_line(&p));
        }
    };
    let mut control = Control { stop: &stop, progress: &mut show };
    let taken = drive(conditions, access, plan, &mut control).map_err(|e| loading(&e));
    if live {
        output::stderr("\r\x1b[K");
    }
    taken
}

/// Sets `stop` at the first Ctrl-C. Where the signal cannot be watched it ends the process, as ever.
pub(super) fn watch_for_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            stop.store(true, Ordering::Relaxed);
        }
    });
}

pub(super) fn progress_line(p: &Progress) -> String {
    let figure = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let rate = p.started as f64 / p.seconds.max(1e-3);
    format!(
        "\r\x1b[K{:.0} s  {}/{} started ({rate:.1}/s)  {} ok  {} failed  TTFT {} ms  ITL {} ms",
        p.seconds,
        p.started,
        p.planned,
        p.done,
        p.failed,
        figure(p.ttft_ms),
        figure(p.itl_ms)
    )
}

/// Records what was taken down; the requests last, so that they are there only when all is.
fn record(recording: &mut Recording, access: &Access, taken: &Taken) -> Result<(), Diagnostic> {
    let mut server = access.facts();
    for text in [&taken.metrics_before, &taken.metrics_after] {
        if let Err(why) = text {
            server.notes.push(format!("/metrics: {why}"));
        }
    }
    let (text, json) = ("text/plain", "application/json");
    if let (Ok(before), Ok(after)) = (&taken.metrics_before, &taken.metrics_after) {
        recording.measured(names::BEFORE, before.as_bytes(), text, None)?;
        recording.measured(names::AFTER, after.as_bytes(), text, None)?;
    }
    recording.measured(names::SERVER, &pretty(&server)?, json, None)?;
    recording.measured(names::CLIENT, &pretty(&taken.client)?, json, None)?;
    recording.measured(names::RECORDS_CSV, csv(&taken.records).as_bytes(), "text/csv", None)?;
    let records = write_records(&taken.records).map_err(|e| internal(&e))?;
    recording.measured(names::RECORDS, &records, "application/jsonl", None)
}

/// The answer, from what is on the disk.
fn answer(recording: &mut Recording) -> Result<BenchRun, Diagnostic> {
    let evidence = Evidence::load(CONTRACT, |name| recording.recorded(name))
        .map_err(|e| Diagnostic::new(codes::INTERNAL, "the run cannot be read back").cause(e.to_string()))?;
    let answer = figures(&evidence);
    recording.measured(names::RESULT, &pretty(&answer)?, "application/json", Some(&answer.schema))?;
    let text = markdown::document(&document(&answer), markdown::Options::default());
    recording.measured(names::REPORT, text.as_bytes(), "text/markdown", None)?;
    Ok(answer)
}

/// How the command ends, with the reason on standard error.
fn told(answer: &BenchRun, context: &Context) -> Exit {
    let v = &answer.validity;
    let told = match v.verdict.as_str() {
        "interrupted" => Diagnostic::new(codes::BENCH_INTERRUPTED, "stopped before the end")
            .cause(format!("{} requests had ended", answer.success.of)),
        "invalid_client" => {
            let start =
                Diagnostic::new(codes::BENCH_INVALID_CLIENT, "the load generator was itself the bottleneck");
            v.reasons.iter().fold(start, |d, r| d.cause(r.clone()))
        }
        "no_success" => {
            let start = Diagnostic::new(codes::BENCH_NO_SUCCESS, "no request succeeded");
            let row = |d: Diagnostic, f: &perfwright_bench::measure::FailureRow| {
                d.cause(format!("{} {}: {}", f.count, f.class, f.example))
            };
            let hint = match answer.failures.first().map(|f| f.class.as_str()) {
                Some("http_404" | "http_405") => "the server knows another --endpoint or another --model",
                Some("not_streaming") => "the server does not stream at this --endpoint",
                _ => "try one request by hand",
            };
            answer.failures.iter().take(5).fold(start, row).help(hint)
        }
        _ => {
            let open: Vec<_> = answer.sla.iter().filter(|s| s.outcome != "certified").collect();
            if open.is_empty() {
                return Exit::Done;
            }
            let start = Diagnostic::new(codes::BENCH_SLA_NOT_CERTIFIED, "a requirement is not certified");
            open.iter().fold(start, |d, s| {
                let needs = s.needed.map_or_else(String::new, |n| format!(": needs {n} requests"));
                d.cause(format!("{} {}{needs}", s.text, s.outcome))
            })
        }
    };
    context.tell(&told);
    told.code.exit
}

/// What the arguments fix.
fn conditions(args: &RunArgs) -> Result<Conditions, Diagnostic> {
    let sla: Vec<Sla> = args
        .sla
        .iter()
        .map(|s| s.parse())
        .collect::<Result<_, _>>()
        .map_err(|e: perfwright_bench::measure::SlaError| usage(&e.to_string()))?;
    let requests = args.requests.unwrap_or_else(|| plan_requests(&sla).unwrap_or(0).max(DEFAULT_REQUESTS));
    let mut limits = Limits::for_sla(&sla);
    if let Some(ms) = args.max_lateness_ms {
        if !(ms > 0.0 && ms.is_finite()) {
            return Err(usage("--max-lateness-ms must be above 0"));
        }
        limits.lateness_p99_ms = ms;
    }
    let arrival = arrival(args)?;
    Ok(Conditions {
        question: "bench run".to_owned(),
        url: args.url.clone(),
        endpoint: args.endpoint.name().to_owned(),
        model: args.model.clone(),
        workload: workload(args)?,
        max_concurrency: args.concurrency.filter(|_| arrival.is_open()),
        arrival,
        sessions: requests,
        seed: args.seed,
        salt: if args.no_salt { Salt::None } else { Salt::Unique },
        warmup: args.warmup,
        cut_warmup: args.cut_warmup,
        ignore_eos: !args.no_ignore_eos,
        extra_body: extra_body(args.extra_body.as_deref())?,
        timeouts: Millis {
            connect: args.connect_timeout_ms,
            first: args.first_timeout_ms,
            stall: args.stall_timeout_ms,
            total: args.timeout_ms,
        },
        sla,
        limits,
        client_threads: args.client_threads.clamp(1, 256),
        path: bench_path::demand(&args.path)?,
    })
}

fn arrival(args: &RunArgs) -> Result<Arrival, Diagnostic> {
    let rate = || args.rate.ok_or_else(|| usage("this --arrival needs --rate"));
    Ok(match (args.arrival, args.rate) {
        (Some(ArrivalArg::Replay), _) => Arrival::Replay { speed: args.speed },
        (Some(ArrivalArg::Constant), _) => Arrival::Constant { rate: rate()? },
        (Some(ArrivalArg::Gamma), _) => Arrival::Gamma { rate: rate()?, burstiness: args.burstiness },
        (Some(ArrivalArg::Ramp), _) => Arrival::Ramp { from: args.ramp_from, to: rate()? },
        (Some(ArrivalArg::Poisson), _) => Arrival::Poisson { rate: rate()? },
        (None, Some(rate)) => Arrival::Poisson { rate },
        (None, None) => Arrival::Closed { concurrency: args.concurrency.unwrap_or(1) },
    })
}

fn workload(args: &RunArgs) -> Result<Spec, Diagnostic> {
    let file = || -> Result<InputFile, Diagnostic> {
        let path = args.dataset.as_deref().ok_or_else(|| usage("this --workload needs --dataset FILE"))?;
        InputFile::open(path).map_err(|e| making(&e))
    };
    let named =
        args.tokenizer.as_ref().map(|t| if t.is_dir() { t.join("tokenizer.json") } else { t.clone() });
    let tokenizer = named.as_deref().map(InputFile::open).transpose().map_err(|e| making(&e))?;
    let of_lengths =
        matches!(args.workload, WorkloadArg::Random | WorkloadArg::Chat | WorkloadArg::Summarize);
    if tokenizer.is_some() && !of_lengths {
        return Err(usage("--tokenizer makes prompts of --workload random, chat and summarize only"));
    }
    let random = |input: u32, output: u32| {
        let input_len = args.input_len.unwrap_or(input);
        let output_len = args.output_len.unwrap_or(output);
        let range_ratio = args.range_ratio;
        match tokenizer.clone() {
            Some(tokenizer) => Spec::Exact { tokenizer, input_len, output_len, range_ratio },
            None => Spec::Random { input_len, output_len, range_ratio },
        }
    };
    let (input_len, output_len) = (args.input_len.unwrap_or(1000), args.output_len.unwrap_or(128));
    Ok(match args.workload {
        WorkloadArg::Random => random(1000, 128),
        WorkloadArg::Chat => random(1000, 1000),
        WorkloadArg::Summarize => random(8000, 1000),
        WorkloadArg::SharedPrefix => {
            Spec::SharedPrefix { groups: args.groups, prefix_len: args.prefix_len, input_len, output_len }
        }
        WorkloadArg::MultiTurn => {
            Spec::MultiTurn { turns: args.turns, input_len, output_len, think_ms: args.think_ms }
        }
        WorkloadArg::Sharegpt => {
            Spec::ShareGpt { file: file()?, output_len: args.output_len, all_turns: args.turns > 1 }
        }
        WorkloadArg::Jsonl => Spec::Jsonl { file: file()?, output_len: args.output_len },
        WorkloadArg::Mooncake => Spec::Mooncake { file: file()? },
        WorkloadArg::Burstgpt => Spec::BurstGpt { file: file()? },
        WorkloadArg::Azure => Spec::Azure { file: file()? },
    })
}

pub(super) fn extra_body(text: Option<&str>) -> Result<Map<String, Value>, Diagnostic> {
    let Some(text) = text else { return Ok(Map::new()) };
    serde_json::from_str(text).map_err(|e| usage("--extra-body must be a JSON object").cause(e.to_string()))
}

/// The bearer token in the variable `name`.
pub(super) fn token(name: Option<&str>, context: &Context) -> Result<Option<String>, Diagnostic> {
    let Some(name) = name else { return Ok(None) };
    let pairs = context.env.text_pairs();
    let found = pairs.into_iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v);
    found.map(Some).ok_or_else(|| usage(&format!("the variable {name} of --api-key-env is not set")))
}

/// What makes the prompts of this trial its own: time and process, hashed.
fn fresh_salt(context: &Context) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let hash = sha256_hex(format!("{:?} {} {:?}", now, std::process::id(), context.argv).as_bytes());
    u64::from_str_radix(&hash[..16], 16).unwrap_or(1).max(1)
}

fn usage(message: &str) -> Diagnostic {
    Diagnostic::new(codes::USAGE, message)
}

pub(super) fn internal(e: &serde_json::Error) -> Diagnostic {
    Diagnostic::new(codes::INTERNAL, format!("the answer cannot be written: {e}"))
}

pub(super) fn pretty(value: &impl Serialize) -> Result<Vec<u8>, Diagnostic> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|e| internal(&e))?;
    json.push(b'\n');
    Ok(json)
}

pub(super) fn making(e: &WorkloadError) -> Diagnostic {
    match e {
        WorkloadError::Io { path, source } => Diagnostic::reading(path, source),
        WorkloadError::Range(what) => usage(what),
        other => Diagnostic::new(codes::BENCH_WORKLOAD, "cannot make the workload")
            .cause(other.to_string())
            .help("`perfwright bench run --help` names the formats"),
    }
}

fn planning(e: &PlanError) -> Diagnostic {
    match e {
        PlanError::Workload(e) => making(e),
        PlanError::Arrival(e) => usage(&e.to_string()),
    }
}

pub(super) fn loading(e: &LoadError) -> Diagnostic {
    match e {
        LoadError::Target(_) | LoadError::Endpoint(_) => usage(&e.to_string()),
        LoadError::NoModel => Diagnostic::new(codes::BENCH_UNREACHABLE, "the server lists no model")
            .cause(e.to_string())
            .help("name one with --model"),
        LoadError::Unreachable { .. } => Diagnostic::new(codes::BENCH_UNREACHABLE, "cannot reach the server")
            .cause(e.to_string())
            .help("check that it is up, and the address and port of --url"),
        LoadError::Thread(_) => {
            Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot start the client").cause(e.to_string())
        }
    }
}
