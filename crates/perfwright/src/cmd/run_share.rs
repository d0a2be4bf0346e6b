//! `perfwright run seal`, `pack` and `attest`: handing a run to somebody else.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use perfwright_evidence::{
    Limits, PackReport, Redactor, RowProof, Seal, ShareError, Status, attest, check_row, pack, prove_row,
    seal,
};
use perfwright_report::{Cell, Column, Document, Table};

use super::run::{verdict_fact, verify_error};
use crate::cli::run::{RunAttestArgs, RunPackArgs, RunSealArgs};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;

/// Most bytes of a proof: one ledger line may have a mebibyte, escaped six times.
const PROOF_BYTES: u64 = 8 << 20;

pub(super) fn run_seal(args: &RunSealArgs, context: &mut Context) -> Outcome {
    let sealed = seal(&args.dir, &Limits::default()).map_err(|e| share_error(&e))?;
    context.answer(seal_document(&sealed), &sealed)?;
    Ok(Exit::Done)
}

pub(super) fn run_pack(args: &RunPackArgs, context: &mut Context) -> Outcome {
    let to = args.output.clone().unwrap_or_else(|| {
        let name = args.dir.canonicalize().ok().and_then(|d| Some(d.file_name()?.to_owned()));
        let mut name = name.unwrap_or_else(|| "run".into());
        name.push(".tar");
        PathBuf::from(name)
    });
    let redactor = Redactor::new(&context.argv, &context.env.text_pairs());
    let report = pack(&args.dir, &to, &redactor, &Limits::default()).map_err(|e| share_error(&e))?;
    context.answer(pack_document(&report), &report)?;
    Ok(Exit::Done)
}

pub(super) fn run_attest(args: &RunAttestArgs, context: &mut Context) -> Outcome {
    if let (Some(path), Some(root)) = (&args.check, &args.root) {
        let proof = read_proof(path)?;
        return match check_row(&proof, root) {
            Ok(()) => {
                context.answer(proof_document(&proof), &proof)?;
                Ok(Exit::Done)
            }
            Err(why) => {
                let told = Diagnostic::new(codes::RUN_PROOF_FAILS, "the proof does not hold").file(path);
                Err(told.cause(why))
            }
        };
    }
    // The command line requires a folder where there is no proof to check.
    let dir = args.dir.clone().unwrap_or_default();
    match &args.row {
        Some((name, line)) => {
            let proof = prove_row(&dir, name, *line, &Limits::default()).map_err(|e| share_error(&e))?;
            context.json(&proof)?;
        }
        None => context.json(&attest(&dir, &Limits::default()).map_err(|e| share_error(&e))?)?,
    }
    Ok(Exit::Done)
}

fn read_proof(path: &Path) -> Result<RowProof, Diagnostic> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PROOF_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| Diagnostic::reading(path, &e))?;
    let wrong = |cause: String| {
        Diagnostic::new(codes::INPUT_OTHER_SHAPE, "not a proof of a row")
            .file(path)
            .cause(cause)
            .help("`perfwright run attest DIR --row FILE:LINE` prints one")
    };
    if bytes.len() as u64 > PROOF_BYTES {
        return Err(wrong(format!("larger than {PROOF_BYTES} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
}

fn share_error(error: &ShareError) -> Diagnostic {
    match error {
        ShareError::Verify(e) => verify_error(e),
        ShareError::NotIntact { dir, status: Status::Interrupted, detail } => {
            Diagnostic::new(codes::RUN_INTERRUPTED, "the run was never closed")
                .file(dir)
                .cause(detail.clone())
        }
        ShareError::NotIntact { dir, detail, .. } => {
            Diagnostic::new(codes::RUN_TAMPERED, "recorded evidence differs from what was recorded")
                .file(dir)
                .cause(detail.clone())
                .help("`perfwright run verify` names everything that differs")
        }
        ShareError::NoSuchRow(what) => Diagnostic::new(codes::USAGE, "no such row")
            .cause(what.clone())
            .help("`perfwright run show DIR` lists the files; lines are counted from 1"),
        ShareError::Io { path, source } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "the file exists already")
                .file(path)
                .help("name another one with --output, or move it away")
        }
        ShareError::Io { path, source } => {
            Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot read or write a file")
                .file(path)
                .cause(source.to_string())
        }
        ShareError::Secrets { first, count } => {
            Diagnostic::new(codes::RUN_HOLDS_SECRETS, "the run holds secrets and was not packed")
                .file(first)
                .cause(format!(
                    "{count} found; recorded bytes cannot be changed without breaking their hashes"
                ))
                .help(
                    "record the run again with the secret in the environment, where it is known and replaced",
                )
        }
    }
}

fn seal_document(sealed: &Seal) -> Document {
    let mut doc = Document::new("Seal");
    for (label, value) in [
        ("run", &sealed.dir),
        ("head", &sealed.head),
        ("merkle root", &sealed.merkle_root),
        ("manifest", &sealed.manifest_sha256),
        ("contract", &sealed.contract_sha256),
        ("procedure", &sealed.procedure),
    ] {
        doc.fact(label, Cell::text(value));
    }
    doc.fact("events", Cell::count(sealed.events));
    verdict_fact(&mut doc, "verdict (stored)", &sealed.verdict);
    doc.notes.push(format!("check later: perfwright run verify {} --head {}", sealed.dir, sealed.head));
    doc
}

fn pack_document(report: &PackReport) -> Document {
    let mut doc = Document::new("Bundle");
    if let Some(bundle) = &report.bundle {
        doc.fact("bundle", Cell::text(bundle));
    }
    doc.fact("head", Cell::text(&report.head));
    doc.fact("merkle root", Cell::text(&report.merkle_root));
    doc.fact("secrets replaced when recorded", Cell::count(report.redacted));
    let columns = vec![
        Column::code("name", "File"),
        Column::number("bytes", "Size"),
        Column::number("redacted", "Replaced"),
        Column::number("secrets", "Found now"),
    ];
    let mut table = Table::new("files", "Files", columns);
    for f in &report.files {
        table.push(vec![
            Cell::text(&f.name),
            Cell::Bytes(f.bytes),
            Cell::count(f.redacted),
            Cell::count(f.secrets),
        ]);
    }
    for name in &report.left_out {
        table.notes.push(format!("{name} is only referred to and not in the bundle"));
    }
    doc.tables.push(table);
    doc.notes.push(format!(
        "unpack with tar, then: perfwright run verify {} --head {}",
        report.folder, report.head
    ));
    doc
}

fn proof_document(proof: &RowProof) -> Document {
    let mut doc = Document::new("Proof");
    doc.fact("holds", Cell::text("yes"));
    doc.fact("root", Cell::text(&proof.root));
    doc.fact("row", Cell::text(format!("{}:{}", proof.file, proof.line)));
    doc.fact("text", Cell::text(&proof.text));
    doc
}
