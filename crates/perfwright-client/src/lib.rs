//! Talking to serving engines: streamed generation with a time stamp at every read, and what servers tell of
//! themselves.
//!
//! | what | where |
//! |---|---|
//! | a server's address | [`target`] |
//! | which endpoint is asked, and the body of a request | [`endpoint`] |
//! | one streamed answer with its time stamps | [`exchange`] |
//! | an answer in one piece, with log-probabilities | [`answer`] |
//! | connections that are kept | [`pool`] |
//! | server-sent events out of bytes | [`sse`] |
//! | an event's meaning: tokens, usage, end | [`chunk`] |
//! | Prometheus text | [`metrics`] |
//! | `/v1/models`, `/server_info`, `/version`, `/metrics` | [`info`], [`fetch`] |
//!
//! Bytes from a server are untrusted: every length is bounded and every wait has an end.

pub mod answer;
pub mod chunk;
pub mod endpoint;
pub mod exchange;
pub mod failure;
pub mod fetch;
pub mod info;
pub mod metrics;
pub mod pool;
pub mod sse;
pub mod target;
