//! Asking: locked conditions, a plan drawn from them, and the threads that carry it out.

mod conditions;
mod dispatch;
mod drive;
mod plan;
mod processor;
mod worker;

pub use conditions::{Conditions, Limits, Millis, Salt};
pub use drive::{Access, Control, LoadError, Progress, Taken, drive, preflight, reach};
pub use plan::{BENCH_PLAN_SCHEMA, BenchPlan, Cost, Plan, PlanError, plan};
