//! A campaign as one HTML page: what came of it, how the rounds went, what was measured, what it cost, and what all
//! that rests on.

use std::collections::BTreeMap;

use perfwright_evidence::{Outcome, timestamp};
use perfwright_report::chart::{Lane as Row, Mark, Plot, Point, Series, Span as Bar, Spans, Threshold, Tone};
use perfwright_report::html::{Badge, Block, Page};
use perfwright_report::{Cell, Column, Document, Fact, Table};
use serde_json::Value;

use super::account::{Account, RoundStory};
use super::status::{Standing, cost_table, gates_table};
use super::timeline::{Span, lanes};
use crate::event::ReviewResult;
use crate::state::Phase;

/// The page of a campaign; `more` stands between what was measured and what it rests on.
#[must_use]
pub fn page(account: &Account, more: Vec<Block>) -> Page {
    let status = &account.status;
    let rounds = account.rounds();
    let mut blocks = Vec::new();
    if status.verdict.standing == Standing::Reopened {
        blocks.push(Block::Warning(
            "the tree is not the one that was judged; the verdict does not hold for it".into(),
        ));
    }
    blocks.extend(status.questions.iter().map(|q| Block::Warning(format!("open question: {q}"))));
    blocks.push(Block::Facts(facts(account)));
    blocks.push(Block::Heading("Goal".into()));
    blocks.push(Block::Text(account.spec.goal.split_whitespace().collect::<Vec<_>>().join(" ")));
    blocks.push(Block::Table(criteria(account)));
    blocks.push(Block::Heading("Rounds".into()));
    blocks.push(Block::Table(rounds_table(account, &rounds)));
    blocks.push(Block::Spans(clock(account)));
    let plots = plots(&rounds);
    if !plots.is_empty() {
        blocks.push(Block::Heading("Measured over rounds".into()));
        blocks.extend(plots.into_iter().map(Block::Plot));
    }
    blocks.push(Block::Heading("Gates".into()));
    let mut gates = gates_table(&status.gates);
    gates.title = "Last judgement, and limits".to_owned();
    blocks.push(Block::Table(gates));
    blocks.push(Block::Table(refusals(&rounds)));
    blocks.push(Block::Heading("Cost".into()));
    blocks.push(Block::Table(cost_table(&status.rounds)));
    blocks.extend(more);
    blocks.push(Block::Heading("Evidence".into()));
    blocks.push(Block::Text(
        "Names are links where this page lies in the run folder. `perfwright run verify` checks every hash and computes \
         the verdict again."
            .into(),
    ));
    blocks.push(Block::Table(evidence(account)));
    blocks.push(Block::Heading("Chain".into()));
    blocks.push(Block::Facts(chain(account)));
    Page {
        title: account.spec.title.clone(),
        lead: lead(account),
        badge: Some(badge(account)),
        blocks,
        footer: format!(
            "Made from the ledger of campaign {} ({} lines, head {}).",
            account.spec.campaign, account.chain.lines, account.chain.head
        ),
    }
}

fn badge(account: &Account) -> Badge {
    let standing = account.status.verdict.standing;
    let tone = match standing {
        Standing::Done => Tone::Good,
        Standing::Open | Standing::Blocked => Tone::Open,
        Standing::Reopened | Standing::Stopped | Standing::BudgetLimited => Tone::Bad,
    };
    let word = Cell::word(&standing).shown().replace('_', " ");
    Badge { text: word, tone }
}

fn lead(account: &Account) -> String {
    let (s, status) = (&account.state, &account.status);
    let met = account.spec.criteria.len().saturating_sub(s.open_criteria.len());
    let mut text = format!(
        "{met} of {} criteria met after {} and {}",
        account.spec.criteria.len(),
        counted(u64::from(s.round) + 1, "round"),
        counted(s.reviews.into(), "review"),
    );
    if let Some(reason) = &status.verdict.reason {
        text.push_str(&format!("; {reason}"));
    }
    text.push('.');
    text
}

fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn facts(account: &Account) -> Vec<Fact> {
    let (spec, status) = (&account.spec, &account.status);
    let mut doc = Document::default();
    doc.fact("campaign", Cell::text(&spec.campaign));
    doc.fact("driven by", Cell::word(&spec.driver));
    doc.fact("phase", Cell::text(format!("{}, round {}", status.phase.name(), status.round)));
    doc.fact("begun", Cell::text(timestamp(account.start_ms())));
    doc.fact("base commit", Cell::text(&spec.base.commit));
    if let Some(mark) = &status.verdict.judged {
        doc.fact("judged commit", Cell::text(&mark.commit));
        doc.fact("judged tree", Cell::text(&mark.tree));
    }
    doc.fact("tokens", Cell::count(status.usage.tokens()));
    doc.fact("cost", Cell::text(usd(status.usage.micro_usd)));
    doc.fact("work", Cell::duration_ns(status.usage.wall_ms.saturating_mul(1_000_000)));
    doc.facts
}

/// Micro-dollars as dollars.
pub(super) fn usd(micro: u64) -> String {
    format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn criteria(account: &Account) -> Table {
    let columns = vec![
        Column::text("id", "Criterion"),
        Column::text("state", "State"),
        Column::text("text", "What holds"),
    ];
    let mut table = Table::new("criteria", "Criteria", columns);
    for criterion in &account.spec.criteria {
        let open = account.state.open_criteria.contains(&criterion.id);
        table.push(vec![
            Cell::text(&criterion.id),
            Cell::text(if open { "open" } else { "met" }),
            Cell::text(&criterion.text),
        ]);
    }
    table
}

fn said(result: &ReviewResult) -> String {
    match result {
        ReviewResult::Answer { verdict, progress, blocking, .. } => {
            let (verdict, progress) = (Cell::word(verdict), Cell::word(progress));
            format!("{}, {}, {blocking} blocking", verdict.shown(), progress.shown())
        }
        ReviewResult::Invalid { reason } => format!("not usable: {reason}"),
        ReviewResult::TreeChanged => "not usable: the tree changed".to_owned(),
    }
}

fn rounds_table(account: &Account, rounds: &[RoundStory]) -> Table {
    let mut table = Table::new(
        "rounds",
        "Round by round",
        vec![
            Column::number("round", "Round"),
            Column::text("phase", "Phase"),
            Column::number("time", "Time"),
            Column::text("gates", "Gates"),
            Column::text("review", "Review"),
            Column::code("tree", "Judged tree"),
            Column::number("tokens", "Tokens"),
            Column::text("usd", "USD"),
        ],
    );
    for r in rounds {
        let gates = match r.judged.last() {
            None => "not judged".to_owned(),
            Some((_, _, gates)) => {
                let refused: Vec<&str> =
                    gates.iter().filter(|g| g.refuses()).map(|g| g.id.as_str()).collect();
                if refused.is_empty() {
                    "passed".to_owned()
                } else {
                    format!("refused by {}", refused.join(", "))
                }
            }
        };
        let reviews: Vec<String> = r.reviewed.iter().map(|(_, result)| said(result)).collect();
        let cost = account.state.rounds.get(&r.round).cloned().unwrap_or_default();
        let both = cost.executor.plus(&cost.reviewer);
        let ms = u64::try_from(r.end_ms.saturating_sub(r.start_ms)).unwrap_or(0);
        table.push(vec![
            Cell::count(r.round.into()),
            Cell::text(r.phase.map_or("", Phase::name)),
            Cell::duration_ns(ms.saturating_mul(1_000_000)),
            Cell::text(gates),
            Cell::text(reviews.join("; ")),
            r.judged
                .last()
                .map_or(Cell::Empty, |(_, mark, _)| Cell::text(mark.tree.get(..12).unwrap_or(&mark.tree))),
            Cell::count(both.tokens()),
            Cell::text(usd(both.micro_usd)),
        ]);
    }
    table
}

/// Every refusal of every round, so that what failed on the way is not forgotten.
fn refusals(rounds: &[RoundStory]) -> Table {
    let mut table = Table::new(
        "refusals",
        "Refusals on the way",
        vec![
            Column::number("round", "Round"),
            Column::number("line", "Ledger line"),
            Column::text("gate", "Gate"),
            Column::text("outcome", "Outcome"),
            Column::text("reason", "Reason"),
        ],
    );
    for r in rounds {
        for (line, _, gates) in &r.judged {
            for gate in gates.iter().filter(|g| g.refuses()) {
                table.push(vec![
                    Cell::count(r.round.into()),
                    Cell::count(*line),
                    Cell::text(&gate.id),
                    Cell::word(&gate.outcome),
                    Cell::text(&gate.reason),
                ]);
            }
        }
    }
    table
}

fn clock(account: &Account) -> Spans {
    let zero = account.start_ms();
    let row = |lane: super::timeline::Lane| {
        let spans = lane.spans.iter().filter(|s| s.wall_ms > 0 && s.name != "judge").map(|s| bar(s, zero));
        Row { name: lane.name.clone(), spans: spans.collect() }
    };
    let rows: Vec<Row> = lanes(account).into_iter().map(row).filter(|row| !row.spans.is_empty()).collect();
    Spans {
        title: "One clock".into(),
        about: "Rounds, phases, gates and the commands that ran, over the time since the campaign began."
            .into(),
        lanes: rows,
    }
}

fn bar(span: &Span, zero: i64) -> Bar {
    let start = span.start_ms.saturating_sub(zero) as f64 / 1e3;
    let refused = span.args.get("refused").and_then(Value::as_array).is_some_and(|r| !r.is_empty());
    let tone = match span.args.get("outcome").and_then(Value::as_str) {
        Some("pass") => Tone::Good,
        Some("fail" | "hard_stop") => Tone::Bad,
        _ if refused || span.args.contains_key("invalid") => Tone::Bad,
        _ if span.name == "blocked" => Tone::Open,
        _ => Tone::Plain,
    };
    Bar { start, end: start + span.wall_ms as f64 / 1e3, name: span.name.clone(), tone }
}

/// A number, alone or with its interval.
fn measured(value: &Value) -> Option<(f64, Option<(f64, f64)>)> {
    if let Some(number) = value.as_f64() {
        return Some((number, None));
    }
    let number = ["estimate", "value", "mean"].iter().find_map(|k| value.get(k)?.as_f64())?;
    let interval = value.get("low").and_then(Value::as_f64).zip(value.get("high").and_then(Value::as_f64));
    Some((number, interval))
}

/// A measured value as it is shown: a number with its interval in brackets, everything else as it is.
pub(super) fn shown(value: Option<&Value>) -> Cell {
    match value.and_then(measured) {
        Some((number, Some((low, high)))) => Cell::text(format!("{number} ({low} to {high})")),
        _ => Cell::json(value),
    }
}

/// One chart for each gate that measured a number, over the rounds.
fn plots(rounds: &[RoundStory]) -> Vec<Plot> {
    let mut of_gate: BTreeMap<&str, (Vec<Point>, Option<f64>)> = BTreeMap::new();
    for r in rounds {
        let (round, gates) = (r.round, r.judged.last().map_or(&[][..], |(_, _, gates)| *gates));
        for gate in gates.iter().filter(|g| matches!(g.kind.as_str(), "benchmark" | "accuracy")) {
            let Some((y, interval)) = gate.measured.as_ref().and_then(measured) else { continue };
            let (points, threshold) = of_gate.entry(&gate.id).or_default();
            let outcome = if gate.outcome == Outcome::Pass { "passed" } else { "refused" };
            points.push(Point {
                x: f64::from(round),
                y,
                interval,
                label: format!("round {round}: {y} ({outcome})"),
            });
            *threshold = gate.threshold.as_ref().and_then(Value::as_f64).or(*threshold);
        }
    }
    of_gate
        .into_iter()
        .map(|(id, (points, threshold))| Plot {
            title: format!("Gate {id}"),
            about: format!("What gate {id} measured in each round, with its interval where it states one."),
            x: "round".into(),
            y: id.to_owned(),
            series: vec![Series { name: id.to_owned(), mark: Mark::Line, points }],
            thresholds: threshold.map(|y| Threshold { y, name: "threshold".into() }).into_iter().collect(),
        })
        .collect()
}

fn evidence(account: &Account) -> Table {
    let mut table = Table::new(
        "evidence",
        "Recorded files",
        vec![
            Column::link("name", "Name"),
            Column::number("bytes", "Size"),
            Column::text("basis", "Basis"),
            Column::code("sha256", "SHA-256"),
        ],
    );
    for recorded in &account.evidence {
        let e = &recorded.evidence;
        table.push(vec![
            Cell::text(&e.name),
            Cell::Bytes(e.bytes),
            Cell::word(&e.basis),
            Cell::text(&e.sha256),
        ]);
    }
    table
}

fn chain(account: &Account) -> Vec<Fact> {
    let chain = &account.chain;
    let mut doc = Document::default();
    doc.fact(
        "ledger",
        Cell::text(format!("{} lines, each with the hash of the one before it: whole", chain.lines)),
    );
    doc.fact("ledger head", Cell::text(&chain.head));
    let outside = if chain.at_head {
        "the ledger ends where the head outside of the work tree says"
    } else {
        "the ledger ends one event before the head outside of the work tree, as after a kill in between"
    };
    doc.fact("head outside", Cell::text(outside));
    doc.fact("plan", Cell::text(format!("sha256 {}", account.spec.plan_sha256)));
    doc.fact("run", Cell::text(if chain.closed { "closed" } else { "open" }));
    doc.facts
}
