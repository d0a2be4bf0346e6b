//! One table model, rendered as terminal text, Markdown, CSV, JSON and HTML; and charts.
//!
//! A capability builds a [`Document`] of plain data: facts, tables, notes, warnings. The renderers turn it into
//! text; none of them prints, and none of them decides an order: rows come out as they went in.
//!
//! - [`terminal`]: fits a width; long text loses its middle, never its ends.
//! - [`markdown`]: never shortens a cell unless asked.
//! - [`csv`]: RFC 4180, full values, one record per line.
//! - [`html`]: one file without scripts; [`chart`] draws SVG into it.
//! - [`json`]: text of any serialisable value.
//!
//! Cell text comes from outside (kernel names, log lines, paths). Every renderer makes control characters and
//! terminal escapes visible instead of passing them on; see [`text::visible`].

pub mod chart;
pub mod csv;
pub mod html;
pub mod json;
pub mod markdown;
pub mod number;
pub mod terminal;
pub mod text;

mod cell;
mod document;
mod table;

pub use cell::Cell;
pub use document::{Document, Fact};
pub use table::{Align, Column, LeftOff, Table};
