//! Hooks of agents' hosts: the host's JSON in, its answer out, exit code 0 or 2 and nothing else.
//!
//! Whatever cannot be understood blocks where a campaign is under way or damaged, and passes with a note elsewhere.

mod decide;
mod guard;
mod input;
mod stop;

pub use decide::{CLAIM, HookAnswer, HookCall, HookEvent, hook};
