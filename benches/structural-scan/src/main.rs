//! The floor under any reader of trace JSON: find where every event begins and ends, and do nothing else.
//!
//! `structural-scan FILE` maps the file and prints one JSON line. The trace benches compare CPU time with it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench program")]

use std::fs::File;
use std::process::ExitCode;
use std::time::Instant;

/// Boundaries found in a document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Objects one level below the outermost object or list, where events are.
    objects: u64,
    /// Their summed length, so that the scan cannot be optimised away.
    bytes: u64,
    /// Deepest object nesting.
    deepest: u32,
}

/// Whether the quote at `at` is escaped: an odd number of backslashes stands before it.
fn escaped(text: &[u8], at: usize) -> bool {
    at > 0 && text[at - 1] == b'\\' && text[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// Finds every object boundary outside strings with one `memchr3` pass.
fn scan(text: &[u8]) -> Found {
    let mut found = Found::default();
    // A bare list of events has them one level higher than an object with `traceEvents`.
    let level = if text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') { 1 } else { 2 };
    let (mut depth, mut start, mut in_string) = (0u32, 0usize, false);
    for at in memchr::memchr3_iter(b'"', b'{', b'}', text) {
        let byte = text[at];
        if byte == b'"' {
            if !in_string {
                in_string = true;
            } else if !escaped(text, at) {
                in_string = false;
            }
        } else if in_string {
            // A brace in a string is text.
            continue;
        } else if byte == b'{' {
            depth += 1;
            found.deepest = found.deepest.max(depth);
            if depth == level {
                start = at;
            }
        } else {
            if depth == level {
                found.objects += 1;
                found.bytes += (at + 1 - start) as u64;
            }
            depth = depth.saturating_sub(1);
        }
    }
    found
}

fn run(path: &str) -> Result<(), String> {
    let say = |e: std::io::Error| format!("{path}: {e}");
    let file = File::open(path).map_err(say)?;
    #[expect(unsafe_code, reason = "mapping a file is the point of the comparison")]
    // SAFETY: the bench made the file itself and nothing writes to it while it is mapped.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(say)?;
    let begin = Instant::now();
    let found = scan(&map);
    let seconds = begin.elapsed().as_secs_f64();
    let rate = map.len() as f64 / seconds / 1e6;
    println!(
        "{{\"bytes\": {}, \"objects\": {}, \"object_bytes\": {}, \"deepest\": {}, \"seconds\": {seconds:.4}, \"mb_per_s\": \
         {rate:.0}}}",
        map.len(),
        found.objects,
        found.bytes,
        found.deepest
    );
    Ok(())
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: structural-scan FILE");
        return ExitCode::from(2);
    };
    run(&path).map_or_else(
        |e| {
            eprintln!("structural-scan: {e}");
            ExitCode::from(4)
        },
        |()| ExitCode::SUCCESS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_escapes_hide_braces() {
        let text = br#"{"a": {"x": "}{ \" } \\"}, "traceEvents": [{"n": "\\\"{"}, {"args": {"b": 1}}]}"#;
        let found = scan(text);
        assert_eq!((found.objects, found.deepest), (3, 3));
        let lengths = [r#"{"x": "}{ \" } \\"}"#, r#"{"n": "\\\"{"}"#, r#"{"args": {"b": 1}}"#].map(str::len);
        assert_eq!(found.bytes, lengths.iter().sum::<usize>() as u64);
    }

    #[test]
    fn a_bare_list_has_its_events_one_level_higher() {
        assert_eq!(scan(br#" [{"a": {}}, {"b": 1}]"#).objects, 2);
        assert_eq!(scan(b"").objects, 0);
        assert_eq!(scan(b"}}}{").objects, 0);
    }
}
