//! Serving benchmarks: load that is offered as it was drawn, figures that follow from per-request records, and a
//! statement whether the generator can be believed.
//!
//! | step | module |
//! |---|---|
//! | what is asked | [`workload`] |
//! | when it is asked | [`arrival`] |
//! | asking, and one record for each request | [`load`] |
//! | figures, validity and gates out of records | [`measure`] |

pub mod arrival;
pub mod load;
pub mod measure;
pub mod workload;
