//! The seam for operators from outside: a function over plain tensors (data, shape, strides, type).
//!
//! The arguments are what a shared library with the DLPack/TVM-FFI C ABI takes, outputs last, so that such a library
//! can be put behind [`ExternalFn`] without a change here. What each operator passes, in this order:
//!
//! | operator | tensors | scalars |
//! |---|---|---|
//! | `rmsnorm` | `x [M, H]`, `weight [H]`, `out [M, H]` | `eps` |
//! | `residual` | `y [M, H]`, `x [M, H]` (in and out) | |
//! | `silu_mul` | `up [M, I]`, `gate [M, I]` (in and out) | |
//! | `rope` | `cos [P, D/2]`, `sin [P, D/2]`, `positions [M]`, `x [M, heads, D]` (in and out; once for q, once for k) | |
//! | `gemm` | `x [M, K]`, `w [N/16, K, 16]`, `out [M, N]` | |
//! | `attention` | `q [M, heads, D]`, `k [pages, kv_heads, page/16, D, 16]`, `v [pages, kv_heads, D/16, page, 16]`, `block_table [M, longest]`, `positions [M]`, `out [M, heads, D]` | `scale` |
//! | `sampling` | `logits [V]`, `token [1]` (out) | `temperature` |
//!
//! Strides are to be followed: `w` and `out` of a product may be parts of larger matrices, and the pages of a head lie
//! one behind the other.

use std::fmt;
use std::sync::Arc;

use crate::error::LabError;

/// Elements of a tensor: 32-bit floats, or 64-bit integers for positions and page numbers.
#[derive(Debug)]
pub enum TensorData<'a> {
    /// Floats that are read.
    F32(&'a [f32]),
    /// Floats that are written.
    F32Mut(&'a mut [f32]),
    /// Integers that are read.
    I64(&'a [i64]),
    /// Integers that are written.
    I64Mut(&'a mut [i64]),
}

/// A tensor as an operator from outside sees it.
#[derive(Debug)]
pub struct TensorView<'a> {
    /// The elements, from the first that belongs to the tensor.
    pub data: TensorData<'a>,
    /// Extent of each dimension.
    pub shape: Vec<i64>,
    /// Elements from one index to the next, for each dimension.
    pub strides: Vec<i64>,
}

impl<'a> TensorView<'a> {
    /// A tensor without gaps, last dimension fastest.
    #[must_use]
    pub fn dense(data: TensorData<'a>, shape: &[usize]) -> Self {
        let mut strides = vec![1i64; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i] * shape[i] as i64;
        }
        Self { data, shape: shape.iter().map(|n| *n as i64).collect(), strides }
    }

    /// Sets the distance between rows (the first dimension).
    #[must_use]
    pub fn row_stride(mut self, elements: usize) -> Self {
        if let Some(stride) = self.strides.first_mut() {
            *stride = elements as i64;
        }
        self
    }

    /// The same elements with the first two dimensions in the other order.
    #[must_use]
    pub fn swap_first_two(mut self) -> Self {
        if self.shape.len() > 1 {
            self.shape.swap(0, 1);
            self.strides.swap(0, 1);
        }
        self
    }

    /// The floats that are read, or none.
    #[must_use]
    pub fn f32(&self) -> &[f32] {
        match &self.data {
            TensorData::F32(data) => data,
            TensorData::F32Mut(data) => data,
            TensorData::I64(_) | TensorData::I64Mut(_) => &[],
        }
    }

    /// The floats that are written, or none.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        match &mut self.data {
            TensorData::F32Mut(data) => data,
            _ => &mut [],
        }
    }
}

/// An operator from outside: tensors in the order of the table above, then scalars. An error ends the step.
pub type ExternalFn = dyn Fn(&mut [TensorView<'_>], &[f64]) -> Result<(), String> + Send + Sync;

/// An operator from outside, with its name.
#[derive(Clone)]
pub struct ExternalOp {
    name: String,
    call: Arc<ExternalFn>,
}

impl ExternalOp {
    /// An operator of that name.
    pub fn new(
        name: impl Into<String>,
        call: impl Fn(&mut [TensorView<'_>], &[f64]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), call: Arc::new(call) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn call(&self, tensors: &mut [TensorView<'_>], scalars: &[f64]) -> Result<(), LabError> {
        (self.call)(tensors, scalars).map_err(|cause| LabError::External { name: self.name.clone(), cause })
    }
}

impl fmt::Debug for ExternalOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExternalOp").field(&self.name).finish()
    }
}
