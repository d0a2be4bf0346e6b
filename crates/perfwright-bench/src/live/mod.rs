//! A search for real: servers are started, measured and stopped, and everything that a row rests on is recorded before
//! the row.

pub mod ab;
mod executor;
mod figures;
mod gate;
mod idle;
mod offer;
mod path;
mod probe;
mod rig;
mod server;

pub use executor::{Executor, Setup};
pub use gate::{GATES, PATHS, TRIALS};
pub use idle::{Quiet, Seen};
pub use offer::{OfferError, conditions, hashes, workloads};
pub use rig::Machine;
