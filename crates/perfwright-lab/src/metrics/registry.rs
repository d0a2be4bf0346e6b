//! The three kinds of metric. Each is shared and cheap to change from any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A value that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<Number>);

/// A value that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Number>);

/// A double behind an atomic.
#[derive(Debug, Default)]
struct Number(AtomicU64);

impl Number {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn add(&self, value: f64) {
        let add = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never declines, so the update always succeeds.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl Counter {
    /// Adds `amount`, which is not negative.
    pub fn add(&self, amount: f64) {
        self.0.add(amount.max(0.0));
    }

    /// Adds one.
    pub fn one(&self) {
        self.0.add(1.0);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: f64) {
        self.0.add(amount);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// Observations counted in buckets with upper bounds.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Vec<f64>,
    state: Mutex<HistogramState>,
}

/// What a histogram has seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramState {
    /// Observations at or below each bound and above the one before; the last is above all bounds.
    pub counts: Vec<u64>,
    /// Sum of the observations.
    pub sum: f64,
}

impl HistogramState {
    /// All observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Histogram {
    /// A histogram with rising upper bounds; `+Inf` is added.
    pub fn new(bounds: Vec<f64>) -> Self {
        let state = HistogramState { counts: vec![0; bounds.len() + 1], sum: 0.0 };
        Self(Arc::new(Buckets { bounds, state: Mutex::new(state) }))
    }

    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        self.observe_many(value, 1);
    }

    /// Counts the same observation `times` times.
    pub fn observe_many(&self, value: f64, times: u64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = state.counts.get_mut(at) {
            *count += times;
        }
        state.sum += value * times as f64;
    }

    /// Bounds without `+Inf`.
    pub fn bounds(&self) -> &[f64] {
        &self.0.bounds
    }

    /// A copy of what it has seen.
    pub fn state(&self) -> HistogramState {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A metric of one label set.
#[derive(Debug, Clone)]
pub enum Value {
    /// A counter.
    Counter(Counter),
    /// A gauge.
    Gauge(Gauge),
    /// A histogram.
    Histogram(Histogram),
}

/// One series: labels and value.
#[derive(Debug, Clone)]
pub struct Series {
    /// Names and values, as they are printed.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// A family of series under one name.
#[derive(Debug, Clone)]
pub struct Family {
    /// Name, `sglang:..`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The series, of one kind.
    pub series: Vec<Series>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_for_its_own_bucket() {
        let histogram = Histogram::new(vec![1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 3.0] {
            histogram.observe(value);
        }
        histogram.observe_many(2.0, 3);
        assert_eq!(histogram.state(), HistogramState { counts: vec![2, 4, 1], sum: 12.0 });
    }

    #[test]
    fn additions_from_threads_are_not_lost() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.one()));
            }
        });
        assert_eq!(counter.get(), 4000.0);
    }
}
