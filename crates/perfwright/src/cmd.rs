//! One module per noun: arguments in, an answer printed, an exit code out.

pub(crate) mod bench;
mod bench_ab;
mod bench_ab_live;
mod bench_accuracy;
mod bench_compare;
mod bench_path;
mod bench_rows;
mod bench_run;
mod bench_search;
mod bench_search_live;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod hook;
pub(crate) mod lab;
mod loop_report;
pub(crate) mod loops;
pub(crate) mod man;
pub(crate) mod markdown_help;
pub(crate) mod model;
pub(crate) mod quickstart;
pub(crate) mod run;
mod run_share;
pub(crate) mod schemas;
pub(crate) mod trace;
mod trace_capture;
mod trace_compare;
mod trace_map;
