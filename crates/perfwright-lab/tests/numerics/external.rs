//! Operators from outside, through the same tensors a shared library would get.

use perfwright_lab::{ExternalOp, ModelConfig, OpKind, OpTable, TensorView};

use crate::common::{model, run_chunks};

fn rmsnorm(tensors: &mut [TensorView<'_>], scalars: &[f64]) -> Result<(), String> {
    let [x, weight, out] = tensors else { return Err("takes three tensors".into()) };
    let h = x.shape[1] as usize;
    for (x, out) in x.f32().chunks(h).zip(out.f32_mut().chunks_mut(h)) {
        let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / h as f64;
        for ((out, x), w) in out.iter_mut().zip(x).zip(weight.f32()) {
            *out = (f64::from(*x) / (mean + scalars[0]).sqrt()) as f32 * w;
        }
    }
    Ok(())
}

/// Follows the strides as given, since `w` and `out` may be parts of larger matrices.
fn gemm(tensors: &mut [TensorView<'_>], _: &[f64]) -> Result<(), String> {
    let [x, w, out] = tensors else { return Err("takes three tensors".into()) };
    let (m, k, n) = (x.shape[0] as usize, x.shape[1] as usize, out.shape[1] as usize);
    let (panel, stride) = (w.strides[0] as usize, out.strides[0] as usize);
    for row in 0..m {
        for column in 0..n {
            let sum: f64 = (0..k)
                .map(|i| {
                    let weight = w.f32()[column / 16 * panel + i * 16 + column % 16];
                    f64::from(x.f32()[row * k + i]) * f64::from(weight)
                })
                .sum();
            out.f32_mut()[row * stride + column] = sum as f32;
        }
    }
    Ok(())
}

fn residual(tensors: &mut [TensorView<'_>], _: &[f64]) -> Result<(), String> {
    let [y, x] = tensors else { return Err("takes two tensors".into()) };
    x.f32_mut().iter_mut().zip(y.f32()).for_each(|(x, y)| *x += y);
    Ok(())
}

fn silu_mul(tensors: &mut [TensorView<'_>], _: &[f64]) -> Result<(), String> {
    let [up, gate] = tensors else { return Err("takes two tensors".into()) };
    for (gate, up) in gate.f32_mut().iter_mut().zip(up.f32()) {
        *gate = *gate / (1.0 + (-*gate).exp()) * up;
    }
    Ok(())
}

fn rope(tensors: &mut [TensorView<'_>], _: &[f64]) -> Result<(), String> {
    let [cos, sin, positions, x] = tensors else { return Err("takes four tensors".into()) };
    let perfwright_lab::TensorData::I64(positions) = positions.data else { return Err("positions".into()) };
    let (heads, d, stride) = (x.shape[1] as usize, x.shape[2] as usize, x.strides[0] as usize);
    for (row, position) in positions.iter().enumerate() {
        for head in 0..heads {
            for i in 0..d / 2 {
                let at = *position as usize * d / 2 + i;
                let (c, s) = (cos.f32()[at], sin.f32()[at]);
                let low = row * stride + head * d + i;
                let (a, b) = (x.f32()[low], x.f32()[low + d / 2]);
                x.f32_mut()[low] = a * c - b * s;
                x.f32_mut()[low + d / 2] = b * c + a * s;
            }
        }
    }
    Ok(())
}

fn attention(tensors: &mut [TensorView<'_>], scalars: &[f64]) -> Result<(), String> {
    let [q, k, v, table, positions, out] = tensors else { return Err("takes six tensors".into()) };
    let (perfwright_lab::TensorData::I64(positions), perfwright_lab::TensorData::I64(table_data)) =
        (&positions.data, &table.data)
    else {
        return Err("positions and block_table are integers".into());
    };
    let (heads, d) = (q.shape[1] as usize, q.shape[2] as usize);
    let group = heads / k.shape[1] as usize;
    let page = v.shape[3] as usize;
    let at = |strides: &[i64], index: [usize; 5]| -> usize {
        index.iter().zip(strides).map(|(i, s)| i * *s as usize).sum()
    };
    for (row, position) in positions.iter().enumerate() {
        for head in 0..heads {
            let query = &q.f32()[row * q.strides[0] as usize + head * d..][..d];
            let place =
                |j: usize| (table_data[row * table.strides[0] as usize + j / page] as usize, j % page);
            let scores: Vec<f64> = (0..=*position as usize)
                .map(|j| {
                    let (p, slot) = place(j);
                    let key = |i| k.f32()[at(&k.strides, [p, head / group, slot / 16, i, slot % 16])];
                    (0..d).map(|i| f64::from(query[i]) * f64::from(key(i))).sum::<f64>() * scalars[0]
                })
                .collect();
            let highest = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
            for i in 0..d {
                let value = |j: usize| {
                    let (p, slot) = place(j);
                    f64::from(v.f32()[at(&v.strides, [p, head / group, i / 16, slot, i % 16])])
                };
                let sum: f64 = scores.iter().enumerate().map(|(j, s)| (s - highest).exp() * value(j)).sum();
                out.f32_mut()[(row * heads + head) * d + i] = (sum / total) as f32;
            }
        }
    }
    Ok(())
}

#[test]
fn operators_from_outside_compute_the_same_model() {
    let tokens: Vec<u32> = (0..50).map(|i| i * 5).collect();
    let external = |name, f| OpKind::External(ExternalOp::new(name, f));
    let run = |ops| {
        run_chunks(&mut model(&ModelConfig::tiny(), ops, 1), 32, &[&tokens[..33], &tokens[33..]]).remove(1)
    };
    let naive = run(OpTable::naive());
    type F = fn(&mut [TensorView<'_>], &[f64]) -> Result<(), String>;
    let operators: [(&str, F); 6] = [
        ("rmsnorm", rmsnorm),
        ("gemm", gemm),
        ("residual", residual),
        ("silu_mul", silu_mul),
        ("rope", rope),
        ("attention", attention),
    ];
    for base in [OpTable::naive(), OpTable::fused()] {
        for (name, f) in operators {
            let mut ops = base.clone();
            *ops.get_mut(name).unwrap() = external(name, f);
            for (a, b) in run(ops).iter().zip(&naive) {
                assert!((a - b).abs() < 1e-3, "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn its_error_ends_the_step() {
    let mut ops = OpTable::fused();
    ops.attention = OpKind::External(ExternalOp::new("broken", |_, _| Err("no such shape".into())));
    let mut model = model(&ModelConfig::tiny(), ops, 2);
    let mut kv = perfwright_lab::KvCache::new(model.config(), 1, 16).unwrap();
    let mut table = perfwright_lab::BlockTable::new();
    kv.reserve(&mut table, 1).unwrap();
    let chunk = perfwright_lab::SeqChunk { table: &table, start: 0, tokens: &[1], want_logits: true };
    let error = model.forward(&mut kv, &[chunk], None).unwrap_err();
    assert_eq!(error.to_string(), "external operator broken: no such shape");
}
