//! `perfwright bench compare`.

use perfwright_bench::decide::render::{document, failed_candidates, winning_commands};
use perfwright_bench::decide::{CompareOptions, Comparison, VerdictWord, compare};
use perfwright_bench::gate::{COMPARED, COMPARISON, input_name};
use perfwright_bench::rows::Row;
use perfwright_bench::rows::anchor::export;
use perfwright_report::{Document, markdown};
use serde_json::json;

use super::bench_rows::{Loaded, load_all, sla, threshold};
use crate::cli::bench::BenchCompareArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::{Recording, run_dir};

/// Reads, ranks, records and prints.
pub(super) fn run(args: &BenchCompareArgs, context: &mut Context) -> Outcome {
    let options = CompareOptions { threshold: threshold(args.threshold)?, sla: sla(&args.sla)? };
    let loaded = load_all(&args.files, context)?;
    let answer = compare(loaded.inputs.clone(), &loaded.rows, &options);
    if let Some(path) = &args.export {
        let lines: String = loaded.rows.iter().map(|r: &Row| format!("{}\n", export(r))).collect();
        std::fs::write(path, lines).map_err(|e| {
            Diagnostic::new(codes::OUTPUT_NOT_WRITABLE, "cannot write the rows")
                .file(path)
                .cause(e.to_string())
        })?;
    }
    if args.recorded.record || args.recorded.run_dir.is_some() {
        record(args, &answer, &loaded, context)?;
    }
    context.answer(document(&answer), &answer)?;
    Ok(match answer.verdict.outcome {
        VerdictWord::Winner | VerdictWord::Tie => Exit::Done,
        VerdictWord::Inconclusive | VerdictWord::NoWinner => Exit::No,
        VerdictWord::Refused => {
            let mut stop = Diagnostic::new(codes::BENCH_UNFAIR, "the rows may not be compared");
            for reason in answer.verdict.reasons.iter().take(5) {
                stop = stop.cause(reason.clone());
            }
            context.tell(&stop.help("measure with the same accepted tokens, or with speculation off"));
            Exit::HardStop
        }
    })
}

fn record(
    args: &BenchCompareArgs,
    answer: &Comparison,
    loaded: &Loaded,
    context: &Context,
) -> Result<(), Diagnostic> {
    let contract = json!({
        "question": "bench compare",
        "inputs": answer.inputs.iter().map(|i| json!({"path": i.path, "label": i.label})).collect::<Vec<_>>(),
        "threshold": answer.threshold,
        "sla": answer.sla_override,
    });
    let dir = run_dir(args.recorded.run_dir.as_deref(), "bench", "compare", context);
    let mut recording = Recording::start(&dir, "bench compare", contract, context)?;
    for (i, bytes) in loaded.bytes.iter().enumerate() {
        recording.derived(&input_name(i), bytes, "application/octet-stream", None)?;
    }
    let bytes = serde_json::to_vec_pretty(answer)
        .map_err(|e| Diagnostic::new(codes::INTERNAL, format!("the answer cannot be written: {e}")))?;
    recording.derived(COMPARISON, &bytes, "application/json", Some(answer.schema))?;
    let text = |d: &Document| markdown::document(d, markdown::Options::default());
    for (name, document) in [
        ("benchmark/comparison.md", document(answer)),
        ("benchmark/winning-commands.md", winning_commands(answer)),
        ("benchmark/failed-candidates.md", failed_candidates(answer)),
    ] {
        recording.derived(name, text(&document).as_bytes(), "text/markdown", None)?;
    }
    let mut fairness = Document::new("Fairness diagnostics");
    fairness.notes.clone_from(&answer.diagnostics);
    fairness.notes.extend(answer.verdict.reasons.iter().cloned());
    recording.derived(
        "benchmark/fairness/diagnostics.md",
        text(&fairness).as_bytes(),
        "text/markdown",
        None,
    )?;
    recording.finish(&[COMPARED], context)?;
    Ok(())
}
