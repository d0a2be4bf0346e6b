//! What a model must compute and hold, from its `config.json`; and what hardware allows.
//!
//! [`config::read`] gives an [`arch::Architecture`]; [`memory::memory`], [`report::ops`], [`whatif::whatif`] and
//! [`show::show`] answer questions about it with values that serialise as they stand and render through [`render`].
//! Nothing here prints, exits, or reads arguments or the environment.
//!
//! | stage | modules |
//! |---|---|
//! | config to description | [`config`], `family`, `pattern`, [`quant`], [`arch`] |
//! | description to weights | [`weights`], [`params`], [`format`](mod@format), [`parallel`] |
//! | cache and states | [`kv`], [`engine`] |
//! | operators of a step | [`ops`] |
//! | what hardware allows | [`hardware`], [`roofline`] |
//! | answers | [`memory`], [`report`], [`whatif`], [`show`], [`render`] |
//! | gates of recorded answers | [`gate`] |

pub mod arch;
pub mod config;
pub mod engine;
pub mod error;
mod family;
pub mod format;
pub mod gate;
pub mod hardware;
mod json;
pub mod kv;
pub mod memory;
pub mod ops;
pub mod parallel;
pub mod params;
mod pattern;
pub mod quant;
pub mod render;
pub mod report;
pub mod roofline;
pub mod show;
pub mod weights;
pub mod whatif;
