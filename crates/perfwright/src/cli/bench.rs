//! `perfwright bench`.

use clap::{Args, Subcommand};

use super::bench_decide::{BenchAbArgs, BenchCompareArgs, BenchSearchArgs};
use super::bench_run::RunArgs;

/// Measure serving engines, compare, search and decide
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: BenchVerb,
}

/// What to do with benchmarks.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Offer load to a server and report latencies, throughput and whether the client can be believed
    Run(Box<RunArgs>),

    /// Rank measured candidates, each against its own bounds, under equal conditions only
    ///
    /// FILE holds rows (JSON lines) or a result of SGLang's bench_serving, vllm bench serve, AIPerf or guidellm, plain
    /// or gzip, or is the folder of a run. NAME=FILE names the framework where the file does not. Bounds are
    /// recomputed from the figures; what a row says of itself is not believed. Imported rows are ranked and prove
    /// nothing: the verdict is then at most inconclusive (exit code 1).
    Compare(BenchCompareArgs),

    /// Is B better than A, worse, the same, or undecided
    ///
    /// Both files hold rows of one candidate under the same conditions. Rows are paired by `trial.block` (A B, then B
    /// A, ...); `trial.launch` names the server launch, because launches differ more than requests. The looks at the
    /// data are fixed beforehand and share an error of 5 %.
    Ab(BenchAbArgs),

    /// Search serving settings: candidates, coverage, largest load under the bounds
    ///
    /// This build shows with --dry-run what a search would do: the plan as it was understood, every candidate with its
    /// command, which listed values are covered, flags against captured --help texts, what the hardware rules out, and
    /// what it would cost.
    Search(BenchSearchArgs),
}
