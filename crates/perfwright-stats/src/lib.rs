//! Statistics over plain slices: percentiles, spread, and mean differences with an interval.
//!
//! Every function is deterministic: what resamples takes a seed. Values are `f64` in whatever unit the caller uses;
//! results are in the same unit. Inputs that are not finite give results that are not finite and never a panic.
//! Functions that have no answer for an empty slice return `None`.
//!
//! | question | module |
//! |---|---|
//! | the value that p percent lie below | [`percentile`] |
//! | centre and spread | [`spread`] |
//! | how sure is a mean, or a difference of two | [`difference`] |
//! | resampled means | [`bootstrap`] |
//! | tails of the normal and of Student's distribution | [`tail`] |
//! | how sure is a share that was counted | [`binomial`] |
//! | how far apart are two shares, over the same or other questions | [`share`] |
//! | how sure is a percentile | [`order`] |
//! | random numbers | [`rng`] |
//! | blocks of two sides: when is a difference decided | [`sequential`] |

pub mod binomial;
pub mod bootstrap;
pub mod difference;
pub mod order;
pub mod percentile;
pub mod rng;
pub mod sequential;
pub mod share;
pub mod spread;
pub mod tail;
