//! The server's log, in the line form of SGLang: `[2026-11-20 10:00:00] text`, times in UTC.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Failures only.
    Error,
    /// And what is not as it should be.
    Warning,
    /// And startup, batches, requests where asked for.
    Info,
    /// And connections.
    Debug,
}

/// Where lines go. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    level: Level,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Log {
    /// Writes lines of `level` and graver ones to `out`.
    pub fn new(out: Box<dyn Write + Send>, level: Level) -> Self {
        Self { out: Arc::new(Mutex::new(out)), level }
    }

    /// A failure.
    pub fn error(&self, text: &str) {
        self.line(Level::Error, text);
    }

    /// Something is not as it should be.
    pub fn warning(&self, text: &str) {
        self.line(Level::Warning, text);
    }

    /// What happens.
    pub fn info(&self, text: &str) {
        self.line(Level::Info, text);
    }

    /// Details.
    pub fn debug(&self, text: &str) {
        self.line(Level::Debug, text);
    }

    /// Whether a line of this level is written.
    pub fn enabled(&self, level: Level) -> bool {
        level <= self.level
    }

    fn line(&self, level: Level, text: &str) {
        if !self.enabled(level) {
            return;
        }
        // One write a line, so that lines of threads do not mix. A log that cannot be written has nobody to tell.
        let line = format!("[{}] {}\n", stamp(now_ms()), one_line(text));
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

/// Control characters of text from outside would forge lines or steer a terminal.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-20 10:00:00` in UTC.
pub fn stamp(ms: i64) -> String {
    let iso = perfwright_evidence::timestamp(ms);
    let (date, time) = iso.split_once('T').unwrap_or((&iso, ""));
    format!("{date} {}", time.get(..8).unwrap_or(time))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A log that keeps its text.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(pub(crate) Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_cannot_be_forged_or_steer_a_terminal() {
        let kept = Kept::default();
        let log = Log::new(Box::new(kept.clone()), Level::Info);
        log.info("a\n[2026-01-01 00:00:00] b\u{1b}[2J");
        log.debug("unseen");
        let text = kept.text();
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("] a\\n[2026-01-01 00:00:00] b\\u{1b}[2J\n"), "{text}");
    }

    #[test]
    fn times_have_the_form_of_the_engine() {
        assert_eq!(stamp(1_763_632_800_123), "2025-11-20 10:00:00");
    }
}
