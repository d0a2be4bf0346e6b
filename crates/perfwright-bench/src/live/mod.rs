//! A search for real: servers are started, measured and stopped, and everything that a row rests on is recorded before
//! the row.

mod executor;
mod figures;
mod gate;
mod offer;
mod path;
mod probe;
mod server;

pub use executor::{Executor, Setup};
pub use gate::{GATES, PATHS, TRIALS};
pub use offer::{OfferError, hashes, workloads};
