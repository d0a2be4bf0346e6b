//! The answer of `trace compare` as a document for people.

use perfwright_report::{Cell, Column, Document, Table};

use super::report::{Comparison, Measure, Row, Scope, Status};

/// Rows whose difference is under this part of their class's wall time are left out of the tables for people.
pub const CUT_OFF: f64 = 0.001;

/// The document. `cut_off` is the size under which rows that changed are left out; `None` lists every row (for CSV).
/// The verdict comes first; warnings stand at the end in full, as the verdict names the first.
pub fn document(c: &Comparison, cut_off: Option<f64>) -> Document {
    let mut doc = Document::new("Trace compare");
    for line in &c.verdict {
        doc.fact(line.about.clone(), Cell::text(&line.text));
    }
    if c.stop.is_none() {
        doc.tables.push(classes(c));
        doc.tables.extend(gaps(c, cut_off));
        doc.tables.push(kernels(c, cut_off));
        doc.tables.push(categories(c, cut_off));
    }
    if !c.unmatched.is_empty() {
        doc.tables.push(unmatched(c));
    }
    if !c.limits.is_empty() {
        doc.tables.push(limits(c));
    }
    doc.notes.push(format!("A: {}", paths(&c.a)));
    doc.notes.push(format!("B: {}", paths(&c.b)));
    doc.notes.push(c.method.reason.clone());
    doc.notes.extend(c.warnings.iter().map(|w| format!("warning: {w}")));
    doc
}

fn paths(inputs: &[crate::report::Input]) -> String {
    inputs.iter().map(|i| i.path.as_str()).collect::<Vec<_>>().join(", ")
}

fn ns(value: f64) -> Cell {
    Cell::DurationNs(value.round() as i64)
}

fn interval(m: &Measure) -> [Cell; 2] {
    [m.ci_low, m.ci_high].map(|v| v.map_or(Cell::Empty, ns))
}

/// A, B, ratio, difference and its interval.
fn measure_columns() -> Vec<Column> {
    vec![
        Column::number("a_ns_per_step", "A/step"),
        Column::number("b_ns_per_step", "B/step"),
        Column::number("ratio", "B/A"),
        Column::number("delta_ns_per_step", "Delta/step"),
        Column::number("ci_low", "From"),
        Column::number("ci_high", "To"),
    ]
}

fn measure_cells(m: &Measure) -> Vec<Cell> {
    let [low, high] = interval(m);
    vec![
        ns(m.a_ns_per_step),
        ns(m.b_ns_per_step),
        m.ratio.map_or(Cell::Empty, Cell::Ratio),
        ns(m.delta_ns_per_step),
        low,
        high,
    ]
}

fn classes(c: &Comparison) -> Table {
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::number("a_steps", "Steps A"),
        Column::number("b_steps", "B"),
        Column::number("matched", "Matched"),
    ];
    columns.extend(measure_columns());
    columns.push(Column::text("status", "Status"));
    columns.push(Column::number("unexplained", "Unexplained"));
    let title =
        if c.method.scope == Scope::Trace { "Wall time of the traces" } else { "Wall time of a step" };
    let mut table = Table::new("classes", title, columns);
    for r in &c.classes {
        let mut cells = vec![
            Cell::text(r.class.as_str()),
            Cell::count(r.a_steps),
            Cell::count(r.b_steps),
            Cell::count(r.matched),
        ];
        cells.extend(measure_cells(&r.wall));
        cells.push(Cell::text(r.wall.status.as_str()));
        cells.push(ns(r.unexplained_ns_per_step));
        table.push(cells);
        if r.nearest > 0 {
            table.notes.push(format!(
                "{}: {} of {} pairs differ in {} by up to {:.1} %",
                r.class.as_str(),
                r.nearest,
                r.matched,
                r.matched_by.join(", "),
                r.farthest * 100.0
            ));
        }
    }
    table.notes.push(format!(
        "From and To: {:.0} % interval of the difference per step",
        c.method.confidence * 100.0
    ));
    if let Some(share) = c.unexplained_share {
        table.notes.push(format!(
            "unexplained: {} of the gap is neither in a kernel nor a late host nor a stream wait",
            Cell::Share(share).shown()
        ));
    }
    table
}

/// Wall time of A in the class of a row.
fn wall(c: &Comparison, class: crate::steps::Class) -> f64 {
    c.classes.iter().find(|r| r.class == class).map_or(0.0, |r| r.wall.a_ns_per_step)
}

/// True when a row is worth a line: something was shown, and it is not too small to matter.
fn worth(c: &Comparison, class: crate::steps::Class, m: &Measure, cut_off: Option<f64>) -> bool {
    let Some(cut_off) = cut_off else { return true };
    let large = m.delta_ns_per_step.abs() > wall(c, class) * cut_off;
    large && (m.status != Status::Same || m.excludes_zero())
}

fn gaps(c: &Comparison, cut_off: Option<f64>) -> Option<Table> {
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::text("part", "Part"),
        Column::text("category", "Category"),
    ];
    columns.extend(measure_columns());
    columns.push(Column::number("of_gap", "Of gap"));
    let mut table = Table::new("gaps", "Where the gap in wall time is", columns);
    let mut left = 0;
    for r in &c.gaps {
        let gap = c.classes.iter().find(|k| k.class == r.class).map_or(0.0, |k| k.wall.delta_ns_per_step);
        let small = r.time.delta_ns_per_step.abs() <= wall(c, r.class) * cut_off.unwrap_or(-1.0);
        if small {
            left += 1;
            continue;
        }
        let mut cells = vec![
            Cell::text(r.class.as_str()),
            Cell::text(&r.part),
            r.category.as_ref().map_or(Cell::Empty, Cell::text),
        ];
        cells.extend(measure_cells(&r.time));
        let of_gap = r.time.delta_ns_per_step / gap;
        // A share of next to nothing says nothing.
        let tells = gap.abs() > wall(c, r.class) * CUT_OFF;
        cells.push(if tells { Cell::Share(of_gap) } else { Cell::Empty });
        table.push(cells);
    }
    if let (true, Some(cut_off)) = (left > 0, cut_off) {
        table.notes.push(format!("{left} more parts moved by at most {:.1} % of the step", cut_off * 100.0));
    }
    (!c.gaps.is_empty()).then_some(table)
}

fn kernels(c: &Comparison, cut_off: Option<f64>) -> Table {
    let full = cut_off.is_none();
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::code("kernel", "Kernel"),
        Column::text("category", "Category"),
        Column::text("status", "Status"),
    ];
    columns.extend(measure_columns());
    columns.push(Column::text("differs_in", "Where"));
    if full {
        columns.push(Column::code("renamed_to", "Renamed to"));
        columns.push(Column::number("a_launches_per_step", "Launches A"));
        columns.push(Column::number("b_launches_per_step", "Launches B"));
        columns.push(Column::code("source", "Python source"));
        columns.push(Column::text("cpu_op", "CPU op"));
    }
    let mut table = Table::new("rows", "Kernels that differ, GPU time a step", columns);
    let mut left = 0;
    for r in &c.rows {
        if !worth(c, r.class, &r.time, cut_off) {
            left += 1;
            continue;
        }
        table.push(kernel_cells(r, full));
        if let (Some(to), Some(by), false) = (&r.renamed_to, &r.renamed_by, full) {
            table.notes.push(format!("{} in {} is {to} in B (same {by})", r.kernel, r.class.as_str()));
        }
    }
    if let (true, Some(cut_off)) = (left > 0, cut_off) {
        let small = cut_off * 100.0;
        table
            .notes
            .push(format!("{left} more rows show no difference, or one of at most {small:.1} % of the step"));
    }
    table
}

fn kernel_cells(r: &Row, full: bool) -> Vec<Cell> {
    let optional = |t: &Option<String>| t.as_ref().map_or(Cell::Empty, Cell::text);
    let mut cells = vec![
        Cell::text(r.class.as_str()),
        Cell::text(&r.kernel),
        Cell::text(&r.category),
        Cell::text(r.time.status.as_str()),
    ];
    cells.extend(measure_cells(&r.time));
    cells.push(optional(&r.differs_in));
    if full {
        cells.push(optional(&r.renamed_to));
        cells.push(Cell::text(format!("{:.3}", r.a_launches_per_step)));
        cells.push(Cell::text(format!("{:.3}", r.b_launches_per_step)));
        cells.push(optional(&r.source));
        cells.push(optional(&r.cpu_op));
    }
    cells
}

fn categories(c: &Comparison, cut_off: Option<f64>) -> Table {
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::text("category", "Category"),
        Column::text("status", "Status"),
    ];
    columns.extend(measure_columns());
    let mut table = Table::new("categories", "Categories, GPU time a step", columns);
    for r in c.categories.iter().filter(|r| cut_off.is_none() || worth(c, r.class, &r.time, cut_off)) {
        let mut cells =
            vec![Cell::text(r.class.as_str()), Cell::text(&r.category), Cell::text(r.time.status.as_str())];
        cells.extend(measure_cells(&r.time));
        table.push(cells);
    }
    table
}

fn unmatched(c: &Comparison) -> Table {
    let mut table = Table::new(
        "unmatched",
        "Steps without a partner",
        vec![
            Column::text("side", "Side"),
            Column::text("class", "Class"),
            Column::text("reason", "Reason"),
            Column::number("steps", "Steps"),
            Column::text("batch", "Batch"),
            Column::text("tokens", "Tokens"),
            Column::text("context", "Context"),
        ],
    );
    let mut groups: std::collections::BTreeMap<(&str, crate::steps::Class, &str), Vec<_>> =
        std::collections::BTreeMap::new();
    for u in &c.unmatched {
        groups.entry((&u.side, u.class, &u.reason)).or_default().push(u);
    }
    for ((side, class, reason), list) in groups {
        let range = |get: fn(&super::report::Unmatched) -> Option<u64>| {
            let values = || list.iter().filter_map(|u| get(u));
            match (values().min(), values().max()) {
                (Some(a), Some(b)) if a == b => Cell::text(a.to_string()),
                (Some(a), Some(b)) => Cell::text(format!("{a}-{b}")),
                _ => Cell::Empty,
            }
        };
        table.push(vec![
            Cell::text(side.to_uppercase()),
            Cell::text(class.as_str()),
            Cell::text(reason),
            Cell::Int(list.len() as i64),
            range(|u| u.batch),
            range(|u| u.tokens),
            range(|u| u.context),
        ]);
    }
    table
}

fn limits(c: &Comparison) -> Table {
    let mut table = Table::new(
        "limits",
        "Limits",
        vec![
            Column::code("limit", "Limit"),
            Column::text("result", "Result"),
            Column::text("found", "Found"),
        ],
    );
    for l in &c.limits {
        let result = match l.result {
            super::report::LimitResult::Within => "within",
            super::report::LimitResult::Exceeded => "exceeded",
            super::report::LimitResult::Unproven => "unproven",
        };
        table.push(vec![Cell::text(&l.limit), Cell::text(result), Cell::text(l.found.join("; "))]);
    }
    table
}
