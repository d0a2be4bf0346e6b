//! The path an engine runs on: backends, graphs, quantisation, speculation, parallelism, fallbacks - as stated by its
//! log, its `/server_info` and its flags, and compared with the contract and with other measurements.

mod compare;
mod field;
mod flags;
mod gate;
mod rules;
mod server_info;
mod statement;

pub use compare::{Allowed, FieldState, FieldVerdict, PathReport, Side, Stop, StopKind, Told, compare};
pub use field::{CORE, Field};
pub use flags::from_argv;
pub use gate::{GATES, PATH_EVIDENCE, PATH_GATE};
pub(crate) use rules::from_args;
pub use server_info::from_server_info;
pub use statement::{Origin, Standing, Statement, Statements};
