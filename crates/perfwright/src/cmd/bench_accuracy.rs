//! `perfwright bench accuracy`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use perfwright_bench::accuracy::{
    ACCURACY_PLAN_SCHEMA, AccuracyConditions, AccuracyContract, AccuracyLimits, AccuracyPlan, AccuracyReport,
    AskControl, AskPlan, By, CompareSettings, GATES, OtherResult, Pick, Question, QuestionError,
    QuestionSource, Word, arithmetic, ask, document, figures, names, plan, plan_document, read_questions,
    write_answers,
};
use perfwright_bench::load::reach;
use perfwright_evidence::{CONTRACT, Rule, sha256_hex};
use perfwright_report::markdown;

use super::bench_rows::{of_run, read};
use super::bench_run::{extra_body, internal, loading, pretty, token, watch_for_interrupt};
use crate::cli::bench_accuracy::{AccuracyArgs, ByArg, GenerateArg};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::output;
use crate::record::Recording;

/// Files of the run, whether or not there is a folder for them.
struct Files {
    held: BTreeMap<String, Vec<u8>>,
    recording: Option<Recording>,
}

impl Files {
    fn imported(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Diagnostic> {
        if let Some(recording) = &mut self.recording {
            recording.derived(name, &bytes, "application/octet-stream", None)?;
        }
        self.held.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn measured(&mut self, name: &str, bytes: Vec<u8>, media: &str) -> Result<(), Diagnostic> {
        if let Some(recording) = &mut self.recording {
            recording.measured(name, &bytes, media, None)?;
        }
        self.held.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// What is on the disk counts: it is without secrets, and verify sees nothing else.
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        match &self.recording {
            Some(recording) => recording.recorded(name),
            None => self.held.get(name).cloned(),
        }
    }
}

/// What is asked.
struct Asked {
    conditions: AccuracyConditions,
    plan: Vec<AskPlan>,
    /// The bytes of the set and of the examples' set.
    set: Vec<u8>,
    shots: Option<Vec<u8>>,
}

/// Measures or reads, compares, records, prints.
pub(super) fn run(args: &AccuracyArgs, context: &mut Context) -> Outcome {
    let compare = CompareSettings { threshold: points(args.threshold)?, margin: points(args.margin)? };
    let asked = args.url.as_deref().map(|url| asked(args, url)).transpose()?;
    if args.dry_run {
        return dry(asked.as_ref(), context);
    }
    let contract = AccuracyContract {
        question: "bench accuracy".to_owned(),
        measured: asked.as_ref().map(|a| a.conditions.clone()),
        imported: args.from.as_deref().map(|path| other(path, args)),
        baseline: args.baseline.as_deref().map(|path| other(path, args)),
        compare,
    };
    // What cannot be read is said before anything is asked.
    let mut held = Vec::new();
    for (path, names) in [
        (&args.from, (names::FILE, names::FROM_CONTRACT, names::FROM_ANSWERS)),
        (&args.baseline, (names::BASE_FILE, names::BASE_CONTRACT, names::BASE_ANSWERS)),
    ] {
        if let Some(path) = path {
            held.extend(result_files(path, names, context)?);
        }
    }
    let token = token(args.api_key_env.as_deref(), context)?;
    let access = match &asked {
        Some(a) => {
            let c = &a.conditions;
            let connect = Duration::from_millis(c.connect_timeout_ms);
            let access = reach(&c.url, &c.endpoint, &c.model, connect, token.as_deref());
            Some(access.map_err(|e| loading(&e))?)
        }
        None => None,
    };
    let task = asked.as_ref().map_or("imported", |a| a.conditions.task.as_str()).to_owned();
    let value = || serde_json::to_value(&contract).map_err(|e| internal(&e));
    let recording = Recording::of(&args.recorded, "bench accuracy", Path::new(&task), value, context)?;
    let mut files = Files { held: BTreeMap::new(), recording };
    for (name, bytes) in held {
        files.imported(name, bytes)?;
    }
    if let (Some(asked), Some(access)) = (asked, &access)
        && files.get(names::ANSWERS).is_none()
    {
        files.imported(names::QUESTIONS, asked.set)?;
        if let Some(shots) = asked.shots {
            files.imported(names::SHOTS, shots)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        watch_for_interrupt(&stop);
        let live = std::io::stderr().is_terminal() && !context.settings.quiet;
        let mut show = |done: usize, all: usize| {
            if live {
                output::stderr(&format!("\r\x1b[K{done}/{all} questions"));
            }
        };
        let mut control = AskControl { stop: &stop, progress: &mut show };
        let answered = ask(&asked.conditions, access, &asked.plan, &mut control).map_err(|e| loading(&e))?;
        if live {
            output::stderr("\r\x1b[K");
        }
        if answered.interrupted {
            return Err(Diagnostic::new(codes::BENCH_INTERRUPTED, "stopped before the end")
                .cause(format!("{} of {} questions had ended", answered.records.len(), asked.plan.len()))
                .help("the same command asks all of them again"));
        }
        files.measured(names::SERVER, pretty(&access.facts())?, "application/json")?;
        let answers = write_answers(&answered.records).map_err(|e| internal(&e))?;
        files.measured(names::ANSWERS, answers, "application/jsonl")?;
    }
    let report = figures(&contract, &|name| files.get(name)).map_err(|cause| {
        Diagnostic::new(codes::BENCH_ROWS_UNREADABLE, "the result cannot be read")
            .cause(cause)
            .help("--task, --metric and --n say which result of a file is meant")
    })?;
    close(files, &report, contract.measured.is_some(), context)?;
    context.answer(document(&report), &report)?;
    Ok(told(&report, context))
}

/// Records the answer and closes the run.
fn close(files: Files, report: &AccuracyReport, measured: bool, context: &Context) -> Result<(), Diagnostic> {
    let Some(mut recording) = files.recording else { return Ok(()) };
    if !measured {
        recording.answer(names::RESULT, (report, &report.schema), &document(report), GATES, context)?;
        return Ok(());
    }
    recording.measured(names::RESULT, &pretty(report)?, "application/json", Some(&report.schema))?;
    let text = markdown::document(&document(report), markdown::Options::default());
    recording.measured(names::REPORT, text.as_bytes(), "text/markdown", None)?;
    recording.decide(GATES, Rule::AnsweredV1, context)?;
    Ok(())
}

/// How the command ends, with the reason on standard error.
fn told(report: &AccuracyReport, context: &Context) -> Exit {
    if report.validity.verdict != "valid" {
        let start = Diagnostic::new(codes::BENCH_ACCURACY_UNUSABLE, "the accuracy cannot be believed");
        let told = report.validity.reasons.iter().fold(start, |d, r| d.cause(r.clone()));
        let told = report
            .faults
            .iter()
            .take(3)
            .fold(told, |d, f| d.cause(format!("{} {}: {}", f.count, f.class, f.example)));
        context.tell(&told);
        return told.code.exit;
    }
    match &report.comparison {
        None => Exit::Done,
        Some(c) => match c.verdict {
            Word::Better | Word::Same => Exit::Done,
            Word::Worse | Word::Inconclusive => Exit::No,
            Word::Refused => {
                let start = Diagnostic::new(codes::BENCH_SIDES_DIFFER, "the two results cannot be compared");
                context.tell(&c.reasons.iter().take(5).fold(start, |d, r| d.cause(r.clone())));
                Exit::HardStop
            }
        },
    }
}

fn other(path: &Path, args: &AccuracyArgs) -> OtherResult {
    OtherResult {
        path: path.display().to_string(),
        run: path.is_dir(),
        pick: Pick { task: args.task.clone(), metric: args.metric.clone(), n: args.n },
    }
}

/// The files of a result that is read, under the names that the run keeps them by.
fn result_files(
    path: &Path,
    (file, contract, answers): (&'static str, &'static str, &'static str),
    context: &Context,
) -> Result<Vec<(&'static str, Vec<u8>)>, Diagnostic> {
    if !path.is_dir() {
        return Ok(vec![(file, read(path)?)]);
    }
    let (bytes, _) = of_run(path, (names::ANSWERS, "a run of `bench accuracy --url`"), context)?;
    Ok(vec![(answers, bytes), (contract, read(&path.join(CONTRACT))?)])
}

fn asked(args: &AccuracyArgs, url: &str) -> Result<Asked, Diagnostic> {
    let (set, path, task) = match (&args.questions, args.generate) {
        (Some(path), _) => {
            let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
            (read(path)?, Some(path.clone()), stem)
        }
        (None, Some(GenerateArg::Arithmetic)) => {
            (arithmetic(args.count as usize, args.seed), None, "arithmetic".to_owned())
        }
        (None, None) => {
            return Err(Diagnostic::new(codes::USAGE, "there is nothing to ask")
                .help("--questions FILE names a question set, --generate arithmetic draws one"));
        }
    };
    let questions = parsed(&set, path.as_deref())?;
    let shots =
        args.shots_file.as_deref().filter(|_| args.shots > 0).map(|p| Ok((p, read(p)?))).transpose()?;
    let examples = shots.as_ref().map(|(p, bytes)| parsed(bytes, Some(p))).transpose()?;
    let source = |path: Option<&Path>, bytes: &[u8], questions: usize| QuestionSource {
        path: path.map(Path::to_owned),
        sha256: sha256_hex(bytes),
        questions: questions as u64,
    };
    let conditions = AccuracyConditions {
        url: url.to_owned(),
        endpoint: args.endpoint.name().to_owned(),
        model: args.model.clone(),
        task: args.task.clone().unwrap_or(task),
        set: source(path.as_deref(), &set, questions.len()),
        limit: args.limit,
        shots: args.shots,
        shots_from: shots
            .as_ref()
            .map(|(p, bytes)| source(Some(p), bytes, examples.as_ref().map_or(0, Vec::len))),
        by: match args.by {
            ByArg::Letter => By::Letter,
            ByArg::Logprob => By::Logprob,
        },
        form: AccuracyConditions::form(),
        max_tokens: args.max_tokens,
        stop: AccuracyConditions::stops(),
        seed: args.seed,
        concurrency: args.concurrency,
        extra_body: extra_body(args.extra_body.as_deref())?,
        connect_timeout_ms: args.connect_timeout_ms,
        timeout_ms: args.timeout_ms,
        limits: AccuracyLimits { failed: points(args.max_failed)?, unanswered: points(args.max_unanswered)? },
    };
    let plan = plan(&conditions, questions, examples).map_err(|e| unusable(&e, path.as_deref()))?;
    Ok(Asked { conditions, plan, set, shots: shots.map(|(_, bytes)| bytes) })
}

fn parsed(bytes: &[u8], path: Option<&Path>) -> Result<Vec<Question>, Diagnostic> {
    read_questions(bytes).map_err(|e| unusable(&e, path))
}

fn unusable(e: &QuestionError, path: Option<&Path>) -> Diagnostic {
    let mut told = Diagnostic::new(codes::BENCH_QUESTIONS, "the question set cannot be used");
    if let Some(path) = path {
        told = told.file(path);
    }
    told = match e {
        QuestionError::Line { line, cause } => told.place(format!("line {line}")).cause(cause.clone()),
        QuestionError::Set(cause) => told.cause(cause.clone()),
    };
    told.help("a line is {\"question\": ..., \"answer\": ...}, with \"choices\": [...] for multiple choice")
}

/// A part of one from percent or points.
fn points(value: f64) -> Result<f64, Diagnostic> {
    if (0.0..=100.0).contains(&value) {
        return Ok(value / 100.0);
    }
    Err(Diagnostic::new(codes::USAGE, format!("{value} is not from 0 to 100")))
}

fn dry(asked: Option<&Asked>, context: &mut Context) -> Outcome {
    let Some(asked) = asked else {
        return Err(Diagnostic::new(
            codes::USAGE,
            "a result that is read needs no plan: leave --dry-run out",
        ));
    };
    let answer = AccuracyPlan {
        schema: ACCURACY_PLAN_SCHEMA.to_owned(),
        conditions: asked.conditions.clone(),
        questions: asked.plan.len() as u64,
        first_prompt: asked.plan.first().map_or_else(String::new, |p| p.prompt.clone()),
    };
    context.answer(plan_document(&answer), &answer)?;
    Ok(Exit::Done)
}
