//! `perfwright loop`: campaigns.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perfwright_loop::plan::{self, LintReport, PlanError, Weight};
use perfwright_loop::state::Phase;
use perfwright_loop::{
    CLAIM, Driver, Event, HeadFile, Imported, Journal, Look, LoopError, Registry, Standing, StartOptions,
    Status, Surroundings, Word, document, import, read_plan, start, status,
};
use perfwright_report::{Cell, Column, Document, Table};

use crate::cli::loops::{
    CancelArgs, DirArgs, DriverArg, ImportArgs, LoopArgs, LoopVerb, PlanArgs, ResumeArgs, StartArgs,
};
use crate::cmd::loop_report;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::output::{not_writable, stderr};
use crate::record::{diagnostic, run_dir};

/// Runs the verb.
pub(crate) fn run(args: &LoopArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        LoopVerb::Plan(args) => run_plan(args, context),
        LoopVerb::Start(args) => run_start(args, context),
        LoopVerb::Status(args) => {
            show(args.dir.as_deref(), context)?;
            Ok(Exit::Done)
        }
        LoopVerb::Resume(args) => run_resume(args, context),
        LoopVerb::Cancel(args) => run_cancel(args, context),
        LoopVerb::Check(args) => run_check(args, context),
        LoopVerb::Report(args) => loop_report::run(args, context),
        LoopVerb::Import(args) => run_import(args, context),
        // Dispatched in `app::main`; it only comes here with flags before the noun.
        LoopVerb::Hook(_) => {
            Err(Diagnostic::new(codes::USAGE, "write `perfwright loop hook EVENT`, flags behind it"))
        }
    }
}

fn surroundings(fault: Option<u64>, context: &Context) -> Result<Surroundings, Diagnostic> {
    let state_dir = context.settings.state_dir.clone().ok_or_else(|| {
        Diagnostic::new(codes::CONFIG_VALUE, "no folder is known in which campaigns are kept")
            .help("set PERFWRIGHT_STATE_DIR or HOME")
    })?;
    Ok(Surroundings {
        state_dir,
        version: env!("PW_VERSION").to_owned(),
        argv: context.argv.clone(),
        env: context.env.text_pairs(),
        fault,
    })
}

pub(super) fn registry(context: &Context) -> Result<Registry, Diagnostic> {
    Ok(Registry::new(&surroundings(None, context)?.state_dir))
}

pub(super) fn folder(dir: Option<&Path>) -> PathBuf {
    let dir = dir.map_or_else(|| PathBuf::from("."), Path::to_owned);
    dir.canonicalize().unwrap_or(dir)
}

/// A campaign's error with its code.
pub(super) fn failed(e: &LoopError) -> Diagnostic {
    let new = |code, message: &str| Diagnostic::new(code, message).cause(e.to_string());
    match e {
        LoopError::None(dir) => Diagnostic::new(codes::LOOP_NONE, "no campaign here").file(dir),
        LoopError::UnderWay(dir) => Diagnostic::new(codes::LOOP_UNDER_WAY, "a campaign is under way")
            .file(dir)
            .help("`perfwright loop status` shows it"),
        LoopError::Tampered(_) | LoopError::Replay { .. } => {
            new(codes::LOOP_TAMPERED, "the campaign's records are damaged")
        }
        LoopError::Plan(PlanError::Front(e)) => {
            Diagnostic::new(codes::LOOP_PLAN_MALFORMED, "the plan cannot be read")
                .cause(format!("front matter: {}", e.message()))
        }
        LoopError::Plan(_) => new(codes::LOOP_PLAN_MALFORMED, "the plan cannot be read"),
        LoopError::Precondition(_) => new(codes::LOOP_PRECONDITION, "the campaign cannot start"),
        LoopError::Person(_) => new(codes::LOOP_PERSON, "only a person may do this")
            .help("run the command in a terminal, or name the file with --token-file"),
        LoopError::NotDone(_) => new(codes::LOOP_NOT_DONE, "the campaign is not done"),
        LoopError::Git(_) => new(codes::LOOP_GIT, "git refused"),
        LoopError::Refused(_) => new(codes::LOOP_STATE, "the command does not fit the campaign's state"),
        LoopError::Run { path, source } => diagnostic(path, source),
        LoopError::Io { path, source } => Diagnostic::reading(path, source),
    }
}

/// Prints where a campaign stands.
pub(super) fn show(dir: Option<&Path>, context: &mut Context) -> Result<Status, Diagnostic> {
    let status = status(&registry(context)?, &folder(dir)).map_err(|e| failed(&e))?;
    context.answer(document(&status), &status)?;
    Ok(status)
}

pub(super) fn head_of(dir: Option<&Path>, context: &Context) -> Result<HeadFile, Diagnostic> {
    let dir = folder(dir);
    match registry(context)?.look(&dir) {
        Look::Known(head) => Ok(*head),
        Look::Damaged { why, .. } => Err(failed(&LoopError::Tampered(why))),
        Look::None => Err(failed(&LoopError::None(dir))),
    }
}

pub(super) fn open(dir: Option<&Path>, fault: Option<u64>, context: &Context) -> Result<Journal, Diagnostic> {
    let head = head_of(dir, context)?;
    if head.closed {
        return Err(Diagnostic::new(codes::LOOP_NONE, "the campaign is closed; begin another one")
            .file(&head.run_dir));
    }
    Journal::open(&head, &surroundings(fault, context)?, Duration::ZERO).map_err(|e| failed(&e))
}

fn run_plan(args: &PlanArgs, context: &mut Context) -> Outcome {
    if args.from_draft || args.refine {
        let text = fs::read_to_string(&args.file).map_err(|e| Diagnostic::reading(&args.file, &e))?;
        let made = if args.from_draft {
            plan::draft(&args.title, &text).text
        } else {
            plan::refine(&text)
                .map_err(|e| {
                    Diagnostic::new(codes::LOOP_PLAN_MALFORMED, "the comments do not fit together")
                        .file(&args.file)
                        .cause(e.to_string())
                })?
                .0
        };
        let Some(out) = &args.out else {
            context.text(&made)?;
            return Ok(Exit::Done);
        };
        // A plan that is there already is somebody's work.
        let written = fs::OpenOptions::new().write(true).create_new(true).open(out);
        written
            .and_then(|mut f| f.write_all(made.as_bytes()))
            .map_err(|e| not_writable(&out.to_string_lossy(), &e))?;
        let plan = plan::parse(made.as_bytes()).map_err(|e| failed(&LoopError::Plan(e)).file(out))?;
        let report = plan::lint(&plan, &out.to_string_lossy());
        context.answer(lint_document(&report), &report)?;
        return Ok(Exit::Done);
    }
    let (plan, _) = read_plan(&args.file).map_err(|e| failed(&e).file(&args.file))?;
    if args.goal {
        let goal = plan::goal_text(&plan, &args.file.to_string_lossy());
        if context.settings.format == crate::settings::Format::Json {
            context.json(&goal)?;
        } else {
            context.text(&goal.text)?;
        }
        return Ok(Exit::Done);
    }
    let report = plan::lint(&plan, &args.file.to_string_lossy());
    context.answer(lint_document(&report), &report)?;
    if report.usable {
        return Ok(Exit::Done);
    }
    let mut told = Diagnostic::new(codes::LOOP_PLAN_LINT, "the plan is not ready").file(&args.file);
    if let Some(first) = report.findings.iter().find(|f| f.weight == Weight::Error) {
        told = told.place(format!("line {}", first.line)).cause(first.message.clone());
    }
    context.tell(&told);
    Ok(Exit::No)
}

fn lint_document(report: &LintReport) -> Document {
    let mut doc = Document::new("Plan");
    doc.fact("file", Cell::text(&report.file));
    doc.fact("sha256", Cell::text(&report.sha256));
    doc.fact("criteria", Cell::text(report.criteria.join(", ")));
    doc.fact("gates", Cell::text(report.gates.join(", ")));
    doc.fact("can start", Cell::text(if report.usable { "yes" } else { "no" }));
    let mut table = Table::new(
        "findings",
        "Findings",
        vec![
            Column::number("line", "Line"),
            Column::text("weight", "Weight"),
            Column::text("rule", "Rule"),
            Column::text("message", "Message"),
        ],
    );
    for f in &report.findings {
        table.push(vec![
            Cell::count(f.line as u64),
            Cell::text(if f.weight == Weight::Error { "error" } else { "warning" }),
            Cell::text(&f.rule),
            Cell::text(&f.message),
        ]);
    }
    if !table.rows.is_empty() {
        doc.tables.push(table);
    }
    doc
}

fn run_start(args: &StartArgs, context: &mut Context) -> Outcome {
    let driver = match args.driver {
        DriverArg::Owner => Driver::Owner,
        DriverArg::Hooks => Driver::Hooks,
        DriverArg::Goal => Driver::Goal,
    };
    let mut budgets = args.budget.clone();
    budgets.extend(args.max_rounds.map(|n| format!("rounds={n}")));
    let slug = args.plan.file_stem().map_or_else(|| "plan".to_owned(), |s| s.to_string_lossy().into_owned());
    let dir = run_dir(args.run_dir.as_deref(), "loop", &slug, context);
    let parent =
        dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned);
    fs::create_dir_all(&parent).map_err(|e| not_writable(&parent.to_string_lossy(), &e))?;
    let dir = match (parent.canonicalize(), dir.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => dir,
    };
    let options = StartOptions {
        plan: args.plan.clone(),
        dir: folder(None),
        run_dir: dir,
        driver,
        executor: args.executor.clone(),
        reviewer: args.reviewer.clone(),
        budgets,
        session: args.session.clone().map(|id| (id, args.host.name().to_owned())),
    };
    let surroundings = surroundings(args.fault, context)?;
    let mut journal = start(&options, &surroundings).map_err(|e| failed(&e))?;
    let root = journal.root();
    let registry = Registry::new(&surroundings.state_dir);
    if let Some(file) = &args.token_file {
        let word = word()?;
        write_secret(file, &word).map_err(|e| not_writable(&file.to_string_lossy(), &e))?;
        let kept = registry.keep_word(&root, Word::Person, &word);
        kept.map_err(|e| not_writable(&surroundings.state_dir.to_string_lossy(), &e))?;
    }
    context.note(0, &format!("recorded in {}", journal.run_dir().display()));
    if driver == Driver::Owner {
        return drive(journal, context);
    }
    if driver == Driver::Hooks && args.session.is_none() {
        let word = word()?;
        let kept = registry.keep_word(&root, Word::Claim, &word);
        kept.map_err(|e| not_writable(&surroundings.state_dir.to_string_lossy(), &e))?;
        context.note(0, &format!("the first session that shows {CLAIM}{word} owns the campaign"));
    }
    journal.begin_turn().map_err(|e| failed(&e))?;
    drop(journal);
    show(Some(&root), context)?;
    Ok(Exit::Done)
}

/// Thirty-two hexadecimal digits nobody can guess.
fn word() -> Result<String, Diagnostic> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    fs::File::open(path)
        .and_then(|mut f| f.read_exact(&mut bytes))
        .map_err(|e| Diagnostic::reading(path, &e))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn write_secret(path: &Path, word: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{word}")
}

/// Drives a campaign to where nothing is left to do without a person, prints where it stands, and closes it where it
/// has ended.
fn drive(mut journal: Journal, context: &mut Context) -> Outcome {
    let (root, quiet) = (journal.root(), context.settings.quiet);
    let mut tell = |line: &str| {
        if !quiet {
            stderr(&format!("note: {}\n", perfwright_report::text::visible(line)));
        }
    };
    let phase = journal.drive(&mut tell).map_err(|e| failed(&e))?;
    if matches!(phase, Phase::Done | Phase::Stopped) {
        journal.close().map_err(|e| failed(&e))?;
    } else {
        drop(journal);
    }
    let status = show(Some(&root), context)?;
    Ok(standing(&status, context))
}

/// The exit code that a status stands for, and why.
pub(super) fn standing(status: &Status, context: &Context) -> Exit {
    let reason = status.verdict.reason.clone().unwrap_or_else(|| status.phase.name().to_owned());
    let told = match status.verdict.standing {
        Standing::Done => return Exit::Done,
        Standing::Blocked => Diagnostic::new(codes::LOOP_BLOCKED, "the campaign waits").cause(reason),
        Standing::Reopened => {
            Diagnostic::new(codes::LOOP_REOPENED, "the tree changed after the verdict").cause(reason)
        }
        _ => Diagnostic::new(codes::LOOP_NOT_DONE, "the campaign is not done")
            .cause(format!("{}: {reason}", status.phase.name())),
    };
    context.tell(&told);
    told.code.exit
}

/// How the person at this command is known, if there is one.
fn person(
    root: &Path,
    token_file: Option<&Path>,
    what: &str,
    context: &Context,
) -> Result<Option<&'static str>, Diagnostic> {
    if let Some(file) = token_file {
        let word = fs::read_to_string(file).map_err(|e| Diagnostic::reading(file, &e))?;
        let known = registry(context)?.is_word(root, Word::Person, word.trim());
        return if known {
            Ok(Some("token"))
        } else {
            Err(Diagnostic::new(codes::LOOP_PERSON, "the word in the file is not the campaign's").file(file))
        };
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    stderr(&format!("{what} in {}? Type yes: ", root.display()));
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    Ok((read.is_ok() && line.trim() == "yes").then_some("terminal"))
}

fn run_resume(args: &ResumeArgs, context: &mut Context) -> Outcome {
    let head = head_of(args.dir.as_deref(), context)?;
    let by = if head.phase == Phase::BudgetLimited {
        person(&head.root, args.token_file.as_deref(), "Raise the limits of the campaign", context)?
    } else {
        None
    };
    let mut journal = open(args.dir.as_deref(), args.fault, context)?;
    journal.bring_back(args.answer.clone(), &args.budget, by).map_err(|e| failed(&e))?;
    if journal.spec().driver == Driver::Owner {
        return drive(journal, context);
    }
    let root = journal.root();
    drop(journal);
    show(Some(&root), context)?;
    Ok(Exit::Done)
}

fn run_cancel(args: &CancelArgs, context: &mut Context) -> Outcome {
    let head = head_of(args.dir.as_deref(), context)?;
    let Some(by) = person(&head.root, args.token_file.as_deref(), "Cancel the campaign", context)? else {
        return Err(Diagnostic::new(codes::LOOP_PERSON, "only a person may do this")
            .help("run the command in a terminal, or name the file with --token-file"));
    };
    let mut journal = open(args.dir.as_deref(), None, context)?;
    if !journal.state().phase.is_terminal() {
        journal.append(&Event::Cancelled { by: by.to_owned() }).map_err(|e| failed(&e))?;
    }
    let root = journal.root();
    journal.close().map_err(|e| failed(&e))?;
    show(Some(&root), context)?;
    Ok(Exit::Done)
}

fn run_check(args: &DirArgs, context: &mut Context) -> Outcome {
    let head = head_of(args.dir.as_deref(), context)?;
    if !head.closed {
        let mut journal = open(args.dir.as_deref(), None, context)?;
        if journal.spec().driver == Driver::Goal {
            journal.check().map_err(|e| failed(&e))?;
        }
    }
    let status = show(Some(&head.root), context)?;
    Ok(standing(&status, context))
}

fn run_import(args: &ImportArgs, context: &mut Context) -> Outcome {
    let slug = args.from.file_name().map_or_else(|| "rlcr".to_owned(), |s| s.to_string_lossy().into_owned());
    let dir = run_dir(args.run_dir.as_deref(), "loop-import", &slug, context);
    let surroundings = surroundings(None, context)?;
    let (summary, _) = import(&args.from, &dir, &surroundings).map_err(|e| failed(&e))?;
    context.note(0, &format!("recorded in {}", dir.display()));
    context.answer(import_document(&summary), &summary)?;
    Ok(Exit::Done)
}

fn import_document(summary: &Imported) -> Document {
    let mut doc = Document::new("Imported loop");
    doc.fact("name", Cell::text(&summary.name));
    doc.fact("ended", Cell::text(&summary.ended));
    doc.fact("criteria", Cell::text(summary.criteria.join(", ")));
    let mut table = Table::new(
        "rounds",
        "Rounds",
        vec![
            Column::number("round", "Round"),
            Column::text("progress", "Progress"),
            Column::text("end", "Last line"),
            Column::number("findings", "Findings"),
        ],
    );
    for round in &summary.rounds {
        table.push(vec![
            Cell::count(round.round.into()),
            round.progress.as_ref().map_or(Cell::Empty, Cell::text),
            round.end.as_ref().map_or(Cell::Empty, Cell::text),
            Cell::count(round.findings),
        ]);
    }
    doc.tables.push(table);
    doc.notes.push("imported: what its files say is kept, and proves nothing".to_owned());
    doc.notes.extend(summary.remarks.iter().cloned());
    doc
}
