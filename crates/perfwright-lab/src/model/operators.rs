//! Each operator of a step, in the variant that the table names.

use super::observer::Shape;
use super::recorder::{Call, Recorder};
use super::step::Step;
use crate::error::LabError;
use crate::kv::LayerKv;
use crate::ops::attention::{self, Attention};
use crate::ops::external::{ExternalOp, TensorData, TensorView};
use crate::ops::gemm::{self, Out};
use crate::ops::packed::{PANEL, Packed, Panels};
use crate::ops::rope::QkvColumns;
use crate::ops::table::OpKind;
use crate::ops::{activation, norm, rope};
use crate::weights::LayerWeights;

impl Step<'_> {
    /// `x += pending`, then `out = norm(x)`.
    pub(super) fn norm(
        &self,
        rec: &mut Recorder<'_>,
        role: &'static str,
        x: &mut [f32],
        pending: Option<&[f32]>,
        weight: &[f32],
        out: &mut [f32],
    ) -> Result<(), LabError> {
        let (h, eps) = (weight.len(), self.config.rms_norm_eps);
        let shape: Shape = [x.len() / h, h];
        if let Some(y) = pending {
            if self.ops.rmsnorm.is_fused() && self.ops.residual.is_fused() {
                let call = Call("rmsnorm", role, "lab_fused_add_rmsnorm");
                rec.run(call, &[shape, shape, [1, h], shape], || {
                    norm::add_rmsnorm(self.context, x, y, weight, eps, out);
                });
                return Ok(());
            }
            rec.run(Call("residual", role, "lab_residual_add"), &[shape, shape, shape], || {
                match &self.ops.residual {
                    OpKind::External(op) => op.call(
                        &mut [
                            TensorView::dense(TensorData::F32(y), &shape),
                            TensorView::dense(TensorData::F32Mut(x), &shape),
                        ],
                        &[],
                    ),
                    OpKind::Naive | OpKind::Fused => {
                        norm::add(self.context, x, y, h);
                        Ok(())
                    }
                }
            })?;
        }
        rec.run(Call("rmsnorm", role, "lab_rmsnorm"), &[shape, [1, h], shape], || match &self.ops.rmsnorm {
            OpKind::External(op) => op.call(
                &mut [
                    TensorView::dense(TensorData::F32(x), &shape),
                    TensorView::dense(TensorData::F32(weight), &[h]),
                    TensorView::dense(TensorData::F32Mut(out), &shape),
                ],
                &[f64::from(eps)],
            ),
            OpKind::Naive | OpKind::Fused => {
                norm::rmsnorm(self.context, x, weight, eps, out);
                Ok(())
            }
        })
    }

    /// `out[.., column..] = x w^T`; `out` is the matrix, the distance of its rows, and the column.
    pub(super) fn project(
        &self,
        rec: &mut Recorder<'_>,
        role: &'static str,
        x: &[f32],
        w: &Packed,
        panels: Panels,
        out: (&mut [f32], usize, usize),
    ) -> Result<(), LabError> {
        let (data, stride, column) = out;
        let m = x.len() / w.inputs;
        let shapes = [[m, w.inputs], [panels.outputs, w.inputs], [m, panels.outputs]];
        rec.run(Call("gemm", role, "lab_gemm_f32"), &shapes, || match &self.ops.gemm {
            OpKind::External(op) => external_gemm(op, x, w, panels, &mut data[column..], stride),
            OpKind::Naive | OpKind::Fused => {
                let x = gemm::Rows { data: x, count: m };
                gemm::gemm(self.context, x, w, panels, Out { data, stride, column });
                Ok(())
            }
        })
    }

    /// `out = silu(gate(x)) * up(x)` as one product.
    pub(super) fn gate_up_silu(&self, rec: &mut Recorder<'_>, x: &[f32], w: &Packed, out: &mut [f32]) {
        let i = self.config.intermediate_size;
        let m = x.len() / w.inputs;
        let shapes = [[m, w.inputs], [2 * i, w.inputs], [m, i]];
        rec.run(Call("gemm", "gate_up_proj", "lab_gemm_silu_mul_f32"), &shapes, || {
            gemm::gemm_silu_mul(self.context, gemm::Rows { data: x, count: m }, w, i, out);
        });
    }

    /// `gate = silu(gate) * up`.
    pub(super) fn silu_mul(
        &self,
        rec: &mut Recorder<'_>,
        gate: &mut [f32],
        up: &[f32],
    ) -> Result<(), LabError> {
        let i = self.config.intermediate_size;
        let shape: Shape = [up.len() / i, i];
        rec.run(Call("silu_mul", "act_fn", "lab_silu_mul"), &[shape, shape, shape], || {
            match &self.ops.silu_mul {
                OpKind::External(op) => op.call(
                    &mut [
                        TensorView::dense(TensorData::F32(up), &shape),
                        TensorView::dense(TensorData::F32Mut(gate), &shape),
                    ],
                    &[],
                ),
                OpKind::Naive | OpKind::Fused => {
                    activation::silu_mul(self.context, gate, up, i);
                    Ok(())
                }
            }
        })
    }

    /// Biases (Qwen2) and the norms of queries and keys (Qwen3), where the model has them.
    pub(super) fn bias_and_head_norm(
        &self,
        rec: &mut Recorder<'_>,
        layer: &LayerWeights,
        qkv: &mut [f32],
        columns: QkvColumns,
    ) {
        let m = self.rows.count();
        if let Some(bias) = &layer.qkv_bias {
            let shape: Shape = [m, columns.stride];
            rec.run(Call("bias", "qkv_bias", "lab_bias_add"), &[shape, [1, columns.stride], shape], || {
                for row in qkv.chunks_exact_mut(columns.stride) {
                    for (x, b) in row.iter_mut().zip(bias) {
                        *x += b;
                    }
                }
            });
        }
        let norms = [
            ("q_norm", &layer.q_norm, 0..columns.q_size),
            ("k_norm", &layer.k_norm, columns.q_size..columns.q_size + columns.kv_size),
        ];
        for (role, weight, range) in norms {
            let Some(weight) = weight else { continue };
            let shape: Shape = [m * range.len() / self.config.head_dim, self.config.head_dim];
            rec.run(Call("rmsnorm", role, "lab_head_rmsnorm"), &[shape, [1, shape[1]], shape], || {
                for row in qkv.chunks_exact_mut(columns.stride) {
                    let heads = &mut row[range.clone()];
                    norm::norm_in_place_simd(self.context.simd, heads, weight, self.config.rms_norm_eps);
                }
            });
        }
    }

    /// Rotates queries and keys, and stores keys and values.
    pub(super) fn rope_and_store(
        &self,
        rec: &mut Recorder<'_>,
        qkv: &mut [f32],
        columns: QkvColumns,
        kv: &mut LayerKv,
    ) -> Result<(), LabError> {
        let rows = self.rows;
        let m = rows.count();
        let (q, end) = (columns.q_size, columns.q_size + columns.kv_size);
        let (qs, ks): (Shape, Shape) = ([m, q], [m, columns.kv_size]);
        if self.ops.rope.is_fused() {
            let call = Call("rope", "rotary_emb", "lab_fused_rope_store_kv");
            rec.run(call, &[qs, ks, ks, qs, ks, ks], || {
                rope::rope_store_kv(qkv, columns, &rows.positions, &rows.pages, self.rope, kv);
            });
            return Ok(());
        }
        for (role, range, shape) in [("q_rotary_emb", 0..q, qs), ("k_rotary_emb", q..end, ks)] {
            rec.run(Call("rope", role, "lab_rope"), &[shape, shape], || match &self.ops.rope {
                OpKind::External(op) => self.external_rope(op, &mut qkv[range.start..], columns, range.len()),
                OpKind::Naive | OpKind::Fused => {
                    rope::rope(self.context, qkv, columns.stride, range, &rows.positions, self.rope);
                    Ok(())
                }
            })?;
        }
        rec.run(Call("rope", "store_kv", "lab_store_kv"), &[ks, ks, ks, ks], || {
            rope::store_kv(qkv, columns, &rows.positions, &rows.pages, kv);
        });
        Ok(())
    }

    fn external_rope(
        &self,
        op: &ExternalOp,
        x: &mut [f32],
        columns: QkvColumns,
        width: usize,
    ) -> Result<(), LabError> {
        let (d, half) = (self.config.head_dim, self.rope.half);
        let table = [self.rope.cos.len() / half, half];
        let positions = as_i64(&self.rows.positions);
        let x = TensorView::dense(TensorData::F32Mut(x), &[positions.len(), width / d, d]);
        op.call(
            &mut [
                TensorView::dense(TensorData::F32(&self.rope.cos), &table),
                TensorView::dense(TensorData::F32(&self.rope.sin), &table),
                TensorView::dense(TensorData::I64(&positions), &[positions.len()]),
                x.row_stride(columns.stride),
            ],
            &[],
        )
    }

    /// Attention of the step's rows over the cache.
    pub(super) fn attend(
        &self,
        rec: &mut Recorder<'_>,
        qkv: &[f32],
        columns: QkvColumns,
        kv: &LayerKv,
        out: &mut [f32],
    ) -> Result<(), LabError> {
        let rows = self.rows;
        let prefill = rows.sequences.iter().any(|s| s.len() > 1);
        let role = if prefill { "prefill" } else { "decode" };
        let context: usize = rows.sequences.iter().map(|s| rows.positions[s.end - 1] + 1).sum();
        let q: Shape = [rows.count(), columns.q_size];
        let cache: Shape = [context, columns.kv_size];
        let kernel = match (&self.ops.attention, prefill) {
            (OpKind::Fused, true) => "lab_online_attention_prefill",
            (OpKind::Fused, false) => "lab_online_attention_decode",
            (_, true) => "lab_attention_prefill",
            (_, false) => "lab_attention_decode",
        };
        let attention = Attention {
            q: qkv,
            q_stride: columns.stride,
            group: self.config.group(),
            layer: kv,
            positions: &rows.positions,
            pages: &rows.pages,
            sequences: &rows.sequences,
            scale: 1.0 / (self.config.head_dim as f32).sqrt(),
        };
        rec.run(Call("attention", role, kernel), &[q, cache, cache, q], || match &self.ops.attention {
            OpKind::External(op) => self.external_attention(op, &attention, out),
            OpKind::Fused => {
                attention::fused(self.context, &attention, out);
                Ok(())
            }
            OpKind::Naive => {
                attention::naive(self.context, &attention, out);
                Ok(())
            }
        })
    }

    fn external_attention(
        &self,
        op: &ExternalOp,
        a: &Attention<'_>,
        out: &mut [f32],
    ) -> Result<(), LabError> {
        let (c, m) = (self.config, a.positions.len());
        let (d, page) = (c.head_dim, a.layer.page_size);
        let longest = a.pages.iter().map(|p| p.len()).max().unwrap_or(0);
        let mut table = vec![-1i64; m * longest];
        for (row, pages) in table.chunks_exact_mut(longest.max(1)).zip(a.pages) {
            for (slot, page) in row.iter_mut().zip(*pages) {
                *slot = i64::from(*page);
            }
        }
        let positions = as_i64(a.positions);
        let q = TensorView::dense(TensorData::F32(a.q), &[m, c.num_heads, d]);
        let k_shape = [a.layer.heads, a.layer.num_pages, page / PANEL, d, PANEL];
        let v_shape = [a.layer.heads, a.layer.num_pages, d / PANEL, page, PANEL];
        op.call(
            &mut [
                q.row_stride(a.q_stride),
                TensorView::dense(TensorData::F32(&a.layer.k), &k_shape).swap_first_two(),
                TensorView::dense(TensorData::F32(&a.layer.v), &v_shape).swap_first_two(),
                TensorView::dense(TensorData::I64(&table), &[m, longest]),
                TensorView::dense(TensorData::I64(&positions), &[m]),
                TensorView::dense(TensorData::F32Mut(out), &[m, c.num_heads, d]),
            ],
            &[f64::from(a.scale)],
        )
    }
}

fn external_gemm(
    op: &ExternalOp,
    x: &[f32],
    w: &Packed,
    panels: Panels,
    out: &mut [f32],
    stride: usize,
) -> Result<(), LabError> {
    let m = x.len() / w.inputs;
    let from = panels.first * w.inputs * PANEL;
    let weights = TensorView::dense(TensorData::F32(&w.data[from..]), &[panels.count(), w.inputs, PANEL]);
    op.call(
        &mut [
            TensorView::dense(TensorData::F32(x), &[m, w.inputs]),
            weights.row_stride(panels.step * w.inputs * PANEL),
            TensorView::dense(TensorData::F32Mut(out), &[m, panels.outputs]).row_stride(stride),
        ],
        &[],
    )
}

fn as_i64(values: &[usize]) -> Vec<i64> {
    values.iter().map(|v| *v as i64).collect()
}
