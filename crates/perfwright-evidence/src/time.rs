//! Time stamps and run folder names. Times are milliseconds since 1970-01-01 UTC, without leap seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a writer takes its time stamps from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// Starts at `next_ms` and moves by `step_ms` with each reading: for reproducible examples and tests.
    Stepping {
        /// The next reading.
        next_ms: i64,
        /// What is added after each reading.
        step_ms: i64,
    },
}

impl Clock {
    /// The present, in milliseconds since 1970.
    pub fn now_ms(&mut self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
            Self::Stepping { next_ms, step_ms } => {
                let now = *next_ms;
                *next_ms = next_ms.saturating_add(*step_ms);
                now
            }
        }
    }
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

/// The last millisecond of year 9999, beyond which the fixed-width form ends.
const LAST_MS: i64 = 253_402_300_799_999;

fn civil(ms: i64) -> Civil {
    let ms = ms.clamp(0, LAST_MS);
    let (mut day, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    Civil {
        year,
        month,
        day: day + 1,
        hour: in_day / 3_600_000,
        minute: in_day / 60_000 % 60,
        second: in_day / 1000 % 60,
        milli: in_day % 1000,
    }
}

/// `2026-03-01T12:34:56.789Z`; years before 1970 and after 9999 are clamped.
#[must_use]
pub fn timestamp(ms: i64) -> String {
    let Civil { year, month, day, hour, minute, second, milli } = civil(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The milliseconds since 1970 that [`timestamp`] wrote; `None` for other text. Days are counted in years that begin in
/// March, as in H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013), `days_from_civil`.
#[must_use]
pub fn timestamp_ms(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    if !is_timestamp(text) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = ((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    Some(seconds * 1000 + number(20, 23)?)
}

/// True for text of the form that [`timestamp`] writes; field ranges are checked, the calendar is not.
#[must_use]
pub fn is_timestamp(text: &str) -> bool {
    let shape = b"0000-00-00T00:00:00.000Z";
    let bytes = text.as_bytes();
    if bytes.len() != shape.len()
        || !bytes.iter().zip(shape).all(|(&b, &s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
    {
        return false;
    }
    let two = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
    (1..=12).contains(&two(5)) && (1..=31).contains(&two(8)) && two(11) < 24 && two(14) < 60 && two(17) < 60
}

/// `<UTC with milliseconds>-<noun>-<slug>-<4 random>`, e.g. `20260301T123456.789Z-trace-qwen3-0f3a`.
///
/// The caller gives the time and the randomness, so that the library has no hidden inputs. Characters other than
/// letters, digits, `.` and `_` become `-`; an empty slug becomes `run`; long slugs are cut at 48 characters.
#[must_use]
pub fn default_run_dir_name(now_ms: i64, noun: &str, slug: &str, random: u16) -> String {
    let Civil { year, month, day, hour, minute, second, milli } = civil(now_ms);
    let stamp = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{milli:03}Z");
    format!("{stamp}-{}-{}-{random:04x}", plain(noun), plain(slug))
}

fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
        if !(c == '-' && (out.is_empty() || out.ends_with('-'))) && out.len() < 48 {
            out.push(c);
        }
    }
    let out = out.trim_matches(['-', '.']);
    if out.is_empty() { "run".to_owned() } else { out.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_days_around_leap_years() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(1_000_000_000_000), "2001-09-09T01:46:40.000Z");
        assert_eq!(timestamp(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(timestamp(-5), "1970-01-01T00:00:00.000Z");
        assert!(is_timestamp(&timestamp(1_772_368_496_789)));
        assert!(!is_timestamp("2026-13-01T00:00:00.000Z"));
        assert!(!is_timestamp("2026-01-01 00:00:00.000Z"));
    }

    #[test]
    fn reads_back_what_it_writes() {
        for day in (0..40_000_i64).chain([2_932_896]) {
            let ms = day * 86_400_000 + day * 7919 % 86_400_000;
            assert_eq!(timestamp_ms(&timestamp(ms)), Some(ms), "{}", timestamp(ms));
        }
        assert_eq!(timestamp_ms("2026-01-02"), None);
    }

    #[test]
    fn names_are_safe_path_components() {
        let name = default_run_dir_name(1_772_368_496_789, "trace", "../Qwen 3/$x", 0x0f3a);
        assert_eq!(name, "20260301T123456.789Z-trace-Qwen-3-x-0f3a");
        assert_eq!(default_run_dir_name(0, "trace", "///", 1), "19700101T000000.000Z-trace-run-0001");
    }
}
