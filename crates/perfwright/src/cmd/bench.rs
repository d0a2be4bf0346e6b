//! `perfwright bench`: measuring serving engines.

use super::bench_run;
use crate::cli::bench::{BenchArgs, BenchVerb};
use crate::context::{Context, Outcome};

/// Runs the verb.
pub(crate) fn run(args: &BenchArgs, context: &mut Context) -> Outcome {
    match &args.verb {
        BenchVerb::Run(args) => bench_run::run(args, context),
    }
}
