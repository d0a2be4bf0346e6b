//! `perfwright trace`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::record::RecordArgs;

/// Read profiler traces
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// What to do with the trace.
    #[command(subcommand)]
    pub verb: TraceVerb,
}

/// What to do with a trace.
#[derive(Debug, Subcommand)]
pub enum TraceVerb {
    /// Kernel, overlap and fusion tables of a torch.profiler trace
    ///
    /// PATH is a Chrome/Kineto JSON trace, plain or gzip, or a folder with one trace per rank.
    Triage(TriageArgs),

    /// What got slower, faster, appeared or vanished between two traces
    ///
    /// A and B are the same engine before and after a change, or two engines; each is a trace file or a folder with
    /// one trace per rank. Steps are matched by class, batch, tokens and context before anything is compared.
    Compare(CompareArgs),

    /// Profile a running server: prefill and decode apart, until the traces are whole
    Capture(Box<super::trace_capture::CaptureArgs>),

    /// Kernels joined to the operators of the model, each against what the GPU allows
    ///
    /// FLOPs come from the sizes that operators recorded, each matrix product once; in CUDA graph replays, which have
    /// no operators, from the order of kernels and the model. What contradicts the model is listed; an MFU above 100 %
    /// is refused (exit code 3).
    Map(MapArgs),

    /// Forward passes, layers and the kernels of typical layers of a torch.profiler trace
    ///
    /// Layers are found from the repeating structure of the kernels; nothing has to be told. The layer count is
    /// checked against module frames, graph nodes and, with --config, the model's configuration.
    Pipeline(PipelineArgs),
}

/// How traces are read, the same in every verb.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Neither read nor write the cache
    #[arg(long)]
    pub no_cache: bool,

    /// Folder for caches [default: the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache_dir: Option<PathBuf>,

    /// Folder whose catalogue entries come before those compiled in
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
}

/// Arguments of `trace triage`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright trace triage decode.trace.json.gz
  perfwright trace triage decode.trace.json.gz --capture capture.trace.json.gz   name kernels inside CUDA graphs
  perfwright trace triage traces/ --rank 0 --format json > triage.json
  perfwright trace triage decode.trace.json.gz --record                          keep the answer as a run")]
pub struct TriageArgs {
    /// Trace file, or folder with one trace per rank
    pub path: PathBuf,

    /// Trace of the graph capture; its launches name the kernels a replayed graph does not
    #[arg(long, value_name = "TRACE")]
    pub capture: Option<PathBuf>,

    /// Eager trace of the same model with Python stacks; names the kernels both have in common
    #[arg(long, value_name = "TRACE")]
    pub mapping: Option<PathBuf>,

    /// Look only at this rank of a folder
    #[arg(long, value_name = "N")]
    pub rank: Option<u32>,

    /// How traces are read.
    #[command(flatten)]
    pub read: ReadArgs,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// Arguments of `trace compare`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Limits:
  WHAT>LIMIT, where WHAT is step, kernel or category.NAME, each with an optional .CLASS behind it (prefill, decode,
  mixed, verify, draft, capture, unknown), and LIMIT is a number with %, ns, us or ms. % is of A. A limit is exceeded
  when the low end of the difference's 95 % interval is above it: exit code 1. A limit on something that was not
  compared, or has too few steps for an interval, is unproven: exit code 3.

Examples:
  perfwright trace compare before.trace.json.gz after.trace.json.gz
  perfwright trace compare sglang.trace.json.gz vllm.trace.json.gz --format markdown
  perfwright trace compare main.json.gz pr.json.gz --fail-on 'step.decode>3%' --fail-on 'category.attention>5%'
  perfwright trace compare main.json.gz pr.json.gz --record                      keep the answer as a run")]
pub struct CompareArgs {
    /// Trace before the change, or of our engine
    pub a: PathBuf,

    /// Trace after the change, or of the other engine
    pub b: PathBuf,

    /// End with exit code 1 when a difference is surely above this limit, e.g. step.decode>3%
    #[arg(long, value_name = "EXPR")]
    pub fail_on: Vec<String>,

    /// How far batch, tokens and context of two steps may be apart, in percent of the larger
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=100))]
    pub tolerance: u8,

    /// How traces are read.
    #[command(flatten)]
    pub read: ReadArgs,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// Arguments of `trace pipeline`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright trace pipeline decode.trace.json.gz
  perfwright trace pipeline decode.trace.json.gz --config config.json            check the layer count, name the layers
  perfwright trace pipeline decode.trace.json.gz --layer 3 --compare-layer 4     two layers side by side
  perfwright trace pipeline decode.trace.json.gz --anchor rms_norm --format json name the kernel that begins a layer")]
pub struct PipelineArgs {
    /// Trace file, or folder with one trace per rank
    pub path: PathBuf,

    /// The model's config.json, or a folder that holds it: layer count and kinds of layers are set beside what the
    /// trace shows, and layers get their names from it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Begin a layer at each kernel whose base name contains this text
    #[arg(long, value_name = "NAME")]
    pub anchor: Option<String>,

    /// Pass for --layer and --compare-layer [default: a steady one]
    #[arg(long, value_name = "N", requires = "layer")]
    pub pass: Option<u32>,

    /// Show the kernels of this layer
    #[arg(long, value_name = "N")]
    pub layer: Option<u32>,

    /// Set this layer beside --layer
    #[arg(long, value_name = "N", requires = "layer")]
    pub compare_layer: Option<u32>,

    /// Trace of the graph capture; its launches name the kernels a replayed graph does not
    #[arg(long, value_name = "TRACE")]
    pub capture: Option<PathBuf>,

    /// Look only at this rank of a folder
    #[arg(long, value_name = "N")]
    pub rank: Option<u32>,

    /// How traces are read.
    #[command(flatten)]
    pub read: ReadArgs,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// Arguments of `trace map`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright trace map prefill.trace.json.gz --config config.json --gpu mi300x
  perfwright trace map decode.trace.json.gz --config config.json --gpu b200 --tp 8 --kv-dtype fp8
  perfwright trace map decode.trace.json.gz --config config.json --gpu h200 --batch 32 --context 1024   no step labels
  perfwright trace map traces/ --rank 0 --config config.json --gpu h100 --phase decode --format json > map.json")]
pub struct MapArgs {
    /// Trace file, or folder with one trace per rank
    pub path: PathBuf,

    /// The model's config.json; hf_quant_config.json beside it is read too
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// GPU of the catalogue that the trace was recorded on
    #[arg(long, value_name = "NAME")]
    pub gpu: String,

    /// Ranks that share attention and dense parts [default: what recorded sizes say, else 1]
    #[arg(long, value_name = "N")]
    pub tp: Option<u64>,

    /// Groups that hold whole experts; divides TP x DP
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ep: u64,

    /// Replicas of attention with requests of their own
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub dp: u64,

    /// Stages; the trace shows one
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pp: u64,

    /// Format of the cache: bf16, fp16, fp32, fp8, fp4
    #[arg(long, value_name = "DTYPE", default_value = "bf16")]
    pub kv_dtype: String,

    /// Format of the weights instead of the checkpoint's: bf16, fp8, int4, nvfp4, mxfp4, ...
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<String>,

    /// Only passes of this class
    #[arg(long, value_name = "CLASS")]
    pub phase: Option<PassClass>,

    /// Only this pass, as `trace pipeline` numbers them
    #[arg(long, value_name = "N")]
    pub pass: Option<u32>,

    /// Requests of a pass instead of the label's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=262_144))]
    pub batch: Option<u64>,

    /// New tokens of a pass, of all its requests, instead of the label's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub tokens: Option<u64>,

    /// Tokens of each request in the cache before the pass instead of the label's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=16_777_216))]
    pub context: Option<u64>,

    /// Trace of the graph capture; its launches name the kernels a replayed graph does not
    #[arg(long, value_name = "TRACE")]
    pub capture: Option<PathBuf>,

    /// Look only at this rank of a folder
    #[arg(long, value_name = "N")]
    pub rank: Option<u32>,

    /// How traces are read.
    #[command(flatten)]
    pub read: ReadArgs,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}

/// Class of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PassClass {
    /// Prompt tokens only.
    Prefill,
    /// One new token a request.
    Decode,
    /// Both in one pass.
    Mixed,
    /// The target model checks draft tokens.
    Verify,
    /// Nothing in the trace tells.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn parse(line: &str) -> Result<TraceArgs, clap::Error> {
        let command = TraceArgs::augment_args(clap::Command::new("trace"));
        command
            .try_get_matches_from(line.split_whitespace())
            .and_then(|matches| TraceArgs::from_arg_matches(&matches))
    }

    #[test]
    fn triage_takes_its_documented_arguments() {
        let TraceVerb::Triage(args) =
            parse("trace triage a.json --capture c.json --mapping m.json --no-cache --rank 3 --record")
                .unwrap()
                .verb
        else {
            panic!("not triage")
        };
        assert_eq!(args.path, PathBuf::from("a.json"));
        assert_eq!(args.capture, Some(PathBuf::from("c.json")));
        assert_eq!(args.mapping, Some(PathBuf::from("m.json")));
        assert!(args.read.no_cache && args.recorded.record);
        assert_eq!(args.rank, Some(3));
    }

    #[test]
    fn compare_takes_two_traces_and_any_number_of_limits() {
        let TraceVerb::Compare(args) =
            parse("trace compare a.json b.json --fail-on step>1% --fail-on kernel>5us --no-cache")
                .unwrap()
                .verb
        else {
            panic!("not compare")
        };
        assert_eq!((args.a, args.b), (PathBuf::from("a.json"), PathBuf::from("b.json")));
        assert_eq!(args.fail_on, ["step>1%", "kernel>5us"]);
        assert!(parse("trace compare a.json").is_err());
    }

    #[test]
    fn pipeline_takes_its_documented_arguments() {
        let line = "trace pipeline a.json --config c.json --anchor mhc --pass 2 --layer 3 --compare-layer 4 --no-cache";
        let TraceVerb::Pipeline(args) = parse(line).unwrap().verb else { panic!("not pipeline") };
        assert_eq!((args.pass, args.layer, args.compare_layer), (Some(2), Some(3), Some(4)));
        assert_eq!((args.config, args.anchor.as_deref()), (Some(PathBuf::from("c.json")), Some("mhc")));
        // A negative number is no pass or layer (it would count from the end in some languages).
        assert!(parse("trace pipeline a.json --layer -1").is_err());
        assert!(parse("trace pipeline a.json --layer 1 --pass=-1").is_err());
        assert!(parse("trace pipeline a.json --compare-layer 1").is_err());
        assert!(parse("trace pipeline a.json --pass 1").is_err());
    }

    #[test]
    fn map_needs_a_config_and_a_gpu() {
        let line = "trace map a.json --config c.json --gpu b200 --tp 8 --phase decode --batch 4 --context 0";
        let TraceVerb::Map(args) = parse(line).unwrap().verb else { panic!("not map") };
        assert_eq!((args.tp, args.phase, args.batch), (Some(8), Some(PassClass::Decode), Some(4)));
        assert!(parse("trace map a.json --gpu b200").is_err());
        assert!(parse("trace map a.json --config c.json").is_err());
        assert!(parse("trace map a.json --config c.json --gpu b200 --batch 0").is_err());
    }

    #[test]
    fn arguments_that_contradict_each_other_are_refused() {
        assert!(parse("trace triage").is_err());
        assert!(parse("trace triage a.json --record --run-dir r").is_err());
        assert!(parse("trace triage a.json --no-cache --cache-dir c").is_err());
    }
}
