//! What to generate: one plain struct, filled from the command line or built by a test.

/// The serving engine (or plain framework) whose naming the trace follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SGLang: `step[...]` inside `execute_...`, frames of `sglang/srt`.
    Sglang,
    /// vLLM V1: `execute_...`, frames of `vllm/v1`.
    Vllm,
    /// Plain PyTorch with Hugging Face transformers: `ProfilerStep#N`.
    Torch,
}

/// The GPU vendor; decides runtime names, kernel names and kernel arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// CUDA runtime, H100 names.
    Nvidia,
    /// HIP runtime, MI300X names.
    Amd,
}

/// The attention backend on NVIDIA (AMD has one per engine).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// `FlashAttention` 3; decode is split and followed by a combine kernel.
    Fa3,
    /// FlashInfer; `BatchPrefill...` and `BatchDecode...`.
    FlashInfer,
}

/// How ranks exchange partial sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comm {
    /// NCCL (RCCL on AMD) on its own stream.
    Nccl,
    /// Custom one-shot all-reduce on the compute stream.
    OneShot,
    /// Custom two-shot all-reduce on the compute stream (quick-reduce on AMD).
    TwoShot,
    /// NVLink multimem all-reduce of symmetric memory.
    Multimem,
    /// Userbuffers of Transformer Engine.
    UserBuffers,
    /// NCCL symmetric-memory kernels.
    NcclSymmetric,
    /// RCCL's generic kernel.
    Rccl,
}

/// The class of one engine pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Prompt tokens only.
    Prefill,
    /// One token per running request.
    Decode,
    /// Prompt chunks and running requests in one pass.
    Mixed,
    /// Target model over drafted tokens, then acceptance.
    Verify,
    /// Draft model.
    Draft,
    /// Recording a device graph.
    Capture,
}

impl Class {
    /// Every class, in the order of the published list.
    pub const ALL: [Self; 6] =
        [Self::Prefill, Self::Decode, Self::Mixed, Self::Verify, Self::Draft, Self::Capture];

    /// The published name of the class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Mixed => "mixed",
            Self::Verify => "verify",
            Self::Draft => "draft",
            Self::Capture => "capture",
        }
    }
}

/// The spelling of step annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    /// What the engine writes today.
    Engine,
    /// `execute_context_1(888_788544)_generation_0(0)`, the older vLLM spelling.
    Old,
    /// Only `step[...]`, no `execute_...` around it (SGLang).
    StepOnly,
    /// None at all.
    None,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// After the pass that takes the uncompressed text over this many bytes.
    Bytes(u64),
    /// After this many passes.
    Passes(u64),
}

/// Neighbouring operations that a fused kernel can replace: true means the fused kernel is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fusions {
    /// Residual addition with RMS norm.
    pub residual_norm: bool,
    /// Q and K norm with rotary embedding.
    pub qk_norm_rope: bool,
    /// Gate activation with multiplication.
    pub act_mul: bool,
    /// All-reduce with residual addition and RMS norm.
    pub allreduce_norm: bool,
    /// RMS norm with FP8 quantisation (only where `fp8` is set).
    pub norm_quant: bool,
    /// Rotary embedding with the key/value cache write.
    pub rope_kv_store: bool,
}

/// Dimensions of the model whose products operators record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Dimension of a head.
    pub head_dim: u32,
    /// Inner width of the feed-forward network.
    pub inner: u32,
    /// Experts the router chooses from.
    pub experts: u32,
    /// Rows of the output head.
    pub vocab: u32,
}

/// Everything that decides the bytes of a generated trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much to write.
    pub extent: Extent,
    /// This rank.
    pub rank: u32,
    /// Number of ranks in the group.
    pub ranks: u32,
    /// Tensor parallel degree; above 1 there are collectives.
    pub tp: u32,
    /// Seed of batch sizes and durations.
    pub seed: u64,
    /// Decoder layers per pass.
    pub layers: u32,
    /// Engine naming.
    pub engine: Engine,
    /// Vendor naming.
    pub gpu: Gpu,
    /// Attention backend (NVIDIA).
    pub attention: Attention,
    /// Collective kind.
    pub comm: Comm,
    /// Annotation spelling.
    pub annotation: Annotation,
    /// Write Python frames.
    pub stack: bool,
    /// Write operator shapes.
    pub shapes: bool,
    /// The sizes that matrix products record, cut among `tp` ranks; without them every operator records the same.
    pub dims: Option<Dims>,
    /// Decode, verify and draft passes are device-graph replays.
    pub graph_decode: bool,
    /// Streams inside the graph: 1, or 2 (the K norm on a second one).
    pub graph_streams: u32,
    /// Write `graph id` and `graph node id` on replayed kernels.
    pub graph_node_ids: bool,
    /// The repeated pattern of passes.
    pub pattern: Vec<Class>,
    /// Kernels whose key or name contains the text take this many thousandths of their time.
    pub slow_kernel: Option<(String, i64)>,
    /// The last rank reaches every collective this much later, in ns; the others wait in it.
    pub straggler_ns: i64,
    /// This many of a hundred eager launches leave no record on the host (as in many real eager traces).
    pub unlinked_percent: u8,
    /// Mixture-of-experts feed-forward.
    pub moe: bool,
    /// FP8 weights and activations.
    pub fp8: bool,
    /// Which neighbours are fused.
    pub fusions: Fusions,
    /// Draft steps per draft pass, and drafted tokens per request in a verify pass.
    pub draft_steps: u32,
    /// Batch size of decode, verify, draft and capture passes; drawn per pass where absent.
    pub batch: Option<u32>,
    /// `distributedInfo` and the other header keys follow `traceEvents`.
    pub metadata_last: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extent: Extent::Passes(9),
            rank: 0,
            ranks: 1,
            tp: 1,
            seed: 1,
            layers: 36,
            engine: Engine::Sglang,
            gpu: Gpu::Nvidia,
            attention: Attention::Fa3,
            comm: Comm::Nccl,
            annotation: Annotation::Engine,
            stack: true,
            shapes: true,
            dims: None,
            graph_decode: false,
            graph_streams: 1,
            graph_node_ids: false,
            pattern: std::iter::once(Class::Prefill).chain([Class::Decode; 7]).collect(),
            slow_kernel: None,
            straggler_ns: 0,
            unlinked_percent: 0,
            moe: false,
            fp8: false,
            fusions: Fusions {
                residual_norm: true,
                qk_norm_rope: false,
                act_mul: true,
                allreduce_norm: false,
                norm_quant: false,
                rope_kv_store: false,
            },
            draft_steps: 4,
            batch: None,
            metadata_last: false,
        }
    }
}

/// The usage text of the generator's options.
pub const USAGE: &str = "\
  --mb N | --passes N      how much (default 9 passes)
  --rank R --ranks N --tp N
  --seed S --layers L
  --engine sglang|vllm|torch   --gpu nvidia|amd   --attention fa3|flashinfer
  --comm nccl|oneshot|twoshot|multimem|userbuffers|ncclsym|rccl
  --annotation engine|old|step|none   (--no-annotations is `none`)
  --no-stack --no-shapes
  --graph-decode --graph-streams 1|2 --graph-node-ids
  --steps CLASS[*N],...    repeated pattern, default prefill,decode*7
  --slow-kernel NAME:FACTOR --straggler-us N
  --unlinked PERCENT       launches without a record on the host
  --moe --fp8 --batch N --draft-steps N
  --fuse LIST --unfuse LIST    of residual_norm,qk_norm_rope,act_mul,allreduce_norm,norm_quant,rope_kv_store
  --metadata-last";

fn one_of<T: Copy>(flag: &str, value: &str, table: &[(&str, T)]) -> Result<T, String> {
    table.iter().find(|(name, _)| *name == value).map(|(_, item)| *item).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        format!("{flag}: `{value}` is not one of {}", names.join(", "))
    })
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag}: `{value}` is not a number in range"))
}

/// Reads a decimal factor such as `1.3` as thousandths, without floating point.
fn thousandths(flag: &str, value: &str) -> Result<i64, String> {
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let part = format!("{part:0<3}");
    let whole: i64 = number(flag, whole)?;
    let part: i64 = number(flag, part.get(..3).unwrap_or("0"))?;
    whole.checked_mul(1000).map(|w| w + part).ok_or_else(|| format!("{flag}: factor is too large"))
}

fn parse_pattern(value: &str) -> Result<Vec<Class>, String> {
    let names: Vec<(&str, Class)> = Class::ALL.iter().map(|c| (c.name(), *c)).collect();
    let mut pattern = Vec::new();
    for item in value.split(',') {
        let (name, times) = item.split_once('*').unwrap_or((item, "1"));
        let class = one_of("--steps", name, &names)?;
        let times: u16 = number("--steps", times)?;
        pattern.extend(std::iter::repeat_n(class, usize::from(times)));
    }
    if pattern.is_empty() { Err("--steps: no pass named".to_owned()) } else { Ok(pattern) }
}

impl Fusions {
    fn set(&mut self, flag: &str, list: &str, fused: bool) -> Result<(), String> {
        for name in list.split(',') {
            let field = match name {
                "residual_norm" => &mut self.residual_norm,
                "qk_norm_rope" => &mut self.qk_norm_rope,
                "act_mul" => &mut self.act_mul,
                "allreduce_norm" => &mut self.allreduce_norm,
                "norm_quant" => &mut self.norm_quant,
                "rope_kv_store" => &mut self.rope_kv_store,
                _ => return Err(format!("{flag}: `{name}` is not a fusion")),
            };
            *field = fused;
        }
        Ok(())
    }
}

impl Options {
    /// Reads the options after the output path.
    ///
    /// # Errors
    /// One line saying which option is wrong and what it takes.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut o = Self::default();
        let mut explicit_ranks = false;
        let mut it = args.iter();
        while let Some(flag) = it.next() {
            let flag = flag.as_str();
            let mut value = || it.next().map(String::as_str).ok_or_else(|| format!("{flag}: value missing"));
            match flag {
                "--no-stack" => o.stack = false,
                "--no-shapes" => o.shapes = false,
                "--no-annotations" => o.annotation = Annotation::None,
                "--graph-decode" => o.graph_decode = true,
                "--graph-node-ids" => o.graph_node_ids = true,
                "--moe" => o.moe = true,
                "--fp8" => o.fp8 = true,
                "--metadata-last" => o.metadata_last = true,
                "--mb" => o.extent = Extent::Bytes((thousandths(flag, value()?)? * 1000).unsigned_abs()),
                "--passes" => o.extent = Extent::Passes(number(flag, value()?)?),
                "--rank" => o.rank = number(flag, value()?)?,
                "--ranks" => {
                    explicit_ranks = true;
                    o.ranks = number(flag, value()?)?;
                }
                "--tp" => o.tp = number(flag, value()?)?,
                "--seed" => o.seed = number(flag, value()?)?,
                "--layers" => o.layers = number(flag, value()?)?,
                "--graph-streams" => o.graph_streams = number(flag, value()?)?,
                "--batch" => o.batch = Some(number(flag, value()?)?),
                "--draft-steps" => o.draft_steps = number(flag, value()?)?,
                "--steps" => o.pattern = parse_pattern(value()?)?,
                "--fuse" => o.fusions.set(flag, value()?, true)?,
                "--unfuse" => o.fusions.set(flag, value()?, false)?,
                "--unlinked" => o.unlinked_percent = number(flag, value()?)?,
                "--straggler-us" => o.straggler_ns = thousandths(flag, value()?)?,
                "--slow-kernel" => {
                    let text = value()?;
                    let (name, factor) =
                        text.rsplit_once(':').ok_or_else(|| format!("{flag}: NAME:FACTOR wanted"))?;
                    o.slow_kernel = Some((name.to_owned(), thousandths(flag, factor)?));
                }
                "--engine" => {
                    let table =
                        [("sglang", Engine::Sglang), ("vllm", Engine::Vllm), ("torch", Engine::Torch)];
                    o.engine = one_of(flag, value()?, &table)?;
                }
                "--gpu" => o.gpu = one_of(flag, value()?, &[("nvidia", Gpu::Nvidia), ("amd", Gpu::Amd)])?,
                "--attention" => {
                    let table = [("fa3", Attention::Fa3), ("flashinfer", Attention::FlashInfer)];
                    o.attention = one_of(flag, value()?, &table)?;
                }
                "--comm" => {
                    let table = [
                        ("nccl", Comm::Nccl),
                        ("oneshot", Comm::OneShot),
                        ("twoshot", Comm::TwoShot),
                        ("multimem", Comm::Multimem),
                        ("userbuffers", Comm::UserBuffers),
                        ("ncclsym", Comm::NcclSymmetric),
                        ("rccl", Comm::Rccl),
                    ];
                    o.comm = one_of(flag, value()?, &table)?;
                }
                "--annotation" => {
                    let table = [
                        ("engine", Annotation::Engine),
                        ("old", Annotation::Old),
                        ("step", Annotation::StepOnly),
                        ("none", Annotation::None),
                    ];
                    o.annotation = one_of(flag, value()?, &table)?;
                }
                _ => return Err(format!("{flag}: unknown option\n{USAGE}")),
            }
        }
        if !explicit_ranks {
            o.ranks = o.tp.max(o.rank + 1);
        }
        o.check()?;
        Ok(o)
    }

    /// Refuses combinations that no real trace shows, so that the truth stays decidable.
    ///
    /// # Errors
    /// One line saying which combination is refused.
    pub fn check(&self) -> Result<(), String> {
        let torch = self.engine == Engine::Torch;
        let eager_only = |c: &Class| matches!(c, Class::Prefill | Class::Decode);
        if self.layers == 0 || self.tp == 0 || self.pattern.is_empty() {
            return Err("--layers, --tp and --steps must name at least one".to_owned());
        }
        if self.rank >= self.ranks {
            return Err(format!("--rank {} is not below --ranks {}", self.rank, self.ranks));
        }
        if torch && (self.gpu == Gpu::Amd || self.graph_decode || !self.pattern.iter().all(eager_only)) {
            return Err("--engine torch writes eager prefill and decode on nvidia only".to_owned());
        }
        if self.annotation == Annotation::StepOnly && self.engine != Engine::Sglang {
            return Err("--annotation step is SGLang's spelling".to_owned());
        }
        if self.annotation == Annotation::Old && self.engine != Engine::Vllm {
            return Err("--annotation old is vLLM's spelling".to_owned());
        }
        if self.unlinked_percent > 100 {
            return Err("--unlinked takes at most 100".to_owned());
        }
        if !(1..=2).contains(&self.graph_streams) {
            return Err("--graph-streams takes 1 or 2".to_owned());
        }
        if self.batch == Some(0) || self.draft_steps == 0 {
            return Err("--batch and --draft-steps must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_full_line_is_read() {
        let o = parse(
            "--mb 1.5 --rank 1 --tp 4 --seed 9 --layers 2 --engine vllm --gpu amd --steps prefill,decode*3 \
             --slow-kernel fa3:1.25 --straggler-us 40 --unfuse act_mul,residual_norm --annotation old",
        )
        .unwrap();
        assert_eq!(o.extent, Extent::Bytes(1_500_000));
        assert_eq!((o.rank, o.ranks, o.tp), (1, 4, 4));
        assert_eq!(o.pattern, [Class::Prefill, Class::Decode, Class::Decode, Class::Decode]);
        assert_eq!(o.slow_kernel, Some(("fa3".to_owned(), 1250)));
        assert_eq!(o.straggler_ns, 40_000);
        assert!(!o.fusions.act_mul && !o.fusions.residual_norm && !o.fusions.qk_norm_rope);
    }

    #[test]
    fn wrong_lines_are_refused_by_name() {
        for (line, word) in [
            ("--engine trt", "--engine"),
            ("--mb", "value missing"),
            ("--steps prefill,sleep", "sleep"),
            ("--rank 3 --ranks 2", "--ranks"),
            ("--engine torch --steps mixed", "torch"),
            ("--engine torch --gpu amd", "torch"),
            ("--slow-kernel fa3", "NAME:FACTOR"),
            ("--frobnicate", "unknown option"),
            ("--layers 0", "--layers"),
            ("--unlinked 101", "--unlinked"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
