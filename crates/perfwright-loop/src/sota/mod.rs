//! The SOTA performance campaign: from a fair benchmark to an accepted change, typed, each judgement a pure function of
//! what was recorded.
//!
//! | question | module |
//! |---|---|
//! | what is fixed before the first measurement | [`spec`], [`baseline`] |
//! | what happens, and where it leads | [`event`], [`state`] |
//! | is the target behind | [`gap`] |
//! | which parts of a step carry the gap | [`explain`] |
//! | what can a change of them give at most | [`amdahl`] |
//! | which kernels may be worked on | [`kernel`] |
//! | did the new path run | [`proof`] |
//! | does it still say the same | [`accuracy`] |
//! | do accepted changes work together | [`compose`] |
//! | what has been tried, and why not any more | [`technique`] |
//! | ledgers, final report, change description, prompts | [`ledgers`], [`report`], [`change`], [`prompts`] |
//! | the run folder | [`campaign`], [`inner`] |
//! | all of it once more, from the recorded evidence | [`gate`] |

pub mod accuracy;
mod alike;
pub mod amdahl;
pub mod baseline;
pub mod campaign;
pub mod change;
pub mod compose;
pub mod event;
pub mod explain;
pub mod gap;
pub mod gate;
pub mod inner;
pub mod kernel;
pub mod ledgers;
pub mod names;
pub mod prompts;
pub mod proof;
pub mod report;
pub mod spec;
pub mod state;
pub mod technique;
