//! The frontier of throughput over latency: rows that differ in their load only, one chart for each set of conditions.

use std::collections::BTreeMap;

use perfwright_report::chart::{Mark, Plot, Point, Series, Threshold};

use crate::rank::conditions;
use crate::rows::{Row, Status};
use crate::sla::Side;

/// Most points of a chart.
const MAX_POINTS: usize = 2000;

/// One chart for each scenario and its conditions but the load: output tokens per second per GPU over the median time
/// to the first token. Each framework has its measurements as dots and its frontier, the points that no other of it
/// beats in both, as a line. Rows without the two figures are left out; conditions with fewer than two points have no
/// chart.
#[must_use]
pub fn frontiers(rows: &[Row]) -> Vec<Plot> {
    let mut groups: BTreeMap<(String, String), BTreeMap<&str, Vec<Point>>> = BTreeMap::new();
    let mut bounds: BTreeMap<(String, String), f64> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.status == Status::Ok && r.problems.is_empty()) {
        let latency = row.metric("p50_ttft_ms").or_else(|| row.metric("mean_ttft_ms"));
        let (Some(x), Some(tokens)) = (latency, row.metric("output_token_throughput")) else { continue };
        let mut own = conditions(row);
        for load in ["request_rate", "max_concurrency", "objective", "num_prompts"] {
            own.remove(load);
        }
        let key = (row.scenario().to_owned(), serde_json::to_string(&own).unwrap_or_default());
        let bound = row.sla.bounds.iter().find(|b| b.side == Side::Max && b.metric == "p50_ttft_ms");
        if let Some(bound) = bound {
            bounds.insert(key.clone(), bound.limit);
        }
        let y = tokens / f64::from(row.hardware.gpu_count.unwrap_or(1));
        let points = groups.entry(key).or_default().entry(&row.framework).or_default();
        if points.len() < MAX_POINTS {
            points.push(Point {
                x,
                y,
                interval: None,
                label: format!("{} {}", row.framework, row.candidate_id),
            });
        }
    }
    groups
        .into_iter()
        .filter(|(_, series)| series.values().map(Vec::len).sum::<usize>() > 1)
        .map(|(key, series)| {
            let limit =
                bounds.get(&key).map_or_else(String::new, |l| format!("; the bound on TTFT is {l} ms"));
            let all = series.into_iter().flat_map(|(name, points)| {
                let line =
                    Series { name: format!("{name}, frontier"), mark: Mark::Line, points: frontier(&points) };
                [Series { name: name.to_owned(), mark: Mark::Dots, points }, line]
            });
            Plot {
                title: format!("Throughput over latency: {}", key.0),
                about: format!(
                    "Output tokens per second and GPU over the median TTFT, one point a measurement{limit}."
                ),
                x: "median TTFT [ms]".to_owned(),
                y: "output tokens/s per GPU".to_owned(),
                series: all.collect(),
                thresholds: Vec::<Threshold>::new(),
            }
        })
        .collect()
}

/// The points that no other point beats in both, by latency.
fn frontier(points: &[Point]) -> Vec<Point> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| a.x.total_cmp(&b.x).then(b.y.total_cmp(&a.y)));
    let mut out: Vec<Point> = Vec::new();
    for point in sorted {
        if out.last().is_none_or(|last| point.y > last.y) {
            out.push(point.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_holds_what_nothing_beats() {
        let rows: Vec<Row> = [(10.0, 100.0, 1.0), (20.0, 90.0, 2.0), (30.0, 300.0, 4.0), (30.0, 200.0, 5.0)]
            .into_iter()
            .map(|(ttft, tokens, rate)| {
                let mut row = Row::new("vllm", "c", Status::Ok);
                row.workload.request_rate = Some(rate);
                row.hardware.gpu_count = Some(2);
                row.metrics.insert("p50_ttft_ms".into(), ttft);
                row.metrics.insert("output_token_throughput".into(), tokens);
                row
            })
            .collect();
        let charts = frontiers(&rows);
        assert_eq!(charts.len(), 1, "rates do not part the rows of a frontier");
        let line: Vec<(f64, f64)> = charts[0].series[1].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(line, [(10.0, 50.0), (30.0, 150.0)]);
        assert!(frontiers(&rows[..1]).is_empty());
    }
}
