//! Numbers for readers: adaptive units and a fixed count of significant digits, computed in integers where the
//! value is one, so that the same input gives the same text everywhere.

/// Four significant digits: enough to see a difference of 0.1 %, short enough to compare by eye.
const SIGNIFICANT: u32 = 4;

/// A duration in nanoseconds as us, ms or s. Below one microsecond all digits are shown (`0.123 us`).
pub fn duration_ns(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let magnitude = u128::from(ns.unsigned_abs());
    if magnitude == 0 {
        return "0 us".to_owned();
    }
    if magnitude < 1_000 {
        return format!("{sign}0.{magnitude:03} us");
    }
    let (digits, unit) = scaled(magnitude, &[("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)], 1_000);
    format!("{sign}{digits} {unit}")
}

/// A size in bytes with binary units.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("PiB", 1 << 50)];
    let (digits, unit) = scaled(u128::from(bytes), &units, 1_024);
    format!("{digits} {unit}")
}

/// A share of 0 to 1 in percent with two decimals. A share that is not nothing is never shown as `0.00 %`, and one
/// that is not all is never shown as `100.00 %`.
pub fn share(share: f64) -> String {
    if !share.is_finite() {
        return "n/a".to_owned();
    }
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.005 {
        "<0.01 %".to_owned()
    } else if share < 1.0 && percent >= 99.995 {
        ">99.99 %".to_owned()
    } else {
        // `+ 0.0` turns a negative zero into zero.
        format!("{:.2} %", percent + 0.0)
    }
}

/// A quotient with three decimals, `1.134x`.
pub fn ratio(ratio: f64) -> String {
    if !ratio.is_finite() {
        return "n/a".to_owned();
    }
    if ratio.abs() >= 1e12 { format!("{ratio:.3e}x") } else { format!("{:.3}x", ratio + 0.0) }
}

/// Writes `value` in the largest of `units` that it fills, with four significant digits, rounded half up. `step` is
/// the quotient of neighbouring units: a value that rounds up to a full step moves to the next unit.
fn scaled(value: u128, units: &[(&'static str, u128)], step: u128) -> (String, &'static str) {
    let mut text = (String::new(), "");
    for (index, &(unit, size)) in units.iter().enumerate() {
        let whole = value / size;
        let digits = whole.checked_ilog10().map_or(1, |log| log + 1);
        let decimals = SIGNIFICANT.saturating_sub(digits);
        let tens = 10_u128.pow(decimals);
        let rounded = (value * tens + size / 2) / size;
        let (left, right) = (rounded / tens, rounded % tens);
        let digits = if decimals == 0 {
            left.to_string()
        } else {
            // Rounding 9.9996 up gives five digits; drop the last so that the count stays fixed.
            let mut text = format!("{left}.{right:0width$}", width = decimals as usize);
            if text.len() > SIGNIFICANT as usize + 1 {
                text.truncate(SIGNIFICANT as usize + 1);
            }
            text.trim_end_matches('.').to_owned()
        };
        text = (digits, unit);
        if left < step || index + 1 == units.len() {
            return text;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_four_digits_and_move_to_the_next_unit() {
        let cases: &[(i64, &str)] = &[
            (0, "0 us"),
            (1, "0.001 us"),
            (999, "0.999 us"),
            (1_000, "1.000 us"),
            (12_345, "12.35 us"),
            (123_450, "123.5 us"),
            (99_996, "100.0 us"),
            (9_999_600, "10.00 ms"),
            (999_949, "999.9 us"),
            (999_950, "1.000 ms"),
            (999_999_999, "1.000 s"),
            (61_000_000_000, "61.00 s"),
            (12_345_678_000_000_000, "12345678 s"),
            (-2_141_500, "-2.142 ms"),
            (i64::MIN, "-9223372037 s"),
        ];
        for (ns, expected) in cases {
            assert_eq!(duration_ns(*ns), *expected, "{ns} ns");
        }
    }

    #[test]
    fn bytes_use_binary_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.000 KiB");
        assert_eq!(bytes(1_048_575), "1.000 MiB");
        assert_eq!(bytes(104_857_600), "100.0 MiB");
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }

    #[test]
    fn shares_do_not_round_to_nothing_or_to_all() {
        assert_eq!(share(0.0), "0.00 %");
        assert_eq!(share(-0.0), "0.00 %");
        assert_eq!(share(0.000_01), "<0.01 %");
        assert_eq!(share(0.1234), "12.34 %");
        assert_eq!(share(0.999_99), ">99.99 %");
        assert_eq!(share(1.0), "100.00 %");
        assert_eq!(share(f64::NAN), "n/a");
    }

    #[test]
    fn ratios_have_three_decimals() {
        assert_eq!(ratio(1.1341), "1.134x");
        assert_eq!(ratio(10.621), "10.621x");
        assert_eq!(ratio(f64::INFINITY), "n/a");
        assert_eq!(ratio(1e300), "1.000e300x");
    }
}
