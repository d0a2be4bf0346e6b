//! Campaigns that cannot talk themselves into success.
//!
//! One event-sourced state machine ([`transition::apply`], [`state::next`]) whose authority is the run folder's ledger,
//! with the ledger's head kept outside of the work tree. Three drivers move it on: the owner (which starts executor and
//! reviewer itself), hooks in an agent's session, and a goal in one. Gates are data; what decides is what was run here.

mod child;
mod close;
mod error;
mod event;
mod gates;
mod git;
mod glob;
mod hook;
mod import;
mod journal;
mod judge;
mod limits;
mod owner;
pub mod plan;
mod prompt;
mod registry;
mod report;
mod review;
pub mod sota;
mod spec;
mod start;
pub mod state;
pub mod transition;
mod usage;

#[cfg(test)]
mod tests;

pub use child::MARKER;
pub use close::GATES;
pub use error::LoopError;
pub use event::{
    ChildTime, DeviceMemory, Driver, Ended, Event, GateLine, GateTime, Mark, OnFail, Progress, ReviewResult,
    ReviewVerdict,
};
pub use gates::{GateSpec, Kind, Resolved, builtin, resolve};
pub use git::GitError;
pub use hook::{CLAIM, HookAnswer, HookCall, HookEvent, hook};
pub use import::{GATES as IMPORT_GATES, IMPORT_SCHEMA, Imported, import};
pub use journal::{Journal, PROCEDURE, Surroundings};
pub use limits::{HOST_BLOCK_CAP, Limits, duration_ms};
pub use registry::{HeadFile, Look, Registry, Word};
pub use report::{
    Account, CHANGE_SCHEMA, Chain, Change, Cited, Lane, Moment, Recorded, STATUS_SCHEMA, Sentence, Span,
    Standing, Status, Verdict, account, change, change_text, document, page, run_lanes, status, timeline,
};
pub use review::{Answer, BUNDLE_SCHEMA, Bundle, REVIEW_SCHEMA, answer_schema};
pub use spec::{SPEC_SCHEMA, Spec};
pub use start::{StartOptions, read_plan, start};
pub use usage::{Usage, host_output};
