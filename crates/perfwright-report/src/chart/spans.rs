//! What happened when: lanes of spans over one clock.

use std::fmt::Write as _;

use super::axis::Axis;
use super::svg::{FAINT, INK, RULE, at, line, open, text};
use crate::html::escape;

/// Lanes over one clock that starts at 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Spans {
    /// Heading, and the chart's name for screen readers.
    pub title: String,
    /// What the chart shows, in a sentence, for people who cannot see it.
    pub about: String,
    /// The lanes, from top to bottom.
    pub lanes: Vec<Lane>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// What happened in it.
    pub spans: Vec<Span>,
}

/// Something that took time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Begin in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// What it was.
    pub name: String,
    /// How it went.
    pub tone: Tone,
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to say.
    Plain,
    /// Well.
    Good,
    /// Refused or failed.
    Bad,
    /// Undecided.
    Open,
}

impl Tone {
    fn fill(self) -> &'static str {
        match self {
            Self::Plain => "var(--plain, #6e7781)",
            Self::Good => "var(--good, #1a7f37)",
            Self::Bad => "var(--bad, #cf222e)",
            Self::Open => "var(--open, #9a6700)",
        }
    }
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 16.0;
const LANE: f64 = 26.0;

/// Draws the lanes.
pub fn spans(chart: &Spans) -> String {
    let all = || chart.lanes.iter().flat_map(|l| &l.spans);
    let x = Axis::over(std::iter::once(0.0).chain(all().flat_map(|s| [s.start, s.end])));
    let place = |t: f64| LEFT + x.part(t) * (WIDTH - LEFT - RIGHT);
    let bottom = LANE * chart.lanes.len() as f64 + 6.0;
    let mut out = open(WIDTH, bottom + 40.0, &chart.title, &chart.about);
    for tick in &x.ticks {
        let h = place(*tick);
        line(&mut out, (h, 0.0), (h, bottom), RULE, "");
        text(&mut out, (h, bottom + 16.0), "middle", FAINT, &x.label(*tick));
    }
    text(&mut out, (f64::midpoint(LEFT, WIDTH - RIGHT), bottom + 34.0), "middle", INK, "time [s]");
    for (n, lane) in chart.lanes.iter().enumerate() {
        let top = LANE * n as f64 + 4.0;
        text(&mut out, (LEFT - 8.0, top + 14.0), "end", INK, &crate::text::shorten_middle(&lane.name, 15));
        for span in lane.spans.iter().filter(|s| s.start.is_finite() && s.end.is_finite()) {
            let (from, to) = (place(span.start), place(span.end.max(span.start)));
            let _ = write!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" fill=\"{}\"><title>{}</title></rect>",
                at(from),
                at(top),
                at((to - from).max(1.5)),
                at(LANE - 8.0),
                span.tone.fill(),
                escape(&format!("{} ({:.2} s to {:.2} s)", span.name, span.start, span.end))
            );
        }
    }
    out.push_str("</svg>");
    out
}
