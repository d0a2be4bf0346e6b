//! `perfwright trace compare`.

use perfwright_trace::compare::limit::{Limit, LimitError};
use perfwright_trace::compare::render::{self, CUT_OFF};
use perfwright_trace::compare::report::{LimitResult, LimitRow};
use perfwright_trace::compare::{CompareOptions, Comparison, compare};
use perfwright_trace::gate::{COMPARE_EVIDENCE, COMPARED, LIMITS};
use serde_json::json;

use super::trace::{cache, catalogs, diagnostic, hard_stop, named};
use crate::cli::trace::CompareArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{self, Recording};
use crate::settings::Format;

/// Compares, prints, and holds the answer against the limits.
pub(super) fn run(args: &CompareArgs, context: &mut Context) -> Outcome {
    // Limits are read first: a typing error should not cost the reading of two traces.
    let limits: Result<Vec<Limit>, LimitError> = args.fail_on.iter().map(|t| t.parse()).collect();
    let limits = limits.map_err(|e| {
        Diagnostic::new(codes::USAGE, e.to_string())
            .help("a limit looks like step.decode>3%, kernel>10% or category.attention>50us")
    })?;
    let catalogs = catalogs(args.read.catalog.as_deref().or(context.settings.catalog_dir.as_deref()))?;
    let cache = cache(args.read.cache_dir.as_deref(), args.read.no_cache, context);
    let tolerance = f64::from(args.tolerance) / 100.0;
    let options = CompareOptions { cache_dir: cache.as_deref(), limits: &limits, tolerance };
    let contract = || {
        Ok(json!({
            "a": record::file(&args.a)?,
            "b": record::file(&args.b)?,
            "tolerance_percent": args.tolerance,
            "limits": args.fail_on,
            "catalog": named(args.read.catalog.as_deref()),
        }))
    };
    let recording = Recording::of(&args.recorded, "trace compare", &args.b, contract, context)?;
    let answer = compare(&args.a, &args.b, &catalogs, &options).map_err(|e| diagnostic(&e))?;
    if let Some(mut recording) = recording {
        recording.inputs("a-", answer.a.iter().map(|i| &i.path))?;
        recording.inputs("b-", answer.b.iter().map(|i| &i.path))?;
        let document = render::document(&answer, Some(CUT_OFF));
        let gates = [COMPARED, LIMITS];
        recording.answer(COMPARE_EVIDENCE, (&answer, &answer.schema), &document, &gates, context)?;
    }
    print(&answer, context)
}

fn print(answer: &Comparison, context: &mut Context) -> Outcome {
    let cut_off = matches!(context.settings.format, Format::Table | Format::Markdown).then_some(CUT_OFF);
    context.answer(render::document(answer, cut_off), answer)?;
    if context.settings.format == Format::Json {
        for warning in &answer.warnings {
            context.note(1, warning);
        }
    }
    if let Some(stop) = &answer.stop {
        return Ok(hard_stop(stop, context));
    }
    let with = |result| answer.limits.iter().filter(move |l| l.result == result);
    let tell = |code, message: &str, l: &LimitRow| {
        let text = format!("{message} `{}`", l.limit);
        let told = l.found.iter().take(5).fold(Diagnostic::new(code, text), |d, f| d.cause(f.clone()));
        context.tell(&told);
    };
    with(LimitResult::Exceeded).for_each(|l| tell(codes::TRACE_LIMIT_EXCEEDED, "over the limit", l));
    with(LimitResult::Unproven).for_each(|l| tell(codes::TRACE_LIMIT_UNPROVEN, "cannot check the limit", l));
    // What is surely over a limit is an answer, whatever else could not be checked.
    Ok(if with(LimitResult::Exceeded).next().is_some() {
        Exit::No
    } else if with(LimitResult::Unproven).next().is_some() {
        Exit::HardStop
    } else {
        Exit::Done
    })
}
