//! `perfwright trace map`.

use perfwright_model::parallel::Parallel;
use perfwright_report::markdown;
use perfwright_trace::gate::{MAP_EVIDENCE, MAPPED};
use perfwright_trace::map::render::{self, CUT_OFF};
use perfwright_trace::map::report::TraceMap;
use perfwright_trace::map::{MapError, MapOptions, map};
use perfwright_trace::steps::Class;
use serde_json::json;

use super::model;
use super::trace::{cache, catalogs, diagnostic, file, hard_stop, json_bytes, optional, record_inputs, slug};
use crate::cli::trace::{MapArgs, PassClass};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{Recording, run_dir};
use crate::settings::Format;

/// Maps, prints, and refuses figures that cannot be.
pub(super) fn run(args: &MapArgs, context: &mut Context) -> Outcome {
    // The model is read first: a typing error should not cost the reading of a trace.
    let architecture = model::read(&args.config, context)?;
    let gpu = model::gpu(&args.gpu)?;
    let weights = args.dtype.as_deref().map(model::format).transpose()?;
    let kv_dtype = model::kv_dtype(&args.kv_dtype)?;
    let catalogs = catalogs(args.read.catalog.as_deref().or(context.settings.catalog_dir.as_deref()))?;
    let cache = cache(args.read.cache_dir.as_deref(), args.read.no_cache, context);
    let options = MapOptions {
        model: &architecture,
        gpu: &gpu,
        parallel: Parallel { tp: args.tp.unwrap_or(1), ep: args.ep, dp: args.dp, pp: args.pp },
        tp_given: args.tp.is_some(),
        kv_dtype,
        weights,
        phase: args.phase.map(class),
        pass: args.pass,
        batch: args.batch,
        tokens: args.tokens,
        context: args.context,
        capture: args.capture.as_deref(),
        cache_dir: cache.as_deref(),
        rank: args.rank,
    };
    let recording = match args.recorded.record || args.recorded.run_dir.is_some() {
        true => Some(start(args, context)?),
        false => None,
    };
    let answer = map(&args.path, &catalogs, &options).map_err(|e| match e {
        MapError::Trace(e) => diagnostic(&e),
        MapError::Model(e) => model::diagnostic(&e),
        MapError::Catalog(_) => Diagnostic::new(codes::INTERNAL, e.to_string()),
    })?;
    if let Some(recording) = recording {
        record(recording, args, &answer, context)?;
    }
    let cut_off = matches!(context.settings.format, Format::Table | Format::Markdown).then_some(CUT_OFF);
    context.answer(render::document(&answer, cut_off), &answer)?;
    if context.settings.format == Format::Json {
        answer.warnings.iter().for_each(|warning| context.note(1, warning));
    }
    Ok(answer.stop.as_ref().map_or(Exit::Done, |stop| hard_stop(stop, context)))
}

fn class(class: PassClass) -> Class {
    match class {
        PassClass::Prefill => Class::Prefill,
        PassClass::Decode => Class::Decode,
        PassClass::Mixed => Class::Mixed,
        PassClass::Verify => Class::Verify,
        PassClass::Unknown => Class::Unknown,
    }
}

/// Starts the run. Its contract is the question.
fn start(args: &MapArgs, context: &Context) -> Result<Recording, Diagnostic> {
    let contract = json!({
        "question": "trace map",
        "trace": file(&args.path)?,
        "config": file(&args.config)?,
        "gpu": args.gpu,
        "parallel": {"tp": args.tp, "ep": args.ep, "dp": args.dp, "pp": args.pp},
        "kv_dtype": args.kv_dtype,
        "dtype": args.dtype,
        "phase": args.phase.map(|phase| class(phase).as_str()),
        "pass": args.pass,
        "batch": args.batch,
        "tokens": args.tokens,
        "context": args.context,
        "capture": optional(args.capture.as_deref())?,
        "rank": args.rank,
        "catalog": args.read.catalog.as_ref().map(|p| p.display().to_string()),
    });
    let dir = run_dir(args.recorded.run_dir.as_deref(), "trace", &slug(&args.path), context);
    Recording::start(&dir, "trace map", contract, context)
}

fn record(
    mut recording: Recording,
    args: &MapArgs,
    answer: &TraceMap,
    context: &Context,
) -> Result<(), Diagnostic> {
    record_inputs(&mut recording, &answer.inputs)?;
    recording.input("inputs/config.json", &args.config)?;
    recording.derived(MAP_EVIDENCE, &json_bytes(answer)?, "application/json", Some(&answer.schema))?;
    let text = markdown::document(&render::document(answer, Some(CUT_OFF)), markdown::Options::default());
    recording.derived("analysis/map.md", text.as_bytes(), "text/markdown", None)?;
    recording.finish(&[MAPPED], context)?;
    Ok(())
}
