//! `perfwright trace`: profiler traces.

use std::path::{Path, PathBuf};

use perfwright_trace::error::TraceError;
use perfwright_trace::gate::{PIPELINE_EVIDENCE, TILED, TRIAGE_EVIDENCE, USABLE};
use perfwright_trace::pipeline::config::ModelLayers;
use perfwright_trace::pipeline::{self, PipelineOptions, pipeline};
use perfwright_trace::render::{self, CUT_OFF};
use perfwright_trace::report::{Stop, Triage};
use perfwright_trace::triage::{CatalogText, Catalogs, TriageOptions, triage};
use serde_json::json;

use crate::cli::trace::{PipelineArgs, TraceArgs, TraceVerb, TriageArgs};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{self, Recording};
use crate::settings::Format;

/// Runs the verb.
pub(crate) fn run(args: &TraceArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        TraceVerb::Triage(args) => run_triage(args, context),
        TraceVerb::Capture(args) => super::trace_capture::run(args, context),
        TraceVerb::Compare(args) => super::trace_compare::run(args, context),
        TraceVerb::Map(args) => super::trace_map::run(args, context),
        TraceVerb::Pipeline(args) => run_pipeline(args, context),
    }
}

fn run_triage(args: &TriageArgs, context: &mut Context) -> Outcome {
    let catalogs = catalogs(args.read.catalog.as_deref().or(context.settings.catalog_dir.as_deref()))?;
    let cache = cache(args.read.cache_dir.as_deref(), args.read.no_cache, context);
    let options = TriageOptions {
        capture: args.capture.as_deref(),
        mapping: args.mapping.as_deref(),
        cache_dir: cache.as_deref(),
        rank: args.rank,
    };
    // A run's contract is the question: which files, and how they are read.
    let contract = || {
        Ok(json!({
            "trace": record::file(&args.path)?,
            "capture": record::optional(args.capture.as_deref())?,
            "mapping": record::optional(args.mapping.as_deref())?,
            "rank": args.rank,
            "catalog": named(args.read.catalog.as_deref()),
        }))
    };
    let recording = Recording::of(&args.recorded, "trace triage", &args.path, contract, context)?;
    let answer = triage(&args.path, &catalogs, &options).map_err(|e| diagnostic(&e))?;
    if let Some(mut recording) = recording {
        recording.inputs("", answer.inputs.iter().map(|i| &i.path))?;
        let document = render::document(&answer, Some(CUT_OFF));
        recording.answer(TRIAGE_EVIDENCE, (&answer, &answer.schema), &document, &[USABLE], context)?;
    }
    print(&answer, context)
}

/// A folder as a contract names it.
pub(super) fn named(dir: Option<&Path>) -> Option<String> {
    dir.map(|p| p.display().to_string())
}

/// Folder of the column cache, if one is to be used.
pub(super) fn cache(asked: Option<&Path>, off: bool, context: &Context) -> Option<PathBuf> {
    let dir = asked.or(context.settings.cache_dir.as_deref()).filter(|_| !off)?;
    Some(dir.join("trace"))
}

fn run_pipeline(args: &PipelineArgs, context: &mut Context) -> Outcome {
    let catalogs = catalogs(args.read.catalog.as_deref().or(context.settings.catalog_dir.as_deref()))?;
    let cache = cache(args.read.cache_dir.as_deref(), args.read.no_cache, context);
    let config = args.config.as_deref().map(|path| super::model::read(path, context)).transpose()?;
    let config = config.as_ref().map(ModelLayers::of);
    let options = PipelineOptions {
        capture: args.capture.as_deref(),
        cache_dir: cache.as_deref(),
        rank: args.rank,
        config: config.as_ref(),
        anchor: args.anchor.as_deref(),
        pass: args.pass,
        layer: args.layer,
        compare_layer: args.compare_layer,
    };
    let contract = || {
        Ok(json!({
            "trace": record::file(&args.path)?,
            "capture": record::optional(args.capture.as_deref())?,
            "config": record::optional(args.config.as_deref())?,
            "anchor": args.anchor,
            "pass": args.pass,
            "layer": args.layer,
            "compare_layer": args.compare_layer,
            "rank": args.rank,
            "catalog": named(args.read.catalog.as_deref()),
        }))
    };
    let recording = Recording::of(&args.recorded, "trace pipeline", &args.path, contract, context)?;
    let answer = pipeline(&args.path, &catalogs, &options).map_err(|e| diagnostic(&e))?;
    if let Some(mut recording) = recording {
        recording.inputs("", answer.inputs.iter().map(|i| &i.path))?;
        if let Some(config) = &args.config {
            recording.inputs("config-", super::model::files(config))?;
        }
        let document = pipeline::render::document(&answer);
        recording.answer(PIPELINE_EVIDENCE, (&answer, &answer.schema), &document, &[TILED], context)?;
    }
    context.answer(pipeline::render::document(&answer), &answer)?;
    if context.settings.format == Format::Json {
        answer.warnings.iter().for_each(|warning| context.note(1, warning));
    }
    Ok(answer.stop.as_ref().map_or(Exit::Done, |stop| hard_stop(stop, context)))
}

fn print(answer: &Triage, context: &mut Context) -> Outcome {
    let cut_off = matches!(context.settings.format, Format::Table | Format::Markdown).then_some(CUT_OFF);
    let document = render::document(answer, cut_off);
    context.answer(document, answer)?;
    if context.settings.format == Format::Json {
        for warning in &answer.warnings {
            context.note(1, warning);
        }
    }
    Ok(answer.stop.as_ref().map_or(Exit::Done, |stop| hard_stop(stop, context)))
}

/// Tells why an answer without tables has none.
pub(super) fn hard_stop(stop: &Stop, context: &Context) -> Exit {
    let (code, message) = STOPS.iter().find(|(code, _)| code.id == stop.code).copied().unwrap_or(STOPS[0]);
    let mut stopped = Diagnostic::new(code, message).cause(stop.reason.clone());
    if let Some(path) = &stop.file {
        stopped = stopped.file(path);
    }
    context
        .tell(&stopped.help(format!("`perfwright explain {}` says how to record a usable trace", code.id)));
    Exit::HardStop
}

/// The reasons for which a trace command stops.
const STOPS: [(codes::Code, &str); 8] = [
    (codes::TRACE_NO_GPU_EVENTS, "the trace has no GPU events"),
    (codes::TRACE_NO_DEVICE_TIME, "the GPU events of the trace have no duration"),
    (codes::TRACE_CAPTURE_NO_LAUNCHES, "the capture trace records no kernel launches"),
    (codes::TRACE_CAPTURE_MISMATCH, "the capture trace does not match the replayed graphs"),
    (codes::TRACE_MAPPING_UNUSABLE, "the mapping trace cannot name kernels"),
    (codes::TRACE_NOTHING_TO_COMPARE, "the traces have no steps to compare"),
    (codes::TRACE_MAP_IMPOSSIBLE, "kernels took less time than the GPU needs for their work"),
    (codes::TRACE_MAP_NO_PASS, "the trace has no forward pass to map"),
];

/// The built-in catalogues, with the texts of a user's folder (`kernels/*.toml`, `fusions/*.toml`) in front.
pub(super) fn catalogs(dir: Option<&Path>) -> Result<Catalogs, Diagnostic> {
    let (kernels, fusions) = match dir {
        Some(dir) => (texts(&dir.join("kernels"))?, texts(&dir.join("fusions"))?),
        None => (Vec::new(), Vec::new()),
    };
    if let Some(dir) = dir
        && kernels.is_empty()
        && fusions.is_empty()
    {
        return Err(Diagnostic::new(codes::INPUT_NOT_FOUND, "the catalogue folder holds no entries")
            .file(dir)
            .help("it needs kernels/*.toml or fusions/*.toml in the form of the built-in catalogue"));
    }
    Catalogs::new(&kernels, &fusions).map_err(|e| diagnostic(&e))
}

fn texts(dir: &Path) -> Result<Vec<CatalogText>, Diagnostic> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Diagnostic::reading(dir, &e)),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    paths.sort();
    let read = |p: PathBuf| match std::fs::read_to_string(&p) {
        Ok(text) => Ok((p.display().to_string(), text)),
        Err(e) => Err(Diagnostic::reading(&p, &e)),
    };
    paths.into_iter().map(read).collect()
}

/// A trace error with its code and what to do.
pub(super) fn diagnostic(e: &TraceError) -> Diagnostic {
    match e {
        TraceError::Io { path, source } => Diagnostic::reading(path, source),
        TraceError::NoTrace { path, looked_at } => {
            Diagnostic::new(codes::INPUT_NO_TRACES, "the folder holds no trace")
                .file(path)
                .cause(format!("none of its {looked_at} JSON files holds trace events"))
                .help("give a trace file, or a folder with *.json or *.json.gz traces")
        }
        TraceError::NoRank { path, rank } => {
            Diagnostic::new(codes::INPUT_NO_TRACES, format!("there is no trace of rank {rank}"))
                .file(path)
                .help(
                    "leave out --rank to triage every rank; ranks come from file names such as TP-0 or rank0",
                )
        }
        TraceError::Empty { path } => Diagnostic::new(codes::INPUT_EMPTY, "the file is empty").file(path),
        TraceError::NotJson { path, offset, cause } => {
            Diagnostic::new(codes::INPUT_NOT_JSON, "this is not JSON")
                .file(path)
                .place(format!("byte {offset}"))
                .cause(cause.clone())
                .help("give a trace that torch.profiler exported")
        }
        TraceError::NotTrace { path, cause } => {
            Diagnostic::new(codes::INPUT_OTHER_SHAPE, "the JSON holds no trace events")
                .file(path)
                .cause(cause.clone())
                .help("give a trace that torch.profiler exported")
        }
        TraceError::Gzip { path, cause } => {
            Diagnostic::new(codes::INPUT_GZIP_CORRUPT, "the gzip data is damaged")
                .file(path)
                .cause(cause.clone())
        }
        TraceError::TooDeep { path, offset, limit } => {
            Diagnostic::new(codes::INPUT_TOO_DEEP, "the JSON is nested too deeply")
                .file(path)
                .place(format!("byte {offset}"))
                .cause(format!("more than {limit} levels"))
        }
        TraceError::TooLarge { path, what, limit } => {
            Diagnostic::new(codes::INPUT_READ_FAILED, "cannot read the input")
                .file(path)
                .cause(format!("{what} is over the limit of {limit}"))
        }
        TraceError::NoSuchPart { path, what, have } => {
            Diagnostic::new(codes::TRACE_NO_SUCH_PART, format!("the trace has no {what}"))
                .file(path)
                .cause(have.clone())
                .help("`perfwright trace pipeline` without --layer lists passes and layers")
        }
        other => {
            Diagnostic::new(codes::INPUT_READ_FAILED, "cannot use the catalogue").cause(other.to_string())
        }
    }
}
