//! `perfwright bench compare`, `ab` and `search`.

use std::path::PathBuf;

use clap::Args;

use super::record::RecordArgs;

/// Arguments of `bench ab`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes: 0 better or the same, 1 worse or inconclusive, 3 the sides may not be compared.

Examples:
  perfwright bench ab --a before.jsonl --b after.jsonl
  perfwright bench ab --a a.jsonl --b b.jsonl --metric p50_ttft_ms --threshold 2
  perfwright bench ab --a runs/a --b runs/b --launch-spread 0.8 --format json")]
pub struct BenchAbArgs {
    /// Rows of side A: file or run folder
    #[arg(long, value_name = "FILE")]
    pub a: String,

    /// Rows of side B
    #[arg(long, value_name = "FILE")]
    pub b: String,

    /// Figure to compare; latencies count as better when smaller
    #[arg(long, value_name = "NAME", default_value = "request_throughput")]
    pub metric: String,

    /// Relative difference that matters to nobody, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub threshold: f64,

    /// Standard deviation from launch to launch in percent, from an A/A control, where blocks share launches
    #[arg(long, value_name = "PERCENT")]
    pub launch_spread: Option<f64>,
}

/// Arguments of `bench search`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perfwright bench search plan.yaml --dry-run
  perfwright bench search plan.yaml --dry-run --help-dir artifacts/help --format json
  perfwright bench search plan.yaml --run-dir runs/qwen3
  perfwright bench search docs/search-lab.yaml --run-dir runs/lab

Exit codes: 0 a winner or a tie, 1 inconclusive or no winner, 3 a server ran on another path than its flags ask for, 5 a
server cannot be started at all, 130 interrupted. After 5, 130 or a kill the same command goes on where it was.")]
pub struct BenchSearchArgs {
    /// The plan: YAML or JSON
    pub plan: PathBuf,

    /// Folder of the run; an interrupted search in it is continued, a finished one prints its answer
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Seconds that a server may take until it answers
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub ready_timeout: u64,

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
