//! The HTTP side: routes, wire shapes, limits.

mod accept;
mod active;
mod app;
mod chat;
mod completions;
mod control;
mod error;
mod generate;
mod health;
mod info;
mod loads;
mod prepare;
mod profile;
mod request_log;
mod routes;
pub mod server;
mod sse;
mod wire;
