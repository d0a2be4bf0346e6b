//! `perfwright bench`: serving benchmarks.

use crate::cli::bench::{BenchArgs, BenchVerb};
use crate::context::{Context, Outcome};

/// Runs the verb.
pub(crate) fn run(args: &BenchArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        BenchVerb::Compare(args) => super::bench_compare::run(args, context),
        BenchVerb::Ab(args) => super::bench_ab::run(args, context),
        BenchVerb::Search(args) => super::bench_search::run(args, context),
    }
}
