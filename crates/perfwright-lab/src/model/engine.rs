//! A model that is ready to run.

use super::batch::{Logits, Rows, SeqChunk};
use super::observer::Observer;
use super::step::{Step, Workspace};
use crate::config::ModelConfig;
use crate::error::LabError;
use crate::kv::KvCache;
use crate::ops::pool::Context;
use crate::ops::simd::Simd;
use crate::ops::table::OpTable;
use crate::rope_table::RopeTable;
use crate::weights::{Parts, Weights};

/// How a model runs. None of it changes what is computed beyond the tolerance between naive and fused operators.
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    /// Compute threads; 0 means as many as the process may use.
    pub threads: usize,
    /// The variant of each operator.
    pub ops: OpTable,
    /// Vector instructions; `None` means the widest of this processor.
    pub simd: Option<Simd>,
}

/// A model: parameters, threads, operators, and memory for activations.
pub struct Model {
    weights: Weights,
    parts: Parts,
    rope: RopeTable,
    ops: OpTable,
    context: Context,
    workspace: Workspace,
}

impl Model {
    /// Puts parameters to work.
    ///
    /// # Errors
    /// When the threads cannot be started or the processor has not the instructions asked for.
    pub fn new(weights: Weights, options: ModelOptions) -> Result<Self, LabError> {
        let context = Context::new(options.threads, options.simd)?;
        let (parts, rope) = (Parts::new(&weights.config), RopeTable::new(&weights.config));
        Ok(Self { weights, parts, rope, ops: options.ops, context, workspace: Workspace::default() })
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.weights.config
    }

    /// The parameters.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The variant of each operator.
    #[must_use]
    pub fn ops(&self) -> &OpTable {
        &self.ops
    }

    /// Chooses other variants, from the next step on.
    pub fn set_ops(&mut self, ops: OpTable) {
        self.ops = ops;
    }

    /// Compute threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.context.threads
    }

    /// Vector instructions.
    #[must_use]
    pub fn simd(&self) -> Simd {
        self.context.simd
    }

    /// Bytes of the rotary table.
    #[must_use]
    pub fn rope_bytes(&self) -> usize {
        self.rope.bytes()
    }

    /// Bytes of activations that a step of `tokens` tokens takes; kept from step to step, never more than the largest
    /// step took.
    #[must_use]
    pub fn workspace_bytes(&self, tokens: usize) -> usize {
        Workspace::bytes_for(self.config(), tokens)
    }

    /// Takes the activations of a step of `tokens` tokens now, so that later steps of that size take no memory.
    pub fn reserve_workspace(&mut self, tokens: usize) {
        self.workspace.fit(&self.weights.config, tokens);
    }

    /// Computes the chunks of `batch`: their keys and values go to `kv`, and the logits after the last token of each
    /// chunk that wants them come back. A sequence may have one chunk in a batch.
    ///
    /// The logits depend on the tokens of the sequence alone, to the bit: not on the other chunks, on how the sequence
    /// was cut into chunks, on pages or on threads.
    ///
    /// # Errors
    /// [`LabError::Batch`] before anything is computed; [`LabError::External`] when an operator from outside fails,
    /// which leaves the chunks' places in the cache undefined.
    pub fn forward(
        &mut self,
        kv: &mut KvCache,
        batch: &[SeqChunk<'_>],
        observer: Option<&mut Observer>,
    ) -> Result<Logits, LabError> {
        let config = &self.weights.config;
        if !kv.fits(config) {
            return Err(LabError::Batch {
                chunk: 0,
                cause: "the KV cache was made for another model".into(),
            });
        }
        let rows = Rows::new(config, kv, batch)?;
        self.workspace.fit(config, rows.count());
        let step = Step {
            config,
            weights: &self.weights,
            parts: &self.parts,
            rope: &self.rope,
            ops: &self.ops,
            context: &self.context,
            rows: &rows,
        };
        let workspace = &mut self.workspace;
        self.context.enter(|| step.run(workspace, kv, observer))
    }
}
