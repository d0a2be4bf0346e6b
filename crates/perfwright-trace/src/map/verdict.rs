//! The first lines of the answer.

use super::report::{ClassRow, Line, OperatorRow, TraceMap};
use perfwright_report::Cell;

/// Classes that the verdict names.
const CLASSES: usize = 3;

/// The verdict: at most ten lines.
pub(super) fn verdict(m: &TraceMap) -> Vec<Line> {
    let line = |about: &str, text: String| Line { about: about.to_owned(), text };
    let mut out = Vec::new();
    if let Some(stop) = &m.stop {
        out.push(line("refused", format!("{} ({})", stop.reason, stop.code)));
    }
    for class in m.classes.iter().take(CLASSES) {
        out.push(line(class.class.as_str(), of_class(class)));
        out.extend(far(m, class).map(|text| line("largest gap", text)));
    }
    let (recorded, close) = gemms(m);
    if recorded > 0 {
        out.push(line("products", close));
    }
    if !m.classes.is_empty() {
        let count = m.disagreements.len();
        let mut kinds: Vec<&str> = m.disagreements.iter().map(|d| d.kind.as_str()).collect();
        kinds.dedup();
        let text = if count == 0 { "none".to_owned() } else { format!("{count}: {}", kinds.join(", ")) };
        out.push(line("disagreements", text));
    }
    out
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".to_owned(), |s| format!("{:.1} %", s * 100.0))
}

fn of_class(c: &ClassRow) -> String {
    let mean = Cell::DurationNs(c.device_ns / i64::try_from(c.passes.max(1)).unwrap_or(1));
    let part = if c.device_ns > 0 { c.mapped_ns as f64 / c.device_ns as f64 } else { 0.0 };
    let bound = c.figures.bound.map_or("unknown", |b| b.name());
    format!(
        "{} x {}, {:.1} % in operators; MFU {}, MBU {}, {bound} bound",
        c.passes,
        mean.shown(),
        part * 100.0,
        percent(c.figures.mfu),
        percent(c.figures.mbu),
    )
}

/// Time of a row beyond its roofline, ns a pass.
fn excess(r: &OperatorRow) -> Option<f64> {
    Some(r.ns_per_pass - r.figures.roofline_us? * 1e3).filter(|&e| e > 0.0)
}

/// The operator that is furthest from its roofline.
fn far(m: &TraceMap, class: &ClassRow) -> Option<String> {
    let mine = m.operators.iter().filter(|o| o.class == class.class);
    let (excess, row) = mine.filter_map(|o| Some((excess(o)?, o))).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let roof = row.figures.roofline_us.filter(|&r| r > 0.0)?;
    Some(format!(
        "{}: {} a pass is {:.1}x its roofline; {} of all time beyond it",
        row.name,
        Cell::DurationNs(row.ns_per_pass as i64).shown(),
        row.ns_per_pass / 1e3 / roof,
        percent(Some(excess * class.passes as f64 / class.device_ns.max(1) as f64)),
    ))
}

fn gemms(m: &TraceMap) -> (u64, String) {
    let recorded: u64 = m.classes.iter().map(|c| c.gemm.recorded).sum();
    let each = m.classes.iter().filter(|c| c.gemm.recorded > 0).map(|c| {
        let ratio = c.gemm.ratio.map_or_else(|| "unknown".to_owned(), |r| format!("{r:.4}"));
        format!("{}: {} recorded a pass, {ratio} of the model's FLOPs", c.class.as_str(), c.gemm.recorded)
    });
    (recorded, each.collect::<Vec<_>>().join("; "))
}
