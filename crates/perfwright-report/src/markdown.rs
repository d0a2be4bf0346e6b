//! GitHub-flavoured Markdown.
//!
//! Text is escaped so that it reads as it is: no cell can end its row, open a tag, mention somebody or pull an image.

use std::borrow::Cow;

use crate::cell::Cell;
use crate::document::Document;
use crate::table::{Align, Column, Table};
use crate::text::{shorten_middle, visible};

/// How to write Markdown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Columns after which a text cell loses its middle; without it every cell is written in full.
    pub max_cell: Option<usize>,
}

/// The whole document.
pub fn document(document: &Document, options: Options) -> String {
    let mut out = format!("# {}\n", escaped(&document.title));
    for warning in &document.warnings {
        out.push_str(&format!("\n> **warning:** {}\n", escaped(warning)));
    }
    if !document.facts.is_empty() {
        out.push('\n');
        for fact in &document.facts {
            out.push_str(&format!("- {}: {}\n", escaped(&fact.label), plain_cell(&fact.value)));
        }
    }
    for each in &document.tables {
        out.push('\n');
        out.push_str(&table(each, options));
    }
    if !document.notes.is_empty() {
        out.push('\n');
        notes(&mut out, &document.notes);
    }
    out
}

/// One table under a second-level heading, with its notes and what was left off.
pub fn table(table: &Table, options: Options) -> String {
    let mut out = format!("## {}\n\n", escaped(&table.title));
    out.push('|');
    for column in &table.columns {
        out.push_str(&format!(" {} |", escaped(&column.heading())));
    }
    out.push_str("\n|");
    for column in &table.columns {
        out.push_str(match column.align {
            Align::Left => " --- |",
            Align::Right => " ---: |",
        });
    }
    out.push('\n');
    for row in &table.rows {
        out.push('|');
        for (index, column) in table.columns.iter().enumerate() {
            out.push_str(&format!(" {} |", cell(table.cell(row, index), column, options)));
        }
        out.push('\n');
    }
    if let Some(left_off) = table.left_off {
        out.push_str(&format!("\n*{}*\n", left_off.line()));
    }
    if !table.notes.is_empty() {
        out.push('\n');
        notes(&mut out, &table.notes);
    }
    out
}

fn notes(out: &mut String, notes: &[String]) {
    for note in notes {
        out.push_str(&format!("- {}\n", escaped(note)));
    }
}

fn cell(cell: &Cell, column: &Column, options: Options) -> String {
    let Cell::Text(text) = cell else {
        return plain_cell(cell);
    };
    let text = visible(text);
    let text = match options.max_cell {
        Some(max) => shorten_middle(&text, max),
        None => text,
    };
    if column.code { code(&text).into_owned() } else { escape(&text) }
}

fn plain_cell(cell: &Cell) -> String {
    escaped(&cell.shown())
}

/// The text made visible and escaped.
fn escaped(text: &str) -> String {
    escape(&visible(text))
}

/// A backslash before every character that Markdown or HTML could take as markup. A single `_` or `#` inside a word
/// is none, and kernel names are full of them.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let in_word = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        let markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' | '!' => true,
            '_' | '@' | ':' => !in_word && !(c == ':' && (before == ':' || rest.peek() != Some(&'/'))),
            '#' | '+' | '-' => before == ' ' && out.trim_end().is_empty(),
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A code span. In a table a `|` must be escaped even there, and a backslash before it would undo that, so such a
/// text is escaped as plain text instead.
fn code(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("");
    }
    if text.contains("\\|") || text.ends_with('\\') || text.trim().is_empty() {
        return Cow::Owned(escape(text));
    }
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    // A span that starts or ends with a backtick needs a space, which Markdown takes off again.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    Cow::Owned(format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_names_stay_readable() {
        assert_eq!(escape("at::native::fill_kernel<4>"), "at::native::fill_kernel\\<4\\>");
        assert_eq!(escape("a|b\\c"), "a\\|b\\\\c");
        assert_eq!(escape("__init__.py"), "\\_\\_init\\_\\_.py");
        assert_eq!(escape("![x](http://host)"), "\\!\\[x\\](http\\://host)");
        assert_eq!(escape("hello @somebody"), "hello \\@somebody");
        assert_eq!(escape("- item"), "\\- item");
    }

    #[test]
    fn code_spans_cannot_be_left() {
        assert_eq!(code("void f<int>(a|b)"), "`void f<int>(a\\|b)`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`x`"), "`` `x` ``");
        assert_eq!(code("a\\|b"), "a\\\\\\|b");
        assert_eq!(code(""), "");
    }
}
