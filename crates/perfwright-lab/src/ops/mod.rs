//! The operators: plain functions over slices. Which variant runs is a row of the operator table.
//!
//! Every variant keeps one promise: an element of the output is computed by the same chain of operations whatever
//! else is in the batch. Only independent elements are spread over vector lanes and threads; a sum is never cut in a
//! place that depends on the batch, on the chunking, on pages or on the number of threads.
//!
//! The kernels are index loops over arrays: an iterator or a closure is a function of its own, compiled for the
//! baseline, and the optimiser does not always put it back into one compiled for wider vectors.
#![allow(clippy::needless_range_loop, reason = "see above")]

pub(crate) mod activation;
pub(crate) mod attention;
pub mod bandwidth;
pub(crate) mod external;
pub(crate) mod gemm;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod packed;
pub(crate) mod pool;
pub(crate) mod rope;
pub(crate) mod shared;
pub(crate) mod simd;
pub(crate) mod table;
