//! Reading rows: lenient about what is missing, strict about what is there.

use std::collections::BTreeMap;

use perfwright_evidence::json::{JsonLimits, read};
use serde_json::{Map, Value};

use super::relaxed::quoted;
use super::row::{Basis, Objective, Requests, Row, Source, Status};
use crate::sla::Sla;

/// Most rows of one file.
pub const MAX_ROWS: usize = 100_000;
/// Most bytes of one row.
const LINE: JsonLimits = JsonLimits { max_bytes: 4 << 20, max_depth: 32 };

/// The rows of a file.
pub type Rows = Vec<Row>;

/// Why a file of rows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A line is not a JSON object.
    #[error("{file}: line {line}: {cause}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The cause.
        cause: String,
    },
    /// The file as a whole cannot be used.
    #[error("{file}: {cause}")]
    File {
        /// The file.
        file: String,
        /// The cause.
        cause: String,
    },
}

/// Reads one row a line. Empty lines are passed over.
///
/// # Errors
/// The first line that is not a JSON object, or more rows than [`MAX_ROWS`].
pub fn read_rows(bytes: &[u8], file: &str, basis: Basis) -> Result<Rows, ReadError> {
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let at = index as u64 + 1;
        let fail = |cause: String| ReadError::Line { file: file.to_owned(), line: at, cause };
        if rows.len() == MAX_ROWS {
            return Err(fail(format!("more than {MAX_ROWS} rows")));
        }
        let Value::Object(object) = read(&quoted(line), &LINE).map_err(|e| fail(e.to_string()))? else {
            return Err(fail("a row is a JSON object".to_owned()));
        };
        let source = Source { file: file.to_owned(), line: Some(at), format: "row".to_owned() };
        rows.push(row(&object, source, basis));
    }
    Ok(rows)
}

/// A number as rows hold it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    Missing,
    Finite(f64),
    Infinite,
    Bad(String),
}

pub(crate) fn number(value: Option<&Value>) -> Number {
    match value {
        None | Some(Value::Null) => Number::Missing,
        Some(Value::Number(n)) => n.as_f64().map_or_else(|| Number::Bad(n.to_string()), Number::Finite),
        Some(Value::String(s)) => match s.trim().to_ascii_lowercase().as_str() {
            "" => Number::Missing,
            "inf" | "infinity" | "+inf" => Number::Infinite,
            text => match text.parse::<f64>() {
                Ok(x) if x.is_finite() => Number::Finite(x),
                _ => Number::Bad(s.chars().take(40).collect()),
            },
        },
        Some(other) => Number::Bad(other.to_string().chars().take(40).collect()),
    }
}

/// Fields of an object, with what is wrong with them.
pub(crate) struct Fields<'a> {
    pub(crate) object: Option<&'a Map<String, Value>>,
    name: &'static str,
}

impl<'a> Fields<'a> {
    fn of(row: &'a Map<String, Value>, name: &'static str, problems: &mut Vec<String>) -> Self {
        let object = match row.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object),
            Some(_) => {
                problems.push(format!("{name} is not an object"));
                None
            }
        };
        Self { object, name }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object?.get(key)
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(s) if !s.trim().is_empty() => Some(s.trim().to_owned()),
            Value::Number(n) => Some(n.to_string()),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        flag(self.get(key)?)
    }

    fn float(&self, key: &str, problems: &mut Vec<String>) -> Option<f64> {
        match number(self.get(key)) {
            Number::Finite(x) if x >= 0.0 => Some(x),
            Number::Missing | Number::Infinite => None,
            Number::Finite(x) => {
                problems.push(format!("{}.{key} is {x}", self.name));
                None
            }
            Number::Bad(text) => {
                problems.push(format!("{}.{key} is {text}, not a number", self.name));
                None
            }
        }
    }

    fn count(&self, key: &str, problems: &mut Vec<String>) -> Option<u64> {
        let x = self.float(key, problems)?;
        if x.fract() == 0.0 && x <= 1e15 {
            return Some(x as u64);
        }
        problems.push(format!("{}.{key} is {x}, not a count", self.name));
        None
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::String(s) => match s.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Objects that are carried through as they are.
const CARRIED: [&str; 9] = [
    "phase_metrics",
    "cache",
    "memory",
    "normalization",
    "artifacts",
    "validated_cli_flags",
    "validity",
    "ab",
    "machine",
];

fn row(object: &Map<String, Value>, source: Source, basis: Basis) -> Row {
    let mut problems = Vec::new();
    let top = Fields { object: Some(object), name: "row" };
    let status = match top.text("status") {
        Some(name) => Status::parse(&name).unwrap_or_else(|| {
            problems.push(format!("status {name:?} is not ok, failed, oom, timeout or skipped"));
            Status::Failed
        }),
        None => {
            problems.push("no status".to_owned());
            Status::Failed
        }
    };
    let framework = top.text("framework").unwrap_or_else(|| {
        problems.push("no framework".to_owned());
        "unstated".to_owned()
    });
    let candidate = top.text("candidate_id").unwrap_or_else(|| {
        problems.push("no candidate_id".to_owned());
        source.line.map_or_else(|| "unnamed".to_owned(), |l| format!("line-{l}"))
    });
    let mut row = Row::new(&framework, &candidate, status);
    row.framework_version = top.text("framework_version");
    row.framework_commit = top.text("framework_commit");
    row.model = top.text("model");
    row.failure_reason = top.text("failure_reason");
    row.server_command = top.text("server_command").or_else(|| top.text("launch_command"));
    row.benchmark_command = top.text("benchmark_command");
    row.source = source;
    // A row cannot vouch for itself; it can only be weaker than what the caller knows of the file.
    row.basis = if top.text("basis").as_deref() == Some("declared") { Basis::Declared } else { basis };

    let hardware = Fields::of(object, "hardware", &mut problems);
    row.hardware.gpu_model = hardware.text("gpu_model");
    row.hardware.visible_devices = hardware.text("visible_devices");
    row.hardware.gpu_count = match hardware.count("gpu_count", &mut problems) {
        Some(0) => None,
        Some(n) => u32::try_from(n).ok(),
        None => None,
    };
    let load = Fields::of(object, "workload", &mut problems);
    row.workload.kind = load.text("kind");
    row.workload.scenario = ["scenario", "scenario_name", "dataset_scenario", "dataset_name", "kind"]
        .iter()
        .find_map(|k| load.text(k))
        .or_else(|| top.text("scenario"));
    row.workload.dataset_path = load.text("dataset_path");
    row.workload.sha256 = load.text("sha256");
    row.workload.endpoint = load.text("endpoint");
    row.workload.input_len = load.float("input_len", &mut problems);
    row.workload.output_len = load.float("output_len", &mut problems);
    row.workload.num_prompts = load.count("num_prompts", &mut problems);
    row.workload.request_rate = load.float("request_rate", &mut problems).filter(|r| *r > 0.0);
    row.workload.max_concurrency = load.count("max_concurrency", &mut problems);

    let sla = Fields::of(object, "sla", &mut problems);
    row.sla = Sla::from_row(sla.object, &mut problems);
    let metrics = Fields::of(object, "metrics", &mut problems);
    row.metrics = figures(metrics.object, &mut problems);
    let sent = Fields::of(object, "requests", &mut problems);
    if let (Some(sent), Some(succeeded)) =
        (sent.count("sent", &mut problems), sent.count("succeeded", &mut problems))
    {
        match succeeded <= sent {
            true => row.requests = Some(Requests { sent, succeeded }),
            false => problems.push(format!("{succeeded} of {sent} requests succeeded")),
        }
    }
    let spec = Fields::of(object, "spec_decode", &mut problems);
    row.spec_decode.enabled = spec.flag("enabled");
    row.spec_decode.algorithm = spec.text("algorithm");
    row.spec_decode.num_steps = spec.count("num_steps", &mut problems);
    row.spec_decode.num_draft_tokens = spec.count("num_draft_tokens", &mut problems);
    row.spec_decode.mean_accept_length = spec.float("mean_accept_length", &mut problems);
    row.spec_decode.acceptance_rate = spec.float("acceptance_rate", &mut problems);
    row.spec_decode.counts_bonus_token = spec.flag("counts_bonus_token");
    let objective = Fields::of(object, "objective", &mut problems);
    if let (Some(kind), Some(value), Some(low), Some(high)) = (
        objective.text("kind"),
        objective.float("value", &mut problems),
        objective.float("low", &mut problems),
        objective.float("high", &mut problems),
    ) {
        let cliff = objective.flag("cliff").unwrap_or(false);
        match low <= value && value <= high {
            true => row.objective = Some(Objective { kind, value, low, high, cliff }),
            false => problems.push(format!("objective {value} is outside its interval {low} to {high}")),
        }
    }
    let trial = Fields::of(object, "trial", &mut problems);
    row.trial.block = trial.count("block", &mut problems);
    row.trial.launch = trial.count("launch", &mut problems);
    row.trial.order = trial.count("order", &mut problems);
    // Rows that this program wrote keep what they carry in one place.
    let carried = object.get("carried").and_then(Value::as_object);
    for key in CARRIED {
        if let Some(value) = object.get(key).or_else(|| carried?.get(key)).filter(|v| v.is_object()) {
            row.carried.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(notes) = object.get("notes").and_then(Value::as_array) {
        row.notes = notes.iter().filter_map(Value::as_str).map(str::to_owned).take(64).collect();
    }
    if status == Status::Ok && row.metrics.is_empty() {
        problems.push("ok, but without metrics".to_owned());
    }
    row.problems = problems;
    row
}

/// The figures of a row; what is not a usable number is a problem and not a figure.
fn figures(object: Option<&Map<String, Value>>, problems: &mut Vec<String>) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    for (key, value) in object.into_iter().flatten() {
        match number(Some(value)) {
            Number::Missing => {}
            Number::Finite(x) if x < 0.0 => problems.push(format!("metrics.{key} is {x}")),
            Number::Finite(x) if key == "success_rate" && x > 1.0 => {
                problems.push(format!("metrics.{key} is {x}, above 1"));
            }
            Number::Finite(x) => {
                figures.insert(key.clone(), x);
            }
            Number::Infinite => problems.push(format!("metrics.{key} is infinite")),
            Number::Bad(text) => problems.push(format!("metrics.{key} is {text}, not a number")),
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Row {
        read_rows(text.as_bytes(), "f", Basis::Imported).unwrap().remove(0)
    }

    #[test]
    fn what_is_not_a_number_is_a_problem_and_not_a_figure() {
        let row = one(
            r#"{"framework":"trtllm","candidate_id":"c","status":"ok","basis":"measured","metrics":{"request_throughput":NaN,"p50_ttft_ms":-1,"success_rate":1.5,"p50_tpot_ms":"12.5"}}"#,
        );
        assert_eq!(row.framework, "tensorrt_llm");
        assert_eq!(row.metrics, BTreeMap::from([("p50_tpot_ms".to_owned(), 12.5)]));
        assert_eq!(row.problems.len(), 3, "{:?}", row.problems);
        assert_eq!(row.basis, Basis::Imported, "a row cannot vouch for itself");
    }

    #[test]
    fn the_rate_of_an_unbounded_load_is_none() {
        for rate in ["Infinity", "\"inf\"", "null"] {
            let row = one(&format!(
                r#"{{"framework":"x","candidate_id":"c","status":"skipped","workload":{{"request_rate":{rate}}}}}"#
            ));
            assert_eq!((row.workload.request_rate, row.problems.len()), (None, 0), "{rate}");
        }
    }

    #[test]
    fn lines_that_are_no_rows_are_named() {
        let error = read_rows(b"\n{\"a\":1}\n{oops}\n", "f.jsonl", Basis::Imported).unwrap_err();
        assert!(matches!(&error, ReadError::Line { line: 3, .. }), "{error}");
        assert!(read_rows(b"[1]", "f", Basis::Imported).is_err());
        assert!(read_rows(b"{\"a\":1,\"a\":2}", "f", Basis::Imported).is_err());
    }
}
