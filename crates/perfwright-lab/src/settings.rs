//! What the server is told at its start.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// In which order waiting requests are admitted. Names are SGLang's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulePolicy {
    /// In the order they came.
    Fcfs,
    /// Those that may generate most first.
    Lof,
}

/// How much of a request is logged (SGLang's levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestLog {
    /// Whether requests are logged at all.
    pub on: bool,
    /// 0 counts, 1 and sampling parameters, 2 and the text cut at 2048 characters, 3 all of the text.
    pub level: u8,
}

/// What is made to go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Added to every pass that holds prompt tokens.
    pub slow_prefill: Option<Duration>,
    /// A prompt of exactly this many tokens stops the scheduler for good.
    pub hang: Option<usize>,
    /// A prompt of exactly this many tokens ends the server.
    pub crash: Option<usize>,
    /// A prompt of exactly this many tokens makes the log say that attention left its backend.
    pub fallback: Option<usize>,
    /// The load snapshot is never renewed.
    pub stale_loads: bool,
}

/// The faults there are: name, whether it takes a value, what it does.
pub const FAULTS: &[(&str, &str)] = &[
    ("slow-prefill=MS", "every pass with prompt tokens takes MS milliseconds longer"),
    ("hang=TOKENS", "a prompt of exactly TOKENS tokens stops the scheduler"),
    ("crash=TOKENS", "a prompt of exactly TOKENS tokens ends the server with an error"),
    ("fallback=TOKENS", "at a prompt of exactly TOKENS tokens the log says that attention left its backend"),
    ("stale-loads", "/v1/loads keeps its first snapshot"),
];

/// A fault that does not exist or has no usable value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} in the fault `{text}`")]
pub struct FaultError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Faults {
    /// Adds the fault `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// An unknown name, a missing or unusable value, a value where none belongs.
    pub fn add(&mut self, text: &str) -> Result<(), FaultError> {
        let wrong = |problem| FaultError { text: text.to_owned(), problem };
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let number = || -> Result<u64, FaultError> {
            let value = value.ok_or_else(|| wrong("a missing value"))?;
            value
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| wrong("a value that is no whole number above 0"))
        };
        let tokens = || Ok(usize::try_from(number()?).unwrap_or(usize::MAX));
        match name {
            "slow-prefill" => self.slow_prefill = Some(Duration::from_millis(number()?.min(600_000))),
            "hang" => self.hang = Some(tokens()?),
            "crash" => self.crash = Some(tokens()?),
            "fallback" => self.fallback = Some(tokens()?),
            "stale-loads" if value.is_none() => self.stale_loads = true,
            "stale-loads" => return Err(wrong("a value where none belongs")),
            _ => return Err(wrong("an unknown name")),
        }
        Ok(())
    }

    /// The faults that are on, as they are written on the command line.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        names.extend(self.slow_prefill.map(|d| format!("slow-prefill={}", d.as_millis())));
        names.extend(self.hang.map(|n| format!("hang={n}")));
        names.extend(self.crash.map(|n| format!("crash={n}")));
        names.extend(self.fallback.map(|n| format!("fallback={n}")));
        names.extend(self.stale_loads.then(|| "stale-loads".to_owned()));
        names
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

/// Bytes of KV cache where no memory budget is set.
pub const DEFAULT_KV: u64 = 192 << 20;

/// How the engine schedules and how much it may hold.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineSettings {
    /// Requests in the running batch at most.
    pub max_running_requests: usize,
    /// Requests in the waiting queue at most.
    pub max_queued_requests: usize,
    /// Prompt tokens of one pass at most; `None` never cuts a prompt.
    pub chunked_prefill_size: Option<usize>,
    /// Prompt tokens admitted to one pass at most; a longer prompt goes alone.
    pub max_prefill_tokens: usize,
    /// Decoding requests ride along in prefill passes.
    pub mixed_chunk: bool,
    /// Tokens of one KV page.
    pub page_size: usize,
    /// KV tokens; `None` takes what the memory budget leaves.
    pub max_total_tokens: Option<usize>,
    /// Share of the memory budget for weights and KV cache.
    pub mem_fraction: f64,
    /// The memory budget, bytes; `None` is room for the weights and [`DEFAULT_KV`].
    pub mem_budget: Option<u64>,
    /// Order of admission.
    pub schedule_policy: SchedulePolicy,
    /// Scales how much is kept free for tokens that running requests may still generate.
    pub conservativeness: f64,
    /// Decode passes between two log lines.
    pub decode_log_interval: u64,
    /// Faults.
    pub faults: Faults,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_running_requests: 32,
            max_queued_requests: 1024,
            chunked_prefill_size: Some(512),
            max_prefill_tokens: 16_384,
            mixed_chunk: false,
            page_size: 16,
            max_total_tokens: None,
            mem_fraction: 0.9,
            mem_budget: None,
            schedule_policy: SchedulePolicy::Fcfs,
            conservativeness: 1.0,
            decode_log_interval: 40,
            faults: Faults::default(),
        }
    }
}

/// What the HTTP side allows and where it listens.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSettings {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Bytes of a request's body at most.
    pub max_body: usize,
    /// Connections at once at most.
    pub max_connections: usize,
    /// Time for a request's head, and again for its body.
    pub read_timeout: Duration,
    /// Time without a sign of the engine after which it counts as unhealthy.
    pub health_timeout: Duration,
    /// Whether `/health` asks for a token, as `/health_generate` does.
    pub health_generation: bool,
    /// Time for open requests to end at shutdown.
    pub drain: Duration,
    /// Time without a pass, while there is work, after which the server gives up; `None` never.
    pub watchdog: Option<Duration>,
    /// Logging of requests.
    pub request_log: RequestLog,
    /// The folder that profiles go to, or to folders in it.
    pub profile_dir: PathBuf,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            port: 0,
            max_body: 8 << 20,
            max_connections: 512,
            read_timeout: Duration::from_secs(15),
            health_timeout: Duration::from_secs(20),
            health_generation: true,
            drain: Duration::from_secs(5),
            watchdog: Some(Duration::from_secs(300)),
            request_log: RequestLog { on: false, level: 0 },
            profile_dir: std::path::PathBuf::from("profiles"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_by_name() {
        let mut faults = Faults::default();
        for text in ["slow-prefill=20", "hang=769", "crash=13", "fallback=5", "stale-loads"] {
            faults.add(text).unwrap();
        }
        assert_eq!(faults.to_string(), "slow-prefill=20, hang=769, crash=13, fallback=5, stale-loads");
        for text in ["hang", "hang=", "hang=0", "hang=x", "stale-loads=1", "slow", ""] {
            assert_eq!(faults.add(text).unwrap_err().text, text);
        }
    }
}
