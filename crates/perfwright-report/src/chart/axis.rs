//! Where values stand on an axis, and at which of them it carries a number.

/// A linear axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Values with a number, ascending.
    pub(super) ticks: Vec<f64>,
    decimals: usize,
}

impl Axis {
    /// An axis over all finite `values`, widened to round numbers; over 0 to 1 where there is none.
    pub(super) fn over(values: impl Iterator<Item = f64>) -> Self {
        Self::with_step(values, 0.0)
    }

    /// As [`Axis::over`], with ticks at whole numbers only.
    pub(super) fn over_whole(values: impl Iterator<Item = f64>) -> Self {
        Self::with_step(values, 1.0)
    }

    fn with_step(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.filter(|v| v.is_finite() && v.abs() < 1e300) {
            (low, high) = (low.min(v), high.max(v));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // An axis that nearly reaches 0 shows it: a short bar must not look like a long one.
        if low > 0.0 && low < 0.5 * high {
            low = 0.0;
        }
        if high - low <= f64::EPSILON * high.abs().max(low.abs()) {
            let half = if least > 0.0 {
                1.0
            } else if high == 0.0 {
                0.5
            } else {
                high.abs() / 2.0
            };
            (low, high) = (low - half, high + half);
        }
        let step = step((high - low) / 5.0).max(least);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let count = (last - first).clamp(1.0, 20.0);
        let ticks = (0..=count as u32).map(|i| (first + f64::from(i)) * step).collect();
        let decimals = if step >= 1.0 { 0 } else { (-step.log10().floor()).clamp(0.0, 9.0) as usize };
        Self { low: first * step, high: (first + count) * step, ticks, decimals }
    }

    /// Part of the axis's length at which a value stands, 0 to 1.
    pub(super) fn part(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A tick's number.
    pub(super) fn label(&self, value: f64) -> String {
        if value.abs() >= 1e7 {
            return format!("{value:.1e}");
        }
        // A negative zero is no number to show.
        format!("{:.*}", self.decimals, value + 0.0)
    }
}

/// The next of 1, 2, 5 times a power of ten at or above `raw`.
fn step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let first = raw / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|s| first <= *s * 1.000_001).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_numbers() {
        let axis = Axis::over([1.0, 9.3].into_iter());
        assert_eq!(axis.ticks, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!((axis.part(5.0), axis.label(4.0)), (0.5, "4".to_owned()));
        let whole = Axis::over_whole([1.0, 2.0].into_iter());
        assert_eq!((whole.ticks.as_slice(), whole.label(1.0)), (&[1.0, 2.0][..], "1".to_owned()));
        assert_eq!(Axis::over_whole([3.0].into_iter()).ticks, [2.0, 3.0, 4.0]);
        let near = Axis::over([100.0, 101.0].into_iter());
        assert_eq!(near.label(near.ticks[1]), "100.2");
        assert_eq!(Axis::over(std::iter::empty()).ticks.first(), Some(&0.0));
    }

    proptest! {
        #[test]
        fn every_value_stands_on_its_axis(values in prop::collection::vec(any::<f64>(), 0..20)) {
            let axis = Axis::over(values.iter().copied());
            prop_assert!((2..=21).contains(&axis.ticks.len()), "{:?}", axis.ticks);
            for v in values.into_iter().filter(|v| v.is_finite()) {
                let part = axis.part(v);
                prop_assert!((0.0..=1.0).contains(&part), "{v} at {part}");
            }
        }
    }
}
