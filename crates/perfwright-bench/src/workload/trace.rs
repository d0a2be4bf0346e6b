//! Traces of real services: times and lengths, with prompts made up to fit.
//!
//! Formats: Mooncake (kvcache-ai/Mooncake, FAST25 traces, README), BurstGPT (HPMLL/BurstGPT, README), Azure
//! (Azure/AzurePublicDataset, AzureLLMInferenceDataset2023).

use std::fmt::Display;

use perfwright_client::endpoint::Prompt;
use serde::Deserialize;

use super::error::WorkloadError;
use super::files::InputFile;
use super::generate::{MAX_LEN, single};
use super::spec::Session;

/// Tokens that one hash of Mooncake's trace stands for.
const BLOCK: u32 = 512;
/// Blocks that are no hash of a trace are numbered from here.
const OWN: u64 = 1 << 40;

/// One request of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrived {
    at_ns: u64,
    input: u32,
    output: u32,
    blocks: Vec<u64>,
}

#[derive(Deserialize)]
struct MooncakeLine {
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

fn entry(file: &InputFile, line: usize, cause: &dyn Display) -> WorkloadError {
    WorkloadError::Entry { path: file.path.clone(), place: format!("line {line}"), cause: cause.to_string() }
}

/// The lines of a file as text, with their numbers, without empty ones.
fn lines<'a>(
    file: &'a InputFile,
    text: &'a [u8],
) -> impl Iterator<Item = Result<(usize, &'a str), WorkloadError>> {
    text.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.trim_ascii().is_empty()).map(|(i, line)| {
        std::str::from_utf8(line).map(|l| (i + 1, l.trim())).map_err(|e| entry(file, i + 1, &e))
    })
}

fn time_ns(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && (0.0..1e10).contains(&seconds)).then(|| (seconds * 1e9).round() as u64)
}

/// Mooncake's lines; times are milliseconds.
pub(super) fn mooncake(file: &InputFile) -> Result<Vec<Arrived>, WorkloadError> {
    let bytes = file.read()?;
    lines(file, &bytes)
        .map(|line| {
            let (number, line) = line?;
            let row: MooncakeLine = serde_json::from_str(line).map_err(|e| entry(file, number, &e))?;
            let at_ns =
                time_ns(row.timestamp / 1e3).ok_or_else(|| entry(file, number, &"no usable timestamp"))?;
            Ok(Arrived { at_ns, input: row.input_length, output: row.output_length, blocks: row.hash_ids })
        })
        .collect()
}

/// BurstGPT's CSV; times are seconds.
pub(super) fn burstgpt(file: &InputFile) -> Result<Vec<Arrived>, WorkloadError> {
    table(file, ["timestamp", "request tokens", "response tokens"], |t| t.parse().ok().and_then(time_ns))
}

/// Azure's CSV; times are `2023-11-16 18:15:46.6805900`.
pub(super) fn azure(file: &InputFile) -> Result<Vec<Arrived>, WorkloadError> {
    table(file, ["timestamp", "contexttokens", "generatedtokens"], date_ns)
}

/// Three named columns of a CSV file with a header.
fn table(
    file: &InputFile,
    names: [&str; 3],
    time: impl Fn(&str) -> Option<u64>,
) -> Result<Vec<Arrived>, WorkloadError> {
    let bytes = file.read()?;
    let mut lines = lines(file, bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let Some(header) = lines.next().transpose()? else {
        return Err(WorkloadError::Nothing { path: file.path.clone() });
    };
    let header: Vec<String> = fields(header.1).iter().map(|f| f.trim().to_ascii_lowercase()).collect();
    let mut columns = [0; 3];
    for (column, name) in columns.iter_mut().zip(names) {
        *column = header
            .iter()
            .position(|h| h == name)
            .ok_or_else(|| entry(file, 1, &format!("no column {name:?}")))?;
    }
    lines
        .map(|line| {
            let (number, line) = line?;
            let fields = fields(line);
            let field = |i: usize| fields.get(columns[i]).map_or("", |f| f.trim());
            let len = |i: usize| {
                field(i).parse().map_err(|_| entry(file, number, &format!("{:?} is no length", field(i))))
            };
            let at_ns = time(field(0))
                .ok_or_else(|| entry(file, number, &format!("{:?} is no usable time", field(0))))?;
            Ok(Arrived { at_ns, input: len(1)?, output: len(2)?, blocks: Vec::new() })
        })
        .collect()
}

/// Fields of a CSV line; quoted ones may hold commas.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(c) = chars.next() {
        let field = fields.last_mut();
        match (c, field) {
            ('"', Some(field)) if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    fields
}

/// Nanoseconds since 1970 of `YYYY-MM-DD HH:MM:SS[.fraction]`, with a `T` and a zone allowed and the zone ignored:
/// only differences matter.
fn date_ns(text: &str) -> Option<u64> {
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<i64>().ok();
    let mark = |at: usize, among: &[u8]| text.as_bytes().get(at).is_some_and(|b| among.contains(b));
    let well = mark(4, b"-") && mark(7, b"-") && mark(10, b" T") && mark(13, b":") && mark(16, b":");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !well || !(1970..2262).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil date (Hinnant, "chrono-compatible low-level date algorithms").
    let y = year - i64::from(month <= 2);
    let (era, moy) = (y / 400, (month + 9) % 12);
    let yoe = y - era * 400;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * moy + 2) / 5 + day - 1 - 719_468;
    let seconds = u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()?;
    let digits: String = text
        .get(19..)
        .and_then(|rest| rest.strip_prefix('.'))
        .map_or_else(String::new, |rest| rest.chars().take_while(char::is_ascii_digit).take(9).collect());
    let fraction: u64 = format!("{digits:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// The first `n` requests in the order of time. A block of a prompt is the text of its hash, so equal hashes are equal
/// text; what no hash covers is a text of its own.
pub(super) fn sessions(
    trace: &[Arrived],
    n: usize,
    file: &InputFile,
    words: impl Fn(u64, u32) -> String,
) -> Result<Vec<Session>, WorkloadError> {
    let mut order: Vec<&Arrived> = trace.iter().filter(|a| a.input > 0 && a.output > 0).collect();
    order.sort_by_key(|a| a.at_ns);
    if order.len() < n {
        let cause = format!("{} usable requests, {n} asked for", order.len());
        return Err(entry(file, trace.len(), &cause));
    }
    let mut sessions = Vec::with_capacity(n);
    for (i, a) in order.into_iter().take(n).enumerate() {
        if a.input > MAX_LEN || a.output > MAX_LEN {
            return Err(entry(file, i + 1, &format!("a length is over {MAX_LEN}")));
        }
        let mut prompt = String::new();
        let mut left = a.input;
        let own = std::iter::once(OWN + i as u64);
        let blocks = a.blocks.len();
        for (b, id) in a.blocks.iter().copied().chain(own).enumerate() {
            // The last text takes all that is left.
            let len = if b < blocks { left.min(BLOCK) } else { left };
            if len == 0 {
                break;
            }
            if !prompt.is_empty() {
                prompt.push(' ');
            }
            prompt.push_str(&words(id, len));
            left -= len;
        }
        let mut session = single(Prompt::Text(prompt), a.input, a.output, None);
        session.at_ns = Some(a.at_ns);
        sessions.push(session);
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date_ns("1970-01-02 00:00:01.5"), Some(86_401_500_000_000));
        assert_eq!(date_ns("2023-11-16 18:15:46.6805900"), Some(1_700_158_546_680_590_000));
        assert_eq!(date_ns("2024-02-29T00:00:00+00:00"), Some(1_709_164_800_000_000_000));
        for bad in ["", "2023", "2023-13-01 00:00:00", "2023/11/16 18:15:46", "x023-11-16 18:15:46"] {
            assert_eq!(date_ns(bad), None, "{bad}");
        }
    }

    #[test]
    fn csv_fields() {
        assert_eq!(fields(r#"a,"b,""c""",,d"#), ["a", "b,\"c\"", "", "d"]);
    }
}
