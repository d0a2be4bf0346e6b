//! `perfwright run`: recorded runs.

use std::path::Path;

use perfwright_evidence::{
    DiffError, DiffReport, Limits, ListReport, LockPlace, ShowReport, Status, VerdictRecord, VerifyError,
    VerifyOptions, VerifyReport, diff, list_runs, show, verify,
};
use perfwright_report::{Cell, Column, Document, Table};

use crate::cli::run::{RunArgs, RunVerb};
use crate::cmd::run_share;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::registry;

/// Most runs that `run list` reads.
const LIST_LIMIT: usize = 10_000;

/// Runs the verb.
pub(crate) fn run(args: &RunArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        RunVerb::List(args) => {
            let root = args.root.clone().unwrap_or_else(|| context.settings.runs_dir.clone());
            let report = list_runs(&root, LIST_LIMIT, &Limits::default(), &LockPlace::Beside)
                .map_err(|e| Diagnostic::reading(&root, &e))?;
            context.answer(list_document(&report), &report)?;
            Ok(Exit::Done)
        }
        RunVerb::Show(args) => {
            let report = show(&args.dir, &Limits::default(), &LockPlace::Beside);
            if report.summary.procedure.is_none() && report.manifest.is_none() {
                let cause = report.summary.problem.clone().unwrap_or_else(|| "it holds no ledger".to_owned());
                return Err(not_a_run(&args.dir).cause(cause));
            }
            context.answer(show_document(&report), &report)?;
            Ok(Exit::Done)
        }
        RunVerb::Verify(args) => run_verify(&args.dir, args.head.as_deref(), context),
        RunVerb::Seal(args) => run_share::run_seal(args, context),
        RunVerb::Pack(args) => run_share::run_pack(args, context),
        RunVerb::Attest(args) => run_share::run_attest(args, context),
        RunVerb::Diff(args) => {
            let report = diff(&args.a, &args.b, &Limits::default()).map_err(|e| diff_error(&e))?;
            context.answer(diff_document(&report), &report)?;
            Ok(match report.exit_code {
                0 => Exit::Done,
                1 => Exit::No,
                _ => {
                    let reason = report.reason.unwrap_or_default();
                    context.tell(
                        &Diagnostic::new(codes::RUN_CONTRACT_DIFFERS, "the runs cannot be compared")
                            .cause(reason),
                    );
                    Exit::HardStop
                }
            })
        }
    }
}

fn not_a_run(dir: &Path) -> Diagnostic {
    if dir.exists() {
        Diagnostic::new(codes::RUN_NOT_A_RUN, "the folder is not a run").file(dir)
    } else {
        Diagnostic::new(codes::INPUT_NOT_FOUND, "no such file or folder").file(dir)
    }
}

pub(super) fn verify_error(e: &VerifyError) -> Diagnostic {
    match e {
        VerifyError::NotARun(dir) => not_a_run(dir).help("a run folder holds ledger.jsonl and manifest.json"),
        VerifyError::Io { path, source } => Diagnostic::reading(path, source),
    }
}

fn diff_error(e: &DiffError) -> Diagnostic {
    match e {
        DiffError::Verify(e) => verify_error(e),
        DiffError::Tampered(dir) => {
            Diagnostic::new(codes::RUN_TAMPERED, "recorded evidence differs from what was recorded")
                .file(dir)
                .help("`perfwright run verify` names what differs")
        }
        DiffError::NotClosed(dir) => {
            Diagnostic::new(codes::RUN_INTERRUPTED, "the run was never closed").file(dir)
        }
    }
}

fn run_verify(dir: &Path, head: Option<&str>, context: &mut Context) -> Outcome {
    let mut report = verify(dir, &registry()?, &VerifyOptions::default()).map_err(|e| verify_error(&e))?;
    if let Some(head) = head {
        report.expect_head(head);
    }
    context.answer(verify_document(&report), &report)?;
    let (code, message, exit) = match report.status {
        Status::Clean => return Ok(Exit::Done),
        Status::Differs => (codes::RUN_VERDICT_DIFFERS, "the verdict differs on recomputation", Exit::No),
        Status::CannotRecompute => {
            (codes::RUN_GATE_UNKNOWN, "the verdict cannot be recomputed by this version", Exit::HardStop)
        }
        Status::Interrupted => (codes::RUN_INTERRUPTED, "the run was never closed", Exit::HardStop),
        Status::Tampered => {
            (codes::RUN_TAMPERED, "recorded evidence differs from what was recorded", Exit::Tampered)
        }
    };
    let mut told = Diagnostic::new(code, message).file(dir);
    if let Some(first) = report.differences.first() {
        told = told.place(first.place.clone()).cause(first.detail.clone());
    }
    context.tell(&told);
    Ok(exit)
}

fn text(value: Option<&String>) -> Cell {
    value.map_or(Cell::Empty, Cell::text)
}

fn list_document(report: &ListReport) -> Document {
    let mut doc = Document::new("Runs");
    doc.fact("folder", Cell::text(&report.root));
    let mut table = Table::new(
        "runs",
        "Runs",
        vec![
            Column::code("dir", "Run"),
            Column::text("state", "State"),
            Column::text("procedure", "Procedure"),
            Column::text("verdict", "Verdict"),
            Column::text("started", "Started"),
            Column::text("problem", "Problem"),
        ],
    );
    for run in &report.runs {
        table.push(vec![
            Cell::text(&run.dir),
            Cell::word(&run.state),
            text(run.procedure.as_ref()),
            run.verdict.as_ref().map_or(Cell::Empty, Cell::word),
            text(run.started.as_ref()),
            text(run.problem.as_ref()),
        ]);
    }
    if report.left_off > 0 {
        table.notes.push(format!("{} more runs were not read", report.left_off));
    }
    doc.tables.push(table);
    doc
}

fn show_document(report: &ShowReport) -> Document {
    let s = &report.summary;
    let mut doc = Document::new("Run");
    doc.fact("run", Cell::text(&s.dir));
    doc.fact("state", Cell::word(&s.state));
    for (label, value) in [
        ("procedure", s.procedure.as_ref()),
        ("started", s.started.as_ref()),
        ("ended", s.ended.as_ref()),
        ("contract", s.contract_sha256.as_ref()),
        ("head", report.head.as_ref()),
        ("problem", s.problem.as_ref()),
    ] {
        if let Some(value) = value {
            doc.fact(label, Cell::text(value));
        }
    }
    doc.fact("events", Cell::count(report.events));
    if let Some(manifest) = &report.manifest {
        doc.fact("command", Cell::text(manifest.argv.join(" ")));
        verdict_fact(&mut doc, "verdict (stored)", &manifest.verdict);
        let mut gates = Table::new(
            "gates",
            "Gates",
            vec![
                Column::text("gate", "Gate"),
                Column::text("outcome", "Outcome"),
                Column::text("basis", "Basis"),
                Column::text("measured", "Measured"),
                Column::text("threshold", "Threshold"),
                Column::text("reason", "Reason"),
            ],
        );
        for g in &manifest.gates {
            let value =
                |v: &Option<serde_json::Value>| v.as_ref().map_or(Cell::Empty, |v| Cell::text(v.to_string()));
            gates.push(vec![
                Cell::text(g.label()),
                Cell::word(&g.outcome),
                g.basis.as_ref().map_or(Cell::Empty, Cell::word),
                value(&g.measured),
                value(&g.threshold),
                Cell::text(&g.reason),
            ]);
        }
        let mut evidence = Table::new(
            "evidence",
            "Evidence",
            vec![
                Column::code("name", "Name"),
                Column::number("bytes", "Size"),
                Column::text("basis", "Basis"),
                Column::code("sha256", "SHA-256"),
                Column::code("reference", "Reference"),
            ],
        );
        for e in &manifest.evidence {
            evidence.push(vec![
                Cell::text(&e.name),
                Cell::Bytes(e.bytes),
                Cell::word(&e.basis),
                Cell::text(&e.sha256),
                text(e.reference.as_ref()),
            ]);
        }
        doc.tables.extend([gates, evidence]);
    }
    doc.notes.push("nothing was checked; `perfwright run verify` does that".to_owned());
    doc
}

pub(super) fn verdict_fact(doc: &mut Document, label: &str, verdict: &VerdictRecord) {
    let because =
        if verdict.because.is_empty() { String::new() } else { format!(" ({})", verdict.because.join(", ")) };
    doc.fact(
        label,
        Cell::text(format!("{} by {}{because}", Cell::word(&verdict.outcome).shown(), verdict.rule)),
    );
}

fn verify_document(report: &VerifyReport) -> Document {
    let mut doc = Document::new("Verification");
    doc.fact("run", Cell::text(&report.dir));
    doc.fact("status", Cell::word(&report.status));
    let c = &report.checked;
    doc.fact("checked", Cell::text(format!("{} events, {} files, {} bytes", c.events, c.files, c.bytes)));
    if let Some(head) = &report.head {
        doc.fact("head", Cell::text(head));
    }
    if let Some(v) = &report.stored_verdict {
        verdict_fact(&mut doc, "verdict (stored)", v);
    }
    if let Some(v) = &report.recomputed_verdict {
        verdict_fact(&mut doc, "verdict (recomputed)", v);
    }
    for r in &report.references {
        doc.fact(
            "reference",
            Cell::text(format!("{} -> {}: {}", r.name, r.path, Cell::word(&r.state).shown())),
        );
    }
    let mut table = Table::new(
        "differences",
        "Differences",
        vec![Column::code("place", "Place"), Column::text("kind", "Kind"), Column::text("detail", "Detail")],
    );
    for d in &report.differences {
        table.push(vec![Cell::text(&d.place), Cell::word(&d.kind), Cell::text(&d.detail)]);
    }
    if report.left_off > 0 {
        table.notes.push(format!("{} more differences were only counted", report.left_off));
    }
    if !table.rows.is_empty() {
        doc.tables.push(table);
    }
    doc
}

fn diff_document(report: &DiffReport) -> Document {
    let mut doc = Document::new("Difference of two runs");
    doc.fact("a", Cell::text(&report.a));
    doc.fact("b", Cell::text(&report.b));
    doc.fact("comparable", Cell::text(if report.comparable { "yes" } else { "no" }));
    if let Some(reason) = &report.reason {
        doc.warnings.push(reason.clone());
    }
    doc.fact("equal evidence", Cell::count(report.equal_evidence));
    if let Some((a, b)) = &report.verdicts {
        verdict_fact(&mut doc, "verdict of a", a);
        verdict_fact(&mut doc, "verdict of b", b);
    }
    let mut table = Table::new(
        "differences",
        "Differences",
        vec![
            Column::text("what", "What"),
            Column::code("field", "Field"),
            Column::text("a", "A"),
            Column::text("b", "B"),
        ],
    );
    let value = |v: &Option<serde_json::Value>| v.as_ref().map_or(Cell::Empty, |v| Cell::text(v.to_string()));
    for (what, fields) in [("contract", &report.contract), ("conditions", &report.conditions)] {
        for f in fields {
            table.push(vec![Cell::text(what), Cell::text(&f.field), value(&f.a), value(&f.b)]);
        }
    }
    for e in &report.evidence {
        let hash = |e: &Option<perfwright_evidence::Evidence>| {
            e.as_ref().map_or(Cell::Empty, |e| Cell::text(&e.sha256))
        };
        table.push(vec![Cell::text("evidence"), Cell::text(&e.name), hash(&e.a), hash(&e.b)]);
    }
    for g in &report.gates {
        let of = |g: &Option<perfwright_evidence::GateRecord>| {
            g.as_ref().map_or(Cell::Empty, |g| {
                Cell::text(format!("{}: {}", Cell::word(&g.outcome).shown(), g.reason))
            })
        };
        table.push(vec![Cell::text("gate"), Cell::text(&g.gate), of(&g.a), of(&g.b)]);
    }
    if !table.rows.is_empty() {
        doc.tables.push(table);
    }
    doc
}
