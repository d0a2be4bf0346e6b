//! Time stamps without floating point.
//!
//! Kineto writes microseconds with up to three decimals on a base of 13 to 16 digits; an `f64` has no room for
//! that. Everything here is integer nanoseconds, and a fourth decimal is rounded half to even, as
//! `Decimal(us) * 1000` does.

/// Most digits before the point, and the largest whole number of microseconds, that the fast path takes: with
/// three decimals more the value still fits an `i64`.
const FAST_DIGITS: usize = 16;
const FAST_MICROS: i64 = 9_000_000_000_000_000;

/// Parses a JSON number of microseconds to nanoseconds. `None` for NaN, infinities, anything that is not a
/// number, and values outside of `i64` nanoseconds (about 292 years).
pub(crate) fn micros_to_nanos(token: &[u8]) -> Option<i64> {
    fast(token).or_else(|| slow(token))
}

fn fast(t: &[u8]) -> Option<i64> {
    let (neg, t) = match t.first() {
        Some(b'-') => (true, &t[1..]),
        _ => (false, t),
    };
    let mut value: i64 = 0;
    let mut i = 0;
    while let Some(&c) = t.get(i) {
        let d = c.wrapping_sub(b'0');
        if d > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(d));
        i += 1;
    }
    if i == 0 || i > FAST_DIGITS || value > FAST_MICROS {
        return None;
    }
    let mut scale = 3;
    if t.get(i) == Some(&b'.') {
        i += 1;
        while let Some(&c) = t.get(i) {
            let d = c.wrapping_sub(b'0');
            if d > 9 || scale == 0 {
                break;
            }
            value = value * 10 + i64::from(d);
            scale -= 1;
            i += 1;
        }
    }
    if i != t.len() {
        return None;
    }
    while scale > 0 {
        value *= 10;
        scale -= 1;
    }
    Some(if neg { -value } else { value })
}

/// Any JSON number: sign, digits, fraction, exponent. Exact, rounding half to even.
fn slow(t: &[u8]) -> Option<i64> {
    let (neg, t) = match t.first() {
        Some(b'-') => (true, &t[1..]),
        Some(b'+') => (false, &t[1..]),
        _ => (false, t),
    };
    let (mantissa, exponent) = match t.iter().position(|c| matches!(c, b'e' | b'E')) {
        Some(e) => {
            let exp = std::str::from_utf8(&t[e + 1..]).ok()?.parse::<i64>().ok()?;
            (&t[..e], exp)
        }
        None => (t, 0),
    };
    let mut digits: Vec<u8> = Vec::with_capacity(mantissa.len().min(64));
    let mut point = 0i64; // decimals read so far
    let mut seen_point = false;
    for &c in mantissa {
        match c {
            b'0'..=b'9' => {
                digits.push(c - b'0');
                point += i64::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            _ => return None,
        }
    }
    if digits.is_empty() {
        return None;
    }
    // value = digits * 10^shift nanoseconds
    let shift = exponent.checked_add(3)?.checked_sub(point)?;
    let first = digits.iter().position(|&d| d != 0).unwrap_or(digits.len());
    let digits = &digits[first..];
    if digits.is_empty() {
        return Some(0);
    }
    let whole_len = i64::try_from(digits.len()).ok()?.checked_add(shift)?;
    if whole_len > 19 {
        return None;
    }
    let mut value: i128 = 0;
    for i in 0..whole_len.max(0) {
        let d = digits.get(usize::try_from(i).ok()?).copied().unwrap_or(0);
        value = value * 10 + i128::from(d);
    }
    if whole_len < 0 {
        return Some(0);
    }
    let rest = digits.get(usize::try_from(whole_len).ok()?..).unwrap_or(&[]);
    if let Some((&half, tail)) = rest.split_first() {
        let above = half > 5 || (half == 5 && tail.iter().any(|&d| d != 0));
        let tie = half == 5 && !above;
        if above || (tie && value % 2 == 1) {
            value += 1;
        }
    }
    i64::try_from(if neg { -value } else { value }).ok()
}

/// Parses a JSON integer; a quoted one is accepted, a fraction of zeros too. `None` when it is anything else or
/// outside of `i64`.
pub(crate) fn integer(token: &[u8]) -> Option<i64> {
    let (neg, t) = match token.first() {
        Some(b'-') => (true, &token[1..]),
        _ => (false, token),
    };
    if t.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for (i, &c) in t.iter().enumerate() {
        let d = c.wrapping_sub(b'0');
        if d > 9 {
            let zeros = c == b'.' && i > 0 && t[i + 1..].iter().all(|&z| z == b'0');
            return zeros.then_some(if neg { -value } else { value });
        }
        value = value.checked_mul(10)?.checked_add(i64::from(d))?;
    }
    Some(if neg { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_on_kineto_forms() {
        for (text, ns) in [
            ("4909913692199.694", 4_909_913_692_199_694),
            ("1428625731622.25", 1_428_625_731_622_250),
            ("0.001", 1),
            ("5", 5_000),
            ("1.6", 1_600),
            ("-3.5", -3_500),
            ("1682725898236567", 1_682_725_898_236_567_000),
            ("1712195495519689.0", 1_712_195_495_519_689_000),
            ("1e3", 1_000_000),
            ("1.5E-3", 2), // 1.5 ns, half to even
            ("2.5e-3", 2), // 2.5 ns, half to even
            ("2.5000001e-3", 3),
            ("1003.4333333333333", 1_003_433),
            ("0.0004999", 0),
            ("0", 0),
            ("-0.0", 0),
        ] {
            assert_eq!(micros_to_nanos(text.as_bytes()), Some(ns), "{text}");
        }
        for bad in
            ["", "-", "NaN", "Infinity", "1.2.3", "1e", "abc", "99999999999999999999", "1e300", "\"5\""]
        {
            assert_eq!(micros_to_nanos(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn integers() {
        assert_eq!(integer(b"42"), Some(42));
        assert_eq!(integer(b"-247463936"), Some(-247_463_936));
        assert_eq!(integer(b"7.0"), Some(7));
        assert_eq!(integer(b"7.5"), None);
        assert_eq!(integer(b"18446744073709551616"), None);
        assert_eq!(integer(b""), None);
        assert_eq!(integer(b"-"), None);
    }

    proptest! {
        #[test]
        fn fast_and_slow_agree(us in 0i64..4_000_000_000_000_000, frac in 0u32..1000, width in 0usize..4) {
            let frac = format!("{frac:03}");
            let text = if width == 0 { us.to_string() } else { format!("{us}.{}", &frac[..width]) };
            prop_assert_eq!(micros_to_nanos(text.as_bytes()), slow(text.as_bytes()));
        }

        #[test]
        fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = micros_to_nanos(&bytes);
            let _ = integer(&bytes);
        }
    }
}
