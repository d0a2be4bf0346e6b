//! Absolute send times, drawn before anything is sent, so that no delay of one request moves another.

use rand_chacha::rand_core::RngCore;
use rand_distr::{Distribution as _, Gamma};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generator;

/// How requests arrive. Rates are sessions per second; a session is one request unless it has several turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Arrival {
    /// As many at once as stated; the next one starts when one ends.
    Closed {
        /// Requests under way at any time.
        concurrency: u32,
    },
    /// Equal gaps.
    Constant {
        /// Rate.
        rate: f64,
    },
    /// Exponential gaps.
    Poisson {
        /// Mean rate.
        rate: f64,
    },
    /// Gamma gaps.
    Gamma {
        /// Mean rate.
        rate: f64,
        /// Shape of the gaps: 1 is Poisson, below is burstier, above more even (vLLM's `--burstiness`).
        burstiness: f64,
    },
    /// Poisson with a rate that changes linearly in time from `from` to `to`.
    Ramp {
        /// Rate at the start.
        from: f64,
        /// Rate at the end.
        to: f64,
    },
    /// The times of the trace, divided by `speed`.
    Replay {
        /// 2 replays in half the time.
        speed: f64,
    },
}

/// No schedule follows from what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalError {
    /// A rate or shape is not positive, or out of all proportion.
    #[error("{0} must be above 0 and at most {1}")]
    Range(&'static str, u64),
    /// Replay of a workload without times.
    #[error("the workload has no time stamps to replay")]
    NoTimes,
}

/// Fastest rate, sessions per second.
const MAX_RATE: u64 = 1_000_000;
/// Latest send time: 30 days.
const MAX_NS: f64 = 30.0 * 86_400.0 * 1e9;

impl Arrival {
    /// The name that `--arrival` takes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Constant { .. } => "constant",
            Self::Poisson { .. } => "poisson",
            Self::Gamma { .. } => "gamma",
            Self::Ramp { .. } => "ramp",
            Self::Replay { .. } => "replay",
        }
    }

    /// True where times are fixed beforehand.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }
}

/// Send times of `n` sessions in nanoseconds from the start, ascending, the first at 0; empty for a closed loop.
/// `times` are those of the trace. The same arguments give the same times everywhere: draws come from ChaCha8, and are
/// rounded to nanoseconds.
///
/// # Errors
/// A rate is out of range, or there is nothing to replay.
pub fn schedule(arrival: &Arrival, n: usize, seed: u64, times: &[u64]) -> Result<Vec<u64>, ArrivalError> {
    let mut rng = generator(seed, "arrival", 0);
    // Gaps in seconds after the first session.
    let mut draw = || -(1.0 - unit(&mut rng)).ln();
    let gaps: Vec<f64> = match *arrival {
        Arrival::Closed { concurrency } => {
            in_range("the concurrency", f64::from(concurrency), 1_000_000)?;
            return Ok(Vec::new());
        }
        Arrival::Constant { rate } => {
            in_range("the rate", rate, MAX_RATE)?;
            return Ok((0..n).map(|i| ns(i as f64 / rate)).collect());
        }
        Arrival::Poisson { rate } => {
            in_range("the rate", rate, MAX_RATE)?;
            (1..n).map(|_| draw() / rate).collect()
        }
        Arrival::Gamma { rate, burstiness } => {
            in_range("the rate", rate, MAX_RATE)?;
            in_range("the burstiness", burstiness, 1_000_000)?;
            let gamma = Gamma::new(burstiness, 1.0 / (rate * burstiness))
                .map_err(|_| ArrivalError::Range("the burstiness", 1_000_000))?;
            (1..n).map(|_| gamma.sample(&mut rng)).collect()
        }
        Arrival::Ramp { from, to } => {
            in_range("the first rate", from, MAX_RATE)?;
            in_range("the last rate", to, MAX_RATE)?;
            return Ok(ramp(from, to, n, draw));
        }
        Arrival::Replay { speed } => {
            in_range("the speed", speed, 1_000_000)?;
            if times.len() < n || n == 0 {
                return Err(ArrivalError::NoTimes);
            }
            let mut at: Vec<u64> = times[..n].to_vec();
            at.sort_unstable();
            let first = at[0];
            return Ok(at.iter().map(|t| ns((t - first) as f64 / 1e9 / speed)).collect());
        }
    };
    let mut at = 0.0;
    let rest = gaps.into_iter().map(|gap| {
        at += gap;
        ns(at)
    });
    Ok(std::iter::once(0).take(n).chain(rest).collect())
}

/// A unit-rate Poisson process through the inverse of the summed rate `from t + (to - from) t^2 / 2T`, where T is the
/// time in which `n` are expected (Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7).
fn ramp(from: f64, to: f64, n: usize, mut draw: impl FnMut() -> f64) -> Vec<u64> {
    let length = 2.0 * n as f64 / (from + to);
    let slope = (to - from) / length;
    let mut sum = 0.0;
    let inverse = |sum: f64| {
        // Past the end of the ramp the last rate goes on.
        let whole = (from + to) / 2.0 * length;
        if sum >= whole {
            return length + (sum - whole) / to;
        }
        // The stable root of slope/2 t^2 + from t - sum = 0.
        2.0 * sum / (from + (from * from + 2.0 * slope * sum).max(0.0).sqrt())
    };
    (0..n)
        .map(|i| {
            if i > 0 {
                sum += draw();
            }
            ns(inverse(sum))
        })
        .collect()
}

fn in_range(what: &'static str, value: f64, most: u64) -> Result<(), ArrivalError> {
    if value > 0.0 && value <= most as f64 { Ok(()) } else { Err(ArrivalError::Range(what, most)) }
}

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round().clamp(0.0, MAX_NS) as u64
}

/// Uniform in 0..1, 53 bits.
fn unit(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(arrival: &Arrival) -> Vec<f64> {
        let at = schedule(arrival, 20_001, 7, &[]).unwrap();
        assert_eq!(at[0], 0);
        at.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e9).collect()
    }

    fn mean_and_cv(gaps: &[f64]) -> (f64, f64) {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let var = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        (mean, var.sqrt() / mean)
    }

    #[test]
    fn gaps_have_the_mean_and_spread_of_their_kind() {
        for (arrival, cv) in [
            (Arrival::Constant { rate: 50.0 }, 0.0),
            (Arrival::Poisson { rate: 50.0 }, 1.0),
            (Arrival::Gamma { rate: 50.0, burstiness: 0.25 }, 2.0),
            (Arrival::Gamma { rate: 50.0, burstiness: 4.0 }, 0.5),
        ] {
            let (mean, found) = mean_and_cv(&gaps(&arrival));
            // Four standard errors of the mean.
            assert!((mean * 50.0 - 1.0).abs() < 4.0 * cv / 141.0 + 1e-6, "{arrival:?}: {mean}");
            assert!((found - cv).abs() < 0.1 * cv + 1e-6, "{arrival:?}: {found}");
        }
    }

    #[test]
    fn a_ramp_gets_faster_and_lasts_as_long_as_expected() {
        let at = schedule(&Arrival::Ramp { from: 10.0, to: 30.0 }, 20_000, 3, &[]).unwrap();
        let end = *at.last().unwrap() as f64 / 1e9;
        assert!((end - 1000.0).abs() < 30.0, "{end}");
        let rate = |from: f64, to: f64| {
            at.iter().filter(|t| (from..to).contains(&(**t as f64 / 1e9))).count() as f64 / (to - from)
        };
        assert!((rate(0.0, 200.0) - 12.0).abs() < 1.2 && (rate(800.0, 1000.0) - 28.0).abs() < 2.0);
        let even = schedule(&Arrival::Ramp { from: 10.0, to: 10.0 }, 100, 3, &[]).unwrap();
        assert!(even.is_sorted());
    }

    #[test]
    fn the_same_seed_gives_the_same_times_on_every_machine() {
        let at = |seed| schedule(&Arrival::Poisson { rate: 10.0 }, 5, seed, &[]).unwrap();
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        // Written down once; a change would make recorded runs impossible to repeat.
        assert_eq!(at(42), EXPECTED_SEED_42);
    }

    const EXPECTED_SEED_42: [u64; 5] = [0, 185_662_174, 241_460_552, 257_250_750, 270_686_367];

    #[test]
    fn a_replay_keeps_gaps_and_scales_them() {
        let at = schedule(&Arrival::Replay { speed: 2.0 }, 3, 0, &[5_000, 9_000, 7_000]).unwrap();
        assert_eq!(at, [0, 1_000, 2_000]);
        assert_eq!(schedule(&Arrival::Replay { speed: 1.0 }, 3, 0, &[1]), Err(ArrivalError::NoTimes));
    }

    #[test]
    fn impossible_rates_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(schedule(&Arrival::Poisson { rate }, 3, 0, &[]).is_err(), "{rate}");
        }
        assert!(schedule(&Arrival::Closed { concurrency: 0 }, 3, 0, &[]).is_err());
    }
}
