//! The lab as its users meet it: the process, its endpoints, its faults, its profiles.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic like the tests themselves")]

mod accuracy;
mod cancel;
mod capture;
mod faults;
mod http;
mod limits;
mod native;
mod openai;
mod path;
mod process;
mod profile;
mod server;
mod soak;
