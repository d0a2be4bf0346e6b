//! `perfwright trace capture`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_bench::capture::{
    CAPTURE_EVIDENCE, CAPTURE_SCHEMA, CaptureConditions, CaptureControl, CaptureError, CaptureReport,
    Captured, CapturedFile, Framework, GATES, Stage, StageReport, capture, document,
};
use perfwright_bench::load::{Access, Conditions, reach};
use perfwright_bench::measure::is_stated;
use perfwright_bench::workload::Spec;
use perfwright_evidence::{CONTRACT, Gate, Rule, sha256_of_reader};
use perfwright_logs::path::{FieldState, PATH_EVIDENCE, PathReport};
use perfwright_report::markdown;
use perfwright_trace::input::{ReadOptions, read};
use serde_json::Value;

use super::bench_path;
use super::bench_run::{internal, loading, making, pretty, token, watch_for_interrupt};
use crate::cli::trace_capture::{CaptureArgs, FrameworkArg, StageArg};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::output;
use crate::record::Recording;

/// Words of a prompt and tokens of an answer where nothing else says so.
const LENGTHS: (u32, u32) = (1000, 128);

/// Looks at the path, profiles, records, prints.
pub(super) fn run(args: &CaptureArgs, context: &mut Context) -> Outcome {
    let demand = bench_path::demand(&args.path)?;
    let others = bench_path::others(&demand, context)?;
    let token = token(args.api_key_env.as_deref(), context)?;
    let connect = Duration::from_millis(args.connect_timeout_ms);
    let reach = || reach(&args.url, args.endpoint.name(), &args.model, connect, token.as_deref());
    let access = reach().map_err(|e| loading(&e))?;
    let look = |after: Option<&Access>| {
        let told = bench_path::told(&access, after);
        bench_path::look(&demand, &others, &told)
    };
    if let Some(stop) = bench_path::refused(&bench_path::reasons(&look(None)?)) {
        return Err(stop);
    }
    let (input, out_len) = lengths(demand.same_as.as_deref());
    let out = absolute(&args.out)?;
    let framework = framework(args.framework, &access)?;
    if framework == Framework::Vllm && args.server_dir.is_none() {
        return Err(Diagnostic::new(codes::USAGE, "vLLM writes to the folder that it was started with")
            .help("name that folder with --server-dir"));
    }
    let conditions = CaptureConditions {
        url: args.url.clone(),
        endpoint: args.endpoint.name().to_owned(),
        model: args.model.clone(),
        framework,
        stages: match args.stage {
            StageArg::Prefill => vec![Stage::Prefill],
            StageArg::Decode => vec![Stage::Decode],
            StageArg::Both => vec![Stage::Prefill, Stage::Decode],
        },
        input_len: args.input_len.unwrap_or(input),
        output_len: args.output_len.unwrap_or(out_len),
        batch: args.batch,
        steps: args.steps,
        warmup: args.warmup,
        seed: args.seed,
        server_dir: args.server_dir.clone().unwrap_or_else(|| out.clone()),
        out,
        connect_timeout_ms: args.connect_timeout_ms,
        timeout_ms: args.timeout_ms,
        flush_timeout_ms: args.flush_timeout.saturating_mul(1000),
        path: demand.clone(),
    };
    let contract = || serde_json::to_value(&conditions).map_err(|e| internal(&e));
    let recording = Recording::of(&args.recorded, "trace capture", &args.out, contract, context)?;
    let captured = profile(&conditions, &access, context)?;
    // A server that is gone by now states no more than it did.
    let path = look(reach().ok().as_ref())?;
    let report = report(&conditions, &access, &captured, &path)?;
    if let Some(recording) = recording {
        record(recording, &report, &path, context)?;
    }
    if let Some(stop) = bench_path::refused(&report.stops) {
        context.answer(document(&report), &report)?;
        context.tell(&stop);
        return Ok(stop.code.exit);
    }
    context.answer(document(&report), &report)?;
    Ok(Exit::Done)
}

fn profile(c: &CaptureConditions, access: &Access, context: &Context) -> Result<Vec<Captured>, Diagnostic> {
    let stop = Arc::new(AtomicBool::new(false));
    watch_for_interrupt(&stop);
    let live = std::io::stderr().is_terminal() && !context.settings.quiet;
    let mut show = |what: &str| {
        if live {
            output::stderr(&format!("\r\x1b[K{what}"));
        }
    };
    let mut control = CaptureControl { stop: &stop, progress: &mut show, whole: &whole };
    let captured = capture(c, access, &mut control).map_err(|e| failed(&e));
    if live {
        output::stderr("\r\x1b[K");
    }
    captured
}

/// Whether a trace can be read to its end.
fn whole(path: &Path) -> Result<(), String> {
    match read(path, ReadOptions::default()) {
        Ok(loaded) => match loaded.store.partial {
            None => Ok(()),
            Some(_) => Err(format!("{} ends early", path.display())),
        },
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

fn report(
    c: &CaptureConditions,
    access: &Access,
    captured: &[Captured],
    path: &PathReport,
) -> Result<CaptureReport, Diagnostic> {
    let file = |path: &PathBuf| -> Result<CapturedFile, Diagnostic> {
        let hashed = std::fs::File::open(path).and_then(|f| sha256_of_reader(f, u64::MAX));
        let (sha256, bytes) = hashed.map_err(|e| Diagnostic::reading(path, &e))?;
        Ok(CapturedFile { path: path.display().to_string(), bytes, sha256 })
    };
    let stage = |s: &Captured| {
        Ok(StageReport {
            stage: s.stage,
            files: s.files.iter().map(file).collect::<Result<_, _>>()?,
            requests: s.requests,
            steps_asked: c.asked_steps(),
            notes: s.notes.clone(),
        })
    };
    let proven = path.fields.iter().filter(|f| f.state == FieldState::Proven);
    Ok(CaptureReport {
        schema: CAPTURE_SCHEMA.to_owned(),
        url: c.url.clone(),
        framework: c.framework,
        model: access.model.clone(),
        lengths: (c.input_len, c.output_len),
        stages: captured.iter().map(stage).collect::<Result<_, Diagnostic>>()?,
        path_proven: path.proven,
        path: proven.map(|f| (f.field.name().to_owned(), f.values.join(", "))).collect(),
        stops: bench_path::reasons(path),
    })
}

/// Records the traces, the path and the answer.
fn record(
    mut recording: Recording,
    report: &CaptureReport,
    path: &PathReport,
    context: &Context,
) -> Result<(), Diagnostic> {
    for stage in &report.stages {
        for (i, file) in stage.files.iter().enumerate() {
            let end = if file.path.ends_with(".gz") { "json.gz" } else { "json" };
            let name = format!("profiles/{}/{i}.trace.{end}", stage.stage.name());
            recording.measured_file(&name, Path::new(&file.path))?;
        }
    }
    if is_stated(path) {
        recording.measured(PATH_EVIDENCE, &pretty(path)?, "application/json", None)?;
    }
    recording.measured(CAPTURE_EVIDENCE, &pretty(report)?, "application/json", Some(&report.schema))?;
    let text = markdown::document(&document(report), markdown::Options::default());
    recording.measured("profiles/capture.md", text.as_bytes(), "text/markdown", None)?;
    let gates: Vec<Gate> = GATES.iter().chain(perfwright_logs::path::GATES).copied().collect();
    recording.decide(&gates, Rule::AnsweredV1, context)?;
    Ok(())
}

/// The lengths of the run that the path is taken from, where it is a run of random prompts.
fn lengths(same_as: Option<&Path>) -> (u32, u32) {
    let of = || {
        let bytes = std::fs::read(same_as?.join(CONTRACT)).ok()?;
        let c: Conditions = serde_json::from_slice(&bytes).ok()?;
        let Spec::Random { input_len, output_len, .. } = c.workload else { return None };
        Some((input_len, output_len))
    };
    of().unwrap_or(LENGTHS)
}

/// The server writes where it is told, which is not where this command stands.
fn absolute(path: &Path) -> Result<PathBuf, Diagnostic> {
    std::path::absolute(path).map_err(|e| Diagnostic::reading(path, &e))
}

fn framework(asked: FrameworkArg, access: &Access) -> Result<Framework, Diagnostic> {
    Ok(match asked {
        FrameworkArg::Sglang => Framework::Sglang,
        FrameworkArg::Vllm => Framework::Vllm,
        FrameworkArg::TensorrtLlm => Framework::TensorrtLlm,
        FrameworkArg::Tokenspeed => Framework::Tokenspeed,
        FrameworkArg::Auto => {
            let info = &access.info;
            let owner =
                info.models.as_ref().and_then(|m| m.pointer("/data/0/owned_by")).and_then(Value::as_str);
            let own = |key: &str| info.server_info.as_ref().is_some_and(|i| i.get(key).is_some());
            match owner {
                Some("vllm") => Framework::Vllm,
                Some("tensorrt_llm") => Framework::TensorrtLlm,
                Some("tokenspeed") => Framework::Tokenspeed,
                Some("sglang") => Framework::Sglang,
                _ if own("internal_states") || own("scheduler_info") => Framework::Sglang,
                _ => {
                    return Err(Diagnostic::new(
                        codes::USAGE,
                        "the server does not say which framework it is",
                    )
                    .help("name it with --framework"));
                }
            }
        }
    })
}

fn failed(e: &CaptureError) -> Diagnostic {
    match e {
        CaptureError::Refused { .. } => {
            Diagnostic::new(codes::TRACE_PROFILE_REFUSED, "the server does not profile")
                .cause(e.to_string())
                .help(
                    "start it with its profiler on; `perfwright explain PW0222` says how for each framework",
                )
        }
        CaptureError::NoFile { .. } => Diagnostic::new(codes::TRACE_NO_CAPTURE, "no whole trace appeared")
            .cause(e.to_string())
            .help("--out has to be a folder that the server writes to; --server-dir is its name there"),
        CaptureError::Request { .. } => {
            Diagnostic::new(codes::TRACE_PROFILE_REFUSED, "a request failed while profiling")
                .cause(e.to_string())
        }
        CaptureError::Workload(e) => making(e),
        CaptureError::Load(e) => loading(e),
        CaptureError::Io { path, source } => Diagnostic::reading(path, source),
        CaptureError::Stopped => Diagnostic::new(codes::BENCH_INTERRUPTED, "stopped before the end")
            .cause("the profile was ended and its traces were not waited for"),
    }
}
