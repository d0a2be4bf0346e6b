//! Time stamps as logs write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of the time a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Year, month, day and time; the zone is what the line says, else unknown and taken as it stands.
    Full,
    /// Month, day and time without a year.
    NoYear,
    /// The time of day only.
    Clock,
    /// Seconds since the machine or the program started.
    Since,
}

/// When a line was written. Times of one form can be compared, those of different forms cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Time {
    /// Nanoseconds since 1970, since the start of a year, since midnight, or since the start, by `form`.
    pub ns: i64,
    /// What `ns` counts from.
    pub form: Form,
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Days since 1970-01-01 of a Gregorian date (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn digits(bytes: &[u8], n: usize) -> Option<i64> {
    let head = bytes.get(..n)?;
    head.iter().try_fold(0i64, |v, b| b.is_ascii_digit().then(|| v * 10 + i64::from(b - b'0')))
}

fn in_range(value: i64, low: i64, high: i64) -> Option<i64> {
    (low..=high).contains(&value).then_some(value)
}

/// `HH:MM:SS[.,]fraction`: nanoseconds of the day and the length read.
pub(crate) fn clock(bytes: &[u8]) -> Option<(i64, usize)> {
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let hour = in_range(digits(bytes, 2)?, 0, 24)?;
    let minute = in_range(digits(bytes.get(3..)?, 2)?, 0, 59)?;
    let second = in_range(digits(bytes.get(6..)?, 2)?, 0, 60)?;
    let mut ns = ((hour * 60 + minute) * 60 + second) * SECOND;
    let mut at = 8;
    if matches!(bytes.get(8), Some(b'.' | b',')) && bytes.get(9).is_some_and(u8::is_ascii_digit) {
        at = 9;
        let mut unit = SECOND / 10;
        while let Some(b) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
            ns += i64::from(b - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    Some((ns, at))
}

/// `2026-11-20[T ]10:00:01[.fff][Z|+hh:mm]`, also with `/`.
pub(crate) fn iso(bytes: &[u8]) -> Option<(Time, usize)> {
    let dash = *bytes.get(4)?;
    if !matches!(dash, b'-' | b'/')
        || bytes.get(7) != Some(&dash)
        || !matches!(bytes.get(10), Some(b'T' | b' ' | b':'))
    {
        return None;
    }
    let year = in_range(digits(bytes, 4)?, 1970, 2200)?;
    let month = in_range(digits(bytes.get(5..)?, 2)?, 1, 12)?;
    let day = in_range(digits(bytes.get(8..)?, 2)?, 1, 31)?;
    let (ns, n) = clock(bytes.get(11..)?)?;
    let mut at = 11 + n;
    let mut zone = 0;
    match bytes.get(at) {
        Some(b'Z') => at += 1,
        Some(sign @ (b'+' | b'-')) if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
            let colon = usize::from(bytes.get(at + 3) == Some(&b':'));
            if let (Some(h), Some(m)) = (
                digits(bytes.get(at + 1..)?, 2),
                bytes.get(at + 3 + colon..).and_then(|rest| digits(rest, 2)),
            ) {
                zone = (h * 60 + m) * 60 * SECOND * if *sign == b'-' { -1 } else { 1 };
                at += 5 + colon;
            }
        }
        _ => {}
    }
    Some((Time { ns: days(year, month, day) * DAY + ns - zone, form: Form::Full }, at))
}

/// `11/20/2026-10:00:01` (TensorRT-LLM).
pub(crate) fn american(bytes: &[u8]) -> Option<(Time, usize)> {
    if bytes.get(2) != Some(&b'/')
        || bytes.get(5) != Some(&b'/')
        || !matches!(bytes.get(10), Some(b'-' | b' '))
    {
        return None;
    }
    let month = in_range(digits(bytes, 2)?, 1, 12)?;
    let day = in_range(digits(bytes.get(3..)?, 2)?, 1, 31)?;
    let year = in_range(digits(bytes.get(6..)?, 4)?, 1970, 2200)?;
    let (ns, n) = clock(bytes.get(11..)?)?;
    Some((Time { ns: days(year, month, day) * DAY + ns, form: Form::Full }, 11 + n))
}

/// `11-20 10:00:01` (vLLM) or `1120 10:00:01.123` (glog, after its level letter).
pub(crate) fn month_day(bytes: &[u8]) -> Option<(Time, usize)> {
    let (day_at, clock_at) = if bytes.get(2) == Some(&b'-') { (3, 6) } else { (2, 5) };
    let month = in_range(digits(bytes, 2)?, 1, 12)?;
    let day = in_range(digits(bytes.get(day_at..)?, 2)?, 1, 31)?;
    if bytes.get(clock_at - 1) != Some(&b' ') {
        return None;
    }
    let (ns, n) = clock(bytes.get(clock_at..)?)?;
    Some((no_year(month, day, ns), clock_at + n))
}

fn no_year(month: i64, day: i64, ns: i64) -> Time {
    // A leap year, so that the last of February has a place.
    Time { ns: (days(2000, month, day) - days(2000, 1, 1)) * DAY + ns, form: Form::NoYear }
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `Nov 20 10:00:01` (journald, syslog), after a weekday also `Wed Nov 20 15:44:20 2026` (dmesg -T).
pub(crate) fn named_month(bytes: &[u8]) -> Option<(Time, usize)> {
    let month = MONTHS.iter().position(|m| bytes.starts_with(*m))? as i64 + 1;
    let (day, at) = match (bytes.get(3), bytes.get(4), bytes.get(5), bytes.get(6)) {
        (Some(b' '), Some(b' '), Some(d), Some(b' ')) if d.is_ascii_digit() => (i64::from(d - b'0'), 7),
        (Some(b' '), Some(_), Some(_), Some(b' ')) => (digits(&bytes[4..], 2)?, 7),
        _ => return None,
    };
    in_range(day, 1, 31)?;
    let (ns, n) = clock(bytes.get(at..)?)?;
    let end = at + n;
    if bytes.get(end) == Some(&b' ')
        && let Some(year) = bytes.get(end + 1..).and_then(|rest| digits(rest, 4))
        && (1970..=2200).contains(&year)
        && !bytes.get(end + 5).is_some_and(u8::is_ascii_digit)
    {
        return Some((Time { ns: days(year, month, day) * DAY + ns, form: Form::Full }, end + 5));
    }
    Some((no_year(month, day, ns), end))
}

/// Seconds since 1970 with an optional fraction, ten digits before the point.
pub(crate) fn epoch(bytes: &[u8]) -> Option<(Time, usize)> {
    let whole = in_range(digits(bytes, 10)?, 1_000_000_000, 4_000_000_000)?;
    let mut ns = whole * SECOND;
    let mut at = 10;
    if bytes.get(10) == Some(&b'.') {
        at = 11;
        let mut unit = SECOND / 10;
        while let Some(b) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
            ns += i64::from(b - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    Some((Time { ns, form: Form::Full }, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_logs_use() {
        let full = |ns| Time { ns, form: Form::Full };
        let at = 1_795_168_801 * SECOND; // 2026-11-20 10:00:01 UTC
        assert_eq!(iso(b"2026-11-20 10:00:01 TP0]"), Some((full(at), 19)));
        assert_eq!(iso(b"2026-11-20T11:00:01.5+01:00 x"), Some((full(at + SECOND / 2), 27)));
        assert_eq!(american(b"11/20/2026-10:00:01] "), Some((full(at), 19)));
        assert_eq!(epoch(b"1795168801.25 x"), Some((full(at + SECOND / 4), 13)));
        assert_eq!(named_month(b"Nov 20 10:00:01 2026]"), Some((full(at), 20)));
        let vllm = month_day(b"11-20 10:00:01 [core.py:1]").expect("a time");
        assert_eq!(named_month(b"Nov 20 10:00:01 host x:"), Some((vllm.0, 15)));
        assert_eq!(month_day(b"1120 10:00:01.000000001 x").map(|t| t.0.ns), Some(vllm.0.ns + 1));
        for wrong in ["2026-13-20 10:00:01", "2026-11-20", "11-20", "99:00:00", ""] {
            assert_eq!(iso(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
