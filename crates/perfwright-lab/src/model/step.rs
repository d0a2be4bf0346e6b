//! One pass through the layers.

use super::batch::{Logits, Rows};
use super::observer::Observer;
use super::recorder::{Call, Recorder};
use crate::config::ModelConfig;
use crate::error::LabError;
use crate::kv::{KvCache, LayerKv};
use crate::ops::packed::Panels;
use crate::ops::pool::Context;
use crate::ops::rope::QkvColumns;
use crate::ops::table::OpTable;
use crate::rope_table::RopeTable;
use crate::weights::{LayerWeights, Parts, Weights};

/// Activations of a step, kept for the next.
#[derive(Default)]
pub(super) struct Workspace {
    /// The residual stream.
    x: Vec<f32>,
    /// The output of a norm.
    h: Vec<f32>,
    /// Queries, keys and values of a row side by side.
    qkv: Vec<f32>,
    attention: Vec<f32>,
    /// The output of a block, before it is added to the stream.
    y: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Workspace {
    fn widths(config: &ModelConfig) -> [usize; 7] {
        let (h, i, q) = (config.hidden_size, config.intermediate_size, config.q_size());
        [h, h, q + 2 * config.kv_size(), q, h, i, i]
    }

    pub(super) fn bytes_for(config: &ModelConfig, rows: usize) -> usize {
        Self::widths(config).iter().sum::<usize>() * rows * size_of::<f32>()
    }

    pub(super) fn fit(&mut self, config: &ModelConfig, rows: usize) {
        let buffers = [
            &mut self.x,
            &mut self.h,
            &mut self.qkv,
            &mut self.attention,
            &mut self.y,
            &mut self.gate,
            &mut self.up,
        ];
        for (buffer, width) in buffers.into_iter().zip(Self::widths(config)) {
            if buffer.len() < rows * width {
                buffer.resize(rows * width, 0.0);
            }
        }
    }
}

/// Everything a step reads.
pub(super) struct Step<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    pub(super) parts: &'a Parts,
    pub(super) rope: &'a RopeTable,
    pub(super) ops: &'a OpTable,
    pub(super) context: &'a Context,
    pub(super) rows: &'a Rows<'a>,
}

impl Step<'_> {
    pub(super) fn run(
        &self,
        w: &mut Workspace,
        kv: &mut KvCache,
        observer: Option<&mut Observer>,
    ) -> Result<Logits, LabError> {
        let rec = &mut Recorder::new(observer, self.rows.count());
        let m = self.rows.count();
        let h = self.config.hidden_size;
        self.embed(rec, &mut w.x[..m * h]);
        for (index, layer) in self.weights.layers.iter().enumerate() {
            rec.layer = Some(index);
            self.attention_block(rec, layer, kv.layer_mut(index), index > 0, w)?;
            self.mlp_block(rec, layer, w)?;
        }
        rec.layer = None;
        self.head(rec, w)
    }

    fn embed(&self, rec: &mut Recorder<'_>, x: &mut [f32]) {
        let h = self.config.hidden_size;
        let shapes = [[self.config.vocab_size, h], [self.rows.count(), h]];
        rec.run(Call("embedding", "embed_tokens", "lab_embedding"), &shapes, || {
            for (x, token) in x.chunks_exact_mut(h).zip(&self.rows.tokens) {
                x.copy_from_slice(&self.weights.embedding[*token as usize * h..][..h]);
            }
        });
    }

    /// `pending`: the output of the block before, in `w.y`, is not in the stream yet.
    fn attention_block(
        &self,
        rec: &mut Recorder<'_>,
        layer: &LayerWeights,
        kv: &mut LayerKv,
        pending: bool,
        w: &mut Workspace,
    ) -> Result<(), LabError> {
        let m = self.rows.count();
        let (h, q, kvs) = (self.config.hidden_size, self.config.q_size(), self.config.kv_size());
        let columns = QkvColumns { stride: q + 2 * kvs, q_size: q, kv_size: kvs };
        let (x, normed, y) = (&mut w.x[..m * h], &mut w.h[..m * h], &mut w.y[..m * h]);
        let qkv = &mut w.qkv[..m * columns.stride];
        let attention = &mut w.attention[..m * q];
        self.norm(rec, "input_norm", x, pending.then_some(&*y), &layer.input_norm, normed)?;
        if self.ops.gemm.is_fused() {
            self.project(
                rec,
                "qkv_proj",
                normed,
                &layer.qkv,
                self.parts.qkv,
                (&mut *qkv, columns.stride, 0),
            )?;
        } else {
            let parts =
                [("q_proj", self.parts.q, 0), ("k_proj", self.parts.k, q), ("v_proj", self.parts.v, q + kvs)];
            for (role, panels, column) in parts {
                self.project(rec, role, normed, &layer.qkv, panels, (&mut *qkv, columns.stride, column))?;
            }
        }
        self.bias_and_head_norm(rec, layer, qkv, columns);
        self.rope_and_store(rec, qkv, columns, kv)?;
        self.attend(rec, qkv, columns, kv, attention)?;
        self.project(rec, "o_proj", attention, &layer.out, self.parts.hidden, (y, h, 0))
    }

    fn mlp_block(
        &self,
        rec: &mut Recorder<'_>,
        layer: &LayerWeights,
        w: &mut Workspace,
    ) -> Result<(), LabError> {
        let m = self.rows.count();
        let (h, i) = (self.config.hidden_size, self.config.intermediate_size);
        let (x, normed, y) = (&mut w.x[..m * h], &mut w.h[..m * h], &mut w.y[..m * h]);
        let (gate, up) = (&mut w.gate[..m * i], &mut w.up[..m * i]);
        self.norm(rec, "post_attention_norm", x, Some(y), &layer.post_norm, normed)?;
        if self.ops.gemm.is_fused() && self.ops.silu_mul.is_fused() {
            self.gate_up_silu(rec, normed, &layer.gate_up, gate);
        } else {
            for (role, panels, out) in
                [("gate_proj", self.parts.gate, &mut *gate), ("up_proj", self.parts.up, &mut *up)]
            {
                self.project(rec, role, normed, &layer.gate_up, panels, (out, i, 0))?;
            }
            self.silu_mul(rec, gate, up)?;
        }
        self.project(rec, "down_proj", gate, &layer.down, self.parts.hidden, (y, h, 0))
    }

    /// The last norm and the output head, for the rows whose logits are wanted.
    fn head(&self, rec: &mut Recorder<'_>, w: &mut Workspace) -> Result<Logits, LabError> {
        let (h, vocab) = (self.config.hidden_size, self.config.vocab_size);
        let wanted = &self.rows.wanted;
        // Wanted rows ascend, so each moves to a place at or before its own.
        for (to, from) in wanted.iter().enumerate().filter(|(to, from)| to != *from) {
            w.x.copy_within(from * h..(from + 1) * h, to * h);
            w.y.copy_within(from * h..(from + 1) * h, to * h);
        }
        let n = wanted.len();
        let mut values = vec![0.0; n * vocab];
        if n > 0 {
            let (x, normed, y) = (&mut w.x[..n * h], &mut w.h[..n * h], &w.y[..n * h]);
            let pending = (!self.weights.layers.is_empty()).then_some(y);
            self.norm(rec, "final_norm", x, pending, &self.weights.final_norm, normed)?;
            let panels: Panels = self.parts.vocab;
            self.project(rec, "lm_head", normed, &self.weights.head, panels, (&mut values, vocab, 0))?;
        }
        Ok(Logits { values, vocab })
    }
}
