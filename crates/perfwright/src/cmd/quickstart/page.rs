//! The page of a quickstart, out of its campaign's events and evidence.

use perfwright_evidence::{GateRecord, Outcome};
use perfwright_loop::sota::campaign::Campaign;
use perfwright_loop::sota::event::{SotaEvent, Stop};
use perfwright_loop::sota::explain::Explanation;
use perfwright_loop::sota::report::sentence;
use perfwright_loop::sota::{gate, names};
use perfwright_report::chart::{Mark, Plot, Point, Series, Threshold};
use perfwright_report::html::{Badge, Block, Page, Tone, page};
use perfwright_report::{Cell, Column, Document, Table};

/// A file of the run: name, bytes, media type.
type File = (String, Vec<u8>, &'static str);

/// The page, as it is recorded.
pub(super) fn files(campaign: &Campaign, stop: Stop, reason: &str, argv: &str) -> Vec<File> {
    let html = page(&made(campaign, stop, reason, argv));
    vec![(names::PAGE.to_owned(), html.into_bytes(), "text/html")]
}

fn made(campaign: &Campaign, stop: Stop, reason: &str, argv: &str) -> Page {
    let (spec, state) = (campaign.spec(), campaign.state());
    let proven = stop == Stop::Proven;
    let gates = if proven { gate::GATES } else { gate::CHECKS };
    let gates: Vec<GateRecord> = campaign.evaluate(gates);
    let mut facts = Document::new("");
    let b = &spec.boundary;
    for (label, value) in [
        ("model", b.model.as_str()),
        ("hardware", &b.hardware),
        ("precision", &b.precision),
        ("parallelism", &b.parallelism),
        ("target", &spec.target),
        ("competitors", &spec.competitors.join(", ")),
        ("metric", &spec.metric),
        ("threshold", &format!("{} %", 100.0 * spec.threshold)),
        ("workload", &spec.workload_sha256),
        ("baseline", &spec.baseline.commit),
    ] {
        facts.fact(label, value);
    }
    let mut blocks = vec![Block::Heading("Boundary".to_owned()), Block::Facts(facts.facts)];
    let left_out =
        spec.excluded.iter().map(|e| format!("{} is left out: {}", e.framework, e.reason)).collect();
    blocks.push(Block::Notes(left_out));
    blocks.push(Block::Heading("Gap and gain".to_owned()));
    blocks.push(Block::Plot(gains(campaign)));
    if let Ok(value) = campaign.read_json(names::EXPLANATION)
        && let Ok(explanation) = serde_json::from_value::<Explanation>(value)
    {
        blocks.push(Block::Heading("Cause".to_owned()));
        blocks.push(Block::Text(explanation.reason.clone()));
        blocks.push(Block::Table(parts(&explanation)));
    }
    blocks.push(Block::Heading("What happened".to_owned()));
    blocks.push(Block::Text("Executor and reviewer are scripts; no model is involved.".to_owned()));
    blocks.push(Block::Steps(campaign.events().iter().map(|e| (badge(e), sentence(e))).collect()));
    blocks.push(Block::Heading("Winner commands".to_owned()));
    for (framework, winner) in &state.winners {
        blocks.push(Block::Text(format!("{framework}: {}", winner.candidate)));
        blocks.push(Block::Code(winner.command.clone()));
    }
    blocks.push(Block::Heading("Gates".to_owned()));
    blocks.push(Block::Table(table_of(&gates)));
    blocks.push(Block::Heading("Check it".to_owned()));
    blocks.push(Block::Text(
        "Every verdict here is computed again from the recorded evidence by `run verify`; one changed byte is named."
            .to_owned(),
    ));
    blocks.push(Block::Code(format!("perfwright run verify {}", campaign.dir().display())));
    Page {
        title: spec.title.clone(),
        lead: format!("{}: {reason}", stop.name()),
        badge: Some(Badge {
            text: stop.name().to_owned(),
            tone: if proven { Tone::Good } else { Tone::Open },
        }),
        blocks,
        footer: format!("perfwright {}: {argv}", env!("PW_VERSION")),
    }
}

fn badge(event: &SotaEvent) -> Badge {
    let (text, tone) = match event {
        SotaEvent::Failed { .. } | SotaEvent::AttemptRefused { .. } => ("refused", Tone::Bad),
        SotaEvent::Accepted { .. } => ("accepted", Tone::Good),
        SotaEvent::Composed { holds: true, .. } => ("holds", Tone::Good),
        SotaEvent::Composed { .. } => ("does not hold", Tone::Bad),
        SotaEvent::NotAvailable { .. } => ("not available", Tone::Open),
        other => (other.name(), Tone::Plain),
    };
    Badge { text: text.replace('_', " "), tone }
}

/// The competitor's lead before, and the change's gain.
fn gains(campaign: &Campaign) -> Plot {
    let mut series = Vec::new();
    let mut add = |name: &str, x: f64, gain: Option<perfwright_loop::sota::gap::Range>| {
        if let Some(g) = gain {
            let interval = Some((100.0 * g.low, 100.0 * g.high));
            let point = Point { x, y: 100.0 * g.value, interval, label: g.percent() };
            series.push(Series { name: name.to_owned(), mark: Mark::Dots, points: vec![point] });
        }
    };
    add("competitor over the baseline", 1.0, campaign.state().gap_range);
    for (n, change) in campaign.state().accepted.iter().enumerate() {
        add(&format!("{} over the baseline", change.change), 2.0 + n as f64, Some(change.gain));
    }
    Plot {
        title: "Gain over the baseline".to_owned(),
        about: "Relative gain with its interval, of the competitor and of each accepted change".to_owned(),
        x: "measurement".to_owned(),
        y: "gain [%]".to_owned(),
        series,
        thresholds: vec![Threshold { y: 100.0 * campaign.spec().threshold, name: "threshold".to_owned() }],
    }
}

fn parts(explanation: &Explanation) -> Table {
    let mut table = Table::new(
        "gap",
        "Step time of the target over the competitor's",
        vec![
            Column::text("class", "Class"),
            Column::text("category", "Category"),
            Column::number("us", "Longer").with_unit("us a step"),
            Column::number("low", "From").with_unit("us"),
            Column::number("high", "To").with_unit("us"),
            Column::number("share", "Of the gap").with_unit("%"),
            Column::text("shown", "Interval shows it"),
        ],
    );
    let us =
        |ns: Option<f64>| Cell::text(ns.map_or_else(|| "-".to_owned(), |v| format!("{:.1}", v / 1000.0)));
    for p in &explanation.parts {
        table.push(vec![
            Cell::text(&p.class),
            Cell::text(&p.category),
            us(Some(p.ns_per_step)),
            us(p.low),
            us(p.high),
            Cell::text(format!("{:.1}", 100.0 * p.share)),
            Cell::text(if p.shown { "yes" } else { "no" }),
        ]);
    }
    table
}

fn table_of(gates: &[GateRecord]) -> Table {
    let mut table = Table::new(
        "gates",
        "Gates over the recorded evidence",
        vec![
            Column::code("gate", "Gate"),
            Column::text("outcome", "Outcome"),
            Column::text("reason", "Reason"),
        ],
    );
    for gate in gates {
        let outcome = match gate.outcome {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::HardStop => "hard stop",
            Outcome::NotApplicable => "not applicable",
        };
        table.push(vec![Cell::text(gate.label()), Cell::text(outcome), Cell::text(&gate.reason)]);
    }
    table
}
