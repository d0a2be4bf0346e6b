//! Engine steps: which pass each piece of device work belongs to, and what that pass was for.

mod annotated;
pub mod class;
mod find;
pub mod grammar;
mod structural;

pub use class::Class;
pub use find::{NO_STEP, Source, Step, Steps, find};
pub use structural::{KernelHint, StepRules, kernel_hint};
