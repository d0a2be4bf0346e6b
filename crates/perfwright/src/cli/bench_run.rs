//! `perfwright bench run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::bench_path::PathArgs;

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EndpointArg {
    /// OpenAI /v1/completions: SGLang, vLLM, TensorRT-LLM, TokenSpeed, llama.cpp and others
    Completions,
    /// OpenAI /v1/chat/completions
    Chat,
    /// SGLang /generate
    Generate,
}

impl EndpointArg {
    /// The name in contracts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Chat => "chat",
            Self::Generate => "generate",
        }
    }
}

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkloadArg {
    /// Random words of --input-len, --output-len tokens
    Random,
    /// Random, 1000 in and 1000 out
    Chat,
    /// Random, 8000 in and 1000 out
    Summarize,
    /// Groups of requests with a common start of --prefix-len words
    SharedPrefix,
    /// Conversations of --turns turns
    MultiTurn,
    /// ShareGPT conversations of --dataset
    Sharegpt,
    /// Rows of prompt and output_len of --dataset
    Jsonl,
    /// Mooncake's trace of --dataset, with its shared blocks
    Mooncake,
    /// BurstGPT's CSV of --dataset
    Burstgpt,
    /// Azure's LLM inference CSV of --dataset
    Azure,
}

/// How requests arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    /// Equal gaps
    Constant,
    /// Exponential gaps
    Poisson,
    /// Gamma gaps of shape --burstiness
    Gamma,
    /// Poisson, from --ramp-from to --rate
    Ramp,
    /// The times of the trace, --speed times as fast
    Replay,
}

/// Arguments of `bench run`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright bench run --url http://127.0.0.1:30000 --workload chat --rate 4
  perfwright bench run --url 127.0.0.1:8000 --endpoint chat --workload random --input-len 512 \\
      --output-len 128 --requests 700 --concurrency 32 --sla 'ttft.p99<=1500' --sla 'success>=0.99'
  perfwright bench run --url 127.0.0.1:8000 --workload mooncake --dataset trace.jsonl --arrival replay
  perfwright bench run --url 127.0.0.1:8000 --workload chat --rate 4 --dry-run

  perfwright bench run --url 127.0.0.1:30000 --workload chat --rate 4 --log server.log --path attention_backend=fa3 \\
      --server-command 'python -m sglang.launch_server --attention-backend fa3 --tp 8'

The path: what the server's /server_info, --log and --server-command state has to agree, before and after the load, and
be what --path and --same-path-as demand. What nothing states is not proven: path.proven is then false.

Exit codes: 0 measured (and every requirement certified), 1 no request succeeded or a requirement is not
certified, 3 the client was the bottleneck or the server ran on another path than meant, 5 the server cannot be reached.")]
pub struct RunArgs {
    /// Address of the server, plain http
    #[arg(long, value_name = "URL")]
    pub url: String,

    /// Endpoint that generates
    #[arg(long, value_enum, default_value = "completions")]
    pub endpoint: EndpointArg,

    /// Name of the model in requests [default: the first that the server lists]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub model: String,

    /// Environment variable that holds a bearer token
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,

    /// What is asked
    #[arg(long, value_enum, default_value = "random", help_heading = "Workload")]
    pub workload: WorkloadArg,

    /// File of a workload that reads one
    #[arg(long, value_name = "FILE", help_heading = "Workload")]
    pub dataset: Option<PathBuf>,

    /// Words of a prompt, nominally tokens; tokens with --tokenizer [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Workload")]
    pub input_len: Option<u32>,

    /// Tokens asked for [default: 128, or what the dataset says]
    #[arg(long, value_name = "N", help_heading = "Workload")]
    pub output_len: Option<u32>,

    /// Random lengths are even between this part of the length and all of it
    #[arg(long, value_name = "R", default_value_t = 1.0, help_heading = "Workload")]
    pub range_ratio: f64,

    /// Words that the requests of a group share
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Workload")]
    pub prefix_len: u32,

    /// Groups of shared-prefix
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Workload")]
    pub groups: u32,

    /// Turns of multi-turn; with sharegpt, 1 asks the first question only and more asks all
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Workload")]
    pub turns: u32,

    /// Time between an answer and the next turn, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, help_heading = "Workload")]
    pub think_ms: u64,

    /// Hugging Face tokenizer.json, or its folder: random prompts get exactly their lengths in tokens
    #[arg(long, value_name = "FILE", help_heading = "Workload")]
    pub tokenizer: Option<PathBuf>,

    /// Sessions: requests, or conversations [default: as many as the requirements need, at least 80]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub requests: Option<u64>,

    /// Sessions per second; without it and without --arrival replay the loop is closed
    #[arg(long, value_name = "R", help_heading = "Load")]
    pub rate: Option<f64>,

    /// Gaps between sessions [default: poisson]
    #[arg(long, value_enum, help_heading = "Load")]
    pub arrival: Option<ArrivalArg>,

    /// Requests at once: the load of a closed loop [default: 1], a limit beside --rate
    #[arg(long, value_name = "C", help_heading = "Load")]
    pub concurrency: Option<u32>,

    /// Shape of gamma gaps: 1 is Poisson, below is burstier
    #[arg(long, value_name = "B", default_value_t = 1.0, help_heading = "Load")]
    pub burstiness: f64,

    /// First rate of a ramp
    #[arg(long, value_name = "R", default_value_t = 1.0, help_heading = "Load")]
    pub ramp_from: f64,

    /// How much faster than the trace a replay is
    #[arg(long, value_name = "S", default_value_t = 1.0, help_heading = "Load")]
    pub speed: f64,

    /// Seed of lengths, times and, with --no-salt, words
    #[arg(long, value_name = "S", default_value_t = 1, help_heading = "Load")]
    pub seed: u64,

    /// The same seed gives the same prompts, which a prefix cache may know from an earlier trial
    #[arg(long, help_heading = "Load")]
    pub no_salt: bool,

    /// Requests before the measured ones, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub warmup: u32,

    /// Leave requests at the start out that are slow like a warm-up
    #[arg(long, help_heading = "Load")]
    pub cut_warmup: bool,

    /// Let answers end early; without it `ignore_eos` asks for the exact length
    #[arg(long, help_heading = "Load")]
    pub no_ignore_eos: bool,

    /// JSON object whose fields are added to every request
    #[arg(long, value_name = "JSON", help_heading = "Load")]
    pub extra_body: Option<String>,

    /// Requirement, such as ttft.p99<=1500 (ms), tpot.mean<=30 or success>=0.99; may be repeated
    #[arg(long, value_name = "SLA", help_heading = "Decision")]
    pub sla: Vec<String>,

    /// Client lateness that 99 % must stay below, ms [default: 1 % of the TTFT bound, which is 1500 where none is set]
    #[arg(long, value_name = "MS", help_heading = "Decision")]
    pub max_lateness_ms: Option<f64>,

    /// Threads that send and receive
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Client")]
    pub client_threads: u32,

    /// Longest wait for a connection, ms
    #[arg(long, value_name = "MS", default_value_t = 10_000, help_heading = "Client")]
    pub connect_timeout_ms: u64,

    /// Longest wait for the first event, ms
    #[arg(long, value_name = "MS", default_value_t = 120_000, help_heading = "Client")]
    pub first_timeout_ms: u64,

    /// Longest wait between events, ms
    #[arg(long, value_name = "MS", default_value_t = 60_000, help_heading = "Client")]
    pub stall_timeout_ms: u64,

    /// Longest request, ms
    #[arg(long, value_name = "MS", default_value_t = 1_800_000, help_heading = "Client")]
    pub timeout_ms: u64,

    /// What the server's path must be.
    #[command(flatten)]
    pub path: PathArgs,

    /// Say what would be asked and what it would cost, and ask nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Folder of the run [default: a new one in the runs folder]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}
