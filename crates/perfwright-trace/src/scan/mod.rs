//! JSON text to columns: a scanner made for trace events, which reads each byte once.

pub(crate) mod cursor;
pub(crate) mod document;
pub(crate) mod event;
pub(crate) mod number;
