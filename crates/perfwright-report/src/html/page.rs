//! Pages and their blocks.

use std::fmt::Write as _;

use super::escape;
use super::table::{facts, notes, table};
use crate::chart::{Plot, Spans, plot, spans};
use crate::document::{Document, Fact};
use crate::table::Table;

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Heading.
    pub title: String,
    /// The answer in one sentence, under the heading.
    pub lead: String,
    /// The verdict or state, beside the heading.
    pub badge: Option<Badge>,
    /// The parts, in reading order.
    pub blocks: Vec<Block>,
    /// What made the page and from what, at its end.
    pub footer: String,
}

/// One word that says how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The word.
    pub text: String,
    /// How it went.
    pub tone: Tone,
}

pub use crate::chart::Tone;

/// One part of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading of the second level; it becomes a link in the page's contents.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A warning in a box.
    Warning(String),
    /// Labelled values.
    Facts(Vec<Fact>),
    /// Sentences in a list.
    Notes(Vec<String>),
    /// A table.
    Table(Table),
    /// A chart of points.
    Plot(Plot),
    /// A chart of spans.
    Spans(Spans),
    /// Literal text: a command, a log line, a diff.
    Code(String),
    /// Events in their order, each with how it went.
    Steps(Vec<(Badge, String)>),
}

/// The whole file.
pub fn page(page: &Page) -> String {
    let mut out = String::with_capacity(16 << 10);
    let title = escape(&page.title);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <link rel=\"icon\" href=\"data:,\">\
         <title>{title}</title><style>{}</style></head><body><main>\n<h1>{title}",
        include_str!("style.css")
    );
    if let Some(found) = &page.badge {
        out.push(' ');
        badge(&mut out, found);
    }
    out.push_str("</h1>\n");
    if !page.lead.is_empty() {
        let _ = writeln!(out, "<p class=\"lead\">{}</p>", escape(&page.lead));
    }
    let headings: Vec<&String> = page
        .blocks
        .iter()
        .filter_map(|b| if let Block::Heading(text) = b { Some(text) } else { None })
        .collect();
    if headings.len() > 2 {
        out.push_str("<nav aria-label=\"Contents\">");
        for (n, heading) in headings.iter().enumerate() {
            let _ = write!(out, "<a href=\"#s{}\">{}</a>", n + 1, escape(heading));
        }
        out.push_str("</nav>\n");
    }
    let mut section = 0;
    for each in &page.blocks {
        if let Block::Heading(text) = each {
            section += 1;
            let _ = writeln!(out, "<h2 id=\"s{section}\">{}</h2>", escape(text));
        } else {
            block(&mut out, each, if section > 0 { 3 } else { 2 });
        }
    }
    if !page.footer.is_empty() {
        let _ = writeln!(out, "<footer>{}</footer>", escape(&page.footer));
    }
    out.push_str("</main></body></html>\n");
    out
}

/// A document as a page of its own.
pub fn document(document: &Document) -> String {
    let mut blocks: Vec<Block> = document.warnings.iter().cloned().map(Block::Warning).collect();
    blocks.push(Block::Facts(document.facts.clone()));
    blocks.extend(document.tables.iter().cloned().map(Block::Table));
    blocks.push(Block::Notes(document.notes.clone()));
    page(&Page { title: document.title.clone(), blocks, ..Page::default() })
}

fn badge(out: &mut String, badge: &Badge) {
    let tone = match badge.tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Open => "open",
    };
    let _ = write!(out, "<span class=\"badge {tone}\">{}</span>", escape(&badge.text));
}

fn block(out: &mut String, block: &Block, level: u8) {
    match block {
        Block::Heading(_) => {}
        Block::Text(text) => {
            let _ = writeln!(out, "<p>{}</p>", escape(text));
        }
        Block::Warning(text) => {
            let _ = writeln!(out, "<p class=\"warning\"><b>warning:</b> {}</p>", escape(text));
        }
        Block::Facts(all) => facts(out, all),
        Block::Notes(all) => notes(out, all),
        Block::Table(each) => table(out, each, level),
        Block::Plot(chart) => figure(out, &chart.title, &plot(chart), level),
        Block::Spans(chart) => figure(out, &chart.title, &spans(chart), level),
        Block::Code(text) => {
            out.push_str("<pre tabindex=\"0\"><code>");
            for line in text.lines() {
                out.push_str(&escape(line));
                out.push('\n');
            }
            out.push_str("</code></pre>\n");
        }
        Block::Steps(all) => {
            out.push_str("<ol class=\"steps\">");
            for (how, text) in all {
                out.push_str("<li>");
                badge(out, how);
                let _ = write!(out, "<span>{}</span></li>", escape(text));
            }
            out.push_str("</ol>\n");
        }
    }
}

fn figure(out: &mut String, title: &str, svg: &str, level: u8) {
    let _ = writeln!(
        out,
        "<h{level}>{}</h{level}><div class=\"scroll figure\" tabindex=\"0\">{svg}</div>",
        escape(title)
    );
}
