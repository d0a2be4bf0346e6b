//! When requests are sent.

mod random;
mod schedule;

pub use random::generator;
pub use schedule::{Arrival, ArrivalError, schedule};
