//! What is said of a campaign: where it stands, how it went on one clock, a page, and the description of its change.
//! All of it is read out of the run folder; nothing is remembered elsewhere.

mod account;
mod change;
mod page;
mod status;
mod timeline;

pub use account::{Account, Chain, Moment, Recorded, account};
pub use change::{CHANGE_SCHEMA, Change, Cited, Sentence, change, change_text};
pub use page::page;
pub use status::{STATUS_SCHEMA, Standing, Status, Verdict, document, status};
pub use timeline::{Lane, Span, run_lanes, timeline};

pub(crate) use status::markdown;
