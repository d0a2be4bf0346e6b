//! The answer for people.

use perfwright_report::{Cell, Column, Document, Table};

use super::dist::Dist;
use super::report::{BenchRun, Share};

/// The answer as a document. Where the generator cannot be believed it says so and shows no latencies or rates.
pub fn document(run: &BenchRun) -> Document {
    let mut doc = Document::new("Serving benchmark");
    let v = &run.validity;
    doc.warnings.extend(v.reasons.iter().map(|r| format!("{}: {r}", v.verdict)));
    doc.warnings.extend(run.warnings.iter().cloned());
    doc.fact("server", format!("{} {}", run.url, run.endpoint));
    doc.fact("model", run.model.as_str());
    let w = &run.workload;
    doc.fact(
        "workload",
        format!("{}, {} requests, lengths {}, seed {}", w.name, w.requests, w.lengths, w.seed),
    );
    doc.fact("validity", v.verdict.as_str());
    let path = match (run.path.proven, run.path.fields.is_empty()) {
        (true, _) => "yes",
        (false, true) => "no: an address alone proves no backend",
        (false, false) => "no: not every part of it is stated",
    };
    doc.fact("path proven", path);
    doc.warnings.extend(run.path.stops.iter().map(|r| format!("path: {r}")));
    doc.fact("success", of(&run.success));
    let o = &run.offered;
    match (o.scheduled_rate, o.delivered_rate) {
        (Some(s), Some(d)) => {
            doc.fact("offered", format!("{}, {s:.3} sessions/s scheduled, {d:.3} delivered", o.arrival));
        }
        _ => doc.fact("offered", o.arrival.as_str()),
    }
    let shown = matches!(v.verdict.as_str(), "valid" | "no_success") && run.path.stops.is_empty();
    if shown {
        let t = &run.throughput;
        doc.fact("requests", format!("{:.3} /s over {:.2} s", t.requests, t.duration_s));
        doc.fact("tokens", format!("{:.1} /s output, {:.1} /s total", t.output_tokens, t.total_tokens));
        if let Some(g) = &run.goodput {
            doc.fact("goodput", format!("{:.3} /s, {}", g.requests, of(&g.attainment)));
        }
        if let Some(s) = &run.speculation {
            doc.fact("accept length", format!("{:.3} (from {})", s.accept_length, s.basis));
        }
    } else {
        doc.notes.push(
            "latencies and rates are not shown: they would not be those of the server that was meant"
                .to_owned(),
        );
    }
    doc.fact("prefix cache", run.prefix_cache.verdict.as_str());
    let c = &run.client;
    let per_event = c.cpu_us_per_event.map_or_else(String::new, |us| format!(", {us:.1} us/event"));
    doc.fact(
        "client",
        format!("{:.2} CPU s{per_event}, busiest thread {:.0} %", c.cpu_seconds, c.busiest_core * 100.0),
    );
    doc.tables.push(latencies(run, shown));
    if !run.sla.is_empty() && shown {
        doc.tables.push(requirements(run));
    }
    if !run.failures.is_empty() {
        let columns = vec![
            Column::text("class", "Class"),
            Column::number("count", "Requests"),
            Column::text("example", "First said"),
        ];
        let mut table = Table::new("failures", "Failures", columns);
        for f in &run.failures {
            table.push(vec![
                Cell::text(f.class.as_str()),
                Cell::count(f.count),
                Cell::text(f.example.as_str()),
            ]);
        }
        doc.tables.push(table);
    }
    doc.notes.push(
        "percentiles interpolate linearly; open-loop times count from the intended send time".to_owned(),
    );
    doc
}

fn of(share: &Share) -> String {
    format!("{} of {} (at least {:.2} % with 99 % confidence)", share.count, share.of, share.at_least * 100.0)
}

fn ms(value: Option<f64>) -> Cell {
    value.filter(|v| v.is_finite()).map_or(Cell::Empty, |v| Cell::DurationNs((v * 1e6).round() as i64))
}

fn latencies(run: &BenchRun, shown: bool) -> Table {
    let mut columns = vec![Column::text("metric", "Metric"), Column::number("n", "n")];
    for name in ["mean", "p50", "p90", "p95", "p99", "max"] {
        columns.push(Column::number(format!("{name}_ns"), name));
    }
    let mut table = Table::new("latencies", "Latencies", columns);
    let mut push = |name: &str, d: &Dist| {
        if d.n > 0 {
            let mut row = vec![Cell::text(name), Cell::count(d.n)];
            row.extend([d.mean, d.p50, d.p90, d.p95, d.p99, d.max].map(ms));
            table.push(row);
        }
    };
    if shown {
        let m = &run.metrics;
        push("TTFT", &m.ttft_ms);
        push("TPOT", &m.tpot_ms);
        push("ITL", &m.itl_ms);
        push("E2E", &m.e2e_ms);
        push("TTFT from send", &m.ttft_from_send_ms);
        push("E2E from send", &m.e2e_from_send_ms);
        push("queue (server)", &m.queue_ms);
    }
    push("client lateness", &run.offered.lateness_ms);
    table
}

fn requirements(run: &BenchRun) -> Table {
    let columns = vec![
        Column::text("sla", "Requirement"),
        Column::text("outcome", "Outcome"),
        Column::number("observed", "Observed"),
        Column::number("low", "At least"),
        Column::number("high", "At most"),
        Column::number("n", "n"),
        Column::number("needed", "Needs n"),
    ];
    let mut table = Table::new("sla", "Requirements, with 99 % confidence", columns);
    let figure = |v: Option<f64>| v.map_or(Cell::Empty, |v| Cell::text(format!("{v:.4}")));
    for s in &run.sla {
        table.push(vec![
            Cell::text(s.text.as_str()),
            Cell::text(s.outcome.as_str()),
            figure(s.observed),
            figure(s.low),
            figure(s.high),
            Cell::count(s.n),
            s.needed.map_or(Cell::Empty, Cell::count),
        ]);
    }
    table
}
