//! What stands before the text of a line: container, time, rank, process, level.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{self, Form, Time};

/// The ranks a line names.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Ranks {
    /// Rank among all processes (`[rank2]:`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<u32>,
    /// Tensor parallel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp: Option<u32>,
    /// Data parallel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dp: Option<u32>,
    /// Pipeline parallel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pp: Option<u32>,
    /// Expert parallel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ep: Option<u32>,
}

/// A line's prefix. The outermost time counts least: the engine's own stamp wins over the container's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix {
    /// When.
    pub time: Option<Time>,
    /// Which ranks.
    pub ranks: Ranks,
    /// The process as the engine names it (`EngineCore_DP0`, `Worker_TP1`).
    pub process: Option<String>,
    /// Its process id.
    pub pid: Option<u32>,
    /// The container or unit that a collector put in front.
    pub container: Option<String>,
    /// `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
    pub level: Option<&'static str>,
    /// The prefix is one that only TensorRT-LLM writes.
    pub trtllm: bool,
}

/// Takes the prefix off a line; gives it and where the text starts.
#[must_use]
pub fn strip(line: &[u8]) -> (Prefix, usize) {
    let mut prefix = Prefix::default();
    let mut at = 0;
    // Each step takes something; eight cover collector, container, process, level, time and source.
    for _ in 0..8 {
        let rest = &line[at..];
        let blanks = rest.iter().take_while(|b| **b == b' ').count();
        let rest = &rest[blanks..];
        match step(rest, &mut prefix) {
            Some(n) if n > 0 => at += blanks + n,
            _ => break,
        }
    }
    let blanks = line[at..].iter().take_while(|b| **b == b' ').count();
    // Indentation belongs to the text, one separating space does not.
    if at > 0 && blanks == 1 {
        at += 1;
    }
    (prefix, at)
}

fn step(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    match rest.first()? {
        b'[' => bracket(rest, prefix),
        b'(' => process(rest, prefix),
        b'0'..=b'9' => stamp(rest, prefix),
        b'A'..=b'Z' => level(rest, prefix)
            .or_else(|| glog(rest, prefix))
            .or_else(|| journal(rest, prefix))
            .or_else(|| compose(rest, prefix)),
        b'a'..=b'z' => compose(rest, prefix),
        _ => None,
    }
}

/// A bare time in front: CRI, `docker logs -t`, Python's `asctime - LEVEL - `, llama.cpp, epoch seconds.
fn stamp(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    if let Some((time, n)) = time::iso(rest).or_else(|| time::epoch(rest)) {
        // Otherwise the number belongs to the text.
        let next = rest.get(n);
        if !matches!(next, None | Some(b' ' | b'\t' | b':' | b']')) {
            return compose(rest, prefix);
        }
        prefix.time = Some(time);
        let tail = &rest[n..];
        for cri in [&b" stdout F "[..], b" stderr F ", b" stdout P ", b" stderr P "] {
            if tail.starts_with(cri) {
                return Some(n + cri.len());
            }
        }
        if let Some(after) = tail.strip_prefix(b" - ") {
            return Some(n + 3 + dashed(after, prefix));
        }
        return Some(n + usize::from(matches!(next, Some(b':' | b']'))));
    }
    llama(rest, prefix).or_else(|| compose(rest, prefix))
}

/// `INFO - file.py:651 - logger: ` after Python's `asctime - `.
fn dashed(rest: &[u8], prefix: &mut Prefix) -> usize {
    let mut at = 0;
    for _ in 0..3 {
        let word = &rest[at..];
        let Some(end) = word.windows(3).take(64).position(|w| w == b" - ") else { break };
        if word[..end].contains(&b' ') {
            break;
        }
        if let Some(level) = level_of(&word[..end]) {
            prefix.level = Some(level);
        }
        at += end + 3;
    }
    at
}

/// `0.00.943.989 I `: llama.cpp's time since its start.
fn llama(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let n = rest.iter().take(24).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let mut parts = rest[..n].split(|b| *b == b'.');
    let mut number = |len: usize| {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 6 || (len > 0 && part.len() != len) {
            return None;
        }
        std::str::from_utf8(part).ok()?.parse::<i64>().ok()
    };
    let (minutes, seconds, milli, micro) = (number(0)?, number(2)?, number(3)?, number(3)?);
    let letter = match rest.get(n..n + 3)? {
        [b' ', letter, b' '] => letter_level(*letter)?,
        _ => return None,
    };
    prefix.level = Some(letter);
    let ns = ((minutes * 60 + seconds) * 1_000_000 + milli * 1_000 + micro) * 1_000;
    prefix.time = Some(Time { ns, form: Form::Since });
    Some(n + 3)
}

const LONGEST_BRACKET: usize = 160;

fn bracket(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let close = rest.iter().take(LONGEST_BRACKET).position(|b| *b == b']')?;
    let inner = &rest[1..close];
    let after = close + 1;
    let stamped = time::iso(inner)
        .or_else(|| time::american(inner))
        .or_else(|| time::clock(inner).map(|(ns, n)| (Time { ns, form: Form::Clock }, n)))
        .or_else(|| named(inner))
        .or_else(|| uptime(inner));
    if let Some((time, n)) = stamped {
        prefix.time = Some(time);
        tags(&inner[n..], prefix);
        return Some(after);
    }
    if let Some(letter) =
        inner.strip_prefix(b"E").or_else(|| inner.strip_prefix(b"W")).or_else(|| inner.strip_prefix(b"I"))
        && let Some((time, _)) = time::month_day(letter)
    {
        prefix.time = Some(time);
        prefix.level = letter_level(inner[0]);
        return Some(after);
    }
    if matches!(inner, b"TRT-LLM" | b"TensorRT-LLM") {
        prefix.trtllm = true;
        return Some(after);
    }
    if let Some(level) =
        level_of(inner).or_else(|| (inner.len() == 1).then(|| letter_level(inner[0])).flatten())
        && prefix.trtllm
    {
        prefix.level = Some(level);
        return Some(after);
    }
    if let Some(rank) = inner.strip_prefix(b"rank").or_else(|| inner.strip_prefix(b"RANK ")).and_then(number)
    {
        prefix.ranks.global = Some(rank);
        return Some(after + usize::from(rest.get(after) == Some(&b':')));
    }
    if inner.starts_with(b"pod/") || inner.starts_with(b"vllm.") || inner.starts_with(b"transformers") {
        if inner.starts_with(b"pod/") {
            prefix.container = text(inner);
        }
        return Some(after);
    }
    source(inner).then_some(after)
}

/// `file.py:123` or `core/file.py:123`.
fn source(inner: &[u8]) -> bool {
    let Some(colon) = inner.iter().rposition(|b| *b == b':') else { return false };
    let (name, line) = (&inner[..colon], &inner[colon + 1..]);
    let known = name.ends_with(b".py")
        || name.ends_with(b".cpp")
        || name.ends_with(b".cc")
        || name.ends_with(b".hpp");
    known && !line.is_empty() && line.iter().all(u8::is_ascii_digit) && !name.contains(&b' ')
}

/// `Wed Nov 20 15:44:20 2026` (dmesg -T).
fn named(inner: &[u8]) -> Option<(Time, usize)> {
    let weekday =
        [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"].iter().any(|d| inner.starts_with(*d));
    if weekday && inner.get(3) == Some(&b' ') {
        return time::named_month(&inner[4..]).map(|(t, n)| (t, n + 4));
    }
    time::named_month(inner)
}

/// `12345.678901` (dmesg): seconds since the machine started.
fn uptime(inner: &[u8]) -> Option<(Time, usize)> {
    let text = std::str::from_utf8(inner).ok()?.trim_start();
    let (whole, micro) = text.split_once('.')?;
    if micro.len() != 6 || whole.len() > 9 {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|v| *v >= 0)?;
    let micro: i64 = micro.parse().ok().filter(|v| *v >= 0)?;
    Some((Time { ns: seconds * 1_000_000_000 + micro * 1_000, form: Form::Since }, inner.len()))
}

/// `TP0 DP1 EP2 PP3`, in any order.
fn tags(text: &[u8], prefix: &mut Prefix) {
    for word in text.split(|b| matches!(b, b' ' | b'_' | b',')).take(8) {
        let Some((name, digits)) = word.split_at_checked(2) else { continue };
        let Some(rank) = number(digits) else { continue };
        let slot = match name {
            b"TP" => &mut prefix.ranks.tp,
            b"DP" => &mut prefix.ranks.dp,
            b"PP" => &mut prefix.ranks.pp,
            b"EP" => &mut prefix.ranks.ep,
            _ => continue,
        };
        *slot = Some(rank);
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// `(EngineCore_DP0 pid=12)`, `(VllmWorker rank=2 pid=267)`, `(RayWorkerWrapper pid=1, ip=10.0.0.1)`.
fn process(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let close = rest.iter().take(LONGEST_BRACKET).position(|b| *b == b')')?;
    let inner = &rest[1..close];
    let mut words = inner.split(|b| matches!(b, b' ' | b',')).filter(|w| !w.is_empty());
    let name = words.next()?;
    let mut pid = None;
    let mut rank = None;
    for word in words {
        if let Some(digits) = word.strip_prefix(b"pid=") {
            pid = std::str::from_utf8(digits).ok()?.parse().ok();
        } else if let Some(digits) = word.strip_prefix(b"rank=") {
            rank = number(digits);
        } else if !word.starts_with(b"ip=") {
            return None;
        }
    }
    prefix.pid = Some(pid?);
    if rank.is_some() {
        prefix.ranks.tp = rank;
    }
    tags(name, prefix);
    prefix.process = text(name);
    Some(close + 1)
}

const LEVELS: [(&str, &str); 8] = [
    ("INFO", "INFO"),
    ("WARNING", "WARNING"),
    ("ERROR", "ERROR"),
    ("DEBUG", "DEBUG"),
    ("CRITICAL", "CRITICAL"),
    ("WARN", "WARNING"),
    ("FATAL", "CRITICAL"),
    ("TRACE", "DEBUG"),
];

fn level_of(word: &[u8]) -> Option<&'static str> {
    LEVELS.iter().find(|(w, _)| w.as_bytes() == word).map(|(_, l)| *l)
}

fn letter_level(letter: u8) -> Option<&'static str> {
    match letter {
        b'I' => Some("INFO"),
        b'W' => Some("WARNING"),
        b'E' => Some("ERROR"),
        b'D' | b'V' => Some("DEBUG"),
        b'F' | b'C' => Some("CRITICAL"),
        _ => None,
    }
}

/// `INFO 04-22 01:36:59 [core.py:1] `, `INFO 01-20 19:37:17 engine.py:135] `, `INFO:     `.
fn level(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let end = rest.iter().take(9).position(|b| !b.is_ascii_uppercase())?;
    let level = level_of(&rest[..end])?;
    match rest[end] {
        b':' => {
            prefix.level = Some(level);
            let blanks = rest[end + 1..].iter().take(6).take_while(|b| **b == b' ').count();
            (blanks > 0).then_some(end + 1 + blanks)
        }
        b' ' => {
            let (time, n) = time::month_day(&rest[end + 1..]).or_else(|| time::iso(&rest[end + 1..]))?;
            prefix.time = Some(time);
            prefix.level = Some(level);
            let at = end + 1 + n;
            // V0 writes `file.py:135] ` without an opening bracket.
            let tail = rest.get(at + 1..).unwrap_or_default();
            match tail.iter().take(LONGEST_BRACKET).position(|b| *b == b']') {
                Some(close) if source(&tail[..close]) => Some(at + 1 + close + 1),
                _ => Some(at),
            }
        }
        _ => None,
    }
}

/// `I0410 16:58:08.485508 1 model_lifecycle.cc:849] ` (Triton, glog).
fn glog(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let level = letter_level(*rest.first()?)?;
    let (time, n) = time::month_day(rest.get(1..)?)?;
    let close = rest.iter().take(LONGEST_BRACKET).position(|b| *b == b']')?;
    (close > n).then(|| {
        prefix.time = Some(time);
        prefix.level = Some(level);
        close + 1
    })
}

/// `Nov 20 10:00:00 host unit[123]: ` (journald, syslog).
fn journal(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let (time, n) = time::named_month(rest)?;
    let tail = rest.get(n..)?.strip_prefix(b" ")?;
    let end = tail.windows(2).take(LONGEST_BRACKET).position(|w| w == b": ")?;
    let words: Vec<&[u8]> = tail[..end].split(|b| *b == b' ').collect();
    let [_host, unit] = words[..] else { return None };
    prefix.time = Some(time);
    prefix.container = text(unit.split(|b| *b == b'[').next().unwrap_or(unit));
    Some(n + 1 + end + 2)
}

/// `sglang-1  | ` (docker compose, container names).
fn compose(rest: &[u8], prefix: &mut Prefix) -> Option<usize> {
    let end = rest
        .iter()
        .take(65)
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')))
        .filter(|n| *n > 0)?;
    let blanks = rest[end..].iter().take(32).take_while(|b| **b == b' ').count();
    let bar = end + blanks;
    if blanks == 0 || rest.get(bar) != Some(&b'|') || !matches!(rest.get(bar + 1), None | Some(b' ')) {
        return None;
    }
    prefix.container = text(&rest[..end]);
    Some((bar + 2).min(rest.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(line: &str) -> String {
        let (p, at) = strip(line.as_bytes());
        let r = p.ranks;
        let ranks: String = [("G", r.global), ("TP", r.tp), ("DP", r.dp), ("PP", r.pp), ("EP", r.ep)]
            .iter()
            .filter_map(|(n, v)| v.map(|v| format!("{n}{v} ")))
            .collect();
        let time = p.time.map_or("-", |t| match t.form {
            Form::Full => "full",
            Form::NoYear => "no-year",
            Form::Clock => "clock",
            Form::Since => "since",
        });
        format!(
            "{time}/{}/{ranks}/{}/{}/{}|{}",
            p.level.unwrap_or("-"),
            p.process.unwrap_or_default(),
            p.pid.map_or_else(String::new, |p| p.to_string()),
            p.container.unwrap_or_default(),
            &line[at..]
        )
    }

    #[test]
    fn prefixes_of_engines_and_collectors() {
        for (line, expected) in [
            ("[2026-11-20 10:00:01 TP0] text", "full/-/TP0 ///|text"),
            ("[2026-11-20 10:00:01 DP2 TP3 EP4] text", "full/-/TP3 DP2 EP4 ///|text"),
            ("[2026-11-20 10:00:01 PP1 TP3] a b", "full/-/TP3 PP1 ///|a b"),
            ("[10:00:01 TP3] text", "clock/-/TP3 ///|text"),
            ("sglang-1  | [2026-11-20 10:00:01] text", "full/-////sglang-1|text"),
            ("2026-11-20T10:00:01.123456789Z stdout F [2026-11-20 10:00:01 TP1] text", "full/-/TP1 ///|text"),
            ("2026-11-20T10:00:01.1Z stderr P text", "full/-////|text"),
            (
                "(EngineCore_DP0 pid=12) INFO 09-12 10:00:01 [core.py:93] text",
                "no-year/INFO/DP0 /EngineCore_DP0/12/|text",
            ),
            ("(Worker_PP1_TP2 pid=9) text", "-/-/TP2 PP1 /Worker_PP1_TP2/9/|text"),
            ("(RayWorkerWrapper pid=1, ip=10.0.0.1) text", "-/-//RayWorkerWrapper/1/|text"),
            (
                "(VllmWorker rank=2 pid=267) ERROR 05-12 19:01:18 [a/b.py:3] text",
                "no-year/ERROR/TP2 /VllmWorker/267/|text",
            ),
            ("ERROR 01-20 19:37:17 engine.py:135] text", "no-year/ERROR////|text"),
            ("INFO:     Application startup complete.", "-/INFO////|Application startup complete."),
            ("[11/20/2026-10:00:01] [TRT-LLM] [I] text", "full/INFO////|text"),
            ("[TRT-LLM] [RANK 3] [W] text", "-/WARNING/G3 ///|text"),
            ("[TensorRT-LLM][WARNING] text", "-/WARNING////|text"),
            (
                "[rank2]:[E1120 10:10:04.537131842 ProcessGroupNCCL.cpp:607] [Rank 2] text",
                "no-year/ERROR/G2 ///|[Rank 2] text",
            ),
            ("[Wed Nov 20 15:44:20 2026] NVRM: Xid", "full/-////|NVRM: Xid"),
            ("[12345.678901] NVRM: Xid", "since/-////|NVRM: Xid"),
            ("Nov 20 10:00:00 host-a vllm[123]: INFO:     text", "no-year/INFO////vllm|text"),
            ("[pod/a-0/main] text", "-/-////pod/a-0/main|text"),
            (
                "2026-08-02 00:24:42,192 - INFO - autotuner.py:651 - flashinfer.jit: text",
                "full/INFO////|flashinfer.jit: text",
            ),
            ("0.00.943.989 I print_info: text", "since/INFO////|print_info: text"),
            ("1795168801.5 text", "full/-////|text"),
            ("I0410 16:58:08.485508 1 model_lifecycle.cc:849] text", "no-year/INFO////|text"),
            // Not prefixes.
            ("  File \"x.py\", line 3, in f", "-/-////|  File \"x.py\", line 3, in f"),
            ("[Rank 2] text", "-/-////|[Rank 2] text"),
            ("100%|████| 3/3", "-/-////|100%|████| 3/3"),
            ("(see above) text", "-/-////|(see above) text"),
            ("RuntimeError: text", "-/-////|RuntimeError: text"),
        ] {
            assert_eq!(show(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            let (_, at) = strip(&line);
            prop_assert!(at <= line.len());
        }

        #[test]
        fn torn_prefixes(cut in 0usize..70) {
            let line = b"2026-11-20T10:00:01.1Z stdout F a-1 | (W_TP0 pid=1) INFO 09-12 10:00:01 [core.py:93] [rank2]: x";
            let (_, at) = strip(&line[..cut.min(line.len())]);
            prop_assert!(at <= cut);
        }
    }
}
