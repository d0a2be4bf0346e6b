//! The program of one pass: which kernels run, in which frames, on which stream. Built once per class, then replayed.

use super::kernels::{Kernel, Role, kernel};
use super::options::{Class, Comm, Engine, Options};
use super::sites::{as_source, frame, launch_frame, model_modules, module, pass_frames};
use super::truth::GraphNode;

/// The stream a kernel runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The engine's main stream.
    Compute,
    /// The stream of the collective library.
    Comm,
    /// The second stream of a two-stream graph.
    Alt,
}

/// Planted patterns; the index is the bit in [`Launch::marks`].
pub const PATTERNS: [&str; 6] =
    ["residual_norm", "qk_norm_rope", "act_mul", "allreduce_norm", "norm_quant", "rope_kv_store"];

/// One kernel launch of the program.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The launching operator as the engine registers it, empty where none is recorded.
    pub op: &'static str,
    /// The stream.
    pub lane: Lane,
    /// Frames opened for this launch alone, outermost first, with their module number.
    pub frames: Vec<(String, Option<u32>)>,
    /// The frame that counts as its source.
    pub source_frame: String,
    /// Scales with prompt tokens rather than with the batch.
    pub heavy: bool,
    /// Bits of [`PATTERNS`] this launch is part of.
    pub marks: u8,
}

/// One step of the program.
#[derive(Debug, Clone)]
pub enum Item {
    /// Opens a frame.
    Open(String, Option<u32>),
    /// Closes the innermost frame.
    Close,
    /// Launches a kernel.
    Launch(Box<Launch>),
    /// Host-to-device copy of the inputs.
    CopyIn,
    /// A device fill.
    Clear,
    /// Device-to-host copy of the results.
    CopyOut,
    /// The inner annotation begins or ends.
    Inner(bool),
    /// From here to `GraphEnd` the work belongs to a device graph.
    GraphBegin,
    /// End of the graph.
    GraphEnd,
}

/// Which way a pass of a class is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The class.
    pub class: Class,
    /// Draft extend instead of draft decode.
    pub extend: bool,
}

struct Builder<'a> {
    o: &'a Options,
    class: Class,
    items: Vec<Item>,
}

fn bit(pattern: &str) -> u8 {
    PATTERNS.iter().position(|p| *p == pattern).map_or(0, |at| 1 << at)
}

impl Builder<'_> {
    fn open(&mut self, name: &str) {
        self.items.push(Item::Open(frame(self.o.engine, name), None));
    }

    fn open_module(&mut self, class: &str, number: u32, forward: &str) {
        self.items.push(Item::Open(format!("nn.Module: {class}_{number}"), Some(number)));
        self.open("torch/nn/modules/module.py(1779): _call_impl");
        self.open(forward);
    }

    fn close(&mut self, count: usize) {
        self.items.extend(std::iter::repeat_n(Item::Close, count));
    }

    fn launch(&mut self, role: Role, layer: u32, heavy: bool, marks: u8) {
        let Some(kernel) = kernel(role, self.o) else { return };
        let op = kernel.op_on(self.o.engine);
        let source_frame = launch_frame(role, self.o);
        let mut frames = Vec::new();
        let class = module(role, self.o);
        if !class.is_empty() {
            frames.push((format!("nn.Module: {class}_{layer}"), Some(layer)));
            frames.push(("torch/nn/modules/module.py(1779): _call_impl".to_owned(), None));
        }
        frames.push((source_frame.clone(), None));
        if op.is_empty() && kernel.is_cpp() {
            frames.push(("<built-in function run>".to_owned(), None));
        } else if op.is_empty() {
            frames.push(("triton/runtime/jit.py(708): run".to_owned(), None));
            frames.push(("<built-in function launch>".to_owned(), None));
        } else {
            let name = op.rsplit("::").next().unwrap_or(op);
            // The address must be stable per callable, as in a real process.
            let address =
                name.bytes().fold(0x7f_1abc_0000_u64, |a, b| (a * 31 + u64::from(b)) & 0x7fff_ffff_ffff);
            frames.push(("torch/_ops.py(1244): __call__".to_owned(), None));
            frames.push((format!("<built-in method {name} of PyCapsule object at {address:#x}>"), None));
        }
        let lane = match role {
            Role::AllReduce if matches!(self.o.comm, Comm::Nccl | Comm::Rccl | Comm::NcclSymmetric) => {
                Lane::Comm
            }
            Role::KNorm if self.graphed() && self.o.graph_streams == 2 => Lane::Alt,
            _ => Lane::Compute,
        };
        self.items.push(Item::Launch(Box::new(Launch {
            kernel,
            op,
            lane,
            frames,
            source_frame,
            heavy,
            marks,
        })));
    }

    fn graphed(&self) -> bool {
        self.class == Class::Capture
            || self.o.graph_decode && matches!(self.class, Class::Decode | Class::Verify | Class::Draft)
    }

    fn heavy(&self) -> bool {
        matches!(self.class, Class::Prefill | Class::Mixed)
    }

    /// A norm that takes the residual, spelled as the fusions say.
    fn residual_norm(&mut self, layer: u32, after_reduce: bool) {
        let (f, heavy) = (self.o.fusions, self.heavy());
        let reduce_bit = if after_reduce { bit("allreduce_norm") } else { 0 };
        if after_reduce && f.allreduce_norm {
            self.launch(Role::AllReduceNorm, layer, heavy, bit("allreduce_norm"));
        } else if f.residual_norm && self.o.fp8 && f.norm_quant {
            self.launch(Role::NormQuant, layer, heavy, bit("residual_norm") | bit("norm_quant") | reduce_bit);
        } else if f.residual_norm {
            let quant_bit = if self.o.fp8 { bit("norm_quant") } else { 0 };
            self.launch(Role::AddNorm, layer, heavy, bit("residual_norm") | quant_bit | reduce_bit);
        } else {
            let quant_bit = if self.o.fp8 { bit("norm_quant") } else { 0 };
            self.launch(Role::Add, layer, heavy, bit("residual_norm") | reduce_bit);
            self.launch(Role::Norm, layer, heavy, bit("residual_norm") | quant_bit | reduce_bit);
        }
    }

    /// A quantisation before a GEMM; `after_norm` where a norm directly precedes it.
    fn quantise(&mut self, layer: u32, after_norm: bool) {
        let f = self.o.fusions;
        if !self.o.fp8 || (after_norm && f.norm_quant && f.residual_norm) {
            return;
        }
        let marks = if after_norm { bit("norm_quant") } else { 0 };
        let heavy = self.heavy();
        self.launch(Role::Quant, layer, heavy, marks);
    }

    fn reduce(&mut self, layer: u32, before_norm: bool) {
        if self.o.tp > 1 && !self.o.fusions.allreduce_norm {
            let heavy = self.heavy();
            self.launch(Role::AllReduce, layer, heavy, if before_norm { bit("allreduce_norm") } else { 0 });
        }
    }

    fn attention(&mut self, layer: u32) {
        let (f, heavy) = (self.o.fusions, self.heavy());
        self.launch(Role::Qkv, layer, heavy, 0);
        let store = bit("rope_kv_store");
        if f.qk_norm_rope {
            self.launch(Role::QkNormRope, layer, heavy, bit("qk_norm_rope"));
            self.launch(Role::KvStore, layer, heavy, 0);
        } else {
            let norm = bit("qk_norm_rope");
            self.launch(Role::QNorm, layer, heavy, norm);
            self.launch(Role::KNorm, layer, heavy, norm);
            if f.rope_kv_store {
                self.launch(Role::RopeKvStore, layer, heavy, norm | store);
            } else {
                self.launch(Role::Rope, layer, heavy, norm | store);
                self.launch(Role::KvStore, layer, heavy, store);
            }
        }
        if matches!(self.class, Class::Prefill | Class::Mixed) {
            self.launch(Role::AttnPrefill, layer, true, 0);
        }
        if self.class == Class::Verify {
            self.launch(Role::AttnVerify, layer, false, 0);
        }
        if matches!(self.class, Class::Decode | Class::Mixed | Class::Draft | Class::Capture) {
            self.launch(Role::AttnDecode, layer, false, 0);
            self.launch(Role::AttnCombine, layer, false, 0);
        }
        self.quantise(layer, false);
        self.launch(Role::OProj, layer, heavy, 0);
        self.reduce(layer, true);
    }

    fn feed_forward(&mut self, layer: u32) {
        let heavy = self.heavy();
        if self.o.moe {
            for role in [Role::Router, Role::TopK, Role::MoeAlign, Role::MoeUp] {
                self.launch(role, layer, heavy, 0);
            }
        } else {
            self.launch(Role::GateUp, layer, heavy, 0);
        }
        if self.o.fusions.act_mul {
            self.launch(Role::ActMul, layer, heavy, bit("act_mul"));
        } else {
            self.launch(Role::Silu, layer, heavy, bit("act_mul"));
            self.launch(Role::Mul, layer, heavy, bit("act_mul"));
        }
        if self.o.moe {
            self.launch(Role::MoeDown, layer, heavy, 0);
            self.launch(Role::MoeSum, layer, heavy, 0);
        } else {
            self.quantise(layer, false);
            self.launch(Role::Down, layer, heavy, 0);
        }
        self.reduce(layer, false);
    }

    fn layer(&mut self, layer: u32) {
        let [_, decoder, attention, feed] = model_modules(self.o);
        self.open_module(decoder.0, layer, decoder.1);
        if layer == 0 {
            let heavy = self.heavy();
            self.launch(Role::Norm, layer, heavy, if self.o.fp8 { bit("norm_quant") } else { 0 });
            if self.o.fp8 {
                self.launch(Role::Quant, layer, heavy, bit("norm_quant"));
            }
        } else {
            // A reduction before this norm belongs to the layer above, so it is no pair of one layer.
            let fused_reduce = self.o.tp > 1 && self.o.fusions.allreduce_norm;
            self.residual_norm(layer, fused_reduce);
            self.quantise(layer, true);
        }
        self.open_module(attention.0, layer, attention.1);
        self.attention(layer);
        self.close(3);
        self.residual_norm(layer, self.o.tp > 1);
        if !self.o.moe {
            self.quantise(layer, true);
        }
        self.open_module(feed.0, layer, feed.1);
        self.feed_forward(layer);
        self.close(6);
    }

    fn model(&mut self, layers: u32, draft_step: Option<u32>) {
        let heavy = self.heavy();
        let [model, ..] = model_modules(self.o);
        self.open_module(model.0, 0, model.1);
        self.launch(Role::Embed, 0, heavy, 0);
        if draft_step == Some(0) {
            self.launch(Role::DraftFc, 0, false, 0);
        }
        for layer in 0..layers {
            self.layer(layer);
        }
        self.residual_norm(layers, self.o.tp > 1 && self.o.fusions.allreduce_norm);
        self.close(3);
        self.launch(Role::LmHead, 0, false, 0);
        self.launch(Role::ToFloat, 0, false, 0);
        if draft_step.is_some() {
            self.launch(Role::DraftTopK, 0, false, 0);
        }
    }

    fn graph(&mut self, begin: bool) {
        if self.graphed() {
            self.items.push(if begin { Item::GraphBegin } else { Item::GraphEnd });
        }
    }

    fn draft(&mut self, extend: bool) {
        self.launch(Role::DraftPrepare, 0, false, 0);
        let mut frames = pass_frames(Class::Draft, self.graphed(), self.o);
        if extend && self.o.engine == Engine::Sglang {
            // Draft extend runs the draft model's prompt path once, with a graph runner of its own.
            for name in &mut frames {
                *name = match *name {
                    n if n.ends_with(": draft") => {
                        "speculative/eagle_worker.py(941): forward_draft_extend_after_decode"
                    }
                    n if n.ends_with(": draft_forward") => {
                        "managers/tp_worker.py(445): forward_batch_generation"
                    }
                    n if n.contains("eagle_draft_cuda_graph_runner") => {
                        "speculative/eagle_draft_extend_cuda_graph_runner.py(283): replay"
                    }
                    n if n.ends_with(": forward_decode") => {
                        "model_executor/model_runner.py(3003): forward_extend"
                    }
                    n => n,
                };
            }
        }
        for name in &frames {
            self.open(name);
        }
        self.graph(true);
        let steps = if extend { 1 } else { self.o.draft_steps };
        for step in 0..steps {
            self.model(1, Some(step));
        }
        self.graph(false);
        self.close(frames.len());
        if !extend {
            self.launch(Role::BuildTree, 0, false, 0);
        }
    }

    fn capture(&mut self) {
        // The profiler is already on while the engine clears its buffers: these run, the rest is only recorded.
        let extra = if self.o.engine == Engine::Vllm { 7 } else { 2 };
        for _ in 0..extra {
            self.launch(Role::Fill, 0, false, 0);
        }
        let frames = pass_frames(Class::Capture, true, self.o);
        for name in &frames {
            self.open(name);
        }
        self.graph(true);
        self.model(self.o.layers, None);
        self.graph(false);
        self.close(frames.len());
    }

    fn forward(&mut self) {
        self.items.push(Item::CopyIn);
        self.items.push(Item::Clear);
        self.launch(Role::Metadata, 0, false, 0);
        if self.class == Class::Mixed && self.o.engine == Engine::Sglang {
            self.open("managers/schedule_batch.py(1432): mix_with_running");
            self.launch(Role::Copy, 0, false, 0);
            self.close(1);
        }
        let frames = pass_frames(self.class, self.graphed(), self.o);
        for name in &frames {
            self.open(name);
        }
        self.items.push(Item::Inner(true));
        self.graph(true);
        self.model(self.o.layers, None);
        self.graph(false);
        self.items.push(Item::Inner(false));
        self.close(frames.len());
        if self.class == Class::Verify {
            self.launch(Role::VerifyTree, 0, false, 0);
            self.launch(Role::TreeSample, 0, false, 0);
        } else {
            self.launch(Role::Argmax, 0, false, 0);
        }
        self.items.push(Item::CopyOut);
    }
}

/// The program of a pass of this kind.
pub fn program(kind: Kind, o: &Options) -> Vec<Item> {
    let mut builder = Builder { o, class: kind.class, items: Vec::new() };
    match kind.class {
        Class::Draft => builder.draft(kind.extend),
        Class::Capture => builder.capture(),
        _ => builder.forward(),
    }
    builder.items
}

/// The nodes of the graph in a program, in program order; none where nothing is graphed.
pub fn graph_nodes(items: &[Item]) -> Vec<GraphNode> {
    items
        .iter()
        .skip_while(|i| !matches!(i, Item::GraphBegin))
        .take_while(|i| !matches!(i, Item::GraphEnd))
        .filter_map(|i| if let Item::Launch(l) = i { Some(l) } else { None })
        .map(|l| GraphNode { kernel: l.kernel.name, op: l.op, source: as_source(&l.source_frame) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launches(items: &[Item]) -> Vec<&Launch> {
        items.iter().filter_map(|i| if let Item::Launch(l) = i { Some(l.as_ref()) } else { None }).collect()
    }

    #[test]
    fn frames_balance_in_every_program() {
        for engine in [Engine::Sglang, Engine::Vllm] {
            for class in Class::ALL {
                for extend in [false, true] {
                    let o = Options { engine, layers: 3, tp: 2, graph_decode: true, ..Options::default() };
                    let mut depth = 0_i32;
                    for item in program(Kind { class, extend }, &o) {
                        depth += match item {
                            Item::Open(..) => 1,
                            Item::Close => -1,
                            _ => 0,
                        };
                        assert!(depth >= 0);
                    }
                    assert_eq!(depth, 0, "{engine:?} {class:?}");
                }
            }
        }
    }

    #[test]
    fn mixed_has_both_attention_kernels_and_prefill_only_one() {
        let o = Options { layers: 2, ..Options::default() };
        let keys = |class| {
            let items = program(Kind { class, extend: false }, &o);
            launches(&items).iter().map(|l| l.kernel.key).collect::<Vec<_>>()
        };
        let mixed = keys(Class::Mixed);
        assert!(mixed.contains(&"attn_prefill") && mixed.contains(&"attn_decode"));
        assert!(!keys(Class::Prefill).contains(&"attn_decode"));
        assert!(!keys(Class::Decode).contains(&"attn_prefill"));
        assert!(keys(Class::Verify).contains(&"verify_tree"));
    }

    #[test]
    fn capture_records_what_the_replay_runs() {
        let o = Options { layers: 4, graph_decode: true, ..Options::default() };
        let graph = |class| {
            let items = program(Kind { class, extend: false }, &o);
            let from = items.iter().position(|i| matches!(i, Item::GraphBegin)).unwrap();
            let to = items.iter().position(|i| matches!(i, Item::GraphEnd)).unwrap();
            launches(&items[from..to]).iter().map(|l| l.kernel.name).collect::<Vec<_>>()
        };
        assert_eq!(graph(Class::Capture), graph(Class::Decode));
    }
}
