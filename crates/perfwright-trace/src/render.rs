//! The answer of `trace triage` as a document for people.

use perfwright_report::{Cell, Column, Document, Table};

use crate::budget::{BudgetRow, Scope};
use crate::frames::short_source;
use crate::overlap::{Action, Risk, ratio};
use crate::report::{Role, Triage};
use crate::steps::Class;

/// Kernels under this share of their class are summed in one "other" row.
pub const CUT_OFF: f64 = 0.01;

/// The document. `cut_off` is the share under which kernels are summed up; `None` lists every one (for CSV).
pub fn document(t: &Triage, cut_off: Option<f64>) -> Document {
    let mut doc = Document::new("Trace triage");
    doc.warnings.clone_from(&t.warnings);
    facts(t, &mut doc);
    if let Some(stop) = &t.stop {
        doc.warnings.insert(0, format!("stopped ({}): {}", stop.code, stop.reason));
        return doc;
    }
    doc.tables.push(steps(t));
    doc.tables.extend(kernels(t, cut_off));
    doc.tables.push(overlap(t, cut_off));
    doc.tables.push(fusions(t, cut_off));
    doc.tables.push(budget(&t.budget));
    doc.tables.push(attribution(t));
    if t.inputs.len() > 1 {
        doc.tables.push(inputs(t));
    }
    doc
}

fn facts(t: &Triage, doc: &mut Document) {
    let traces: Vec<_> = t.inputs.iter().filter(|i| i.role == Role::Trace).collect();
    match traces.as_slice() {
        [one] => doc.fact("trace", Cell::text(&one.path)),
        many => doc.fact("traces", Cell::Int(many.len() as i64)),
    }
    if let Some(one) = traces.first() {
        doc.fact("engine", Cell::text(&one.framework));
        let gpus = if one.gpus.is_empty() { one.vendor.clone() } else { one.gpus.join(", ") };
        doc.fact("gpu", Cell::text(gpus));
        if let (Some(rank), Some(world)) = (one.rank, one.world_size)
            && traces.len() == 1
        {
            doc.fact("rank", Cell::text(format!("{rank} of {world}")));
        }
    }
    let busy: i64 = traces.iter().map(|i| i.busy_ns).sum();
    let span: i64 = traces.iter().map(|i| i.span_ns).sum();
    doc.fact("device time", Cell::DurationNs(t.totals.device_ns()));
    doc.fact("device busy", Cell::text(format!("{} of {} wall", shown(busy), shown(span))));
    let launched = t.attribution.share_of_launched.map_or_else(
        || "nothing has a launch record".to_owned(),
        |s| format!("{} of what has a launch record", percent(s)),
    );
    doc.fact("attributed to Python", Cell::text(format!("{} ({launched})", percent(t.attribution.share))));
}

fn shown(ns: i64) -> String {
    Cell::DurationNs(ns).shown().into_owned()
}

fn percent(share: f64) -> String {
    Cell::Share(share).shown().into_owned()
}

fn steps(t: &Triage) -> Table {
    let mut table = Table::new(
        "steps",
        "Steps",
        vec![
            Column::text("class", "Class"),
            Column::number("steps", "Steps"),
            Column::number("total_ns", "Wall"),
            Column::number("p50_ns", "Median"),
            Column::number("min_ns", "Min"),
            Column::number("max_ns", "Max"),
            Column::text("batch", "Batch"),
            Column::text("tokens", "Tokens"),
        ],
    );
    for class in Class::ALL {
        let rows: Vec<_> = t.steps.iter().filter(|s| s.class == class).collect();
        if rows.is_empty() {
            continue;
        }
        let mut ns: Vec<i64> = rows.iter().map(|s| s.duration_ns).collect();
        ns.sort_unstable();
        let range = |values: Vec<u64>| match (values.iter().min(), values.iter().max()) {
            (Some(a), Some(b)) if a == b => a.to_string(),
            (Some(a), Some(b)) => format!("{a}-{b}"),
            _ => String::new(),
        };
        table.push(vec![
            Cell::text(class.as_str()),
            Cell::Int(rows.len() as i64),
            Cell::DurationNs(ns.iter().sum()),
            Cell::DurationNs(ns[(ns.len() - 1) / 2]),
            Cell::DurationNs(ns[0]),
            Cell::DurationNs(ns[ns.len() - 1]),
            Cell::text(range(rows.iter().filter_map(|s| s.batch).collect())),
            Cell::text(range(rows.iter().filter_map(|s| s.tokens).collect())),
        ]);
    }
    if table.rows.is_empty() {
        table.notes.push("no engine passes were found".to_owned());
    }
    table
}

/// A table a class.
fn kernels(t: &Triage, cut_off: Option<f64>) -> Vec<Table> {
    Class::ALL.into_iter().filter_map(|class| kernels_of(t, class, cut_off)).collect()
}

fn kernels_of(t: &Triage, class: Class, cut_off: Option<f64>) -> Option<Table> {
    let rows: Vec<_> = t.tables.kernels.iter().filter(|r| r.class == class).collect();
    if rows.is_empty() {
        return None;
    }
    let full = cut_off.is_none(); // for machines: every row and every column
    let mut columns = vec![
        Column::code("kernel", "Kernel"),
        Column::text("category", "Category"),
        Column::number("total_ns", "GPU time"),
        Column::number("share", "Share"),
        Column::number("launches", "Launches"),
        Column::number("p50_ns", "Median"),
        Column::code("source", "Python source"),
    ];
    if full {
        columns.insert(0, Column::text("class", "Class"));
        columns.push(Column::text("cpu_op", "CPU op"));
    }
    let title = format!("Kernels: {}", class.as_str());
    let mut table = Table::new("kernels", title, columns).weighted_by("total_ns");
    let shown = |share: f64| cut_off.is_none_or(|c| share >= c);
    for r in rows.iter().filter(|r| shown(r.share)) {
        let source = match &r.source {
            Some(s) if full => s.clone(),
            Some(s) if r.source_share > 0.995 => short_source(s).into_owned(),
            Some(s) => format!("{} ({:.0} %)", short_source(s), r.source_share * 100.0),
            None => format!("({})", r.method),
        };
        let mut cells = vec![
            Cell::text(&r.kernel),
            Cell::text(&r.category),
            Cell::DurationNs(r.total_ns),
            Cell::Share(r.share),
            Cell::count(r.launches),
            Cell::DurationNs(r.p50_ns),
            Cell::text(source),
        ];
        if full {
            cells.insert(0, Cell::text(class.as_str()));
            cells.push(r.cpu_op.as_ref().map_or(Cell::Empty, Cell::text));
        }
        table.push(cells);
    }
    let rest: Vec<_> = rows.iter().filter(|r| !shown(r.share)).collect();
    if !rest.is_empty() {
        let noun = if rest.len() == 1 { "kernel" } else { "kernels" };
        table.push(vec![
            Cell::text(format!("other {} {noun}", rest.len())),
            Cell::Empty,
            Cell::DurationNs(rest.iter().map(|r| r.total_ns).sum()),
            Cell::Share(rest.iter().map(|r| r.share).sum()),
            Cell::count(rest.iter().map(|r| r.launches).sum()),
        ]);
    }
    Some(table)
}

fn overlap(t: &Triage, cut_off: Option<f64>) -> Table {
    let mut table = Table::new(
        "overlap",
        "Overlap opportunities",
        vec![
            Column::text("class", "Class"),
            Column::code("kernel", "Kernel"),
            Column::number("exposed_ns", "Exposed"),
            Column::number("hidden_ns", "Hidden"),
            Column::number("share", "Share"),
            Column::number("exposed_per_step_ns", "Exposed/step"),
            Column::number("bound_per_step_ns", "Gain/step <="),
            Column::text("risk", "Dep risk"),
            Column::text("action", "Action"),
        ],
    )
    .weighted_by("exposed_ns");
    let shown = |share: f64| cut_off.is_none_or(|c| share >= c);
    let rows = &t.tables.overlap;
    for r in rows.iter().filter(|r| shown(r.share)) {
        table.push(vec![
            Cell::text(r.class.as_str()),
            Cell::text(&r.kernel),
            Cell::DurationNs(r.exposed_ns),
            Cell::DurationNs(r.hidden_ns),
            Cell::Share(r.share),
            Cell::DurationNs(r.exposed_per_step_ns),
            Cell::DurationNs(r.bound_per_step_ns),
            Cell::text(match r.risk {
                Risk::Low => "low",
                Risk::Unclear => "unclear",
                Risk::High => "high",
            }),
            Cell::text(r.action.as_str()),
        ]);
    }
    for action in Action::ALL {
        if cut_off.is_some() && rows.iter().any(|r| shown(r.share) && r.action == action) {
            table.notes.push(format!("{}: {}", action.as_str(), action.meaning()));
        }
    }
    let rest: Vec<_> = rows.iter().filter(|r| !shown(r.share)).collect();
    if !rest.is_empty() {
        let exposed: i64 = rest.iter().map(|r| r.exposed_ns).sum();
        table.notes.push(format!(
            "{} more under {} of their class, {} exposed in all",
            rest.len(),
            percent(cut_off.unwrap_or(0.0)),
            self::shown(exposed)
        ));
    }
    if rows.is_empty() {
        table.notes.push("no communication, copies or fills in this trace".to_owned());
    }
    table
}

fn fusions(t: &Triage, cut_off: Option<f64>) -> Table {
    let full = cut_off.is_none();
    let mut explained: Vec<&str> = Vec::new();
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::text("pattern", "Pattern"),
        Column::text("state", "State"),
        Column::number("related_ns", "GPU time"),
        Column::number("share", "Share"),
        Column::number("upper_bound_saving_ns", "Saves <="),
        Column::code("evidence", "Kernels that prove it"),
    ];
    if full {
        columns.push(Column::text("rationale", "Why"));
    }
    let mut table = Table::new("fusions", "Fuse patterns", columns).weighted_by("related_ns");
    let (shown, small): (Vec<_>, Vec<_>) =
        t.tables.fusions.iter().partition(|r| cut_off.is_none_or(|c| r.share >= c));
    for r in shown {
        let saving =
            if r.state == "active" { Cell::Empty } else { Cell::DurationNs(r.upper_bound_saving_ns) };
        let mut cells = vec![
            Cell::text(r.class.as_str()),
            Cell::text(&r.pattern),
            Cell::text(&r.state),
            Cell::DurationNs(r.related_ns),
            Cell::Share(r.share),
            saving,
            Cell::text(r.evidence.join(", ")),
        ];
        if full {
            cells.push(Cell::text(&r.rationale));
        } else if r.state != "active" && !explained.contains(&r.pattern.as_str()) {
            explained.push(&r.pattern);
            let note = format!("{} ({}): {}; see {}", r.pattern, r.class.as_str(), r.rationale, r.candidate);
            table.notes.push(note);
        }
        table.push(cells);
    }
    if !small.is_empty() {
        let cut_off = percent(cut_off.unwrap_or(0.0));
        table.notes.push(format!("{} more under {cut_off} of their class", small.len()));
    }
    if t.tables.fusions.is_empty() {
        table.notes.push("no catalogued fusion is active or missing in this trace".to_owned());
    }
    table
}

fn budget(rows: &[BudgetRow]) -> Table {
    let mut columns = vec![
        Column::text("class", "Class"),
        Column::number("steps", "Steps"),
        Column::number("wall_ns", "Wall"),
    ];
    for (key, label) in [
        ("compute", "Compute"),
        ("exposed_communication", "Exposed comm"),
        ("copies", "Copies"),
        ("host_bound", "Host-bound"),
        ("stream_wait", "Stream wait"),
        ("idle", "Idle"),
    ] {
        columns.push(Column::number(key, label));
    }
    let mut table = Table::new("budget", "Wall-clock budget", columns);
    for r in rows {
        let name = match (r.scope, r.class) {
            (Scope::Class, Some(class)) => class.as_str().to_owned(),
            _ => "whole trace".to_owned(),
        };
        let mut cells = vec![
            Cell::text(name),
            if r.scope == Scope::Class { Cell::count(r.steps) } else { Cell::Empty },
            Cell::DurationNs(r.wall_ns),
        ];
        cells.extend(r.parts().iter().map(|(_, ns)| Cell::Share(ratio(*ns, r.wall_ns))));
        table.push(cells);
    }
    table
}

fn attribution(t: &Triage) -> Table {
    let mut table = Table::new(
        "attribution",
        "Attribution",
        vec![
            Column::text("method", "Method"),
            Column::number("count", "Events"),
            Column::number("total_ns", "GPU time"),
            Column::number("share", "Share"),
            Column::text("meaning", "Meaning"),
        ],
    );
    let mut rows: Vec<_> = t.attribution.by_method.iter().collect();
    rows.sort_by_key(|(name, r)| (!r.attributes, std::cmp::Reverse(r.total_ns), (*name).clone()));
    for (name, r) in rows {
        table.push(vec![
            Cell::text(name),
            Cell::count(r.count),
            Cell::DurationNs(r.total_ns),
            Cell::Share(r.share),
            Cell::text(&r.meaning),
        ]);
    }
    table
}

fn inputs(t: &Triage) -> Table {
    let mut table = Table::new(
        "inputs",
        "Inputs",
        vec![
            Column::code("path", "File"),
            Column::text("role", "Role"),
            Column::number("rank", "Rank"),
            Column::number("device_ns", "GPU time"),
            Column::number("busy_ns", "Busy"),
            Column::number("span_ns", "Wall"),
            Column::number("events", "Events"),
        ],
    );
    for i in &t.inputs {
        table.push(vec![
            Cell::text(&i.path),
            Cell::text(match i.role {
                Role::Trace => "trace",
                Role::Capture => "capture",
                Role::Mapping => "mapping",
            }),
            i.rank.map_or(Cell::Empty, |r| Cell::Int(i64::from(r))),
            Cell::DurationNs(i.totals.device_ns()),
            Cell::DurationNs(i.busy_ns),
            Cell::DurationNs(i.span_ns),
            Cell::count(i.events),
        ]);
    }
    table
}
