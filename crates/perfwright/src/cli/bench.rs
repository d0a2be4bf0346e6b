//! `perfwright bench`.

use clap::{Args, Subcommand};

use super::bench_accuracy::AccuracyArgs;
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
    /// With --a-server and --b-server (or candidates of a --plan) both servers are launched in turn, A B B A A B ..., for
    /// every measurement anew, because launches differ more than requests; both launches of a block get the same
    /// requests. A control measures A against itself with restarts: where it finds a difference, nothing is claimed.
    /// More is measured until a look at the figures decides, all blocks are done or the time is over. The looks are
    /// fixed beforehand and share an error of 5 %. Everything is recorded, and a killed comparison goes on with the
    /// same command.
    ///
    /// With --a and --b the same is decided from rows that exist, under the same conditions. They are paired by
    /// `trial.block`; `trial.launch` names the server launch.
    Ab(Box<BenchAbArgs>),

    /// Search serving settings: candidates, coverage, largest load under the bounds
    ///
    /// Each candidate's server is started, measured through the load generator at every load that is due, and stopped. A
    /// server is ready when /health or /v1/models answers. Every candidate is kept as ok, failed, oom, timeout or skipped
    /// with the reason; requests, logs and the path that command, log and /server_info state are recorded before the row
    /// that rests on them. What a killed search left is cleaned up by the next call, which measures no finished row again.
    ///
    /// Frameworks that are not known are templates: `llama-server --model {model} --port {port} {flags}`. `perfwright` as
    /// the first word is this program itself.
    ///
    /// --dry-run shows the plan as it was understood, every candidate with its command, which listed values are covered,
    /// flags against captured --help texts, what the hardware rules out, and what it would cost.
    Search(BenchSearchArgs),

    /// Ask a question set and count right answers, or read such a result, and compare it with a baseline
    Accuracy(Box<AccuracyArgs>),
}
