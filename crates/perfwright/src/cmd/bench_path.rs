//! The path of a server that somebody else started: demanded, looked at, refused.

use std::io::Read as _;
use std::path::Path;

use perfwright_bench::load::Access;
use perfwright_bench::measure::{PathDemand, PathFacts, demanded, side};
use perfwright_bench::render::shlex;
use perfwright_logs::path::{Field, PATH_EVIDENCE, PathReport, Side};
use perfwright_logs::{Catalog, Digest, Reader};
use serde_json::Value;

use super::bench_rows::of_run;
use crate::cli::bench_path::PathArgs;
use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;

/// Longest log that is read: 4 GiB.
const MAX_LOG: u64 = 4 << 30;

/// What the arguments demand.
pub(super) fn demand(args: &PathArgs) -> Result<PathDemand, Diagnostic> {
    let usage = |message: String| Diagnostic::new(codes::USAGE, message);
    let mut out = PathDemand {
        fallbacks: args.accept_fallback.clone(),
        log: args.log.clone(),
        same_as: args.same_path_as.clone(),
        ..PathDemand::default()
    };
    for text in &args.fields {
        let (name, value) = text.split_once('=').ok_or_else(|| usage(format!("--path {text:?} has no =")))?;
        let field: Field = serde_json::from_value(Value::String(name.trim().to_owned())).map_err(|_| {
            usage(format!("{name:?} is no part of a path")).help(
                "engine, model, attention_backend, sampling_backend, moe_backend, quantization, cuda_graph, \
                 speculative_algorithm, tp, dp, pp, ep, dtype, kv_dtype and others",
            )
        })?;
        if out.required.insert(field, value.trim().to_owned()).is_some_and(|old| old != value.trim()) {
            return Err(usage(format!("--path gives {name} twice")));
        }
    }
    if let Some(command) = &args.server_command {
        out.command = shlex::split(command)
            .map_err(|e| usage("--server-command cannot be read".to_owned()).cause(e))?;
    }
    Ok(out)
}

/// The sides of the run that `--same-path-as` names.
pub(super) fn others(demand: &PathDemand, context: &Context) -> Result<Vec<Side>, Diagnostic> {
    let Some(dir) = &demand.same_as else { return Ok(Vec::new()) };
    let what = "a run of `bench run` or `trace capture` whose server stated something";
    let (bytes, _) = of_run(dir, (PATH_EVIDENCE, what), context)?;
    let report: PathReport = serde_json::from_slice(&bytes).map_err(|e| {
        Diagnostic::new(codes::INPUT_OTHER_SHAPE, "the path of the run cannot be read")
            .file(dir)
            .cause(e.to_string())
    })?;
    // Its own server is the last; what it was compared with before is no concern here.
    let Some(mut own) = report.sides.into_iter().next_back() else { return Ok(Vec::new()) };
    own.name = dir.display().to_string();
    Ok(vec![own])
}

/// What is known of the server now; `told` are answers of `/server_info` with their names.
pub(super) fn look(
    demand: &PathDemand,
    others: &[Side],
    told: &[(&Value, &str)],
) -> Result<PathReport, Diagnostic> {
    let catalog = Catalog::builtin().map_err(|e| Diagnostic::new(codes::INTERNAL, e.to_string()))?;
    let (mut reader, mut digest) = (Reader::new(&catalog), Digest::new());
    if let Some(path) = &demand.log {
        feed(path, &mut reader, &mut digest)?;
    }
    let log = demand.log.is_some().then_some((&digest, &reader));
    let own = side(&catalog, &PathFacts { name: "server", argv: &demand.command, log, told });
    Ok(demanded(demand, own, others.to_vec()))
}

/// What the server told before and, where it was asked again, after.
pub(super) fn told<'a>(before: &'a Access, after: Option<&'a Access>) -> Vec<(&'a Value, &'static str)> {
    let all = [(Some(before), "/server_info before"), (after, "/server_info after")];
    all.into_iter().filter_map(|(a, place)| Some((a?.info.server_info.as_ref()?, place))).collect()
}

fn feed(path: &Path, reader: &mut Reader<'_>, digest: &mut Digest) -> Result<(), Diagnostic> {
    let failed = |e: std::io::Error| Diagnostic::reading(path, &e);
    let mut file = std::fs::File::open(path).map_err(failed)?.take(MAX_LOG);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => reader.feed(&buffer[..n], digest),
        }
    }
    reader.finish(digest);
    Ok(())
}

/// What a path that stops is told as.
pub(super) fn refused(reasons: &[String]) -> Option<Diagnostic> {
    if reasons.is_empty() {
        return None;
    }
    let start = Diagnostic::new(codes::BENCH_PATH_DIFFERS, "the server runs on another path than meant");
    let told = reasons.iter().take(5).fold(start, |d, r| d.cause(r.clone()));
    Some(told.help("start the server as meant, or name what is meant with --path"))
}

/// The reasons of a report.
pub(super) fn reasons(report: &PathReport) -> Vec<String> {
    report.stops.iter().map(|s| s.reason.clone()).collect()
}
