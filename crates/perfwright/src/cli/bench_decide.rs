//! `perfwright bench compare`, `ab` and `search`.

use std::path::PathBuf;

use clap::Args;

use super::bench_run::EndpointArg;
use super::record::RecordArgs;

/// Arguments of `bench ab`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: 0 better or the same, 1 worse or inconclusive, 3 the sides may not be compared or the machine is busy, 5 a
server cannot be started at all, 130 interrupted. After 5, 130 or a kill the same command goes on where it was.

Examples:
  perfwright bench ab --a-server 'perfwright lab serve --port {port} --ops naive' \\
      --b-server 'perfwright lab serve --port {port} --ops fused' --metric output_token_throughput --run-dir runs/ab
  perfwright bench ab --framework sglang --a-server 'python -m sglang.launch_server --model-path m' \\
      --b-server 'python -m sglang.launch_server --model-path m --enable-torch-compile' --budget 7200
  perfwright bench ab --plan plan.yaml --a-candidate sglang/baseline --b-candidate sglang/chunk-4096
  perfwright bench ab --a before.jsonl --b after.jsonl --metric p50_ttft_ms --threshold 2
  perfwright bench ab --a runs/a --b runs/b --launch-spread 0.8 --format json")]
pub struct BenchAbArgs {
    /// Rows of side A that exist: file or run folder
    #[arg(long, value_name = "FILE", requires = "b")]
    pub a: Option<String>,

    /// Rows of side B
    #[arg(long, value_name = "FILE", requires = "a")]
    pub b: Option<String>,

    /// Figure to compare; latencies count as better when smaller
    #[arg(long, value_name = "NAME", default_value = "request_throughput")]
    pub metric: String,

    /// Relative difference that matters to nobody, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub threshold: f64,

    /// Standard deviation from launch to launch in percent, from an A/A control, where blocks share launches
    #[arg(long, value_name = "PERCENT")]
    pub launch_spread: Option<f64>,

    /// Sides that are measured now.
    #[command(flatten)]
    pub live: AbLiveArgs,
}

/// What is measured for an A/B.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub struct AbLiveArgs {
    /// Command of server A, launched for each measurement; {port} is a free port
    #[arg(long, value_name = "COMMAND")]
    pub a_server: Option<String>,

    /// Command of server B
    #[arg(long, value_name = "COMMAND")]
    pub b_server: Option<String>,

    /// Address of server A, where it runs already; how much launches differ is then not known
    #[arg(long, value_name = "URL", conflicts_with = "a_server")]
    pub a_url: Option<String>,

    /// Address of server B
    #[arg(long, value_name = "URL", conflicts_with = "b_server")]
    pub b_url: Option<String>,

    /// Candidate of --plan for side A
    #[arg(long, value_name = "FRAMEWORK/CANDIDATE", requires = "plan", conflicts_with_all = ["a_server", "a_url"])]
    pub a_candidate: Option<String>,

    /// Candidate of --plan for side B
    #[arg(long, value_name = "FRAMEWORK/CANDIDATE", requires = "plan", conflicts_with_all = ["b_server", "b_url"])]
    pub b_candidate: Option<String>,

    /// Plan of a search: commands of candidates, lengths, bounds, endpoint and seed
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,

    /// Scenario of --plan [default: the first]
    #[arg(long, value_name = "NAME", requires = "plan")]
    pub scenario: Option<String>,

    /// Framework of both commands; sglang, vllm, tensorrt_llm and tokenspeed get --host and --port
    #[arg(long, value_name = "NAME", default_value = "server")]
    pub framework: String,

    /// Endpoint that generates
    #[arg(long, value_enum, default_value = "completions")]
    pub endpoint: EndpointArg,

    /// Name of the model in requests [default: the first that the server lists]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub model: String,

    /// Words of a prompt; nominally tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub input_len: u32,

    /// Tokens asked for
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub output_len: u32,

    /// Requests of each measurement [default: 32, or those of --plan]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub requests: Option<u64>,

    /// Requests under way at any time [default: 4 without --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub concurrency: Option<u32>,

    /// Requests per second, Poisson
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,

    /// Seed of lengths, words and times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Most blocks of A and B; looks at the figures fall after a quarter, a half, three quarters and all of them
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(4..=10_000))]
    pub blocks: u64,

    /// Blocks of A against itself, restarted in between; 0 leaves the control out
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub control: u64,

    /// Seconds that launching and measuring may take; without it as long as the blocks take
    #[arg(long, value_name = "SECONDS")]
    pub budget: Option<f64>,

    /// Seconds that a server may take until it answers
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub ready_timeout: u64,

    /// Folder of the run; an interrupted one in it is continued, a finished one prints its answer
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,

    /// Whether the machine has to be quiet.
    #[command(flatten)]
    pub quiet: QuietArgs,
}

/// What is done about a machine that is busy with something else.
#[derive(Debug, Args)]
pub struct QuietArgs {
    /// Seconds to wait for a quiet machine before each launch
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub wait: u64,

    /// Measure on a machine that stays busy; rows and verdict say so
    #[arg(long)]
    pub allow_busy: bool,
}

/// Arguments of `bench search`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright bench search plan.yaml --dry-run
  perfwright bench search plan.yaml --dry-run --help-dir artifacts/help --format json
  perfwright bench search plan.yaml --run-dir runs/qwen3
  perfwright bench search docs/search-lab.yaml --run-dir runs/lab

Exit codes: 0 a winner or a tie, 1 inconclusive or no winner, 3 a server ran on another path than its flags ask for or the
machine is busy, 5 a server cannot be started at all, 130 interrupted. After 5, 130 or a kill the same command goes on where it was.")]
pub struct BenchSearchArgs {
    /// The plan: YAML or JSON
    pub plan: PathBuf,

    /// Folder of the run [default: output_dir of the plan]; an interrupted search in it is continued, a finished one
    /// prints its answer
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Seconds that a server may take until it answers
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub ready_timeout: u64,

    /// Whether the machine has to be quiet.
    #[command(flatten)]
    pub quiet: QuietArgs,

    /// Folder with captured --help texts: *.txt whose names hold the framework and serve, server or launch
    #[arg(long, value_name = "DIR")]
    pub help_dir: Option<PathBuf>,
}

/// Arguments of `bench compare`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Bounds:
  --sla max_p99_ttft_ms=1500 --sla min_success_rate=0.99 replace the bounds of the rows. A bound is max_ or min_, a
  statistic (mean p1 p5 p10 p25 p50 p75 p90 p95 p99 p999 min max) and a latency (ttft_ms tpot_ms itl_ms e2e_ms
  queue_ms), or success_rate, slo_attainment, request_throughput, output_token_throughput, total_token_throughput or
  request_goodput.

Examples:
  perfwright bench compare candidates.jsonl
  perfwright bench compare sglang=a.jsonl vllm=b.json --sla max_p50_ttft_ms=1500 --format markdown
  perfwright bench compare runs/20260722T101500-bench-search-qwen3/ --format json
  perfwright bench compare aiperf.json guidellm.json.gz --export rows.jsonl")]
pub struct BenchCompareArgs {
    /// Rows, result files or run folders; NAME=FILE names the framework
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,

    /// Bound in place of those of the rows; may be given several times
    #[arg(long, value_name = "BOUND=LIMIT")]
    pub sla: Vec<String>,

    /// Relative difference that matters to nobody, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub threshold: f64,

    /// Also write every row in the common form of benchmark summaries, one a line
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,

    /// Whether the answer becomes a run.
    #[command(flatten)]
    pub recorded: RecordArgs,
}
