//! The table: columns, rows, and what was left off.

use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::cell::Cell;
use crate::number;

/// Which side a column's values stand at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// Text.
    Left,
    /// Numbers, so that digits of the same weight stand below each other.
    Right,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Stable name for machines: CSV header and JSON key, `snake_case`.
    pub key: Cow<'static, str>,
    /// Heading for people.
    pub label: Cow<'static, str>,
    /// Side at which the values stand.
    pub align: Align,
    /// Unit of plain numbers, shown behind the label. Durations, bytes and shares bring their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Cow<'static, str>>,
    /// The text is literal (a kernel name, a path, a command): Markdown sets it as code.
    #[serde(skip)]
    pub code: bool,
    /// The text names a file beside a page: HTML makes a link of it.
    #[serde(skip)]
    pub link: bool,
}

impl Column {
    /// A column of words.
    pub fn text(key: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            align: Align::Left,
            unit: None,
            code: false,
            link: false,
        }
    }

    /// A column of literal text: names, paths, commands.
    pub fn code(key: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self { code: true, ..Self::text(key, label) }
    }

    /// A column of names of files, relative to where a page lies.
    pub fn link(key: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self { link: true, ..Self::code(key, label) }
    }

    /// A column of numbers of any kind.
    pub fn number(key: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self { align: Align::Right, ..Self::text(key, label) }
    }

    /// The same column with the unit of its plain numbers.
    #[must_use]
    pub fn with_unit(mut self, unit: impl Into<Cow<'static, str>>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Label and unit, as the heading shows them.
    pub(crate) fn heading(&self) -> Cow<'_, str> {
        match &self.unit {
            Some(unit) => Cow::Owned(format!("{} [{unit}]", self.label)),
            None => Cow::Borrowed(&self.label),
        }
    }
}

/// Rows that exist and are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LeftOff {
    /// How many rows.
    pub rows: u64,
    /// Which part of the table's weight they hold, 0 to 1, where the table has a weight column.
    pub share: Option<f64>,
}

impl LeftOff {
    /// The line for readers: `left off 12 rows (3.40 %)`.
    pub fn line(&self) -> String {
        let rows = if self.rows == 1 { "row" } else { "rows" };
        match self.share {
            Some(share) => format!("left off {} {rows} ({})", self.rows, number::share(share)),
            None => format!("left off {} {rows}", self.rows),
        }
    }
}

/// A table of plain data. Rows keep the order the caller gave them. A row shorter than the columns counts as filled
/// up with [`Cell::Empty`]; cells beyond the last column are not shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Stable name for machines, `snake_case`.
    pub name: Cow<'static, str>,
    /// Heading for people.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// Key of the column that says how much a row weighs, used for [`LeftOff::share`].
    pub weight: Option<Cow<'static, str>>,
    /// Rows that exist and are not in `rows`.
    pub left_off: Option<LeftOff>,
    /// Sentences printed below the table.
    pub notes: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: impl Into<Cow<'static, str>>, title: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            columns,
            rows: Vec::new(),
            weight: None,
            left_off: None,
            notes: Vec::new(),
        }
    }

    /// The same table, weighing its rows by the column `key`.
    #[must_use]
    pub fn weighted_by(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.weight = Some(key.into());
        self
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Keeps the first `rows` rows and counts the others into [`Table::left_off`], on top of what was left off
    /// before. In a weight column of shares the lost share is their sum; in any other it is the part of the column's
    /// sum.
    pub fn limit(&mut self, rows: usize) {
        if self.rows.len() <= rows {
            return;
        }
        let dropped = self.rows.len() - rows;
        let lost = self.lost_share(rows);
        self.rows.truncate(rows);
        self.left_off = Some(match self.left_off {
            None => LeftOff { rows: dropped as u64, share: lost.map(|(share, _)| share) },
            Some(before) => LeftOff {
                rows: before.rows.saturating_add(dropped as u64),
                share: before.share.zip(lost).map(|(before, (share, of_whole))| {
                    if of_whole { before + share } else { before + (1.0 - before) * share }
                }),
            },
        });
    }

    /// The weight of the rows from `from` on, and whether it is a share of the whole (a sum of shares) or only of
    /// the rows present.
    fn lost_share(&self, from: usize) -> Option<(f64, bool)> {
        let key = self.weight.as_deref()?;
        let index = self.columns.iter().position(|column| column.key == key)?;
        let weigh = |rows: &[Vec<Cell>]| -> f64 {
            rows.iter().filter_map(|row| row.get(index)).map(Cell::weight).sum()
        };
        let lost = weigh(&self.rows[from..]);
        if self.rows.iter().any(|row| matches!(row.get(index), Some(Cell::Share(_)))) {
            return Some((lost, true));
        }
        let all = weigh(&self.rows);
        (all > 0.0).then(|| (lost / all, false))
    }

    /// The cell of a row at a column; empty where the row is short.
    pub(crate) fn cell<'a>(&self, row: &'a [Cell], column: usize) -> &'a Cell {
        row.get(column).unwrap_or(&Cell::Empty)
    }
}

/// Rows are written as objects by column key, so a reader need not count columns.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Table", 6)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("title", &self.title)?;
        out.serialize_field("columns", &self.columns)?;
        out.serialize_field("rows", &Rows(self))?;
        out.serialize_field("left_off", &self.left_off)?;
        out.serialize_field("notes", &self.notes)?;
        out.end()
    }
}

struct Rows<'a>(&'a Table);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_seq(Some(self.0.rows.len()))?;
        for row in &self.0.rows {
            out.serialize_element(&Row { table: self.0, row })?;
        }
        out.end()
    }
}

struct Row<'a> {
    table: &'a Table,
    row: &'a [Cell],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(self.table.columns.len()))?;
        for (index, column) in self.table.columns.iter().enumerate() {
            out.serialize_entry(&column.key, self.table.cell(self.row, index))?;
        }
        out.end()
    }
}
