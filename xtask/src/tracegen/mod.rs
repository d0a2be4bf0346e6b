//! Realistic Kineto traces with a known truth.
//!
//! [`generate_file`] writes a trace like those of SGLang, vLLM or plain PyTorch on NVIDIA or AMD, and beside it a JSON
//! document of what is true about it: steps with their class and device window, totals, kernel categories, Python
//! sources, planted fusion patterns, exposed communication. The same options give the same bytes.

pub mod events;
mod file;
pub mod kernels;
pub mod odd;
pub mod options;
pub mod plan;
pub mod rng;
pub mod shape;
pub mod sim;
pub mod sites;
pub mod tally;
pub mod text;
pub mod truth;
pub mod worst;

pub use file::{capture_options, create, generate, generate_file, truth_path};
pub use options::{Annotation, Attention, Class, Comm, Dims, Engine, Extent, Fusions, Gpu, Options};
pub use truth::{Step, Truth};
