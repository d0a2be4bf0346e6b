//! Rotary positions, and storing keys and values in the cache.

use super::pool::Context;
use super::shared::Shared;
use crate::kv::LayerKv;
use crate::rope_table::RopeTable;

/// Rotates one head in place: `(x_i, x_{i + d/2})` by the angle of `i`.
#[inline(always)]
fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    let n = cos.len();
    let (high, sin) = (&mut high[..n], &sin[..n]);
    for i in 0..n {
        let (x, y) = (low[i], high[i]);
        low[i] = x * cos[i] - y * sin[i];
        high[i] = y * cos[i] + x * sin[i];
    }
}

/// Rotates the heads in columns `column..column + width` of each row; `positions` has one entry a row.
pub(crate) fn rope(
    ctx: &Context,
    x: &mut [f32],
    stride: usize,
    columns: std::ops::Range<usize>,
    positions: &[usize],
    table: &RopeTable,
) {
    let x = Shared::new(x);
    ctx.rows(positions.len(), columns.len(), |first, count| {
        for row in first..first + count {
            let (cos, sin) = table.row(positions[row]);
            #[expect(unsafe_code, reason = "tasks write disjoint rows")]
            // SAFETY: `Context::rows` gives each row to one task.
            let heads = unsafe { x.range(row * stride + columns.start, columns.len()) };
            for head in heads.chunks_exact_mut(2 * table.half) {
                rotate(head, cos, sin);
            }
        }
    });
}

/// Where the query, key and value columns of a row are.
#[derive(Clone, Copy)]
pub(crate) struct QkvColumns {
    pub(crate) stride: usize,
    pub(crate) q_size: usize,
    pub(crate) kv_size: usize,
}

/// Stores keys and values of each row at its position; `pages[row]` is the block table of the row's sequence.
pub(crate) fn store_kv(
    qkv: &[f32],
    columns: QkvColumns,
    positions: &[usize],
    pages: &[&[u32]],
    layer: &mut LayerKv,
) {
    for (row, (position, pages)) in qkv.chunks_exact(columns.stride).zip(positions.iter().zip(pages)) {
        store_row(row, columns, *position, pages, layer);
    }
}

#[inline(always)]
fn store_row(row: &[f32], columns: QkvColumns, position: usize, pages: &[u32], layer: &mut LayerKv) {
    let d = layer.head_dim;
    let (keys, values) = row[columns.q_size..].split_at(columns.kv_size);
    for (head, (key, value)) in keys.chunks_exact(d).zip(values.chunks_exact(d)).enumerate() {
        layer.store(pages, position, head, key, value);
    }
}

/// Rotation of queries and keys and the store, in one pass over the rows.
pub(crate) fn rope_store_kv(
    qkv: &mut [f32],
    columns: QkvColumns,
    positions: &[usize],
    pages: &[&[u32]],
    table: &RopeTable,
    layer: &mut LayerKv,
) {
    for (row, (position, pages)) in qkv.chunks_exact_mut(columns.stride).zip(positions.iter().zip(pages)) {
        let (cos, sin) = table.row(*position);
        for head in row[..columns.q_size + columns.kv_size].chunks_exact_mut(2 * table.half) {
            rotate(head, cos, sin);
        }
        store_row(row, columns, *position, pages, layer);
    }
}
