//! Terminal text: aligned columns inside a given width.

use std::borrow::Cow;

use crate::cell::Cell;
use crate::document::Document;
use crate::table::{Align, Table};
use crate::text::{shorten_middle, visible, width, wrap};

/// How to write terminal text. The caller decides; nothing here looks at a terminal or at the environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Columns no line exceeds; without it nothing is shortened.
    pub width: Option<usize>,
    /// Whether to style with ANSI sequences.
    pub color: bool,
}

/// Blanks between two columns.
const GAP: usize = 2;

/// A text column is not squeezed below this; when even that does not fit, rows are written as records.
const MIN_TEXT: usize = 12;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const YELLOW: &str = "\x1b[33m";

/// The whole document, ending with a newline.
pub fn document(document: &Document, options: Options) -> String {
    let mut page = Page { out: String::new(), options };
    page.sentence(BOLD, "", &document.title);
    for warning in &document.warnings {
        page.sentence(YELLOW, "warning: ", warning);
    }
    page.facts(document);
    for table in &document.tables {
        page.blank();
        page.table(table);
    }
    if !document.notes.is_empty() {
        page.blank();
        page.notes(&document.notes);
    }
    page.out
}

/// One table with its title, notes and what was left off.
pub fn table(table: &Table, options: Options) -> String {
    let mut page = Page { out: String::new(), options };
    page.table(table);
    page.out
}

struct Page {
    out: String,
    options: Options,
}

impl Page {
    fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A line that is already harmless and fits.
    fn line(&mut self, style: &str, text: &str) {
        let text = text.trim_end();
        if self.options.color && !style.is_empty() && !text.is_empty() {
            self.out.push_str(&format!("{style}{text}\x1b[0m\n"));
        } else {
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    /// Running text behind a lead (`warning: `), wrapped, its later lines indented by two.
    fn sentence(&mut self, style: &str, lead: &str, text: &str) {
        let text = format!("{lead}{}", visible(text));
        let Some(max) = self.options.width else {
            return self.line(style, &text);
        };
        let indent = if max > 2 { "  " } else { "" };
        let mut lines = wrap(&text, max).into_iter();
        if let Some(first) = lines.next() {
            let rest = text.trim_start().strip_prefix(first.as_str()).map(str::trim_start);
            self.line(style, &first);
            match rest {
                Some("") => {}
                Some(rest) => {
                    for line in wrap(rest, max - indent.len()) {
                        self.line(style, &format!("{indent}{line}"));
                    }
                }
                // The first word was shortened, or blanks were joined: go on with the lines as they were wrapped.
                None => lines.for_each(|line| self.line(style, &line)),
            }
        }
    }

    fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.sentence(DIM, "", note);
        }
    }

    fn facts(&mut self, document: &Document) {
        let label = document.facts.iter().map(|fact| width(&visible(&fact.label))).max().unwrap_or(0);
        for fact in &document.facts {
            self.pair(label, &fact.label, &fact.value);
        }
    }

    /// `label   value` on one line; the label gives way only after the value has.
    fn pair(&mut self, label_width: usize, label: &str, value: &Cell) {
        let shown = value.shown();
        let mut line = visible(label).into_owned();
        pad(&mut line, label_width);
        line.push_str("  ");
        let value = visible(&shown);
        let line = match self.options.width {
            Some(max) if max > label_width + 2 + 4 => {
                line.push_str(&shorten_middle(&value, max - label_width - 2));
                Cow::Owned(line)
            }
            Some(max) => {
                line.push_str(&value);
                Cow::Owned(shorten_middle(&line, max).into_owned())
            }
            None => {
                line.push_str(&value);
                Cow::Owned(line)
            }
        };
        self.line("", &line);
    }

    fn table(&mut self, table: &Table) {
        self.sentence(BOLD, "", &table.title);
        let cells = Texts::of(table);
        match cells.widths(table, self.options.width) {
            Some(widths) => self.grid(table, &cells, &widths),
            None => self.records(table),
        }
        if table.rows.is_empty() && table.left_off.is_none() {
            self.sentence(DIM, "", "(no rows)");
        }
        if let Some(left_off) = table.left_off {
            self.sentence(DIM, "", &left_off.line());
        }
        self.notes(&table.notes);
    }

    fn grid(&mut self, table: &Table, cells: &Texts<'_>, widths: &[usize]) {
        let header = join(table, &cells.header, widths);
        self.line(BOLD, &header);
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        self.line(DIM, &rule.join(&" ".repeat(GAP)));
        for row in &cells.rows {
            let line = join(table, row, widths);
            self.line("", &line);
        }
    }

    /// One `label  value` line per cell, for a terminal too narrow for the table.
    fn records(&mut self, table: &Table) {
        let label = table.columns.iter().map(|column| width(&visible(&column.heading()))).max().unwrap_or(0);
        for (index, row) in table.rows.iter().enumerate() {
            if index > 0 {
                self.blank();
            }
            for (at, column) in table.columns.iter().enumerate() {
                self.pair(label, &column.heading(), table.cell(row, at));
            }
        }
    }
}

/// The texts of a table, made visible.
struct Texts<'a> {
    header: Vec<Cow<'a, str>>,
    rows: Vec<Vec<Cow<'a, str>>>,
}

impl<'a> Texts<'a> {
    fn of(table: &'a Table) -> Self {
        let owned = |text: Cow<'a, str>| match text {
            Cow::Borrowed(text) => visible(text),
            Cow::Owned(text) => Cow::Owned(visible(&text).into_owned()),
        };
        let columns = 0..table.columns.len();
        Self {
            header: table.columns.iter().map(|column| owned(column.heading())).collect(),
            rows: table
                .rows
                .iter()
                .map(|row| columns.clone().map(|at| owned(table.cell(row, at).shown())).collect())
                .collect(),
        }
    }

    /// The width of each column, or nothing when the table cannot fit as a grid.
    fn widths(&self, table: &Table, max: Option<usize>) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = self.header.iter().map(|text| width(text)).collect();
        for row in &self.rows {
            for (at, text) in row.iter().enumerate() {
                widths[at] = widths[at].max(width(text));
            }
        }
        let Some(max) = max else {
            return Some(widths);
        };
        let gaps = GAP * widths.len().saturating_sub(1);
        let is_text = |at: usize| table.columns[at].align == Align::Left;
        let fixed: usize = (0..widths.len()).filter(|at| !is_text(*at)).map(|at| widths[at]).sum();
        let room = max.checked_sub(gaps + fixed)?;
        let mut texts: Vec<usize> = (0..widths.len()).filter(|at| is_text(*at)).collect();
        if texts.iter().map(|at| widths[*at].min(MIN_TEXT)).sum::<usize>() > room {
            return None;
        }
        // Narrow columns keep their width; the wide ones share what is left evenly.
        texts.sort_by_key(|at| widths[*at]);
        let mut room = room;
        for (done, at) in texts.iter().enumerate() {
            let fair = room / (texts.len() - done);
            widths[*at] = widths[*at].min(fair);
            room -= widths[*at];
        }
        Some(widths)
    }
}

fn join(table: &Table, cells: &[Cow<'_, str>], widths: &[usize]) -> String {
    let mut line = String::new();
    for (at, text) in cells.iter().enumerate() {
        if at > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let text = shorten_middle(text, widths[at]);
        let missing = widths[at].saturating_sub(width(&text));
        if table.columns[at].align == Align::Right {
            line.push_str(&" ".repeat(missing));
            line.push_str(&text);
        } else {
            line.push_str(&text);
            line.push_str(&" ".repeat(missing));
        }
    }
    line
}

fn pad(line: &mut String, to: usize) {
    let missing = to.saturating_sub(width(line));
    line.push_str(&" ".repeat(missing));
}
