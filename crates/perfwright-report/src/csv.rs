//! CSV after RFC 4180: full values, CRLF line ends, quotes where needed.
//!
//! Two choices differ from a byte-exact dump; JSON is the lossless format:
//! - Control characters are written out (`\n`, `\x1b`), so one record is always one line.
//! - Text that a spreadsheet would evaluate as a formula (it starts with `=`, `+`, `-` or `@`, also full-width, also
//!   behind spaces) gets a leading `'`. Names in a trace come from whoever made the trace, and a CSV file is mostly
//!   opened in a spreadsheet. Numbers are ours and never marked: a negative duration stays a number.

use crate::cell::Cell;
use crate::document::Document;
use crate::table::Table;
use crate::text::visible;

/// The header record and one record per row.
pub fn table(table: &Table) -> String {
    let mut out = String::new();
    records(&mut out, table, None);
    out
}

/// All tables of a document, one after the other, each with its header record. The first field of every record names
/// the table, so that `grep '^kernels,'` gives a CSV file of one table. Facts, notes and warnings are left out.
pub fn document(document: &Document) -> String {
    let mut out = String::new();
    for table in &document.tables {
        records(&mut out, table, Some(&table.name));
    }
    out
}

fn records(out: &mut String, table: &Table, name: Option<&str>) {
    let header: Vec<Cell> = table.columns.iter().map(|column| Cell::text(column.key.as_ref())).collect();
    for row in std::iter::once(&header).chain(&table.rows) {
        let mut first = true;
        if let Some(name) = name {
            field(out, &Cell::text(name));
            first = false;
        }
        for index in 0..table.columns.len() {
            if !first {
                out.push(',');
            }
            first = false;
            field(out, table.cell(row, index));
        }
        out.push_str("\r\n");
    }
}

fn field(out: &mut String, cell: &Cell) {
    let exact = cell.exact();
    let text = visible(&exact);
    let formula = matches!(cell, Cell::Text(_))
        && text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let mark = if formula { "'" } else { "" };
    if text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ') {
        out.push('"');
        out.push_str(mark);
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(mark);
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn one_cell(cell: Cell) -> String {
        let mut t = Table::new("t", "T", vec![Column::text("value", "Value")]);
        t.push(vec![cell]);
        table(&t).strip_prefix("value\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn fields_are_quoted_where_needed_and_exact() {
        assert_eq!(one_cell("plain".into()), "plain");
        assert_eq!(one_cell("a,b \"c\"".into()), "\"a,b \"\"c\"\"\"");
        assert_eq!(one_cell("two\nlines".into()), "two\\nlines");
        assert_eq!(one_cell(Cell::DurationNs(-1_234_567)), "-1234567");
        assert_eq!(one_cell(Cell::Share(0.1)), "0.1");
        assert_eq!(one_cell(Cell::Bytes(1 << 40)), "1099511627776");
        assert_eq!(one_cell(Cell::Ratio(f64::NAN)), "");
        assert_eq!(one_cell(Cell::Empty), "");
    }

    #[test]
    fn formulas_are_marked() {
        assert_eq!(one_cell("=HYPERLINK(\"http://x\",1)".into()), "\"'=HYPERLINK(\"\"http://x\"\",1)\"");
        assert_eq!(one_cell("@SUM(A1)".into()), "'@SUM(A1)");
        assert_eq!(one_cell("  +1".into()), "\"'  +1\"");
        assert_eq!(one_cell("a=b".into()), "a=b");
    }

    #[test]
    fn a_document_names_its_tables_in_the_first_field() {
        let mut a = Table::new("a", "A", vec![Column::text("k", "K"), Column::number("n", "N")]);
        a.push(vec!["x".into(), Cell::Int(1)]);
        a.push(vec!["short row".into()]);
        let b = Table::new("b", "B", vec![Column::text("z", "Z")]);
        let mut doc = Document::new("D");
        doc.tables = vec![a, b];
        assert_eq!(document(&doc), "a,k,n\r\na,x,1\r\na,short row,\r\nb,z\r\n");
    }
}
