//! Plans: what a search is asked to do, read from YAML (or JSON, which is YAML) with every fault named by its line.

pub mod check;
pub mod fields;
pub mod node;
pub mod read;
pub mod types;

pub use check::doubts;
pub use node::Fault;
pub use read::read_plan;
pub use types::{FrameworkPlan, Knob, Plan, Qps, Scenario};
