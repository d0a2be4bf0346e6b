//! A small, real LLM serving engine that runs on the CPU.
//!
//! The numerics: a dense decoder-only transformer ([`Model`]) over a paged KV cache ([`KvCache`]), operators behind a
//! table ([`OpTable`]), a byte-level [`Tokenizer`] and sampling. What the numerics promise is in `ARCHITECTURE.md`:
//! the logits of a token depend on the tokens before it and on nothing else, to the bit.

pub mod engine;
pub mod http;
pub mod kineto;
pub mod log;
pub mod metrics;
pub mod settings;

mod config;
mod error;
mod kv;
mod model;
mod ops;
mod rope_table;
mod safetensors;
mod sampling;
mod tokenizer;
mod weights;

pub use config::ModelConfig;
pub use error::LabError;
pub use kv::{BlockTable, KvCache, PAGE_QUANTUM};
pub use model::{Logits, Model, ModelOptions, Observer, OpRecord, SeqChunk, Shape};
pub use ops::bandwidth;
pub use ops::external::{ExternalFn, ExternalOp, TensorData, TensorView};
pub use ops::simd::Simd;
pub use ops::table::{OP_NAMES, OpKind, OpTable};
pub use sampling::{SamplingParams, TokenLogprobs, argmax, logprobs, sample, sample_with, sampling_rng};
pub use tokenizer::{BOS, BYTE_VOCAB, ChatMessage, Decoder, EOS, Tokenizer};
pub use weights::Weights;
