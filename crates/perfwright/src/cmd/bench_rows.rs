//! Rows of files and run folders, for every verb that reads some.

use std::io::Read as _;
use std::path::Path;

use perfwright_bench::decide::report::Input;
use perfwright_bench::import::detect::MAX_BYTES;
use perfwright_bench::import::load;
use perfwright_bench::rows::{Basis, ReadError, Row};
use perfwright_bench::sla::{Bound, Sla};
use perfwright_evidence::{Basis as Recorded, Manifest, Status, VerifyOptions, verify};

use crate::codes;
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::record::registry;

/// Where a run keeps its rows.
pub(super) const CANDIDATES: &str = "benchmark/candidates.jsonl";

/// What was read.
pub(super) struct Loaded {
    pub(super) inputs: Vec<Input>,
    pub(super) rows: Vec<Row>,
    /// The bytes of each input, for the record.
    pub(super) bytes: Vec<Vec<u8>>,
}

/// Reads every file; `NAME=FILE` names the framework, unless a file of the whole name exists.
pub(super) fn load_all(files: &[String], context: &Context) -> Result<Loaded, Diagnostic> {
    let mut loaded = Loaded { inputs: Vec::new(), rows: Vec::new(), bytes: Vec::new() };
    for text in files {
        let (label, path) = match text.split_once('=') {
            Some((label, path)) if !Path::new(text).exists() => (Some(label), path),
            _ => (None, text.as_str()),
        };
        let path = Path::new(path);
        let (bytes, basis) = if path.is_dir() {
            of_run(path, (CANDIDATES, "a run of `bench search`"), context)?
        } else {
            (read(path)?, Basis::Imported)
        };
        let name = path.display().to_string();
        let rows = load(&bytes, &name, label, basis).map_err(|e| diagnostic(&e))?;
        let format = rows.first().map_or_else(String::new, |r| r.source.format.clone());
        loaded.inputs.push(Input {
            path: name,
            label: label.map(str::to_owned),
            format,
            rows: rows.len() as u64,
            basis,
        });
        loaded.rows.extend(rows);
        loaded.bytes.push(bytes);
    }
    Ok(loaded)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| Diagnostic::reading(path, &e))?;
    if bytes.len() > MAX_BYTES {
        return Err(Diagnostic::new(codes::INPUT_READ_FAILED, "the file is too large")
            .file(path)
            .cause(format!("more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// One evidence file of a run; `what` is the kind of run that holds it. It counts as measured only where the record is
/// intact and says so.
pub(super) fn of_run(
    dir: &Path,
    (name, what): (&str, &str),
    context: &Context,
) -> Result<(Vec<u8>, Basis), Diagnostic> {
    let report = verify(dir, &registry()?, &VerifyOptions::default()).map_err(|e| {
        Diagnostic::new(codes::RUN_NOT_A_RUN, "the folder is not a run").file(dir).cause(e.to_string())
    })?;
    match report.status {
        Status::Tampered => {
            return Err(Diagnostic::new(codes::RUN_TAMPERED, "the run differs from its record")
                .file(dir)
                .help("`perfwright run verify` names every difference"));
        }
        Status::Interrupted => {
            return Err(Diagnostic::new(codes::RUN_INTERRUPTED, "the run was never closed")
                .file(dir)
                .help("give the command that began it once more; it continues"));
        }
        _ => {}
    }
    let manifest = read(&dir.join("manifest.json"))?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|e| {
        Diagnostic::new(codes::RUN_NOT_A_RUN, "the manifest cannot be read").file(dir).cause(e.to_string())
    })?;
    let entry = manifest.evidence.iter().find(|e| e.name == name).ok_or_else(|| {
        Diagnostic::new(codes::INPUT_OTHER_SHAPE, "the run is of another kind")
            .file(dir)
            .cause(format!("it holds no {name}"))
            .help(format!("{what} has one"))
    })?;
    let basis = match entry.basis {
        Recorded::Measured => Basis::Measured,
        Recorded::Imported => Basis::Imported,
        Recorded::Declared => Basis::Declared,
    };
    context.note(1, &format!("{}: record intact, {name} is {basis:?}", dir.display()));
    Ok((read(&dir.join(name))?, basis))
}

/// Bounds from `BOUND=LIMIT` texts; none where none are given.
pub(super) fn sla(texts: &[String]) -> Result<Option<Sla>, Diagnostic> {
    if texts.is_empty() {
        return Ok(None);
    }
    let usage = |cause: String| {
        Diagnostic::new(codes::USAGE, "a bound cannot be read")
            .cause(cause)
            .help("a bound looks like max_p99_ttft_ms=1500 or min_success_rate=0.99")
    };
    let one = |text: &String| -> Result<Bound, Diagnostic> {
        let (key, limit) = text.split_once('=').ok_or_else(|| usage(format!("{text:?} has no =")))?;
        let limit: f64 = limit.trim().parse().map_err(|_| usage(format!("{limit:?} is not a number")))?;
        Bound::parse(key.trim(), limit).map_err(usage)
    };
    let bounds = texts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    Sla::new(bounds).map(Some).map_err(usage)
}

/// A relative threshold from percent.
pub(super) fn threshold(percent: f64) -> Result<f64, Diagnostic> {
    if (0.0..100.0).contains(&percent) {
        return Ok(percent / 100.0);
    }
    Err(Diagnostic::new(codes::USAGE, format!("a threshold of {percent} % is not from 0 to below 100")))
}

fn diagnostic(e: &ReadError) -> Diagnostic {
    match e {
        ReadError::Line { file, line, cause } => {
            Diagnostic::new(codes::BENCH_ROWS_UNREADABLE, "a row cannot be read")
                .file(file.clone())
                .place(format!("line {line}"))
                .cause(cause.clone())
                .help("rows are JSON objects, one a line")
        }
        ReadError::File { file, cause } => {
            Diagnostic::new(codes::BENCH_ROWS_UNREADABLE, "the file holds no results that are understood")
                .file(file.clone())
                .cause(cause.clone())
                .help("give rows, or what SGLang, vLLM, AIPerf or guidellm wrote")
        }
    }
}
