//! A page with every kind of block, each holding the same text and number.

use perfwright_report::chart::{Lane, Mark, Plot, Point, Series, Span, Spans, Threshold, Tone};
use perfwright_report::html::{Badge, Block, Page, page};
use perfwright_report::{Cell, Column, Document, Table};

#[expect(unreachable_pub, reason = "a test and an example include the same file")]
pub fn whole(text: &str, number: f64) -> String {
    let text = text.to_owned();
    let mut table =
        Table::new("t", text.clone(), vec![Column::code("a", text.clone()), Column::number("b", "B")]);
    table.push(vec![Cell::text(text.clone()), Cell::Ratio(number)]);
    table.notes.push(text.clone());
    let mut doc = Document::new("d");
    doc.fact(text.clone(), Cell::text(text.clone()));
    let point = Point { x: number, y: number, interval: Some((number, 1.0)), label: text.clone() };
    let plot = Plot {
        title: text.clone(),
        about: text.clone(),
        x: text.clone(),
        y: text.clone(),
        series: vec![Series { name: text.clone(), mark: Mark::Line, points: vec![point.clone(), point] }; 5],
        thresholds: vec![Threshold { y: number, name: text.clone() }],
    };
    let span = Span { start: number, end: 2.0, name: text.clone(), tone: Tone::Bad };
    let spans = Spans {
        title: text.clone(),
        about: text.clone(),
        lanes: vec![Lane { name: text.clone(), spans: vec![span] }],
    };
    let badge = Badge { text: text.clone(), tone: Tone::Good };
    page(&Page {
        title: text.clone(),
        lead: text.clone(),
        badge: Some(badge.clone()),
        blocks: vec![
            Block::Heading(text.clone()),
            Block::Heading(text.clone()),
            Block::Heading(text.clone()),
            Block::Text(text.clone()),
            Block::Warning(text.clone()),
            Block::Facts(doc.facts.clone()),
            Block::Notes(vec![text.clone()]),
            Block::Table(table),
            Block::Plot(plot),
            Block::Spans(spans),
            Block::Code(text.clone()),
            Block::Steps(vec![(badge, text.clone())]),
        ],
        footer: text,
    })
}
