//! `perfwright trace map`.

use perfwright_model::parallel::Parallel;
use perfwright_trace::gate::{MAP_EVIDENCE, MAPPED};
use perfwright_trace::map::render::{self, CUT_OFF};
use perfwright_trace::map::{MapError, MapOptions, map};
use perfwright_trace::steps::Class;
use serde_json::json;

use super::model;
use super::trace::{cache, catalogs, diagnostic, hard_stop, named};
use crate::cli::trace::{MapArgs, PassClass};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{self, Recording};
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
    // A run's contract is the question.
    let contract = || {
        Ok(json!({
            "trace": record::file(&args.path)?,
            "config": record::file(&args.config)?,
            "gpu": args.gpu,
            "parallel": {"tp": args.tp, "ep": args.ep, "dp": args.dp, "pp": args.pp},
            "kv_dtype": args.kv_dtype,
            "dtype": args.dtype,
            "phase": args.phase.map(|phase| class(phase).as_str()),
            "pass": args.pass,
            "batch": args.batch,
            "tokens": args.tokens,
            "context": args.context,
            "capture": record::optional(args.capture.as_deref())?,
            "rank": args.rank,
            "catalog": named(args.read.catalog.as_deref()),
        }))
    };
    let recording = Recording::of(&args.recorded, "trace map", &args.path, contract, context)?;
    let answer = map(&args.path, &catalogs, &options).map_err(|e| match e {
        MapError::Trace(e) => diagnostic(&e),
        MapError::Model(e) => model::diagnostic(&e),
        MapError::Catalog(_) => Diagnostic::new(codes::INTERNAL, e.to_string()),
    })?;
    if let Some(mut recording) = recording {
        recording.inputs("", answer.inputs.iter().map(|i| &i.path))?;
        recording.inputs("config-", model::files(&args.config))?;
        let document = render::document(&answer, Some(CUT_OFF));
        recording.answer(MAP_EVIDENCE, (&answer, &answer.schema), &document, &[MAPPED], context)?;
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
