//! `perfwright trace capture`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::bench_path::PathArgs;
use super::bench_run::EndpointArg;
use super::record::RecordArgs;

/// A framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FrameworkArg {
    /// What the server says that it is
    Auto,
    /// SGLang, and the lab
    Sglang,
    /// vLLM, started with --profiler-config or VLLM_TORCH_PROFILER_DIR
    Vllm,
    /// TensorRT-LLM with /start_profile
    TensorrtLlm,
    /// TokenSpeed
    Tokenspeed,
}

/// Which work is profiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// Prompts of --input-len, one token each
    Prefill,
    /// --batch answers under way after prompts of --input-len
    Decode,
    /// Both, one after the other
    Both,
}

/// Arguments of `trace capture`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Each stage is warmed up, then profiled apart: /start_profile, its requests, /stop_profile, and a wait until every new
trace is whole, which means of one size at two looks and readable to its end. One step more than --steps is asked for; it
guards the last one. The traces are OUT/prefill/ and OUT/decode/.

The server writes the traces, so OUT has to be a folder that it sees too; --server-dir is its name there. vLLM writes to
the folder that it was started with: name it with --server-dir, and its traces are moved to OUT.

A server whose path is not the one of --same-path-as, --path or --server-command is refused before anything is profiled.

Examples:
  perfwright trace capture --url http://127.0.0.1:30000 --out /data/profiles --same-path-as runs/bench
  perfwright trace capture --url 127.0.0.1:8000 --framework vllm --server-dir /data/vllm --out profiles --stage decode
  perfwright trace triage profiles/decode

Exit codes: 0 captured, 3 the server runs on another path than meant, 5 the server refuses to profile or no whole trace
appears.")]
pub struct CaptureArgs {
    /// Address of the server
    #[arg(long, value_name = "URL")]
    pub url: String,

    /// Folder for the traces
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// The same folder as the server sees it [default: --out]; for vLLM the folder that it writes to
    #[arg(long, value_name = "DIR")]
    pub server_dir: Option<PathBuf>,

    /// Framework of the server
    #[arg(long, value_enum, default_value = "auto")]
    pub framework: FrameworkArg,

    /// Endpoint that generates
    #[arg(long, value_enum, default_value = "completions")]
    pub endpoint: EndpointArg,

    /// Name of the model in requests [default: the first that the server lists]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub model: String,

    /// Environment variable that holds a bearer token
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,

    /// What is profiled
    #[arg(long, value_enum, default_value = "both", help_heading = "Workload")]
    pub stage: StageArg,

    /// Words of a prompt [default: those of the run of --same-path-as, else 1000]
    #[arg(long, value_name = "N", help_heading = "Workload", value_parser = clap::value_parser!(u32).range(1..))]
    pub input_len: Option<u32>,

    /// Tokens of an answer of the decode workload [default: those of the run of --same-path-as, else 128]
    #[arg(long, value_name = "N", help_heading = "Workload", value_parser = clap::value_parser!(u32).range(1..))]
    pub output_len: Option<u32>,

    /// Answers under way at once in the decode workload
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Workload", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,

    /// Steps to profile of each stage
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Workload", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub steps: u32,

    /// Requests of each workload before its profile
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Workload", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub warmup: u32,

    /// Seed of the words
    #[arg(long, value_name = "S", default_value_t = 1, help_heading = "Workload")]
    pub seed: u64,

    /// Longest wait for a connection, ms
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub connect_timeout_ms: u64,

    /// Longest wait for an answer, ms
    #[arg(long, value_name = "MS", default_value_t = 600_000)]
    pub timeout_ms: u64,

    /// Longest wait until the traces of a stage are whole, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub flush_timeout: u64,

    /// What the server's path must be.
    #[command(flatten)]
    pub path: PathArgs,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}
