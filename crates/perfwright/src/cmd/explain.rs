//! `perfwright explain`: the catalogue of diagnostic codes.

use perfwright_report::text::wrap;
use perfwright_report::{Cell, Column, Document, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cli::ExplainArgs;
use crate::codes::{self, Catalogue, Entry};
use crate::context::{Context, Outcome};
use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::settings::Format;

/// Schema name of [`CodesReport`].
const SCHEMA: &str = "perfwright.codes/v1";

/// Columns beyond which running text is tiring to read.
const READING_WIDTH: usize = 90;

/// What `explain --format json` prints, with one code or with all of them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CodesReport {
    /// `perfwright.codes/v1`.
    schema: String,
    /// The codes, in ascending order.
    codes: Vec<Entry>,
}

/// Prints one code or all of them.
pub(crate) fn run(args: &ExplainArgs, context: &mut Context) -> Outcome {
    let catalogue = Catalogue::load().map_err(|error| {
        Diagnostic::new(codes::INTERNAL, "the catalogue of codes does not parse").cause(error.to_string())
    })?;
    match &args.code {
        None => {
            let document = list(&catalogue);
            // The list is the whole answer to "which codes are there", so no row limit cuts it.
            context.settings.limit = None;
            context.answer(document, &report(&catalogue.code))?;
        }
        Some(typed) => {
            let entry = catalogue.find(typed).ok_or_else(|| {
                Diagnostic::new(codes::USAGE, format!("there is no code {typed:?}"))
                    .help("`perfwright explain` lists every code")
            })?;
            if context.settings.format == Format::Table {
                let width = context.width().unwrap_or(READING_WIDTH).min(READING_WIDTH);
                context.text(&page(entry, width))?;
            } else {
                context.answer(one(entry), &report(std::slice::from_ref(entry)))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn report(entries: &[Entry]) -> CodesReport {
    CodesReport { schema: SCHEMA.to_owned(), codes: entries.to_vec() }
}

fn list(catalogue: &Catalogue) -> Document {
    let mut document = Document::new("Diagnostic codes");
    let mut table = Table::new(
        "codes",
        "Codes",
        vec![
            Column::text("code", "Code"),
            Column::text("severity", "Severity"),
            Column::number("exit", "Exit"),
            Column::text("title", "Title"),
            Column::text("group", "Group"),
        ],
    );
    for entry in &catalogue.code {
        let group = catalogue.group.iter().find(|group| entry.id.starts_with(&group.prefix));
        table.push(vec![
            Cell::text(&entry.id),
            Cell::text(severity(entry)),
            Cell::Int(i64::from(entry.exit)),
            Cell::text(&entry.title),
            group.map_or(Cell::Empty, |group| Cell::text(&group.title)),
        ]);
    }
    document.tables.push(table);
    document.notes.push("`perfwright explain CODE` says what a code means and what to do.".to_owned());
    document
}

fn severity(entry: &Entry) -> &'static str {
    match entry.severity {
        codes::Severity::Error => "error",
        codes::Severity::Warning => "warning",
    }
}

/// One code as a table of one row, for CSV and Markdown.
fn one(entry: &Entry) -> Document {
    let mut document = Document::new(format!("{}: {}", entry.id, entry.title));
    let mut table = Table::new(
        "codes",
        "Code",
        vec![
            Column::text("code", "Code"),
            Column::text("severity", "Severity"),
            Column::number("exit", "Exit"),
            Column::text("meaning", "Meaning"),
            Column::text("action", "What to do"),
            Column::code("example", "Example"),
        ],
    );
    table.push(vec![
        Cell::text(&entry.id),
        Cell::text(severity(entry)),
        Cell::Int(i64::from(entry.exit)),
        Cell::text(&entry.meaning),
        Cell::text(&entry.action),
        Cell::text(&entry.example),
    ]);
    document.tables.push(table);
    document
}

/// One code as a page to read. The texts are our own, so they need no cleaning.
fn page(entry: &Entry, width: usize) -> String {
    let exit = Exit::ALL.iter().find(|exit| exit.number() == entry.exit).map_or("", |exit| exit.meaning());
    let ends = match entry.severity {
        codes::Severity::Error => format!("error, exit code {}: {exit}", entry.exit),
        codes::Severity::Warning => "warning: the command goes on".to_owned(),
    };
    let indented = |lines: Vec<String>| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let running = |text: &str| indented(wrap(text, width.saturating_sub(2)));
    format!(
        "{}: {}\n({ends})\n\nWhat it means\n{}\nWhat to do\n{}\nExample\n{}",
        entry.id,
        entry.title,
        running(&entry.meaning),
        running(&entry.action),
        indented(entry.example.lines().map(str::to_owned).collect())
    )
}
