//! `perfwright bench`: measuring serving engines, and deciding from what was measured.

use super::{bench_ab, bench_accuracy, bench_compare, bench_run, bench_search};
use crate::cli::bench::{BenchArgs, BenchVerb};
use crate::context::{Context, Outcome};

/// Runs the verb.
pub(crate) fn run(args: &BenchArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        BenchVerb::Run(args) => bench_run::run(args, context),
        BenchVerb::Compare(args) => bench_compare::run(args, context),
        BenchVerb::Ab(args) => bench_ab::run(args, context),
        BenchVerb::Search(args) => bench_search::run(args, context),
        BenchVerb::Accuracy(args) => bench_accuracy::run(args, context),
    }
}
