//! The operators of one step on one rank: shapes, FLOPs, bytes and communication.
//!
//! Conventions, for every figure here:
//!
//! - `flops` are those of matrix products, attention, convolutions and recurrences, two per multiplication and
//!   addition, as FLOP counters and MFU count them. Norms, rotary embedding and activations have `vector_flops` apart.
//! - Attention is causal: a new token sees the tokens before it and itself.
//! - Weights are read once per step, of routed experts those that are touched under uniform routing.
//! - With `pp` stages the list is that of a whole pass: the ranks of all stages in turn.

mod attention;
mod ffn;
mod linear;
pub mod pairs;

use schemars::JsonSchema;
use serde::Serialize;

use crate::arch::{Architecture, Mixer};
use crate::error::ModelError;
use crate::format::{Compute, Format, KvDtype};
use crate::parallel::Parallel;
use crate::params::{self, Group};
use crate::weights::{Matrix, Role};

/// What the step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Requests bring `tokens` new tokens each; the head runs on the last one.
    Prefill,
    /// Requests bring `tokens` tokens to generate or verify; the head runs on all of them.
    Decode,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Prefill or decode.
    pub phase: Phase,
    /// Requests, over all replicas.
    pub batch: u64,
    /// New tokens of each request.
    pub tokens: u64,
    /// Tokens of each request that are in the cache before the step.
    pub context: u64,
    /// How ranks share the model.
    pub parallel: Parallel,
    /// Format of the cache.
    pub kv_dtype: KvDtype,
}

/// Most requests, tokens and context that are counted: with the bounds on dimensions no figure overflows.
const MAX_BATCH: u64 = 1 << 20;
const MAX_TOKENS: u64 = 1 << 24;
const MAX_CONTEXT: u64 = 1 << 30;

/// Kind of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Row lookups in the embedding.
    Embedding,
    /// Dense matrix products.
    Gemm,
    /// Matrix products of experts.
    Moe,
    /// Attention itself.
    Attention,
    /// Scores of sparse attention's indexer.
    Indexer,
    /// Convolutions and recurrences.
    Recurrence,
    /// Norms, rotary embedding, activations.
    Elementwise,
    /// Collectives and sends.
    Communication,
}

/// One operator on one rank, over all layers that have it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Op {
    /// Its name.
    pub name: String,
    /// The kind of layer it belongs to, or `model`.
    pub part: String,
    /// Kind.
    pub category: Category,
    /// Layers that have it.
    pub layers: u64,
    /// Rows, outputs and inputs of a product on this rank; for experts the rows of all of them together.
    pub shape: Option<[u64; 3]>,
    /// Format of the weights, or of the cache for attention.
    pub format: String,
    /// Precision of the products.
    #[serde(skip)]
    pub compute: Compute,
    /// FLOPs.
    pub flops: u128,
    /// FLOPs outside the matrix units.
    pub vector_flops: u128,
    /// Bytes moved: the sum of the next three.
    pub bytes: u128,
    /// Bytes of weights.
    pub weight_bytes: u128,
    /// Bytes of cache and states, read and written.
    pub cache_bytes: u128,
    /// Bytes of activations, read and written.
    pub activation_bytes: u128,
    /// Bytes this rank sends.
    pub comm_bytes: u128,
    /// Ranks that talk to each other.
    #[serde(skip)]
    pub peers: u64,
}

/// An operator before it is filled in.
pub(crate) fn op(name: &str, category: Category) -> Op {
    Op {
        name: name.to_owned(),
        part: String::new(),
        category,
        layers: 1,
        shape: None,
        format: String::new(),
        compute: Compute::Bf16,
        flops: 0,
        vector_flops: 0,
        bytes: 0,
        weight_bytes: 0,
        cache_bytes: 0,
        activation_bytes: 0,
        comm_bytes: 0,
        peers: 1,
    }
}

/// What the parts need to know.
pub(crate) struct Ctx<'a> {
    pub(crate) model: &'a Architecture,
    pub(crate) step: &'a Step,
    /// Requests of this replica.
    pub(crate) requests: u64,
    /// New tokens of this replica.
    pub(crate) rows: u64,
    /// Bytes of an activation.
    pub(crate) act: u64,
}

pub(crate) fn prod(factors: &[u64]) -> u128 {
    factors.iter().fold(1u128, |all, factor| all.saturating_mul(u128::from(*factor)))
}

impl Step {
    fn check(&self, model: &Architecture) -> Result<(), ModelError> {
        self.parallel.check(model)?;
        for (name, n, min, max) in [
            ("batch", self.batch, 1, MAX_BATCH),
            ("tokens", self.tokens, 1, MAX_TOKENS),
            ("context", self.context, 0, MAX_CONTEXT),
        ] {
            if n < min || n > max {
                return Err(ModelError::Question(format!("--{name} {n} is not from {min} to {max}")));
            }
        }
        Ok(())
    }
}

/// The operators of a step, layer by layer, with the figures of one layer each.
#[derive(Debug, Clone, PartialEq)]
pub struct ByLayer {
    /// What comes before the first layer.
    pub before: Vec<Op>,
    /// The operators of each kind of layer.
    pub kinds: Vec<Vec<Op>>,
    /// The kind of every layer.
    pub layers: Vec<usize>,
    /// What comes after the last layer: norm, head, sends.
    pub after: Vec<Op>,
}

/// The operators of a step, layer by layer. [`of`] adds them up by kind.
///
/// # Errors
/// As [`of`].
pub fn by_layer(model: &Architecture, step: &Step) -> Result<ByLayer, ModelError> {
    step.check(model)?;
    let requests = step.batch.div_ceil(step.parallel.dp);
    let c = Ctx { model, step, requests, rows: requests * step.tokens, act: model.dtype.bytes() };
    let mut firsts: Vec<usize> = Vec::new();
    let mut layers = Vec::with_capacity(model.layers.len());
    for (i, this) in model.layers.iter().enumerate() {
        let signature = model.quantization.signature(i as u64);
        let same =
            |&f: &usize| model.layers[f] == *this && model.quantization.signature(f as u64) == signature;
        layers.push(firsts.iter().position(same).unwrap_or_else(|| {
            firsts.push(i);
            firsts.len() - 1
        }));
    }
    let one = |&first: &usize| -> Vec<Op> {
        let range = &model.layers[first..=first];
        let mut ops: Vec<Op> =
            params::groups(model, range, first as u64).iter().flat_map(|group| layer(&c, group)).collect();
        let part = model.layers[first].name();
        ops.iter_mut().for_each(|op| op.part.clone_from(&part));
        ops
    };
    let kinds = firsts.iter().map(one).collect();
    let mut out = ByLayer { before: vec![embedding(&c)], kinds, layers, after: after(&c) };
    for op in out.before.iter_mut().chain(out.kinds.iter_mut().flatten()).chain(&mut out.after) {
        op.bytes = op.weight_bytes.saturating_add(op.cache_bytes).saturating_add(op.activation_bytes);
    }
    Ok(out)
}

/// The operators of a step: kinds of layers in the order in which they first occur, in each its mixers before its
/// feed-forward parts.
///
/// # Errors
/// Where the model cannot be cut as asked, or a number is out of bounds.
pub fn of(model: &Architecture, step: &Step) -> Result<Vec<Op>, ModelError> {
    step.check(model)?;
    let requests = step.batch.div_ceil(step.parallel.dp);
    let c = Ctx { model, step, requests, rows: requests * step.tokens, act: model.dtype.bytes() };
    let mut ops = vec![embedding(&c)];
    for group in params::groups(model, &model.layers, 0) {
        let part = group.layer.name();
        for mut op in layer(&c, &group) {
            op.part.clone_from(&part);
            scale(&mut op, group.count);
            ops.push(op);
        }
    }
    ops.extend(after(&c));
    for op in &mut ops {
        op.bytes = op.weight_bytes.saturating_add(op.cache_bytes).saturating_add(op.activation_bytes);
    }
    Ok(ops)
}

/// What comes after the last layer.
fn after(c: &Ctx<'_>) -> Vec<Op> {
    let hidden = c.model.hidden;
    let norm = elementwise("final_norm", prod(&[c.rows, hidden]), 2, 4, c.act);
    let mut ops = vec![Op { part: "model".to_owned(), ..norm }, head(c)];
    let parallel = &c.step.parallel;
    if parallel.pp > 1 {
        let mut send = op("pp_send", Category::Communication);
        send.part = "model".to_owned();
        send.comm_bytes = prod(&[c.rows, hidden, c.act, parallel.pp - 1]);
        send.peers = parallel.ranks();
        ops.push(send);
    }
    ops
}

fn scale(op: &mut Op, layers: u64) {
    op.layers = layers;
    for figure in [
        &mut op.flops,
        &mut op.vector_flops,
        &mut op.weight_bytes,
        &mut op.cache_bytes,
        &mut op.activation_bytes,
        &mut op.comm_bytes,
    ] {
        *figure = figure.saturating_mul(layers.into());
    }
}

fn layer(c: &Ctx<'_>, group: &Group<'_>) -> Vec<Op> {
    let mut ops = Vec::new();
    let hidden = c.model.hidden;
    if group.layer.norms > 0 {
        ops.push(elementwise("norms", prod(&[c.rows, hidden, group.layer.norms]), 2, 4, c.act));
    }
    for mixer in &group.layer.mixers {
        match mixer {
            Mixer::Attention(a) => attention::ops(c, group, a, &mut ops),
            Mixer::Linear(l) => linear::ops(c, group, l, &mut ops),
        }
    }
    ffn::ops(c, group, &mut ops);
    all_reduces(c, group, &mut ops);
    ops
}

/// One all-reduce after each part whose last matrix is cut by its input. Experts spread over ranks exchange tokens
/// instead.
fn all_reduces(c: &Ctx<'_>, group: &Group<'_>, ops: &mut Vec<Op>) {
    let p = &c.step.parallel;
    let dense =
        group.layer.ffns.iter().filter(|ffn| matches!(ffn, crate::arch::Ffn::Dense { .. })).count() as u64;
    let experts = group.layer.ffns.len() as u64 - dense;
    let by_exchange = p.ep > 1;
    let sums = group.layer.mixers.len() as u64 + dense + if by_exchange { 0 } else { experts };
    if p.tp > 1 && sums > 0 {
        let mut sum = op("tp_all_reduce", Category::Communication);
        sum.comm_bytes = prod(&[2, p.tp - 1, c.rows, c.model.hidden, c.act, sums]) / u128::from(p.tp);
        sum.peers = p.tp;
        ops.push(sum);
    }
}

/// The product by a matrix with `rows` rows; the bytes of experts are left to the caller.
pub(crate) fn gemm(c: &Ctx<'_>, group: &Group<'_>, m: &Matrix, rows: u64) -> Op {
    let (input, output) = m.on_rank(c.step.parallel.tp, c.step.parallel.expert_tp());
    let format = params::matrix_format(c.model, group.first, m);
    let category = if m.is_routed() { Category::Moe } else { Category::Gemm };
    let mut op = product(m.name, category, rows, output, input, format, c.act);
    if m.bias > 0 && !m.is_routed() {
        op.weight_bytes = op.weight_bytes.saturating_add(prod(&[output, c.act]));
    }
    op
}

fn product(
    name: &str,
    category: Category,
    rows: u64,
    output: u64,
    input: u64,
    format: Format,
    act: u64,
) -> Op {
    let mut op = op(name, category);
    op.shape = Some([rows, output, input]);
    format.name.clone_into(&mut op.format);
    op.compute = format.compute;
    op.flops = prod(&[2, rows, output, input]);
    op.weight_bytes = format.bytes(prod(&[input, output]));
    op.activation_bytes = prod(&[rows, input, act]).saturating_add(prod(&[rows, output, act]));
    op
}

/// The products of a layer's matrices that have one of these roles and are not in `skip`.
pub(crate) fn gemms(c: &Ctx<'_>, group: &Group<'_>, roles: &[Role], skip: &[&str], ops: &mut Vec<Op>) {
    for m in &group.weights.matrices {
        if roles.contains(&m.role) && !m.is_routed() && !skip.contains(&m.name) {
            ops.push(gemm(c, group, m, c.rows));
        }
    }
}

/// Reads and writes `elements` `passes` times in all, with `flops` operations each.
pub(crate) fn elementwise(name: &str, elements: u128, passes: u64, flops: u64, act: u64) -> Op {
    let mut op = op(name, Category::Elementwise);
    op.activation_bytes = elements.saturating_mul((passes * act).into());
    op.vector_flops = elements.saturating_mul(flops.into());
    op
}

fn embedding(c: &Ctx<'_>) -> Op {
    let mut op = op("embedding", Category::Embedding);
    op.part = "model".to_owned();
    c.model.quantization.plain.name.clone_into(&mut op.format);
    // Each token reads one row, and at most the table is read.
    let row = prod(&[c.model.hidden, c.act]);
    op.weight_bytes = row.saturating_mul(u128::from(c.rows.min(c.model.vocab)));
    op.activation_bytes = row.saturating_mul(c.rows.into());
    op
}

fn head(c: &Ctx<'_>) -> Op {
    let rows = match c.step.phase {
        Phase::Prefill => c.requests,
        Phase::Decode => c.rows,
    };
    let output = c.model.vocab.div_ceil(c.step.parallel.tp);
    let op =
        product("lm_head", Category::Gemm, rows, output, c.model.hidden, c.model.quantization.plain, c.act);
    Op { part: "model".to_owned(), ..op }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_add_up_to_the_sum_by_kind() {
        let config = serde_json::json!({
            "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 6, "vocab_size": 32000,
            "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
            "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 768, "mlp_only_layers": [0, 3],
        });
        let model = crate::config::from_value(std::path::Path::new("config.json"), &config, None).unwrap();
        let parallel = Parallel { tp: 2, ..Parallel::default() };
        let kv_dtype = KvDtype::named("bf16").unwrap();
        let step = Step { phase: Phase::Prefill, batch: 3, tokens: 40, context: 7, parallel, kv_dtype };
        let (all, layers) = (of(&model, &step).unwrap(), by_layer(&model, &step).unwrap());
        assert_eq!((layers.layers.len(), layers.kinds.len()), (6, 2));
        let sum = |figure: fn(&Op) -> u128| -> [u128; 2] {
            let inner = layers.layers.iter().flat_map(|&k| &layers.kinds[k]);
            let mine = layers.before.iter().chain(inner).chain(&layers.after).map(figure).sum();
            [mine, all.iter().map(figure).sum()]
        };
        for [mine, of] in [sum(|op| op.flops), sum(|op| op.bytes), sum(|op| op.comm_bytes)] {
            assert_eq!(mine, of);
        }
    }
}
