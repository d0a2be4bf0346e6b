//! Which tool wrote a file, and its rows.

use std::io::Read;

use perfwright_evidence::json::{JsonLimits, read, read_prefix};
use serde_json::Value;

use super::{aiperf, guidellm, serving};
use crate::rows::framework::canonical;
use crate::rows::relaxed::quoted;
use crate::rows::{Basis, ReadError, Rows, Source, read_rows};

/// Largest result file, inflated.
pub const MAX_BYTES: usize = 256 << 20;
const LIMITS: JsonLimits = JsonLimits { max_bytes: MAX_BYTES, max_depth: 48 };

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Rows, one a line.
    Rows,
    /// SGLang's `bench_serving`, Python or Rust.
    Sglang,
    /// `vllm bench serve`.
    Vllm,
    /// AIPerf's JSON.
    Aiperf,
    /// AIPerf's CSV.
    AiperfCsv,
    /// guidellm's JSON.
    Guidellm,
}

impl Format {
    /// The name in a row's source.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "row",
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            Self::Aiperf => "aiperf",
            Self::AiperfCsv => "aiperf-csv",
            Self::Guidellm => "guidellm",
        }
    }
}

/// Inflates gzip where the magic says so.
fn plain(bytes: &[u8], file: &str) -> Result<Vec<u8>, ReadError> {
    let fail = |cause: String| ReadError::File { file: file.to_owned(), cause };
    let mut out = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes)
            .take(MAX_BYTES as u64 + 1)
            .read_to_end(&mut out)
            .map_err(|e| fail(format!("the gzip data is damaged: {e}")))?;
    } else {
        out.extend_from_slice(bytes);
    }
    if out.len() > MAX_BYTES {
        return Err(fail(format!("larger than {MAX_BYTES} bytes")));
    }
    if out.iter().all(u8::is_ascii_whitespace) {
        return Err(fail("the file is empty".to_owned()));
    }
    Ok(out)
}

/// The format of the first JSON value of a file.
fn of_value(value: &Value) -> Option<Format> {
    let has = |key: &str| value.get(key).is_some();
    if has("candidate_id") || (has("framework") && has("status")) {
        return Some(Format::Rows);
    }
    if has("aiperf_version") {
        return Some(Format::Aiperf);
    }
    if value.pointer("/metadata/guidellm_version").is_some()
        || (has("benchmarks") && value.pointer("/benchmarks/0/metrics").is_some())
    {
        return Some(Format::Guidellm);
    }
    if has("completed") && has("request_throughput") {
        return Some(if has("model_id") || has("mean_e2el_ms") { Format::Vllm } else { Format::Sglang });
    }
    None
}

/// Rows of a file of any known format; `label` names the framework where the file does not.
///
/// # Errors
/// The file is of no known format, or is damaged.
pub fn load(bytes: &[u8], file: &str, label: Option<&str>, basis: Basis) -> Result<Rows, ReadError> {
    let bytes = plain(bytes, file)?;
    let mut rows = of_bytes(&bytes, file, basis)?;
    if let Some(label) = label {
        for row in &mut rows {
            row.framework = canonical(label);
            row.notes.retain(|n| n != serving::FROM_BACKEND);
        }
    }
    Ok(rows)
}

fn of_bytes(bytes: &[u8], file: &str, basis: Basis) -> Result<Rows, ReadError> {
    let fail = |cause: String| ReadError::File { file: file.to_owned(), cause };
    if aiperf::is_csv(bytes) {
        return Ok(vec![aiperf::csv(bytes, &source(file, None, Format::AiperfCsv))]);
    }
    let text = quoted(bytes);
    let (first, end) = read_prefix(&text, &LIMITS).map_err(|e| fail(e.to_string()))?;
    let format = of_value(&first).ok_or_else(|| {
        fail(
            "neither rows (framework, candidate_id, status) nor a result of SGLang, vLLM, AIPerf or guidellm"
                .to_owned(),
        )
    })?;
    match format {
        Format::Rows => read_rows(bytes, file, basis),
        Format::Aiperf | Format::Guidellm => {
            let value = read(&text, &LIMITS).map_err(|e| fail(e.to_string()))?;
            let source = source(file, None, format);
            Ok(match format {
                Format::Aiperf => vec![aiperf::json(&value, &source)],
                _ => guidellm::rows(&value, &source),
            })
        }
        // One result, or one a line where results were appended.
        _ => {
            let mut rows = vec![serving::row(&first, &source(file, None, format), format)];
            let mut rest = &text[end..];
            while !rest.iter().all(u8::is_ascii_whitespace) {
                let (value, end) = read_prefix(rest, &LIMITS).map_err(|e| fail(e.to_string()))?;
                let n = rows.len() as u64;
                if rows.len() == crate::rows::read::MAX_ROWS {
                    return Err(fail("too many results".to_owned()));
                }
                rows.push(serving::row(&value, &source(file, Some(n + 1), format), format));
                rest = &rest[end..];
            }
            Ok(rows)
        }
    }
}

fn source(file: &str, line: Option<u64>, format: Format) -> Source {
    Source { file: file.to_owned(), line, format: format.name().to_owned() }
}

/// Name of a candidate from its file: the stem, with the number of the result where there are several.
pub(super) fn candidate(source: &Source) -> String {
    let name = source.file.rsplit(['/', '\\']).next().unwrap_or(&source.file);
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    match source.line {
        Some(line) => format!("{stem}#{line}"),
        None => stem.to_owned(),
    }
}
