//! Bodies of requests and answers, as they are on the wire.

pub(crate) mod chat;
pub(crate) mod common;
pub(crate) mod completions;
pub(crate) mod control;
pub(crate) mod generate;
