//! `perfwright bench ab` over recorded rows.

use perfwright_bench::decide::ab::{AbOptions, AbWord, ab, document};
use perfwright_bench::sla::{PLAIN, metric};

use super::bench_rows::{load_all, threshold};
use crate::cli::bench_decide::BenchAbArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;

/// Reads both sides, decides and prints.
pub(super) fn run(args: &BenchAbArgs, context: &mut Context) -> Outcome {
    let name = metric(&args.metric).ok_or_else(|| {
        Diagnostic::new(codes::USAGE, format!("{} is no figure", args.metric))
            .help(format!("a statistic and a latency such as p50_ttft_ms, or one of {}", PLAIN.join(", ")))
    })?;
    let launch_spread = args.launch_spread.map(threshold).transpose()?;
    let options = AbOptions { metric: name, threshold: threshold(args.threshold)?, launch_spread };
    let a = load_all(std::slice::from_ref(&args.a), context)?;
    let b = load_all(std::slice::from_ref(&args.b), context)?;
    let answer = ab(&a.rows, &b.rows, &options).map_err(|faults| {
        faults
            .into_iter()
            .fold(Diagnostic::new(codes::BENCH_SIDES_DIFFER, "the two sides cannot be compared"), |d, f| {
                d.cause(f)
            })
            .help("measure both sides under the same conditions; `perfwright bench compare` shows them")
    })?;
    context.answer(document(&answer), &answer)?;
    Ok(match answer.verdict {
        AbWord::Better | AbWord::Same => Exit::Done,
        AbWord::Worse | AbWord::Inconclusive => Exit::No,
    })
}
