//! `perfwright model`: what a model must compute and hold.

use std::path::{Path, PathBuf};

use perfwright_model::arch::Architecture;
use perfwright_model::error::ModelError;
use perfwright_model::format::{Format, KvDtype};
use perfwright_model::gate::{
    DIVIDED, FITS, MEMORY_EVIDENCE, OPS_EVIDENCE, POSSIBLE, SUMMED, WHATIF_EVIDENCE,
};
use perfwright_model::hardware::{self, Gpu};
use perfwright_model::memory::{MemoryOptions, memory};
use perfwright_model::ops::{Phase, Step};
use perfwright_model::parallel::Parallel;
use perfwright_model::report::{OpsOptions, ops};
use perfwright_model::show::show;
use perfwright_model::whatif::{WhatIfOptions, whatif};
use perfwright_model::{config, render};
use serde_json::json;

use crate::cli::model::{
    MemoryArgs, ModelArgs, ModelVerb, OpsArgs, ParallelArgs, PhaseArg, ShowArgs, WhatifArgs,
};
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{self, Recording};
use crate::settings::distance;

/// Runs the verb.
pub(crate) fn run(args: &ModelArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        ModelVerb::Show(args) => run_show(args, context),
        ModelVerb::Memory(args) => run_memory(args, context),
        ModelVerb::Ops(args) => run_ops(args, context),
        ModelVerb::Whatif(args) => run_whatif(args, context),
    }
}

fn run_show(args: &ShowArgs, context: &mut Context) -> Outcome {
    let answer = show(&read(&args.config.config, context)?);
    if args.mermaid {
        context.text(&answer.mermaid)?;
    } else {
        context.answer(render::show(&answer), &answer)?;
    }
    Ok(Exit::Done)
}

fn run_memory(args: &MemoryArgs, context: &mut Context) -> Outcome {
    let model = read(&args.config.config, context)?;
    let gpu = args.gpu.as_deref().map(gpu).transpose()?;
    let options = MemoryOptions {
        parallel: parallel(args.parallel),
        kv_dtype: kv_dtype(&args.kv_dtype)?,
        weights: args.dtype.as_deref().map(format).transpose()?,
        gpu: gpu.as_ref(),
        fraction: args.fraction,
        context: args.context,
    };
    let contract = || {
        Ok(json!({
            "config": record::file(&args.config.config)?,
            "parallel": options.parallel,
            "kv_dtype": args.kv_dtype,
            "dtype": args.dtype,
            "gpu": args.gpu,
            "fraction": args.fraction,
            "context": args.context,
        }))
    };
    let answer = memory(&model, &options).map_err(|e| diagnostic(&e))?;
    let recording = Recording::of(&args.recorded, "model memory", &args.config.config, contract, context)?;
    if let Some(mut recording) = recording {
        recording.inputs("", files(&args.config.config))?;
        let document = render::memory(&answer);
        recording.answer(MEMORY_EVIDENCE, (&answer, answer.schema), &document, &[DIVIDED], context)?;
    }
    context.answer(render::memory(&answer), &answer)?;
    Ok(Exit::Done)
}

fn run_ops(args: &OpsArgs, context: &mut Context) -> Outcome {
    let model = read(&args.config.config, context)?;
    let gpu = gpu(&args.gpu)?;
    let step = Step {
        phase: match args.phase {
            PhaseArg::Prefill => Phase::Prefill,
            PhaseArg::Decode => Phase::Decode,
        },
        batch: args.batch,
        tokens: args.tokens,
        context: args.context,
        parallel: parallel(args.parallel),
        kv_dtype: kv_dtype(&args.kv_dtype)?,
    };
    let options = OpsOptions {
        step,
        weights: args.dtype.as_deref().map(format).transpose()?,
        gpu: &gpu,
        launch_us: args.launch_us,
        measured_us: args.measured_us,
    };
    let contract = || {
        Ok(json!({
            "config": record::file(&args.config.config)?,
            "phase": step.phase,
            "batch": args.batch,
            "tokens": args.tokens,
            "context": args.context,
            "parallel": step.parallel,
            "kv_dtype": args.kv_dtype,
            "dtype": args.dtype,
            "gpu": args.gpu,
            "launch_us": args.launch_us,
            "measured_us": args.measured_us,
        }))
    };
    let answer = ops(&model, &options).map_err(|e| diagnostic(&e))?;
    let recording = Recording::of(&args.recorded, "model ops", &args.config.config, contract, context)?;
    if let Some(mut recording) = recording {
        recording.inputs("", files(&args.config.config))?;
        let document = render::ops(&answer);
        let gates = [SUMMED, POSSIBLE];
        recording.answer(OPS_EVIDENCE, (&answer, answer.schema), &document, &gates, context)?;
    }
    context.answer(render::ops(&answer), &answer)?;
    let Some(measured) = answer.measured.filter(|m| m.impossible) else { return Ok(Exit::Done) };
    let least = answer.roofline.overlapped_us;
    context.tell(
        &Diagnostic::new(
            codes::MODEL_IMPOSSIBLE_TIME,
            "the measured time is shorter than the hardware allows",
        )
        .cause(format!("{} us measured, {least:.3} us at the peak of the busiest resource", measured.time_us))
        .help(
            "check --dtype, --batch, --tokens, the ranks and --gpu; MFU and MBU above 100 % are not printed",
        ),
    );
    Ok(Exit::HardStop)
}

fn run_whatif(args: &WhatifArgs, context: &mut Context) -> Outcome {
    let model = read(&args.config.config, context)?;
    let gpu = gpu(&args.gpu)?;
    let mut ways = Vec::new();
    for pp in &args.pp {
        for dp in &args.dp {
            for tp in &args.tp {
                for ep in &args.ep {
                    ways.push(Parallel { tp: *tp, ep: *ep, dp: *dp, pp: *pp });
                }
            }
        }
    }
    let weights = |name: &String| if name == "checkpoint" { Ok(None) } else { format(name).map(Some) };
    let options = WhatIfOptions {
        parallel: ways,
        weights: args.dtype.iter().map(weights).collect::<Result<_, _>>()?,
        kv_dtypes: args.kv_dtype.iter().map(|name| kv_dtype(name)).collect::<Result<_, _>>()?,
        batches: args.batch.clone(),
        contexts: args.context.clone(),
        gpu: &gpu,
        fraction: args.fraction,
    };
    let contract = || {
        Ok(json!({
            "config": record::file(&args.config.config)?,
            "tp": args.tp,
            "ep": args.ep,
            "dp": args.dp,
            "pp": args.pp,
            "kv_dtype": args.kv_dtype,
            "dtype": args.dtype,
            "batch": args.batch,
            "context": args.context,
            "gpu": args.gpu,
            "fraction": args.fraction,
        }))
    };
    let answer = whatif(&model, &options).map_err(|e| diagnostic(&e))?;
    let recording = Recording::of(&args.recorded, "model whatif", &args.config.config, contract, context)?;
    if let Some(mut recording) = recording {
        recording.inputs("", files(&args.config.config))?;
        let document = render::whatif(&answer);
        recording.answer(WHATIF_EVIDENCE, (&answer, answer.schema), &document, &[FITS], context)?;
    }
    context.answer(render::whatif(&answer), &answer)?;
    Ok(Exit::Done)
}

/// The files that describe the model of a `--config`.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let files = config::files(path);
    [Some(files.config), files.quant, files.index].into_iter().flatten().collect()
}

/// Reads the config and warns about fields that were not understood.
pub(super) fn read(path: &Path, context: &Context) -> Result<Architecture, Diagnostic> {
    let model = config::read(path).map_err(|e| diagnostic(&e))?;
    if !model.unread.is_empty() {
        context.tell(
            &Diagnostic::new(codes::MODEL_FIELDS_UNREAD, "fields of the config were not understood")
                .file(path)
                .cause(model.unread.join(", "))
                .help("the figures leave out what these fields describe; an entry in catalog/families can explain them"),
        );
    }
    Ok(model)
}

fn parallel(args: ParallelArgs) -> Parallel {
    Parallel { tp: args.tp, ep: args.ep, dp: args.dp, pp: args.pp }
}

pub(super) fn gpu(name: &str) -> Result<Gpu, Diagnostic> {
    hardware::find(name).map_err(|e| diagnostic(&e))
}

pub(super) fn format(name: &str) -> Result<Format, Diagnostic> {
    Format::named(name).ok_or_else(|| {
        Diagnostic::new(codes::USAGE, format!("no weight format named `{name}`"))
            .help("known: bf16, fp16, fp32, fp8, fp8_block, mxfp8, int8, w8a16, w4a16 (int4), nvfp4, w4a16_nvfp4, mxfp4")
    })
}

pub(super) fn kv_dtype(name: &str) -> Result<KvDtype, Diagnostic> {
    KvDtype::named(name).ok_or_else(|| {
        Diagnostic::new(codes::USAGE, format!("no cache format named `{name}`"))
            .help("known: bf16, fp16, fp32, fp8, fp4")
    })
}

/// The name or alias of a GPU that is most like `name`, if one is like it at all.
fn nearest_gpu(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let gpus = hardware::all().ok()?;
    let names = gpus.into_iter().flat_map(|gpu| gpu.aliases.into_iter().chain([gpu.name]));
    let (steps, near) = names.map(|known| (distance(&name, &known), known)).min()?;
    (!name.is_empty() && steps <= 1 + name.chars().count() / 4).then_some(near)
}

/// A model error with its code and what to do.
pub(super) fn diagnostic(e: &ModelError) -> Diagnostic {
    match e {
        ModelError::Io { path, source } => Diagnostic::reading(path, source),
        ModelError::TooLarge { path, bytes, limit } => {
            Diagnostic::new(codes::INPUT_READ_FAILED, "the file is too large for a config")
                .file(path)
                .cause(format!("{bytes} bytes; the limit is {limit}"))
        }
        ModelError::NotJson { path, line, column, cause } => {
            Diagnostic::new(codes::INPUT_NOT_JSON, "this is not JSON")
                .file(path)
                .place(format!("line {line}, column {column}"))
                .cause(cause.clone())
        }
        ModelError::Field { path, field, expected, found } => {
            Diagnostic::new(codes::MODEL_CONFIG_FIELD, "a field of the config has an unusable value")
                .file(path)
                .place(format!("field {field}"))
                .cause(format!("expected {expected}, found {found}"))
        }
        ModelError::Missing { path, field, expected } => {
            Diagnostic::new(codes::MODEL_CONFIG_FIELD, "a field is missing from the config")
                .file(path)
                .place(format!("field `{field}`"))
                .cause(format!("expected {expected}"))
                .help("give the config.json of a model that generates text")
        }
        ModelError::Question(text) => Diagnostic::new(codes::USAGE, text.clone()),
        ModelError::NoGpu { name, known } => {
            Diagnostic::new(codes::USAGE, format!("no GPU named `{name}` in the catalogue")).help(
                match nearest_gpu(name) {
                    Some(near) => format!("did you mean `{near}`? known: {}", known.join(", ")),
                    None => format!("known: {}", known.join(", ")),
                },
            )
        }
        other => Diagnostic::new(codes::INTERNAL, other.to_string()),
    }
}
