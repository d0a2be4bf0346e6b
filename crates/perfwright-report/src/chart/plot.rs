//! Values over a number: gap over rounds, throughput over latency, latency over rate.

use std::fmt::Write as _;

use super::axis::Axis;
use super::svg::{FAINT, INK, RULE, at, colour, line, open, text};
use crate::html::escape;

/// A chart of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Heading, and the chart's name for screen readers.
    pub title: String,
    /// What the chart shows, in a sentence, for people who cannot see it.
    pub about: String,
    /// Label of the horizontal axis with its unit.
    pub x: String,
    /// Label of the vertical axis with its unit.
    pub y: String,
    /// The values.
    pub series: Vec<Series>,
    /// Lines across the chart.
    pub thresholds: Vec<Threshold>,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Whether a line joins the points.
    pub mark: Mark,
    /// The points, in the order in which they are joined.
    pub points: Vec<Point>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Points only.
    Dots,
    /// Points joined by straight lines.
    Line,
}

/// One value. Values that are not finite are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Horizontal place.
    pub x: f64,
    /// Vertical place.
    pub y: f64,
    /// Lower and upper end of the interval of `y`.
    pub interval: Option<(f64, f64)>,
    /// What the point is, shown when it is pointed at.
    pub label: String,
}

/// A line across the chart at one value of `y`.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The value.
    pub y: f64,
    /// Its name.
    pub name: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 48.0;
const LEGEND: f64 = 20.0;

/// Draws the chart.
pub fn plot(chart: &Plot) -> String {
    let points = || chart.series.iter().flat_map(|s| &s.points);
    // Rounds and counts have no halves.
    let whole = points().all(|p| p.x.fract() == 0.0 && p.x.abs() < 1e9);
    let x = if whole { Axis::over_whole(points().map(|p| p.x)) } else { Axis::over(points().map(|p| p.x)) };
    let y = Axis::over(
        points()
            .flat_map(|p| {
                let (low, high) = p.interval.unwrap_or((p.y, p.y));
                [p.y, low, high]
            })
            .chain(chart.thresholds.iter().map(|t| t.y)),
    );
    let height = HEIGHT + LEGEND * chart.series.len() as f64;
    let place = |px: f64, py: f64| {
        (LEFT + x.part(px) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y.part(py) * (HEIGHT - TOP - BOTTOM))
    };
    let mut out = open(WIDTH, height, &chart.title, &chart.about);
    for tick in &y.ticks {
        let (_, v) = place(0.0, *tick);
        line(&mut out, (LEFT, v), (WIDTH - RIGHT, v), RULE, "");
        text(&mut out, (LEFT - 8.0, v + 4.0), "end", FAINT, &y.label(*tick));
    }
    for tick in &x.ticks {
        let (h, _) = place(*tick, 0.0);
        line(&mut out, (h, HEIGHT - BOTTOM), (h, HEIGHT - BOTTOM + 4.0), RULE, "");
        text(&mut out, (h, HEIGHT - BOTTOM + 18.0), "middle", FAINT, &x.label(*tick));
    }
    text(&mut out, (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 10.0), "middle", INK, &chart.x);
    let middle = at(f64::midpoint(TOP, HEIGHT - BOTTOM));
    let _ = write!(
        out,
        "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"{INK}\">{}</text>",
        escape(&chart.y)
    );
    for threshold in chart.thresholds.iter().filter(|t| t.y.is_finite()) {
        let (_, v) = place(0.0, threshold.y);
        line(&mut out, (LEFT, v), (WIDTH - RIGHT, v), INK, "stroke-dasharray=\"5 4\"");
        // The name stands above its line, and below it where there is no room above.
        let above = if v < TOP + 16.0 { 14.0 } else { -5.0 };
        text(&mut out, (WIDTH - RIGHT - 4.0, v + above), "end", INK, &threshold.name);
    }
    for (n, series) in chart.series.iter().enumerate() {
        draw(&mut out, series, n, &place);
        let v = HEIGHT + LEGEND * n as f64 + 4.0;
        marker(&mut out, (LEFT + 6.0, v), n, "");
        text(&mut out, (LEFT + 18.0, v + 4.0), "start", INK, &series.name);
    }
    out.push_str("</svg>");
    out
}

fn draw(out: &mut String, series: &Series, n: usize, place: &dyn Fn(f64, f64) -> (f64, f64)) {
    let shown: Vec<&Point> = series.points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    if series.mark == Mark::Line && shown.len() > 1 {
        let _ =
            write!(out, "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"", colour(n));
        for p in &shown {
            let (h, v) = place(p.x, p.y);
            let _ = write!(out, "{},{} ", at(h), at(v));
        }
        out.push_str("\"/>");
    }
    for p in shown {
        let centre = place(p.x, p.y);
        if let Some((low, high)) = p.interval.filter(|(l, h)| l.is_finite() && h.is_finite()) {
            let (from, to) = (place(p.x, low), place(p.x, high));
            line(out, from, to, colour(n), "stroke-width=\"1.5\"");
            for end in [from, to] {
                line(out, (end.0 - 4.0, end.1), (end.0 + 4.0, end.1), colour(n), "stroke-width=\"1.5\"");
            }
        }
        marker(out, centre, n, &p.label);
    }
}

/// A mark whose form tells the series even without colour.
fn marker(out: &mut String, (h, v): (f64, f64), n: usize, label: &str) {
    let name = if label.is_empty() { String::new() } else { format!("<title>{}</title>", escape(label)) };
    let c = colour(n);
    let _ = match n % 4 {
        0 => write!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"4\" fill=\"{c}\">{name}</circle>", at(h), at(v)),
        1 => write!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"8\" height=\"8\" fill=\"{c}\">{name}</rect>",
            at(h - 4.0),
            at(v - 4.0)
        ),
        2 => write!(out, "<path d=\"M{} {}l5 8.5h-10z\" fill=\"{c}\">{name}</path>", at(h), at(v - 5.0)),
        _ => write!(out, "<path d=\"M{} {}l5 5-5 5-5-5z\" fill=\"{c}\">{name}</path>", at(h), at(v - 5.0)),
    };
}
