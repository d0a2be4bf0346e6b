//! The answer of `trace pipeline` as a document for people.

use std::collections::BTreeMap;

use perfwright_report::{Cell, Column, Document, Table};

use super::report::{ClusterRow, Comparison, EvidenceKind, Flow, LayerKind, LayerRow, Pipeline};
use crate::frames::short_source;
use crate::report::Role;

/// Categories that a table shows as columns; smaller ones are summed up.
const COLUMNS: usize = 5;

/// The document.
pub fn document(p: &Pipeline) -> Document {
    let mut doc = Document::new("Trace pipeline");
    doc.warnings.clone_from(&p.warnings);
    for input in p.inputs.iter().filter(|i| i.role == Role::Trace) {
        doc.fact("trace", Cell::text(&input.path));
    }
    let count = p.layers_per_pass.map_or_else(|| "not known".to_owned(), |n| n.to_string());
    doc.fact("layers per pass", Cell::text(format!("{count} ({})", p.layers_reason)));
    if let Some(stop) = &p.stop {
        doc.warnings.insert(0, format!("stopped ({}): {}", stop.code, stop.reason));
        return doc;
    }
    doc.tables.push(evidence(p));
    doc.tables.push(passes(p));
    doc.tables.push(steady(p));
    doc.tables.push(clusters(p));
    doc.tables.push(layers(p));
    match (&p.selected, &p.comparison) {
        (Some(_), Some(c)) => doc.tables.push(comparison(c)),
        (Some(f), None) => {
            doc.tables.push(flow("selected", &format!("Layer {} of pass {}", f.layer, f.pass), f));
        }
        (None, _) => {
            for c in p.clusters.iter().filter(|c| !c.representative.kernels.is_empty()) {
                let f = &c.representative;
                let title = format!(
                    "Compute flow of {} in {} (layer {} of pass {})",
                    c.name,
                    c.class.as_str(),
                    f.layer,
                    f.pass
                );
                doc.tables.push(flow(&format!("flow_{}", c.index), &title, f));
            }
        }
    }
    doc
}

fn evidence(p: &Pipeline) -> Table {
    let columns = vec![
        Column::text("kind", "Evidence"),
        Column::number("layers", "Layers"),
        Column::text("agrees", "Agrees"),
        Column::text("detail", "What was seen"),
    ];
    let mut table = Table::new("evidence", "Evidence on the layer count", columns);
    for e in &p.evidence {
        let kind = match e.kind {
            EvidenceKind::Blocks => "blocks",
            EvidenceKind::Repetition => "repetition",
            EvidenceKind::ModuleFrames => "module frames",
            EvidenceKind::GraphNodes => "graph nodes",
            EvidenceKind::Capture => "capture",
            EvidenceKind::Config => "config",
            EvidenceKind::Anchor => "anchor",
        };
        table.push(vec![
            Cell::text(kind),
            e.layers.map_or(Cell::Empty, |n| Cell::Int(i64::from(n))),
            e.agrees.map_or(Cell::Empty, |a| Cell::text(if a { "yes" } else { "no" })),
            Cell::text(&e.detail),
        ]);
    }
    table
}

fn passes(p: &Pipeline) -> Table {
    let columns = vec![
        Column::number("pass", "Pass"),
        Column::text("class", "Class"),
        Column::number("start_s", "Start s"),
        Column::number("end_s", "End s"),
        Column::number("duration_ns", "Wall"),
        Column::number("device_ns", "GPU time"),
        Column::number("layers", "Layers"),
        Column::number("draft_layers", "Draft"),
        Column::number("prologue_ns", "Before"),
        Column::number("epilogue_ns", "After"),
        Column::text("state", "State"),
    ];
    let mut table = Table::new("passes", "Forward passes", columns).weighted_by("duration_ns");
    for r in &p.passes {
        let state = match (r.partial, r.cold) {
            (true, _) => "partial",
            (false, true) => "cold",
            (false, false) => "",
        };
        table.push(vec![
            Cell::Int(i64::from(r.index)),
            Cell::text(r.class.as_str()),
            seconds(r.start_s),
            seconds(r.end_s),
            Cell::DurationNs(r.duration_ns),
            Cell::DurationNs(r.device_ns),
            Cell::Int(i64::from(r.layers)),
            if r.draft_layers > 0 { Cell::Int(i64::from(r.draft_layers)) } else { Cell::Empty },
            Cell::DurationNs(r.prologue.sum_ns),
            Cell::DurationNs(r.epilogue.sum_ns),
            Cell::text(state),
        ]);
    }
    if p.outside.count > 0 {
        let ns = Cell::DurationNs(p.outside.total_ns);
        table.notes.push(format!(
            "{} pieces of device work ({}) are in no pass",
            p.outside.count,
            ns.shown()
        ));
    }
    table
}

fn seconds(s: f64) -> Cell {
    Cell::text(format!("{s:.6}"))
}

fn steady(p: &Pipeline) -> Table {
    let columns = vec![
        Column::text("class", "Class"),
        Column::number("passes", "Passes"),
        Column::number("cold", "Cold"),
        Column::number("median_ns", "Median"),
        Column::number("deviation_ns", "MAD"),
        Column::number("median_device_ns", "GPU time"),
        Column::number("median_layer_ns", "Layer"),
    ];
    let mut table = Table::new("steady", "Steady state", columns);
    for r in &p.steady {
        table.push(vec![
            Cell::text(r.class.as_str()),
            Cell::count(r.passes),
            Cell::count(r.cold),
            Cell::DurationNs(r.median_ns),
            Cell::DurationNs(r.deviation_ns),
            Cell::DurationNs(r.median_device_ns),
            r.median_layer_ns.map_or(Cell::Empty, Cell::DurationNs),
        ]);
    }
    table
}

/// The categories that take most time over all clusters.
fn top_categories(clusters: &[ClusterRow]) -> Vec<String> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for c in clusters {
        for (word, share) in &c.shares {
            *sums.entry(word).or_default() += share * c.mean_sum_ns as f64 * c.count as f64;
        }
    }
    let mut list: Vec<(&str, f64)> = sums.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    list.into_iter().take(COLUMNS).map(|(word, _)| word.to_owned()).collect()
}

fn share_columns(columns: &mut Vec<Column>, words: &[String]) {
    columns.extend(words.iter().map(|w| Column::number(format!("share_{w}"), w.clone())));
    columns.push(Column::number("share_rest", "rest"));
}

fn share_cells(cells: &mut Vec<Cell>, words: &[String], shares: &BTreeMap<String, f64>) {
    let of = |w: &String| shares.get(w).copied().unwrap_or(0.0);
    cells.extend(words.iter().map(|w| Cell::Share(of(w))));
    cells.push(Cell::Share(shares.iter().filter(|s| !words.contains(s.0)).map(|s| s.1).sum()));
}

fn clusters(p: &Pipeline) -> Table {
    let words = top_categories(&p.clusters);
    let mut columns = vec![
        Column::number("cluster", "No."),
        Column::text("name", "Cluster"),
        Column::text("class", "Class"),
        Column::number("count", "Count"),
        Column::text("layers", "Layers"),
        Column::number("median_wall_ns", "Wall"),
        Column::number("median_sum_ns", "GPU time"),
    ];
    share_columns(&mut columns, &words);
    let mut table = Table::new("clusters", "Layer clusters", columns);
    for c in &p.clusters {
        let name = if c.kind == LayerKind::Draft { format!("{} (draft)", c.name) } else { c.name.clone() };
        let mut cells = vec![
            Cell::Int(i64::from(c.index)),
            Cell::text(name),
            Cell::text(c.class.as_str()),
            Cell::count(c.count),
            Cell::text(ranges(&c.layer_indices)),
            Cell::DurationNs(c.median_wall_ns),
            Cell::DurationNs(c.median_sum_ns),
        ];
        share_cells(&mut cells, &words, &c.shares);
        table.push(cells);
        let seen = if c.configured { format!(" ({})", c.structure) } else { String::new() };
        table.notes.push(format!("{}{seen}: {}", c.index, c.signature.join(", ")));
    }
    table
}

/// `0-3,7` for sorted numbers; even steps as `0-34/2`.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    if let [first, second, .., last] = numbers {
        let step = second - first;
        if step > 1 && numbers.windows(2).all(|w| w[1] - w[0] == step) {
            return format!("{first}-{last}/{step}");
        }
    }
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The layers of the pass asked for, else of the first steady one.
fn layers(p: &Pipeline) -> Table {
    let words = top_categories(&p.clusters);
    let mut columns = vec![
        Column::number("layer", "Layer"),
        Column::number("cluster", "Cluster"),
        Column::number("start_s", "Start s"),
        Column::number("end_s", "End s"),
        Column::number("wall_ns", "Wall"),
        Column::number("sum_ns", "GPU time"),
        Column::number("kernels", "Kernels"),
    ];
    share_columns(&mut columns, &words);
    let steady = p.passes.iter().find(|r| r.layers > 0 && !r.cold && !r.partial);
    let any = p.passes.iter().find(|r| r.layers + r.draft_layers > 0);
    let pass = p.selected.as_ref().map(|f| f.pass).or(steady.or(any).map(|r| r.index));
    let title = pass.map_or_else(|| "Layers".to_owned(), |n| format!("Layers of pass {n}"));
    let mut table = Table::new("layers", title, columns).weighted_by("sum_ns");
    let of_pass = |l: &&LayerRow| Some(l.pass) == pass;
    for l in p.layers.iter().filter(of_pass) {
        let number =
            if l.kind == LayerKind::Draft { format!("draft {}", l.index) } else { l.index.to_string() };
        let mut cells = vec![
            Cell::text(number),
            Cell::Int(i64::from(l.cluster)),
            seconds(l.start_s),
            seconds(l.end_s),
            Cell::DurationNs(l.wall_ns),
            Cell::DurationNs(l.sum_ns),
            Cell::count(l.kernels),
        ];
        share_cells(&mut cells, &words, &l.shares);
        table.push(cells);
    }
    if table.rows.is_empty() {
        table.notes.push(p.layers_reason.clone());
    }
    table
}

fn flow(name: &str, title: &str, f: &Flow) -> Table {
    let columns = vec![
        Column::number("offset_ns", "At"),
        Column::code("kernel", "Kernel"),
        Column::text("category", "Category"),
        Column::number("duration_ns", "GPU time"),
        Column::number("share", "Share"),
        Column::text("stream", "Stream"),
        Column::code("source", "Source"),
        Column::text("cpu_op", "Operator"),
        Column::text("input_dims", "Input dims"),
    ];
    let mut table = Table::new(name.to_owned(), title.to_owned(), columns).weighted_by("duration_ns");
    let text = |t: &Option<String>| t.as_deref().map_or(Cell::Empty, Cell::text);
    for k in &f.kernels {
        table.push(vec![
            Cell::DurationNs(k.offset_ns),
            Cell::text(&k.kernel),
            Cell::text(&k.category),
            Cell::DurationNs(k.duration_ns),
            Cell::Share(k.share),
            Cell::text(&k.stream),
            k.source.as_deref().map_or(Cell::Empty, |s| Cell::text(short_source(s))),
            text(&k.cpu_op),
            text(&k.input_dims),
        ]);
    }
    table
}

fn comparison(c: &Comparison) -> Table {
    let columns = vec![
        Column::code("kernel", "Kernel"),
        Column::text("category", "Category"),
        Column::number("launches_a", format!("Launches {}", c.a)),
        Column::number("launches_b", format!("Launches {}", c.b)),
        Column::number("a_ns", format!("Layer {}", c.a)),
        Column::number("b_ns", format!("Layer {}", c.b)),
        Column::number("delta_ns", "Difference"),
    ];
    let title = format!("Layers {} and {} of pass {}", c.a, c.b, c.pass);
    let mut table = Table::new("comparison", title, columns);
    for r in &c.rows {
        table.push(vec![
            Cell::text(&r.kernel),
            Cell::text(&r.category),
            Cell::count(r.launches[0]),
            Cell::count(r.launches[1]),
            Cell::DurationNs(r.sum_ns[0]),
            Cell::DurationNs(r.sum_ns[1]),
            Cell::DurationNs(r.delta_ns),
        ]);
    }
    let sides = [c.sum_ns[0], c.sum_ns[1], c.wall_ns[0], c.wall_ns[1]]
        .map(|n| Cell::DurationNs(n).shown().into_owned());
    table.notes.push(format!("GPU time {} and {}; wall {} and {}", sides[0], sides[1], sides[2], sides[3]));
    table
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn numbers_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(ranges(&[1, 3, 5, 7]), "1-7/2");
    }
}
