//! `perfwright bench compare`.

use std::path::Path;

use perfwright_bench::decide::frontier::frontiers;
use perfwright_bench::decide::render::{document, failed_candidates, winning_commands};
use perfwright_bench::decide::{CompareOptions, Comparison, VerdictWord, compare};
use perfwright_bench::gate::{COMPARED, COMPARISON, input_name};
use perfwright_bench::rows::Row;
use perfwright_bench::rows::anchor::export;
use perfwright_report::{Document, chart, markdown};
use serde_json::json;

use super::bench_rows::{Loaded, load_all, sla, threshold};
use crate::cli::bench_decide::BenchCompareArgs;
use crate::codes;
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::record::Recording;

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
    record(args, &answer, &loaded, context)?;
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

/// Records the inputs, the tables, the frontier and the answer.
fn record(
    args: &BenchCompareArgs,
    answer: &Comparison,
    loaded: &Loaded,
    context: &Context,
) -> Result<(), Diagnostic> {
    let contract = || {
        Ok(json!({
            "inputs": answer.inputs.iter().map(|i| json!({"path": i.path, "label": i.label})).collect::<Vec<_>>(),
            "threshold": answer.threshold,
            "sla": answer.sla_override,
        }))
    };
    let about = Path::new("compare");
    let recording = Recording::of(&args.recorded, "bench compare", about, contract, context)?;
    let Some(mut recording) = recording else { return Ok(()) };
    for (i, bytes) in loaded.bytes.iter().enumerate() {
        recording.derived(&input_name(i), bytes, "application/octet-stream", None)?;
    }
    let mut fairness = Document::new("Fairness diagnostics");
    fairness.notes.clone_from(&answer.diagnostics);
    fairness.notes.extend(answer.verdict.reasons.iter().cloned());
    for (name, document) in [
        ("benchmark/winning-commands.md", winning_commands(answer)),
        ("benchmark/failed-candidates.md", failed_candidates(answer)),
        ("benchmark/fairness/diagnostics.md", fairness),
    ] {
        let text = markdown::document(&document, markdown::Options::default());
        recording.derived(name, text.as_bytes(), "text/markdown", None)?;
    }
    for (i, plot) in frontiers(&loaded.rows).iter().enumerate() {
        let svg = chart::plot(plot);
        recording.derived(&format!("benchmark/frontier-{i}.svg"), svg.as_bytes(), "image/svg+xml", None)?;
    }
    recording.answer(COMPARISON, (answer, answer.schema), &document(answer), &[COMPARED], context)?;
    Ok(())
}
