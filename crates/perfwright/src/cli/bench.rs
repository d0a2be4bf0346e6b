//! `perfwright bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::trace::RecordArgs;

/// Compare, search and decide serving benchmarks
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: BenchVerb,
}

/// What to do with benchmarks.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Rank measured candidates, each against its own bounds, under equal conditions only
    ///
    /// FILE holds rows (JSON lines) or a result of SGLang's bench_serving, vllm bench serve, AIPerf or guidellm, plain
    /// or gzip, or is the folder of a run. NAME=FILE names the framework where the file does not. Bounds are
    /// recomputed from the figures; what a row says of itself is not believed. Imported rows are ranked and prove
    /// nothing: the verdict is then at most inconclusive (exit code 1).
    Compare(BenchCompareArgs),
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
