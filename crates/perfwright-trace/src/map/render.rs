//! The answer of `trace map` as a document for people.

use perfwright_report::{Cell, Column, Document, Table};

use super::report::{OperatorRow, TraceMap};

/// Rows that take less of their class's device time are left out of the tables for people.
pub const CUT_OFF: f64 = 0.001;

/// The document. `cut_off` is the share under which rows are left out; `None` lists every row (for CSV).
pub fn document(m: &TraceMap, cut_off: Option<f64>) -> Document {
    let mut doc = Document::new("Trace map");
    for line in &m.verdict {
        doc.fact(line.about.clone(), Cell::text(&line.text));
    }
    let p = m.question.parallel;
    let model = m.model.model_type.clone().unwrap_or_else(|| "unnamed".to_owned());
    let on = format!("{model} on {}, tp {} ep {} dp {} pp {}", m.question.gpu, p.tp, p.ep, p.dp, p.pp);
    doc.fact("model", Cell::text(on));
    if !m.disagreements.is_empty() {
        doc.tables.push(disagreements(m));
    }
    if !m.operators.is_empty() {
        doc.tables.extend(operators(m, cut_off));
        doc.tables.push(unmapped(m, cut_off));
        doc.tables.push(passes(m));
    }
    let inputs = m.inputs.iter().map(|i| i.path.as_str()).collect::<Vec<_>>().join(", ");
    doc.notes.push(format!("trace: {inputs}"));
    doc.notes.extend(m.notes.iter().cloned());
    doc.notes.extend(m.warnings.iter().map(|w| format!("warning: {w}")));
    doc
}

fn number(value: Option<f64>, digits: usize) -> Cell {
    value.map_or(Cell::Empty, |v| Cell::text(format!("{v:.digits$}")))
}

fn amount(value: Option<u128>, unit: f64) -> Cell {
    value.filter(|&v| v > 0).map_or(Cell::Empty, |v| Cell::text(format!("{:.3}", v as f64 / unit)))
}

/// Time against what the GPU allows; the work behind it is a table of its own, so that both fit a terminal.
fn operators(m: &TraceMap, cut_off: Option<f64>) -> [Table; 2] {
    let start = || vec![Column::text("class", "Class"), Column::text("operator", "Operator")];
    let mut columns = start();
    columns.extend([
        Column::number("ns_per_pass", "Time/pass"),
        Column::number("share", "Share"),
        Column::number("tflops", "TFLOP/s"),
        Column::number("gb_per_s", "GB/s"),
        Column::number("roofline_us", "Roofline us"),
        Column::text("bound", "Bound"),
        Column::number("mfu", "MFU"),
        Column::number("mbu", "MBU"),
        Column::text("basis", "FLOPs from"),
    ]);
    let mut times = Table::new("operators", "Operators, a pass", columns);
    let mut columns = start();
    columns.extend([
        Column::text("part", "Part"),
        Column::text("shape", "M x N x K"),
        Column::text("format", "Format"),
        Column::number("layers", "Layers"),
        Column::number("kernels", "Kernels"),
        Column::number("gflop", "GFLOP"),
        Column::number("mb", "MB"),
    ]);
    let mut work = Table::new("work", "Work of the operators, a pass", columns);
    let mut left = 0;
    for r in &m.operators {
        if cut_off.is_some_and(|c| r.share < c) {
            left += 1;
            continue;
        }
        times.push(time_cells(r));
        work.push(work_cells(r));
    }
    if left > 0 {
        times.notes.push(format!(
            "{left} rows of less than {:.1} % of the device time are left out",
            CUT_OFF * 100.0
        ));
    }
    [times, work]
}

fn time_cells(r: &OperatorRow) -> Vec<Cell> {
    let f = &r.figures;
    vec![
        Cell::text(r.class.as_str()),
        Cell::text(&r.name),
        Cell::DurationNs(r.ns_per_pass.round() as i64),
        Cell::Share(r.share),
        number(f.tflops, 1),
        number(f.gb_per_s, 0),
        number(f.roofline_us, 1),
        f.bound.map_or(Cell::Empty, |b| Cell::text(b.name())),
        f.mfu.map_or(Cell::Empty, Cell::Share),
        f.mbu.map_or(Cell::Empty, Cell::Share),
        Cell::text(r.basis.as_str()),
    ]
}

fn work_cells(r: &OperatorRow) -> Vec<Cell> {
    let shape = r.shape.map_or(Cell::Empty, |[m, n, k]| Cell::text(format!("{m} x {n} x {k}")));
    vec![
        Cell::text(r.class.as_str()),
        Cell::text(&r.name),
        Cell::text(&r.part),
        shape,
        Cell::text(&r.format),
        Cell::count(r.layers),
        Cell::count(r.kernels),
        amount(r.figures.flops, 1e9),
        amount(r.figures.bytes, 1e6),
    ]
}

fn unmapped(m: &TraceMap, cut_off: Option<f64>) -> Table {
    let columns = vec![
        Column::text("class", "Class"),
        Column::text("category", "Category"),
        Column::number("kernels", "Kernels"),
        Column::number("time_ns", "Time"),
        Column::number("share", "Share"),
        Column::text("symbol", "Most of it"),
    ];
    let mut table = Table::new("unmapped", "Device work of no operator", columns);
    for r in m.unmapped.iter().filter(|r| cut_off.is_none_or(|c| r.share >= c)) {
        table.push(vec![
            Cell::text(r.class.as_str()),
            Cell::text(&r.category),
            Cell::count(r.kernels),
            Cell::DurationNs(r.time_ns),
            Cell::Share(r.share),
            r.symbols.first().map_or(Cell::Empty, Cell::text),
        ]);
    }
    table
}

fn passes(m: &TraceMap) -> Table {
    let columns = vec![
        Column::text("class", "Class"),
        Column::number("passes", "Passes"),
        Column::number("partial", "Cut"),
        Column::number("device_ns", "Device time"),
        Column::number("recorded", "Products/pass"),
        Column::number("recorded_gflop", "Recorded GFLOP"),
        Column::number("model_gflop", "Model GFLOP"),
        Column::number("model_all_gflop", "All dense GFLOP"),
        Column::number("mfu", "MFU"),
        Column::number("mbu", "MBU"),
    ];
    let mut table = Table::new("classes", "Passes, and dense products against the model", columns);
    for c in &m.classes {
        table.push(vec![
            Cell::text(c.class.as_str()),
            Cell::count(c.passes),
            Cell::count(c.partial),
            Cell::DurationNs(c.device_ns),
            Cell::count(c.gemm.recorded),
            amount(Some(c.gemm.recorded_flops), 1e9),
            amount(c.gemm.model_flops, 1e9),
            amount(c.gemm.model_all_flops, 1e9),
            c.figures.mfu.map_or(Cell::Empty, Cell::Share),
            c.figures.mbu.map_or(Cell::Empty, Cell::Share),
        ]);
    }
    table
}

fn disagreements(m: &TraceMap) -> Table {
    let columns = vec![
        Column::text("kind", "Disagreement"),
        Column::text("class", "Class"),
        Column::text("subject", "Of"),
        Column::text("expected", "Expected"),
        Column::text("found", "Found"),
        Column::text("evidence", "Evidence"),
    ];
    let mut table = Table::new("disagreements", "Trace against model", columns);
    for d in &m.disagreements {
        table.push(vec![
            Cell::text(d.kind.as_str()),
            d.class.map_or(Cell::Empty, |c| Cell::text(c.as_str())),
            Cell::text(&d.subject),
            Cell::text(&d.expected),
            Cell::text(&d.found),
            Cell::text(d.evidence.join("; ")),
        ]);
    }
    table
}
