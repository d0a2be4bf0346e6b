//! Tables of a comparison.

use perfwright_report::{Cell, Column, Document, Table};

use super::report::{Comparison, Ranked, Scenario, VerdictWord};
use crate::sla::State;

/// The answer as a document.
#[must_use]
pub fn document(answer: &Comparison) -> Document {
    let mut out = Document::new("Benchmark comparison");
    out.fact("verdict", word(answer.verdict.outcome));
    if let Some(basis) = answer.verdict.basis {
        out.fact("basis", format!("{basis:?}").to_lowercase());
    }
    for input in &answer.inputs {
        out.fact("input", format!("{} ({}, {} rows)", input.path, input.format, input.rows));
    }
    out.tables = vec![best(answer), across(answer), failed(answer)];
    out.notes.extend(answer.verdict.reasons.iter().map(|r| format!("not stronger: {r}")));
    out.notes.extend(answer.diagnostics.iter().cloned());
    out
}

/// `benchmark/winning-commands.md`.
#[must_use]
pub fn winning_commands(answer: &Comparison) -> Document {
    let mut out = Document::new("Winning commands");
    out.fact("verdict", word(answer.verdict.outcome));
    let columns = vec![
        Column::text("scenario", "Scenario"),
        Column::text("framework", "Framework"),
        Column::text("candidate", "Candidate"),
        Column::code("server_command", "Server command"),
    ];
    let mut table = Table::new("winning_commands", "Best of each framework", columns);
    for (scenario, row) in best_rows(answer) {
        let command = row.server_command.clone().map_or(Cell::Empty, Cell::Text);
        table.push(vec![
            scenario.scenario.as_str().into(),
            row.framework.as_str().into(),
            row.candidate_id.as_str().into(),
            command,
        ]);
    }
    out.tables = vec![table];
    out
}

/// `benchmark/failed-candidates.md`.
#[must_use]
pub fn failed_candidates(answer: &Comparison) -> Document {
    let mut out = Document::new("Failed candidates");
    out.tables = vec![failed(answer)];
    out
}

fn word(word: VerdictWord) -> &'static str {
    match word {
        VerdictWord::Winner => "winner",
        VerdictWord::Tie => "tie",
        VerdictWord::Inconclusive => "inconclusive",
        VerdictWord::NoWinner => "no winner",
        VerdictWord::Refused => "refused",
    }
}

/// The best-ranked candidate of each framework in each scenario.
fn best_rows(answer: &Comparison) -> Vec<(&Scenario, &Ranked)> {
    let mut out = Vec::new();
    for scenario in &answer.scenarios {
        let mut seen: Vec<&str> = Vec::new();
        for row in &scenario.ranking {
            if !seen.contains(&row.framework.as_str()) {
                seen.push(&row.framework);
                out.push((scenario, row));
            }
        }
    }
    out.sort_by(|a, b| a.1.framework.cmp(&b.1.framework));
    out
}

fn figure(value: Option<f64>) -> Cell {
    value.map_or(Cell::Empty, |v| Cell::text(plain(v)))
}

/// Four significant digits.
fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.digits$}")
}

fn best(answer: &Comparison) -> Table {
    let mut columns = vec![
        Column::text("framework", "Framework"),
        Column::text("scenario", "Scenario"),
        Column::text("candidate", "Candidate"),
        Column::text("sla", "SLA"),
        Column::number("request_throughput", "Req/s"),
        Column::number("output_token_throughput", "Output tok/s"),
        Column::number("p50_ttft_ms", "P50 TTFT").with_unit("ms"),
        Column::number("p50_tpot_ms", "P50 TPOT").with_unit("ms"),
        Column::number("success_rate", "Success"),
        Column::number("accept_length", "Accept len"),
        Column::number("gpus", "GPUs"),
    ];
    let commands = best_rows(answer).iter().any(|(_, r)| r.server_command.is_some());
    if commands {
        columns.push(Column::code("server_command", "Server command"));
    }
    let mut table = Table::new("best_by_framework", "Best Commands By Framework", columns);
    for (scenario, row) in best_rows(answer) {
        let metric = |name: &str| figure(row.metrics.get(name).copied());
        table.push(vec![
            row.framework.as_str().into(),
            scenario.scenario.as_str().into(),
            row.candidate_id.as_str().into(),
            state(row.sla.state).into(),
            metric("request_throughput"),
            metric("output_token_throughput"),
            metric("p50_ttft_ms"),
            metric("p50_tpot_ms"),
            metric("success_rate"),
            figure(row.accept_length),
            row.gpu_count.map_or(Cell::Empty, |n| Cell::Int(i64::from(n))),
        ]);
        if let (true, Some(last)) = (commands, table.rows.last_mut()) {
            last.push(row.server_command.clone().map_or(Cell::Empty, Cell::Text));
        }
    }
    table
}

fn across(answer: &Comparison) -> Table {
    let columns = vec![
        Column::text("scenario", "Scenario"),
        Column::number("rank", "Rank"),
        Column::text("framework", "Framework"),
        Column::text("candidate", "Candidate"),
        Column::number("value", "Value"),
        Column::number("of_best", "Of best"),
        Column::text("behind", "Behind the best"),
        Column::number("repeats", "Runs"),
        Column::number("gpus", "GPUs"),
        Column::text("basis", "Basis"),
    ];
    let mut table = Table::new("across_frameworks", "Cross-Framework Best Comparison", columns);
    for scenario in &answer.scenarios {
        let conditions: Vec<String> = scenario
            .conditions
            .iter()
            .map(|(k, v)| format!("{k}={}", v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect();
        table.notes.push(format!(
            "{}: ranked by {}; equal ranks differ by no more than noise or the threshold; {}",
            scenario.scenario,
            scenario.ranked_by,
            conditions.join(" ")
        ));
        for row in &scenario.ranking {
            let behind = row.behind.map_or(String::new(), |b| {
                format!("{:.2} % ({:.2} to {:.2})", 100.0 * b.value, 100.0 * b.low, 100.0 * b.high)
            });
            table.push(vec![
                scenario.scenario.as_str().into(),
                Cell::count(row.rank as u64),
                row.framework.as_str().into(),
                row.candidate_id.as_str().into(),
                figure(Some(row.value)),
                Cell::Share(row.of_best),
                behind.into(),
                Cell::count(row.repeats as u64),
                row.gpu_count.map_or(Cell::Empty, |n| Cell::Int(i64::from(n))),
                format!("{:?}", row.basis).to_lowercase().into(),
            ]);
        }
    }
    table
}

fn failed(answer: &Comparison) -> Table {
    let columns = vec![
        Column::text("framework", "Framework"),
        Column::text("scenario", "Scenario"),
        Column::text("candidate", "Candidate"),
        Column::text("kind", "Kind"),
        Column::text("sla", "SLA"),
        Column::text("reason", "Reason"),
        Column::code("place", "Place"),
    ];
    let mut table = Table::new("set_aside", "Failed Or SLA-Failing Candidates", columns);
    for scenario in &answer.scenarios {
        for row in &scenario.set_aside {
            table.push(vec![
                row.framework.as_str().into(),
                scenario.scenario.as_str().into(),
                row.candidate_id.as_str().into(),
                row.kind.as_str().into(),
                state(row.sla.state).into(),
                row.reason.as_str().into(),
                row.place.as_str().into(),
            ]);
        }
        if let Some(reason) = &scenario.refused {
            table.notes.push(format!("{}: not compared: {reason}", scenario.scenario));
        }
    }
    table
}

fn state(state: State) -> &'static str {
    match state {
        State::Passed => "passed",
        State::NotStated => "not stated",
        State::Unproven => "unproven",
        State::Failed => "failed",
    }
}
