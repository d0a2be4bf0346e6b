//! Small odd inputs, each for one weakness of a reader. `CASES` says what is right about each.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use super::text::Text;

/// What a reader can know about an odd input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Unreadable: one clear error.
    Error,
    /// Readable, but nothing ran on a device.
    NoDevice,
    /// Readable up to a point; the part before it counts.
    Partial,
    /// Readable in full.
    Full,
}

/// One odd input: what it is, what a reader can know, and the device totals it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Name for the command line.
    pub name: &'static str,
    /// Whether the file is gzip.
    pub gzip: bool,
    /// What is right.
    pub answer: Answer,
    /// Kernels with a duration above zero in the readable part, and their summed ns; for `Partial` at most.
    pub kernels: (u64, i64),
    /// What is odd about it.
    pub about: &'static str,
}

const fn case(
    name: &'static str,
    gzip: bool,
    answer: Answer,
    kernels: (u64, i64),
    about: &'static str,
) -> Case {
    Case { name, gzip, answer, kernels, about }
}

use Answer::{Error, Full, NoDevice, Partial};

/// Three kernels of 10, 20 and 30 us.
const BASE: (u64, i64) = (3, 60_000);
const NOTHING: (u64, i64) = (0, 0);

/// Every odd input.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("plain", false, Full, BASE, "nothing odd: the base of the others"),
    case("not-json", false, Error, NOTHING, "prose"),
    case("binary", false, Error, NOTHING, "zero bytes and high bytes"),
    case("empty", false, Error, NOTHING, "no byte at all"),
    case("empty-gz", true, Error, NOTHING, "a gzip member of nothing"),
    case("spaces-only", false, Error, NOTHING, "a mebibyte of spaces"),
    case("other-object", false, Error, NOTHING, "a JSON object without traceEvents"),
    case("other-array", false, Error, NOTHING, "an array of numbers"),
    case("scalar", false, Error, NOTHING, "a number"),
    case("events-not-a-list", false, Error, NOTHING, "traceEvents is an object"),
    case("no-events", false, NoDevice, NOTHING, "traceEvents is empty"),
    case("empty-list", false, NoDevice, NOTHING, "the bare list form without events"),
    case("metadata-only", false, NoDevice, NOTHING, "only M rows"),
    case("cpu-only", false, NoDevice, NOTHING, "operators and frames, no device row"),
    case("bare-list", false, Full, BASE, "the list form of the Chrome format"),
    case("metadata-last", false, Full, BASE, "header keys after traceEvents"),
    case("compact", false, Full, BASE, "one line without spaces"),
    case("crlf", false, Full, BASE, "carriage returns and tabs as space"),
    case("bom", false, Full, BASE, "a UTF-8 byte order mark first"),
    case("key-order", false, Full, BASE, "args first, ph and cat last"),
    case("escaped-keys", false, Full, BASE, "keys and values written with \\u escapes"),
    case("events-in-string", false, Full, BASE, "names that contain brackets, quotes and \"traceEvents\": ["),
    case("truncated-json", false, Partial, (2, 30_000), "ends in the middle of an event"),
    case("truncated-string", false, Partial, (2, 30_000), "ends inside a string, after a backslash"),
    case("truncated-number", false, Partial, (2, 30_000), "ends inside a duration"),
    case("unclosed-list", false, Partial, BASE, "all events, but no closing bracket"),
    case("trailing-comma", false, Full, BASE, "a comma after the last event"),
    case("trailing-text", false, Full, BASE, "text after the document"),
    case("truncated-gz", true, Partial, BASE, "the gzip stream ends early"),
    case("corrupt-gz", true, Partial, BASE, "a byte in the gzip stream is changed"),
    case("wrong-crc-gz", true, Partial, BASE, "the checksum at the end is wrong"),
    case("members-gz", true, Full, BASE, "the document spans two gzip members"),
    case("trailing-gz", true, Full, BASE, "bytes after the last gzip member"),
    case("deep-args", false, Full, BASE, "100,000 nested arrays in the args of a CPU row"),
    case("deep-document", false, Error, NOTHING, "a million opening brackets"),
    case("spaces", false, Full, BASE, "spaces between two events (size by --mb, written as a stream)"),
    case("spaces-gz", true, Full, BASE, "the same, compressed: a small file that inflates a thousandfold"),
    case("duplicate-correlation", false, Full, BASE, "two launches share a correlation id"),
    case("duplicate-external", false, Full, BASE, "two operators share an External id"),
    case("duplicate-python-id", false, Full, BASE, "two frames share an id, one is its own parent"),
    case("duplicate-keys", false, Full, BASE, "an event names dur twice, with the same value"),
    case("overlapping", false, Full, (4, 85_000), "two kernels of one stream overlap in time"),
    case("negative-duration", false, Full, BASE, "a kernel with a duration below zero"),
    case("zero-duration", false, Full, BASE, "a kernel with a duration of zero"),
    case("missing-fields", false, Full, BASE, "rows without dur, ts, name, ph, args, or with null"),
    case("string-numbers", false, Full, BASE, "extra rows whose ts and dur are strings; pid and tid are strings too"),
    case("exponents", false, Full, (4, 65_000), "a kernel with ts 1.2e6 and dur 5e0"),
    case("huge-ints", false, Full, BASE, "ids, addresses and args beyond 64 bits"),
    case("huge-times", false, Full, BASE, "a CPU row at ts 1e300 and one with 400 digits"),
    case("nan", false, Full, BASE, "NaN and Infinity as argument values and as a duration"),
    case("control-characters", false, Full, BASE, "raw control characters in names"),
    case("bad-utf8", false, Full, BASE, "bytes in a name that are no UTF-8"),
    case("lone-surrogate", false, Full, BASE, "\\ud800 without its partner"),
    case("long-name", false, Full, (4, 65_000), "a kernel name of a mebibyte"),
    case("many-names", false, Full, (20_003, 60_000 + 20_000 * 1_000), "20,000 kernels with a name each"),
    case("two-devices", false, Full, (4, 65_000), "a second device with a kernel at the same time"),
    case("sync-rows", false, Full, BASE, "cuda_sync rows that name a stream"),
    case("upper-case", false, Full, (4, 65_000), "category Kernel, as old profilers wrote it"),
];

fn kernel(name: &str, ts_us: i64, dur: &str, id: i64, device: i64) -> String {
    format!(
        "  {{\n    \"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"{name}\", \"pid\": {device}, \"tid\": 7,\n    \"ts\": \
         {ts_us}.000, \"dur\": {dur},\n    \"args\": {{\n      \"External id\": {id}, \"device\": {device}, \"stream\": 7, \
         \"correlation\": {id}\n    }}\n  }}"
    )
}

fn host(id: i64, ts_us: i64) -> [String; 2] {
    let op = format!(
        "  {{\n    \"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"aten::mm\", \"pid\": 9, \"tid\": 9,\n    \"ts\": \
         {ts_us}.000, \"dur\": 9.000,\n    \"args\": {{\n      \"External id\": {id}, \"Ev Idx\": {id}\n    }}\n  }}"
    );
    let call = format!(
        "  {{\n    \"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaLaunchKernel\", \"pid\": 9, \"tid\": 9,\n    \
         \"ts\": {ts_us}.500, \"dur\": 4.000,\n    \"args\": {{\n      \"External id\": {id}, \"cbid\": 211, \
         \"correlation\": {id}\n    }}\n  }}"
    );
    [op, call]
}

fn frame(id: i64, parent: &str) -> String {
    format!(
        "  {{\n    \"ph\": \"X\", \"cat\": \"python_function\", \"name\": \"odd.py({id}): run\", \"pid\": 9, \"tid\": 9,\n    \
         \"ts\": {}.000, \"dur\": 900.000,\n    \"args\": {{\n      \"Python parent id\": {parent}, \"Python id\": {id}\n    \
         }}\n  }}",
        1000 - id
    )
}

const LABEL: &str = "  {\n    \"name\": \"process_labels\", \"ph\": \"M\", \"ts\": 900.000, \"pid\": 0, \"tid\": 0,\n    \"args\": {\n      \"labels\": \"GPU 0\"\n    }\n  }";

/// The base: a label, two nested frames, and three kernels with operator and launch.
fn base_rows() -> Vec<String> {
    let mut rows = vec![LABEL.to_owned(), frame(2, "1"), frame(1, "null")];
    for (id, dur) in [(1, "10.000"), (2, "20.000"), (3, "30.000")] {
        rows.extend(host(id, 1000 + 100 * id));
        rows.push(kernel(&format!("odd_gemm_{id}"), 1050 + 100 * id, dur, id, 0));
    }
    rows
}

fn document(rows: &[String]) -> String {
    format!(
        "{{\n  \"schemaVersion\": 1,\n  \"traceEvents\": [\n{}\n  ],\n  \"traceName\": \"odd\"\n}}\n",
        rows.join(",\n")
    )
}

fn with(extra: &[String]) -> String {
    let mut rows = base_rows();
    rows.extend_from_slice(extra);
    document(&rows)
}

fn cpu_row(args: &str) -> String {
    format!(
        "  {{\n    \"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"aten::odd\", \"pid\": 9, \"tid\": 9,\n    \"ts\": 1600.000, \
         \"dur\": 1.000,\n    \"args\": {{\n      {args}\n    }}\n  }}"
    )
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Cuts `text` right after the first occurrence of `mark` that follows the start of the third kernel.
fn cut_after(text: &str, mark: &str) -> String {
    let third = text.find("odd_gemm_3").unwrap_or(0);
    let end = text[third..].find(mark).map_or(text.len(), |at| third + at + mark.len());
    text[..end].to_owned()
}

fn text_of(name: &str) -> Option<Vec<u8>> {
    let long = "n".repeat(1 << 20);
    let plain = document(&base_rows());
    let text = match name {
        "plain" => plain,
        "not-json" => "Profile of last night, see attachment.\n".to_owned(),
        "empty" => String::new(),
        "spaces-only" => " ".repeat(1 << 20),
        "other-object" => "{\"a\": 1, \"b\": {\"traceEvents\": []}}\n".to_owned(),
        "other-array" => "[1, 2, 3]\n".to_owned(),
        "scalar" => "42\n".to_owned(),
        "events-not-a-list" => "{\"traceEvents\": {\"ph\": \"X\"}}\n".to_owned(),
        "no-events" => document(&[]),
        "empty-list" => "[]\n".to_owned(),
        "metadata-only" => document(&[LABEL.to_owned()]),
        "cpu-only" => document(&[vec![frame(1, "null")], host(1, 1100).to_vec()].concat()),
        "bare-list" => format!("[\n{}\n]\n", base_rows().join(",\n")),
        "metadata-last" => {
            format!("{{\"traceEvents\": [\n{}\n], \"schemaVersion\": 1, \"displayTimeUnit\": \"ms\"}}\n", base_rows().join(",\n"))
        }
        "compact" => plain.replace("\n", "").replace("  ", "").replace("\": ", "\":").replace(", \"", ",\""),
        "crlf" => plain.replace('\n', "\r\n").replace("    ", "\t"),
        "bom" => format!("\u{feff}{plain}"),
        "key-order" => {
            let rows: Vec<String> = [(1, "10.000"), (2, "20.000"), (3, "30.000")]
                .iter()
                .map(|(id, dur)| {
                    format!(
                        "{{\"args\": {{\"correlation\": {id}, \"stream\": 7, \"ph\": \"i\", \"dur\": 99, \"cat\": \"x\"}}, \
                         \"dur\": {dur}, \"tid\": 7, \"ts\": 1{id}00.000, \"pid\": 0, \"name\": \"odd_gemm_{id}\", \
                         \"cat\": \"kernel\", \"ph\": \"X\"}}"
                    )
                })
                .collect();
            document(&rows)
        }
        "escaped-keys" => plain
            .replace("\"cat\": \"kernel\"", "\"\\u0063at\": \"ker\\u006eel\"")
            .replace("\"traceEvents\"", "\"trace\\u0045vents\""),
        "events-in-string" => with(&[cpu_row(
            "\"note\": \"}}]}, {\\\"traceEvents\\\": [ \\\\\", \"Concrete Inputs\": [\"[{\", \"]\\\\\"]",
        )]),
        "truncated-json" => cut_after(&plain, "\"args\": {"),
        "truncated-string" => format!("{}\\", cut_after(&plain, "odd_gemm_3\", \"pid\": 0, \"t")),
        "truncated-number" => cut_after(&plain, "\"dur\": 3"),
        "unclosed-list" => cut_after(&plain, "\n    }\n  }"),
        "trailing-comma" => plain.replace("\n  ],", ",\n  ],"),
        "trailing-text" => format!("{plain}end of file\n"),
        "deep-args" => with(&[cpu_row(&format!("\"deep\": {}{}", "[".repeat(100_000), "]".repeat(100_000)))]),
        "deep-document" => "[".repeat(1_000_000),
        "duplicate-correlation" => with(&[host(1, 1500)[1].clone(), host(1, 1500)[1].clone()]),
        "duplicate-external" => with(&[host(2, 1500)[0].clone()]),
        "duplicate-python-id" => with(&[frame(2, "2"), frame(1, "2")]),
        "duplicate-keys" => plain.replace("\"dur\": 20.000", "\"dur\": 20.000, \"dur\": 20.000"),
        "overlapping" => with(&[kernel("odd_gemm_4", 1355, "25.000", 4, 0)]),
        "negative-duration" => with(&[kernel("odd_gemm_4", 1500, "-5.000", 4, 0)]),
        "zero-duration" => with(&[kernel("odd_gemm_4", 1500, "0.000", 4, 0)]),
        "missing-fields" => with(
            &["{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"no_dur\", \"pid\": 0, \"tid\": 7, \"ts\": 1.0}",
                "{\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"no_ts\", \"pid\": 0, \"tid\": 7, \"dur\": 1.0}",
                "{\"cat\": \"kernel\", \"name\": \"no_ph\", \"ts\": 1.0, \"dur\": 1.0}",
                "{\"ph\": \"X\", \"cat\": null, \"name\": null, \"pid\": null, \"tid\": null, \"ts\": null, \"dur\": null, \"args\": null}",
                "{}"].map(str::to_owned),
        ),
        "string-numbers" => with(&["{\"ph\": \"X\", \"cat\": \"Trace\", \"name\": \"span\", \"pid\": \"Spans\", \"tid\": \"x\", \"ts\": \"1000.5\", \"dur\": \"5\"}".to_owned()]),
        "exponents" => with(&[kernel("odd_gemm_4", 1500, "5e0", 4, 0).replace("1500.000", "1.5e3")]),
        "huge-ints" => with(&[cpu_row(
            "\"External id\": 99999999999999999999999999, \"Sequence number\": 18446744073709551615, \"Addr\": -170141183460469231731687303715884105728",
        )]),
        "huge-times" => with(&[
            cpu_row("\"x\": 1").replace("1600.000", "1e300"),
            cpu_row("\"x\": 1").replace("1600.000", &"9".repeat(400)),
        ]),
        "nan" => with(&[
            cpu_row("\"a\": NaN, \"b\": Infinity, \"c\": -Infinity"),
            kernel("odd_gemm_4", 1500, "NaN", 4, 0),
        ]),
        "control-characters" => plain.replace("odd_gemm_2", "odd\u{1}ge\tm\nm_\u{7f}2"),
        "lone-surrogate" => plain.replace("odd_gemm_2", "odd_gemm_\\ud8002"),
        "long-name" => with(&[kernel(&long, 1500, "5.000", 4, 0)]),
        "many-names" => {
            let rows: Vec<String> =
                (0..20_000).map(|n| kernel(&format!("unique_{n}_kernel"), 2000 + 2 * n, "1.000", 10 + n, 0)).collect();
            with(&rows)
        }
        "two-devices" => with(&[kernel("odd_gemm_4", 1150, "5.000", 4, 1)]),
        "sync-rows" => with(&[
            kernel("Event Sync", 1500, "50.000", 4, 0).replace("\"cat\": \"kernel\"", "\"cat\": \"cuda_sync\""),
            kernel("Stream Wait Event", 1600, "50.000", 5, 0).replace("\"cat\": \"kernel\"", "\"cat\": \"cuda_sync\""),
        ]),
        "upper-case" => {
            with(&[kernel("odd_gemm_4", 1500, "5.000", 4, 0).replace("\"cat\": \"kernel\"", "\"cat\": \"Kernel\"")])
        }
        "binary" => return Some((0..4096_u32).map(|n| (n * 7 % 256) as u8).collect()),
        "bad-utf8" => {
            let mut bytes = plain.into_bytes();
            let at = bytes.windows(10).position(|w| w == b"odd_gemm_2")?;
            bytes[at..at + 3].copy_from_slice(&[0xff, 0xc3, 0x28]);
            return Some(bytes);
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

fn gzip_of(name: &str) -> io::Result<Option<Vec<u8>>> {
    let plain = document(&base_rows()).into_bytes();
    let whole = gzip(&plain)?;
    Ok(Some(match name {
        "empty-gz" => gzip(b"")?,
        "truncated-gz" => whole[..whole.len() * 3 / 4].to_vec(),
        "corrupt-gz" => {
            let mut bytes = whole;
            let at = bytes.len() * 2 / 3;
            bytes[at] ^= 0x55;
            bytes
        }
        "wrong-crc-gz" => {
            let mut bytes = whole;
            let at = bytes.len() - 8;
            bytes[at] ^= 0xff;
            bytes
        }
        "members-gz" => [gzip(&plain[..plain.len() / 2])?, gzip(&plain[plain.len() / 2..])?].concat(),
        "trailing-gz" => [whole, vec![0; 512]].concat(),
        _ => return Ok(None),
    }))
}

fn spaces(bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    let rows = base_rows();
    let text = document(&rows);
    let at = text.find("odd_gemm_1").and_then(|p| text[p..].find("},\n").map(|q| p + q + 2)).unwrap_or(0);
    out.write_all(&text.as_bytes()[..at])?;
    let mut blank = Text::default();
    blank.0.resize(1 << 20, b' ');
    let mut rest = bytes;
    while rest > 0 {
        let part = rest.min(1 << 20);
        out.write_all(&blank.0[..usize::try_from(part).unwrap_or(0)])?;
        rest -= part;
    }
    out.write_all(&text.as_bytes()[at..])
}

/// Writes an odd input; `bytes` is the amount of spaces of the `spaces` cases.
///
/// # Errors
/// What the sink reports, or that no case has this name.
pub fn write(name: &str, bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    match name {
        "spaces" => spaces(bytes, out)?,
        "spaces-gz" => {
            let mut encoder = GzBuilder::new().mtime(0).write(&mut *out, Compression::new(1));
            spaces(bytes, &mut encoder)?;
            encoder.finish()?;
        }
        _ => {
            let found = match text_of(name) {
                Some(text) => Some(text),
                None => gzip_of(name)?,
            };
            let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("no odd case `{name}`"));
            out.write_all(&found.ok_or_else(unknown)?)?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    fn bytes_of(case: &Case) -> Vec<u8> {
        let mut out = Vec::new();
        write(case.name, 3_000_000, &mut out).unwrap();
        out
    }

    /// Cases that a strict JSON library reads, with the totals it finds.
    #[test]
    fn strictly_valid_cases_hold_the_kernels_they_claim() {
        let mut strict = 0;
        for case in CASES.iter().filter(|c| matches!(c.answer, Full | NoDevice)) {
            let mut bytes = bytes_of(case);
            if case.gzip {
                let mut plain = Vec::new();
                flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).ok();
                bytes = plain;
            }
            let Ok(doc) = serde_json::from_slice::<Value>(&bytes) else { continue };
            strict += 1;
            let events = if doc.is_array() { &doc } else { &doc["traceEvents"] };
            let kernels: Vec<i64> = events
                .as_array()
                .unwrap()
                .iter()
                .filter(|e| {
                    e["ph"] == "X" && e["cat"].as_str().is_some_and(|c| c.eq_ignore_ascii_case("kernel"))
                })
                .filter_map(|e| e["dur"].as_f64())
                .filter(|d| *d > 0.0)
                .map(|d| (d * 1000.0).round() as i64)
                .collect();
            assert_eq!((kernels.len() as u64, kernels.iter().sum::<i64>()), case.kernels, "{}", case.name);
        }
        assert!(strict >= 26, "only {strict} cases are strict JSON");
    }

    #[test]
    fn broken_cases_are_broken_and_odd_ones_are_not_strict() {
        for case in CASES.iter().filter(|c| !c.gzip) {
            let strict = serde_json::from_slice::<Value>(&bytes_of(case)).is_ok();
            let only_shape =
                ["other-object", "other-array", "scalar", "events-not-a-list"].contains(&case.name);
            if matches!(case.answer, Partial | Error) && !only_shape {
                assert!(!strict, "{} is valid after all", case.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_unknown_ones_refused() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES[..at].iter().all(|c| c.name != case.name));
            assert!(!bytes_of(case).is_empty() || case.name == "empty");
        }
        assert!(write("sleepy", 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn spaces_are_as_many_as_asked() {
        let count = |n| {
            let mut out = Vec::new();
            write("spaces", n, &mut out).unwrap();
            out.len()
        };
        assert_eq!(count(2_500_000) - count(0), 2_500_000);
    }
}
