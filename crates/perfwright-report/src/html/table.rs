//! Tables, facts and notes.

use std::fmt::Write as _;

use super::escape;
use crate::cell::Cell;
use crate::document::Fact;
use crate::table::{Align, Column, Table};

/// A table that scrolls in itself where the page is narrow.
pub(super) fn table(out: &mut String, table: &Table, level: u8) {
    let _ = write!(out, "<h{level}>{}</h{level}>", escape(&table.title));
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for column in &table.columns {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", side(column), escape(&column.heading()));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (index, column) in table.columns.iter().enumerate() {
            let _ = write!(out, "<td{}>", side(column));
            match table.cell(row, index) {
                Cell::Text(name) if column.link && !name.is_empty() => {
                    let _ = write!(out, "<a href=\"{}\">", beside(name));
                    cell(out, table.cell(row, index), column.code);
                    out.push_str("</a>");
                }
                other => cell(out, other, column.code),
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    if table.rows.is_empty() {
        out.push_str("<p class=\"faint\">no rows</p>\n");
    }
    if let Some(left_off) = table.left_off {
        let _ = writeln!(out, "<p class=\"faint\">{}</p>", escape(&left_off.line()));
    }
    notes(out, &table.notes);
}

/// A file's name as a relative address: it can name nothing but a file below the page's folder, whatever it holds.
fn beside(name: &str) -> String {
    let mut out = String::from("./");
    for byte in name.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn side(column: &Column) -> &'static str {
    match column.align {
        Align::Left => "",
        Align::Right => " class=\"num\"",
    }
}

fn cell(out: &mut String, cell: &Cell, code: bool) {
    let shown = escape(&cell.shown());
    // Readers see rounded values; the exact one shows when it is pointed at.
    match cell {
        Cell::DurationNs(ns) => {
            let _ = write!(out, "<span title=\"{ns} ns\">{shown}</span>");
        }
        Cell::Share(_) | Cell::Ratio(_) | Cell::Bytes(_) => {
            let _ = write!(out, "<span title=\"{}\">{shown}</span>", escape(&cell.exact()));
        }
        Cell::Text(text) if code && !text.is_empty() => {
            let _ = write!(out, "<code>{shown}</code>");
        }
        _ => out.push_str(&shown),
    }
}

pub(super) fn facts(out: &mut String, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    out.push_str("<dl>");
    for fact in facts {
        let _ = write!(out, "<div><dt>{}</dt><dd>", escape(&fact.label));
        cell(out, &fact.value, false);
        out.push_str("</dd></div>");
    }
    out.push_str("</dl>\n");
}

pub(super) fn notes(out: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    out.push_str("<ul class=\"notes\">");
    for note in notes {
        let _ = write!(out, "<li>{}</li>", escape(note));
    }
    out.push_str("</ul>\n");
}
