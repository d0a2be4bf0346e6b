//! A whole answer: facts, tables, warnings.

use serde::Serialize;

use crate::cell::Cell;
use crate::table::Table;

/// One labelled value above the tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// Its value.
    pub value: Cell,
}

/// A whole answer as plain data; the renderers print its parts in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Document {
    /// Heading.
    pub title: String,
    /// What the reader must know before trusting the tables: partial input, a guess that was needed.
    pub warnings: Vec<String>,
    /// Labelled single values.
    pub facts: Vec<Fact>,
    /// The tables.
    pub tables: Vec<Table>,
    /// Sentences at the end.
    pub notes: Vec<String>,
}

impl Document {
    /// A document with nothing but a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a labelled value.
    pub fn fact(&mut self, label: impl Into<String>, value: impl Into<Cell>) {
        self.facts.push(Fact { label: label.into(), value: value.into() });
    }

    /// Limits every table to `rows` rows; see [`Table::limit`].
    pub fn limit(&mut self, rows: usize) {
        for table in &mut self.tables {
            table.limit(rows);
        }
    }
}
