//! Rows: one measured, failed or skipped candidate each.

pub mod anchor;
pub mod framework;
pub mod read;
pub mod relaxed;
pub mod row;

pub use framework::Framework;
pub use read::{ReadError, Rows, read_rows};
pub use row::{
    Basis, Hardware, Objective, Requests, Row, SCHEMA, Source, SpecDecode, Status, Trial, Workload,
};
