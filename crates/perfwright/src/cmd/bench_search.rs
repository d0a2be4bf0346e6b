//! `perfwright bench search`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use perfwright_bench::flags::Help;
use perfwright_bench::flags::parse::MAX_BYTES as MAX_HELP;
use perfwright_bench::plan::node::MAX_BYTES as MAX_PLAN;
use perfwright_bench::plan::{Fault, Plan, read_plan};
use perfwright_bench::rows::Framework;
use perfwright_bench::search::dry::{document, dry_run};
use perfwright_bench::search::prune::prove;
use perfwright_model::arch::Architecture;
use perfwright_model::hardware::{Gpu, find};

use crate::cli::bench_decide::BenchSearchArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::settings::Format;

/// Reads the plan and shows what a search would do.
pub(super) fn run(args: &BenchSearchArgs, context: &mut Context) -> Outcome {
    let text = read_text(&args.plan, MAX_PLAN)?;
    let plan = read_plan(&text).map_err(|faults| invalid(&args.plan, &faults))?;
    if !args.dry_run {
        let known = model(&args.plan, &plan, context);
        return super::bench_search_live::run(args, &text, &plan, known.as_ref(), context);
    }
    let help = args.help_dir.as_deref().map(|dir| helps(dir, &plan)).transpose()?.unwrap_or_default();
    let known = model(&args.plan, &plan, context);
    let answer = dry_run(&plan, &help, |_, candidate| {
        let (model, gpu) = known.as_ref()?;
        plan.scenarios.iter().find_map(|s| prove(model, gpu, &plan.sla, &candidate.flags, s))
    })
    .map_err(|e| {
        Diagnostic::new(codes::BENCH_PLAN_INVALID, "a command cannot be made").file(&args.plan).cause(e)
    })?;
    if !answer.doubts.is_empty() && context.settings.format == Format::Json {
        let doubt = Diagnostic::new(codes::BENCH_PLAN_DOUBTFUL, "the plan will not do what it seems to");
        context.tell(&answer.doubts.iter().take(10).fold(doubt, |d, text| d.cause(text.clone())));
    }
    context.answer(document(&answer), &answer)?;
    let faults: Vec<&String> = answer.frameworks.iter().flat_map(|f| &f.flag_faults).collect();
    if faults.is_empty() {
        return Ok(Exit::Done);
    }
    let unknown = Diagnostic::new(codes::BENCH_FLAG_UNKNOWN, "the server has no such flag").file(&args.plan);
    context.tell(&faults.iter().take(10).fold(unknown, |d, f| d.cause((*f).clone())));
    Ok(Exit::Input)
}

pub(super) fn read_text(path: &Path, limit: usize) -> Result<String, Diagnostic> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| Diagnostic::reading(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        Diagnostic::new(codes::BENCH_PLAN_UNREADABLE, "the file is not text")
            .file(path)
            .place(format!("byte {}", e.utf8_error().valid_up_to()))
    })
}

/// All faults of a plan as one diagnostic; the first decides place and hint.
pub(super) fn invalid(path: &Path, faults: &[Fault]) -> Diagnostic {
    let unreadable = matches!(faults, [only] if only.path.is_empty());
    let mut out = match unreadable {
        true => Diagnostic::new(codes::BENCH_PLAN_UNREADABLE, "the plan cannot be read"),
        false => Diagnostic::new(codes::BENCH_PLAN_INVALID, "the plan is not valid"),
    }
    .file(path);
    if let Some(line) = faults.iter().map(|f| f.line).find(|l| *l > 0) {
        out = out.place(format!("line {line}"));
    }
    for fault in faults.iter().take(20) {
        let place = match fault.line {
            0 => fault.path.clone(),
            line if fault.path.is_empty() => format!("line {line}"),
            line => format!("line {line}: {}", fault.path),
        };
        let hint = fault.hint.as_ref().map_or_else(String::new, |h| format!(" ({h})"));
        out = out.cause(format!("{place}: {}{hint}", fault.cause));
    }
    if faults.len() > 20 {
        out = out.cause(format!("{} more", faults.len() - 20));
    }
    out
}

/// Captured help texts of the plan's frameworks. A file belongs to a framework when its name holds the framework and
/// says that it is about serving and not about measuring.
fn helps(dir: &Path, plan: &Plan) -> Result<BTreeMap<String, Help>, Diagnostic> {
    let entries = std::fs::read_dir(dir).map_err(|e| Diagnostic::reading(dir, &e))?;
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    let mut out = BTreeMap::new();
    for path in files {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let serving = ["serve", "launch"].iter().any(|w| name.contains(w)) && !name.contains("bench");
        if !name.ends_with(".txt") || !serving {
            continue;
        }
        let text = read_text(&path, MAX_HELP)?;
        for framework in &plan.frameworks {
            let names: &[&str] = match framework.kind {
                Framework::TensorrtLlm => &["trtllm", "tensorrt"],
                _ => &[framework.name.as_str()],
            };
            let help = Help::parse(&text);
            if names.iter().any(|n| name.contains(n)) && !help.is_empty() {
                out.insert(framework.name.clone(), help);
            }
        }
    }
    Ok(out)
}

/// Model and GPU for proofs, where the plan names a config and a GPU that is known.
fn model(path: &Path, plan: &Plan, context: &Context) -> Option<(Architecture, Gpu)> {
    let config = path.parent().unwrap_or(Path::new("")).join(plan.model.config.as_ref()?);
    let model = perfwright_model::config::read(&config);
    let gpu = find(plan.hardware.gpu_model.as_deref().unwrap_or_default());
    match (model, gpu) {
        (Ok(model), Ok(gpu)) => Some((model, gpu)),
        (Err(e), _) | (_, Err(e)) => {
            let doubt = Diagnostic::new(codes::BENCH_PLAN_DOUBTFUL, "the plan will not do what it seems to");
            context.tell(&doubt.cause(format!("nothing is ruled out by what the hardware allows: {e}")));
            None
        }
    }
}
