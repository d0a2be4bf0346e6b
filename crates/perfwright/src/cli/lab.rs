//! `perfwright lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// The lab: a small, real serving engine that runs on the CPU
#[derive(Debug, Args)]
pub struct LabArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: LabVerb,
}

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Serve a small model with SGLang's endpoints, metrics, logs and profiles
    ///
    /// Prints one line with the address when it answers; the log goes to standard error. SIGTERM and SIGINT end it
    /// cleanly with exit code 0. It listens on 127.0.0.1 only.
    Serve(Box<ServeArgs>),
}

/// A model that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabModel {
    /// About 0.9 M parameters: starts at once
    Tiny,
    /// About 66 M parameters: bound by memory, as models on a GPU are
    Small,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabLogLevel {
    /// Failures
    Error,
    /// And what is not as it should be
    Warning,
    /// And startup and batches
    Info,
    /// And connections
    Debug,
}

/// In which order waiting requests are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabPolicy {
    /// In the order they came
    Fcfs,
    /// Longest answers first
    Lof,
}

/// Arguments of `lab serve`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright lab serve
  perfwright lab serve --port 0 --model small --ops fused --max-running-requests 16
  perfwright lab serve --ops naive,attention=fused --chunked-prefill-size 128
  perfwright lab serve --fault hang=769 --health-timeout 2

Faults (off unless asked for):
  slow-prefill=MS   every pass with prompt tokens takes MS milliseconds longer
  hang=TOKENS       a prompt of exactly TOKENS tokens stops the scheduler
  crash=TOKENS      a prompt of exactly TOKENS tokens ends the server with an error
  fallback=TOKENS   at a prompt of exactly TOKENS tokens the log says that attention left its backend
  stale-loads       /v1/loads keeps its first snapshot")]
pub struct ServeArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 30000)]
    pub port: u16,

    /// Model, with weights from --seed
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = LabModel::Tiny, conflicts_with = "weights")]
    pub model: LabModel,

    /// Folder with config.json and safetensors files (Llama, Qwen2 and Qwen3 style) in place of --model
    #[arg(long, value_name = "DIR")]
    pub weights: Option<PathBuf>,

    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Name in requests [default: the model's own]
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,

    /// Operators: `naive`, `fused`, or a list such as `naive,rmsnorm=fused`
    ///
    /// Operators are rmsnorm, residual, rope, gemm, attention, silu_mul and sampling; later entries win.
    #[arg(long, value_name = "OPS", default_value = "naive", help_heading = "Speed")]
    pub ops: String,

    /// Compute threads; 0 takes as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Speed")]
    pub threads: usize,

    /// Requests in the running batch at most
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Speed")]
    pub max_running_requests: usize,

    /// Prompt tokens of a pass at most; -1 never cuts a prompt
    #[arg(long, value_name = "N", default_value_t = 512, allow_hyphen_values = true, help_heading = "Speed",
        value_parser = clap::value_parser!(i64).range(-1..=1_000_000))]
    pub chunked_prefill_size: i64,

    /// Prompt tokens admitted to a pass at most; a longer prompt goes alone
    #[arg(long, value_name = "N", default_value_t = 16384, help_heading = "Speed")]
    pub max_prefill_tokens: usize,

    /// Decoding requests ride along in prefill passes
    #[arg(long, help_heading = "Speed")]
    pub enable_mixed_chunk: bool,

    /// Order in which waiting requests are admitted
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = LabPolicy::Fcfs, help_heading = "Speed")]
    pub schedule_policy: LabPolicy,

    /// Scales how much is kept free for tokens that running requests may still generate
    #[arg(long, value_name = "X", default_value_t = 1.0, help_heading = "Speed")]
    pub schedule_conservativeness: f64,

    /// Tokens of a KV page; a multiple of 16
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "Memory")]
    pub page_size: usize,

    /// KV tokens [default: what the memory budget leaves]
    #[arg(long, value_name = "N", help_heading = "Memory")]
    pub max_total_tokens: Option<usize>,

    /// Memory budget in MiB [default: room for the weights and 192 MiB of KV cache]
    #[arg(long, value_name = "MIB", help_heading = "Memory")]
    pub mem_budget: Option<u64>,

    /// Share of the budget for weights and KV cache
    #[arg(long, value_name = "F", default_value_t = 0.9, help_heading = "Memory")]
    pub mem_fraction_static: f64,

    /// Requests in the waiting queue at most; more are refused with 503
    #[arg(long, value_name = "N", default_value_t = 1024, help_heading = "Limits")]
    pub max_queued_requests: usize,

    /// Connections at once at most; more are refused with 503
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Limits",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,

    /// Bytes of a request's body at most, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8, help_heading = "Limits",
        value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub max_body: u32,

    /// Seconds for a request's head, and again for its body
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, value_parser = seconds, help_heading = "Limits")]
    pub read_timeout: f64,

    /// Seconds without a sign of the scheduler after which a health check fails
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds, help_heading = "Limits")]
    pub health_timeout: f64,

    /// /health looks at the state only; /health_generate still asks for a token
    #[arg(long, help_heading = "Limits")]
    pub passive_health: bool,

    /// Seconds without a pass, while there is work, after which the server gives up; 0 never does
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds, help_heading = "Limits")]
    pub watchdog_timeout: f64,

    /// Seconds for open requests to end at shutdown
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds, help_heading = "Limits")]
    pub drain: f64,

    /// How much is logged
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LabLogLevel::Info, help_heading = "Logs")]
    pub log_level: LabLogLevel,

    /// Decode passes between two log lines
    #[arg(long, value_name = "N", default_value_t = 40, help_heading = "Logs")]
    pub decode_log_interval: u64,

    /// Log requests
    #[arg(long, help_heading = "Logs")]
    pub log_requests: bool,

    /// What of a request is logged: 0 counts, 1 parameters, 2 text cut at 2048 characters, 3 all text
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Logs",
        value_parser = clap::value_parser!(u8).range(0..=3))]
    pub log_requests_level: u8,

    /// Folder that profiles are written to
    ///
    /// The output_dir of /start_profile is a folder in it; any other place is refused.
    #[arg(long, value_name = "DIR", default_value = "profiles", help_heading = "Logs")]
    pub profile_dir: PathBuf,

    /// Make something go wrong; may be given several times
    #[arg(long = "fault", value_name = "NAME[=VALUE]")]
    pub faults: Vec<String>,
}

/// Seconds from 0 to a day.
fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&value) { Ok(value) } else { Err("not between 0 and 86400".to_owned()) }
}
