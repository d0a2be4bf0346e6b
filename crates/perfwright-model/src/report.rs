//! `model ops`: the operators of a step with the time the hardware allows.

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::Architecture;
use crate::error::ModelError;
use crate::format::{Format, KvDtype};
use crate::hardware::Gpu;
use crate::ops::{self, Category, Op, Phase, Step};
use crate::parallel::Parallel;
use crate::roofline::{self, Bound, Impossible, StepTime, Time};
use crate::show::{self, Summary};

/// Schema name of [`OpsReport`].
pub const SCHEMA: &str = "perfwright.model-ops/v1";

/// What the figures assume; printed with every answer.
const ASSUMPTIONS: [&str; 6] = [
    "flops: matrix products, attention, convolutions and recurrences, 2 per multiply-add; norms, rotary embedding and activations are vector_flops",
    "attention is causal; context counts the tokens that are in the cache before the step",
    "weights are read once per step; routed experts are touched uniformly",
    "figures are those of one rank; with stages they are summed over the pass",
    "communication: an all-reduce per mixer and per feed-forward part, token exchange between expert groups, sends between stages",
    "latent attention: keys and values are made of the latent in prefill, scores are taken against it in decode; recurrences are counted token by token",
];

/// What is asked, beside the step.
#[derive(Debug, Clone, Copy)]
pub struct OpsOptions<'a> {
    /// The step.
    pub step: Step,
    /// Format of the weights instead of the checkpoint's.
    pub weights: Option<Format>,
    /// The GPU.
    pub gpu: &'a Gpu,
    /// Least time of an operator in microseconds; 0 for the ideal.
    pub launch_us: f64,
    /// A measured time of the step in microseconds.
    pub measured_us: Option<f64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OpsReport {
    /// `perfwright.model-ops/v1`.
    pub schema: &'static str,
    /// What the config describes.
    pub model: Summary,
    /// The question.
    pub question: Question,
    /// Sums over the operators.
    pub totals: Totals,
    /// Time of the step.
    pub roofline: StepTime,
    /// What a measured time makes of it.
    pub measured: Option<Measured>,
    /// The operators.
    pub ops: Vec<Row>,
    /// What the figures assume.
    pub assumptions: Vec<String>,
    /// What was assumed about the model, or could not be modelled.
    pub notes: Vec<String>,
    /// Fields of the config that look like dimensions and were not understood.
    pub unread: Vec<String>,
}

/// The question.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Question {
    /// Prefill or decode.
    pub phase: Phase,
    /// Requests, over all replicas.
    pub batch: u64,
    /// New tokens of each request.
    pub tokens: u64,
    /// Tokens of each request in the cache before the step.
    pub context: u64,
    /// How ranks share the model.
    pub parallel: Parallel,
    /// Format of the weights; `checkpoint` where it is that of the config.
    pub dtype: String,
    /// Format of the cache.
    pub kv_dtype: KvDtype,
    /// The GPU.
    pub gpu: String,
    /// Least time of an operator in microseconds.
    pub launch_us: f64,
}

/// Sums over operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// FLOPs.
    pub flops: u128,
    /// FLOPs outside the matrix units.
    pub vector_flops: u128,
    /// Bytes moved: weights, cache and activations.
    pub bytes: u128,
    /// Bytes of weights.
    pub weight_bytes: u128,
    /// Bytes of cache and states.
    pub cache_bytes: u128,
    /// Bytes of activations.
    pub activation_bytes: u128,
    /// Bytes sent to other ranks.
    pub comm_bytes: u128,
}

/// A measured step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// The time in microseconds.
    pub time_us: f64,
    /// Share of the matrix units' peak; `null` where the time is impossible.
    pub mfu: Option<f64>,
    /// Share of the memory's peak; `null` where the time is impossible.
    pub mbu: Option<f64>,
    /// Measured time per least time.
    pub over_bound: f64,
    /// The time is shorter than the hardware allows, so an input is wrong.
    pub impossible: bool,
}

/// One operator with its time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Row {
    /// The kind of layer it belongs to, or `model`.
    pub part: String,
    /// Its name.
    pub name: String,
    /// Kind.
    pub category: Category,
    /// Layers that have it.
    pub layers: u64,
    /// Rows, outputs and inputs of a product on this rank.
    pub shape: Option<[u64; 3]>,
    /// Format of the weights or of the cache.
    pub format: String,
    /// FLOPs, over all its layers, as are the other figures.
    pub flops: u128,
    /// FLOPs outside the matrix units.
    pub vector_flops: u128,
    /// Bytes moved.
    pub bytes: u128,
    /// Of these weights.
    pub weight_bytes: u128,
    /// Of these cache and states.
    pub cache_bytes: u128,
    /// Of these activations.
    pub activation_bytes: u128,
    /// Bytes sent.
    pub comm_bytes: u128,
    /// Least time in microseconds.
    pub time_us: f64,
    /// What limits it.
    pub bound: Bound,
}

/// Counts.
///
/// # Errors
/// Where the model cannot be cut as asked, or a number is out of bounds.
pub fn ops(model: &Architecture, options: &OpsOptions<'_>) -> Result<OpsReport, ModelError> {
    let changed;
    let model = match options.weights {
        Some(format) => {
            changed = Architecture { quantization: model.quantization.replaced(format), ..model.clone() };
            &changed
        }
        None => model,
    };
    if !(options.launch_us >= 0.0 && options.launch_us <= 1e6) {
        return Err(ModelError::Question(format!(
            "a launch of {} us is not from 0 to 1 s",
            options.launch_us
        )));
    }
    if let Some(us) = options.measured_us.filter(|us| !(us.is_finite() && *us > 0.0)) {
        return Err(ModelError::Question(format!("a measured time of {us} us is not above 0 and finite")));
    }
    let list = ops::of(model, &options.step)?;
    let times: Vec<Time> = list.iter().map(|op| roofline::time(op, options.gpu, options.launch_us)).collect();
    let roofline = roofline::step(&times);
    let mut notes = model.notes.clone();
    let totals = totals(&list);
    notes.extend(model.beyond(options.step.context.saturating_add(options.step.tokens)));
    if totals.comm_bytes > 0 && options.gpu.link.is_none() {
        notes.push(format!(
            "the catalogue has no link bandwidth for {}; communication takes no time here",
            options.gpu.name
        ));
    }
    let step = &options.step;
    Ok(OpsReport {
        schema: SCHEMA,
        model: show::summary(model),
        question: Question {
            phase: step.phase,
            batch: step.batch,
            tokens: step.tokens,
            context: step.context,
            parallel: step.parallel,
            dtype: options.weights.map_or_else(|| "checkpoint".to_owned(), |format| format.name.to_owned()),
            kv_dtype: step.kv_dtype,
            gpu: options.gpu.name.clone(),
            launch_us: options.launch_us,
        },
        totals,
        measured: options.measured_us.map(|us| measured(&times, &roofline, us)),
        roofline,
        ops: list.into_iter().zip(times).map(|(op, time)| row(op, time)).collect(),
        assumptions: ASSUMPTIONS.map(str::to_owned).to_vec(),
        notes,
        unread: model.unread.clone(),
    })
}

/// Sums over operators.
pub fn totals(list: &[Op]) -> Totals {
    let sum =
        |figure: &dyn Fn(&Op) -> u128| list.iter().fold(0u128, |all, op| all.saturating_add(figure(op)));
    Totals {
        flops: sum(&|op| op.flops),
        vector_flops: sum(&|op| op.vector_flops),
        bytes: sum(&|op| op.bytes),
        weight_bytes: sum(&|op| op.weight_bytes),
        cache_bytes: sum(&|op| op.cache_bytes),
        activation_bytes: sum(&|op| op.activation_bytes),
        comm_bytes: sum(&|op| op.comm_bytes),
    }
}

fn measured(times: &[Time], bound: &StepTime, time_us: f64) -> Measured {
    let share = |share: Result<f64, Impossible>| share.ok();
    let (mfu, mbu) = (share(roofline::mfu(times, time_us)), share(roofline::mbu(times, time_us)));
    Measured {
        time_us,
        mfu,
        mbu,
        over_bound: time_us / bound.overlapped_us.max(f64::MIN_POSITIVE),
        impossible: mfu.is_none() || mbu.is_none(),
    }
}

fn row(op: Op, time: Time) -> Row {
    Row {
        part: op.part,
        name: op.name,
        category: op.category,
        layers: op.layers,
        shape: op.shape,
        format: op.format,
        flops: op.flops,
        vector_flops: op.vector_flops,
        bytes: op.bytes,
        weight_bytes: op.weight_bytes,
        cache_bytes: op.cache_bytes,
        activation_bytes: op.activation_bytes,
        comm_bytes: op.comm_bytes,
        time_us: time.time_us,
        bound: time.bound,
    }
}
