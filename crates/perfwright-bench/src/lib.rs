//! Serving benchmarks: load that is offered as it was drawn, figures that follow from per-request records, and what may
//! be concluded from them.
//!
//! | question | module |
//! |---|---|
//! | what is asked, and when | [`workload`], [`arrival`] |
//! | asking, and one record for each request | [`load`] |
//! | figures, validity and gates out of records | [`measure`] |
//! | how many questions a server answers right | [`accuracy`] |
//! | what one measured candidate is | [`rows`] |
//! | do the figures meet the agreed bounds | [`sla`] |
//! | what other tools' result files hold | [`import`] |
//! | which rows may be compared, and in which order they stand | [`rank`] |
//! | better, worse, same or inconclusive | [`decide`] |
//! | what a search is asked to do | [`plan`] |
//! | how a server is started | [`render`], [`flags`] |
//! | which candidates are tried, and what is kept of each | [`search`] |
//! | starting their servers and measuring them | [`live`] |
//! | profiling a running server | [`capture`] |

pub mod accuracy;
pub mod arrival;
pub mod capture;
pub mod decide;
pub mod flags;
pub mod gate;
pub mod import;
pub mod live;
pub mod load;
pub mod measure;
pub mod plan;
pub mod rank;
pub mod render;
pub mod rows;
pub mod search;
pub mod sla;
pub mod workload;
