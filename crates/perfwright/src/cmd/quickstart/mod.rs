//! `perfwright quickstart`: the whole loop on the lab, from a fair benchmark to a proven change.

mod analyse;
mod attempt;
mod flow;
mod gate;
mod lab;
mod measure;
mod page;
mod scripts;
mod setup;
mod terms;
mod told;
mod trees;

pub(crate) use flow::run;
