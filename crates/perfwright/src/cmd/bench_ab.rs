//! `perfwright bench ab`.

use perfwright_bench::decide::ab::{AbOptions, AbReport, AbWord, ab, document};
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
    if args.a.is_none() {
        return super::bench_ab_live::run(args, &name, context);
    }
    if super::bench_ab_live::asked(&args.live) {
        return Err(Diagnostic::new(
            codes::USAGE,
            "rows that exist and servers to measure are given together",
        ));
    }
    let launch_spread = args.launch_spread.map(threshold).transpose()?;
    let options =
        AbOptions { metric: name, threshold: threshold(args.threshold)?, launch_spread, blocks: None };
    let a = load_all(args.a.as_slice(), context)?;
    let b = load_all(args.b.as_slice(), context)?;
    let answer = ab(&a.rows, &b.rows, &options).map_err(refused)?;
    told(&answer, context)
}

/// The sides may not be compared.
pub(super) fn refused(faults: Vec<String>) -> Diagnostic {
    let start = Diagnostic::new(codes::BENCH_SIDES_DIFFER, "the two sides cannot be compared");
    faults
        .into_iter()
        .fold(start, Diagnostic::cause)
        .help("measure both sides under the same conditions; `perfwright bench compare` shows them")
}

/// Prints the answer.
pub(super) fn told(answer: &AbReport, context: &mut Context) -> Outcome {
    context.answer(document(answer), answer)?;
    Ok(match answer.verdict {
        AbWord::Better | AbWord::Same => Exit::Done,
        AbWord::Worse | AbWord::Inconclusive => Exit::No,
    })
}
