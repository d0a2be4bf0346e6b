//! Results of other tools. Shapes are those of their sources: lm-eval's results and samples files
//! (`lm_eval/loggers/evaluation_tracker.py`), SGLang's `benchmark/gsm8k`, `benchmark/mmlu` and `sglang.test.run_eval`,
//! vLLM's `tests/evals/gsm8k/gsm8k_eval.py --save-results`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compare::{Item, Side};
use crate::rows::Basis;

/// Most parts of lm-eval's groups that are looked at; a group that names itself ends there.
const MAX_PARTS: u32 = 10_000;
/// Metrics that lm-eval's GSM8K and MMLU state, the first that is there is taken.
const KNOWN: [&str; 5] = [
    "exact_match,strict-match",
    "exact_match,flexible-extract",
    "acc,none",
    "exact_match,none",
    "exact_match",
];

/// Which result of a file is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pick {
    /// The task, where a file holds several.
    pub task: Option<String>,
    /// The metric and filter as lm-eval names them: `exact_match,strict-match`.
    pub metric: Option<String>,
    /// Questions, where a file does not state them.
    pub n: Option<u64>,
}

/// Reads a result; `name` is what the file is called in messages.
///
/// # Errors
/// Why the bytes hold no result, or not the one that is meant.
pub fn imported(bytes: &[u8], name: &str, pick: &Pick) -> Result<Side, String> {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return whole(&value, name, pick);
    }
    let mut lines = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_slice(line).map_err(|e| format!("line {}: {e}", i + 1))?;
        lines.push(value);
    }
    match lines.first() {
        Some(v) if v.get("doc_id").is_some() => samples(&lines, name, pick, "samples of lm-eval"),
        Some(v) if v.get("num_requests").is_some() => sglang_rows(&lines, name, pick),
        _ => Err(UNKNOWN.to_owned()),
    }
}

const UNKNOWN: &str =
    "neither results nor samples of lm-eval, nor a result of SGLang's or vLLM's accuracy scripts";

fn whole(v: &Value, name: &str, pick: &Pick) -> Result<Side, String> {
    if let Some(results) = v.get("results").and_then(Value::as_object) {
        return lm_eval(v, results, name, pick);
    }
    if v.get("doc_id").is_some() {
        return samples(std::slice::from_ref(v), name, pick, "samples of lm-eval");
    }
    if v.get("num_questions").is_some() && v.get("accuracy").is_some() {
        let n = count(v.get("num_questions")).ok_or("num_questions is no count")?;
        let mut side =
            counted(name, "vLLM", pick.task.as_deref().unwrap_or("gsm8k"), share(v.get("accuracy"))?, n, 0.0);
        side.unanswered = share(v.get("invalid_rate")).ok().map(|r| (r * n as f64).round() as u64);
        if side.unanswered.is_some_and(|u| u > 0) {
            side.notes
                .push("its invalid answers hold failed requests too, which count as wrong there".to_owned());
        }
        put(&mut side, "shots", v.get("num_shots"));
        return Ok(side);
    }
    if v.get("num_requests").is_some() && v.get("accuracy").is_some() {
        return sglang_rows(std::slice::from_ref(v), name, pick);
    }
    let score = v.get("score").or_else(|| v.pointer("/aggregate/score")).or_else(|| v.get("mean_score"));
    if let Some(score) = score {
        let n = pick.n.ok_or("SGLang's run_eval does not state how many questions it asked")?;
        let task = pick.task.as_deref().ok_or("SGLang's run_eval does not state its task")?;
        return Ok(counted(name, "SGLang run_eval", task, share(Some(score))?, n, 0.0));
    }
    Err(UNKNOWN.to_owned())
}

/// A share that a file states, whose last digit may be rounded by `round` either way.
fn counted(name: &str, format: &str, task: &str, value: f64, n: u64, round: f64) -> Side {
    let of = n as f64;
    let nearest = (value * of).round().clamp(0.0, of);
    let exact = (value * of - nearest).abs() <= 1e-6 * of.max(1.0);
    let mut notes = Vec::new();
    let between = if exact && round == 0.0 {
        (nearest, nearest)
    } else if round > 0.0 {
        (((value - round) * of).ceil().max(0.0), ((value + round) * of).floor().min(of))
    } else {
        notes.push(format!("{value} is no whole number of {n} questions: it is a weighted mean or rounded"));
        ((value * of).floor(), (value * of).ceil())
    };
    let between = (between.0.min(nearest) as u64, between.1.max(nearest) as u64);
    if between.0 != between.1 {
        notes.push(format!("{value} of {n} may be {} to {} right answers", between.0, between.1));
    }
    Side {
        source: format!("{name} ({format})"),
        basis: Basis::Imported,
        task: task.to_owned(),
        n,
        correct: nearest as u64,
        between,
        unanswered: None,
        items: None,
        settings: BTreeMap::new(),
        faults: if n == 0 { vec!["no question was asked".to_owned()] } else { Vec::new() },
        notes,
    }
}

fn count(v: Option<&Value>) -> Option<u64> {
    v.and_then(Value::as_u64)
}

fn share(v: Option<&Value>) -> Result<f64, String> {
    let x = v.and_then(Value::as_f64).filter(|x| (0.0..=1.0).contains(x));
    x.ok_or_else(|| format!("{} is no share from 0 to 1", v.unwrap_or(&Value::Null)))
}

fn put(side: &mut Side, key: &str, v: Option<&Value>) {
    if let Some(n) = count(v) {
        side.settings.insert(key.to_owned(), n.to_string());
    }
}

fn sglang_rows(rows: &[Value], name: &str, pick: &Pick) -> Result<Side, String> {
    let task = |v: &Value| v.get("task").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits = |v: &&Value| pick.task.as_ref().is_none_or(|t| *t == task(v));
    let named: std::collections::BTreeSet<String> = rows.iter().filter(fits).map(task).collect();
    if named.len() > 1 {
        let names: Vec<String> = named.into_iter().collect();
        return Err(format!("several tasks ({}): name one", names.join(", ")));
    }
    let row = rows.iter().rfind(fits).ok_or("no line of the task that is meant")?;
    let n = count(row.get("num_requests")).ok_or("num_requests is no count")?;
    // These scripts write three decimals.
    let mut side = counted(name, "SGLang", &task(row), share(row.get("accuracy"))?, n, 0.0005);
    let lines = rows.iter().filter(fits).count();
    if lines > 1 {
        side.notes.push(format!("the last of {lines} lines of the task"));
    }
    Ok(side)
}

fn lm_eval(v: &Value, results: &Map<String, Value>, name: &str, pick: &Pick) -> Result<Side, String> {
    // A group and its parts stand side by side: the group is meant where the file holds one.
    let groups: Vec<&String> = v
        .get("groups")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|g| g.keys())
        .filter(|g| results.contains_key(*g))
        .collect();
    let task = match (&pick.task, results.len(), groups.as_slice()) {
        (Some(task), _, _) => task.clone(),
        (None, 1, _) => results.keys().next().cloned().unwrap_or_default(),
        (None, _, [only]) => (*only).clone(),
        _ => {
            let names: Vec<&str> = results.keys().take(20).map(String::as_str).collect();
            return Err(format!("several tasks ({}): name one", names.join(", ")));
        }
    };
    let metrics =
        results.get(&task).and_then(Value::as_object).ok_or_else(|| format!("no result of task {task}"))?;
    if let Some(list) = v.get("samples").and_then(|s| s.get(&task)).and_then(Value::as_array)
        && !list.is_empty()
    {
        let mut pick = pick.clone();
        pick.task = Some(task.clone());
        return samples(list, name, &pick, "lm-eval with samples");
    }
    let is_metric = |k: &&String| !k.contains("stderr") && metrics[*k].is_number() && **k != "sample_len";
    let metric = match &pick.metric {
        Some(m) => metrics.contains_key(m).then(|| m.clone()),
        None => KNOWN
            .iter()
            .find(|k| metrics.contains_key(**k))
            .map(|k| (*k).to_owned())
            .or_else(|| metrics.keys().find(is_metric).cloned()),
    };
    let known = || metrics.keys().filter(is_metric).cloned().collect::<Vec<_>>().join(", ");
    let metric = metric.ok_or_else(|| format!("task {task} has no such metric; it has {}", known()))?;
    let n = pick.n.or_else(|| samples_of(v, &task, &mut { MAX_PARTS }, 0));
    let n = n.ok_or_else(|| format!("the file does not state how many questions {task} has"))?;
    let mut side = counted(name, "lm-eval", &task, share(metrics.get(&metric))?, n, 0.0);
    side.notes.push(format!("metric {metric}; the file has {}", known()));
    put(&mut side, "shots", v.get("n-shot").and_then(|s| s.get(&task)));
    side.settings.insert("metric".to_owned(), metric);
    Ok(side)
}

/// Questions of a task, or of all below a group. Groups nest a few levels deep.
fn samples_of(v: &Value, task: &str, left: &mut u32, depth: u32) -> Option<u64> {
    *left = left.checked_sub(1)?;
    let own = v.get("n-samples").and_then(|s| s.get(task)).and_then(|s| s.get("effective"));
    if let Some(n) = count(own) {
        return Some(n);
    }
    let below = v.get("group_subtasks")?.get(task)?.as_array().filter(|l| !l.is_empty() && depth < 8)?;
    let mut sum = 0_u64;
    for part in below {
        sum = sum.checked_add(samples_of(v, part.as_str()?, left, depth + 1)?)?;
    }
    Some(sum)
}

fn samples(rows: &[Value], name: &str, pick: &Pick, format: &str) -> Result<Side, String> {
    let first = rows.first().ok_or("no sample")?;
    let (metric, filter) = match pick.metric.as_deref().map(|m| m.split_once(',').unwrap_or((m, ""))) {
        Some((metric, filter)) => (metric.to_owned(), Some(filter.to_owned()).filter(|f| !f.is_empty())),
        None => {
            let listed = first.pointer("/metrics/0").and_then(Value::as_str);
            let known = ["exact_match", "acc"].into_iter().find(|k| first.get(*k).is_some());
            let metric =
                listed.filter(|m| first.get(*m).is_some()).or(known).ok_or("a sample has no metric")?;
            (metric.to_owned(), first.get("filter").and_then(Value::as_str).map(str::to_owned))
        }
    };
    let (mut items, mut unanswered) = (BTreeMap::new(), 0);
    for (i, row) in rows.iter().enumerate() {
        let its = row.get("filter").and_then(Value::as_str);
        if filter.is_some() && its.is_some() && its != filter.as_deref() {
            continue;
        }
        let at = |what: &str| format!("sample {}: {what}", i + 1);
        let id = match row.get("doc_id") {
            Some(Value::Number(n)) => n.to_string(),
            Some(Value::String(s)) => s.clone(),
            _ => return Err(at("no doc_id")),
        };
        let right = match row.get(&metric) {
            Some(Value::Bool(b)) => *b,
            Some(Value::Number(n)) if n.as_f64() == Some(1.0) => true,
            Some(Value::Number(n)) if n.as_f64() == Some(0.0) => false,
            _ => return Err(at(&format!("{metric} is neither 0 nor 1"))),
        };
        // What lm-eval's filters say where nothing matched.
        unanswered +=
            u64::from(row.pointer("/filtered_resps/0").and_then(Value::as_str) == Some("[invalid]"));
        let hash = row.get("prompt_hash").or_else(|| row.get("doc_hash")).and_then(Value::as_str);
        let item = Item { right: Some(right), prompt: hash.map(str::to_owned) };
        if items.insert(id.clone(), item).is_some() {
            return Err(at(&format!("doc_id {id} came before; name the metric with its filter")));
        }
    }
    if items.is_empty() {
        return Err("no sample has that filter".to_owned());
    }
    let task =
        pick.task.clone().or_else(|| task_of(name)).ok_or("the samples do not say of which task they are")?;
    let right = items.values().filter(|i| i.right == Some(true)).count() as u64;
    let mut side = counted(name, format, &task, 0.0, items.len() as u64, 0.0);
    (side.correct, side.between) = (right, (right, right));
    side.unanswered = Some(unanswered);
    let shown = filter.as_ref().map_or_else(|| metric.clone(), |f| format!("{metric},{f}"));
    side.notes.push(format!("metric {shown}"));
    side.settings.insert("metric".to_owned(), shown);
    side.items = Some(items);
    Ok(side)
}

/// `samples_gsm8k_2026-08-07T11-16-36.000001.jsonl` is of task gsm8k.
fn task_of(name: &str) -> Option<String> {
    let file = name.rsplit('/').next()?;
    let rest = file.strip_prefix("samples_")?.strip_suffix(".jsonl")?;
    let (task, date) = rest.rsplit_once('_')?;
    date.starts_with(|c: char| c.is_ascii_digit()).then(|| task.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Side, String> {
        imported(text.as_bytes(), "f", &Pick::default())
    }

    #[test]
    fn vllm_and_sglang() {
        let v =
            read(r#"{"accuracy":0.9150871872630781,"invalid_rate":0.0,"num_questions":1319,"num_shots":5}"#)
                .unwrap();
        assert_eq!((v.n, v.correct, v.between, v.task.as_str()), (1319, 1207, (1207, 1207), "gsm8k"));
        assert_eq!(v.settings["shots"], "5");
        let rows = "{\"task\":\"gsm8k\",\"accuracy\":0.5,\"num_requests\":200}\n{\"task\":\"gsm8k\",\"accuracy\":0.915,\"num_requests\":5000}\n";
        let s = read(rows).unwrap();
        assert_eq!((s.n, s.correct, s.between), (5000, 4575, (4573, 4577)));
        assert!(s.score().ci_low < 0.908 && s.score().ci_high > 0.921);
        let two = format!("{rows}{}\n", r#"{"task":"mmlu","accuracy":0.7,"num_requests":100}"#);
        assert!(read(&two).unwrap_err().contains("gsm8k, mmlu"));
        let pick = Pick { task: Some("mmlu".into()), ..Pick::default() };
        assert_eq!(imported(two.as_bytes(), "f", &pick).unwrap().correct, 70);
        let score = r#"{"score":0.75,"score:std":0.43,"latency":3.0}"#;
        assert!(read(score).is_err());
        let pick = Pick { task: Some("mmlu".into()), metric: None, n: Some(64) };
        assert_eq!(imported(score.as_bytes(), "f", &pick).unwrap().correct, 48);
    }

    #[test]
    fn lm_eval_results() {
        let gsm8k = r#"{"results":{"gsm8k":{"alias":"gsm8k","exact_match,strict-match":0.25,"exact_match_stderr,strict-match":0.05,"exact_match,flexible-extract":0.5}},
            "n-shot":{"gsm8k":5},"n-samples":{"gsm8k":{"original":1319,"effective":8}}}"#;
        let side = read(gsm8k).unwrap();
        assert_eq!((side.n, side.correct, side.settings["shots"].as_str()), (8, 2, "5"));
        let pick = Pick { metric: Some("exact_match,flexible-extract".into()), ..Pick::default() };
        assert_eq!(imported(gsm8k.as_bytes(), "f", &pick).unwrap().correct, 4);
        let mmlu = r#"{"results":{"mmlu":{"acc,none":0.6},"mmlu_stem":{"acc,none":0.5},"a":{"acc,none":0.5},"b":{"acc,none":0.8}},
            "groups":{"mmlu":{"acc,none":0.6}},"group_subtasks":{"mmlu":["mmlu_stem","b"],"mmlu_stem":["a"]},
            "n-samples":{"a":{"effective":20},"b":{"effective":10}}}"#;
        let side = read(mmlu).unwrap();
        assert_eq!((side.task.as_str(), side.n, side.correct), ("mmlu", 30, 18));
        // A group that names itself ends.
        let circle = r#"{"results":{"g":{"acc,none":0.6}},"group_subtasks":{"g":["g","g"]}}"#;
        assert!(read(circle).is_err());
    }

    #[test]
    fn lm_eval_samples() {
        let line = |id: u32, filter: &str, right: f64, said: &str| {
            format!(
                r#"{{"doc_id":{id},"filter":"{filter}","metrics":["exact_match"],"exact_match":{right},"filtered_resps":["{said}"],"prompt_hash":"h{id}"}}"#
            )
        };
        let text = [
            line(0, "strict-match", 1.0, "18"),
            line(0, "flexible-extract", 1.0, "18"),
            line(1, "strict-match", 0.0, "[invalid]"),
            line(1, "flexible-extract", 1.0, "3"),
        ]
        .join("\n");
        let name = "dir/samples_gsm8k_cot_2026-08-07T11-16-36.1.jsonl";
        let side = imported(text.as_bytes(), name, &Pick::default()).unwrap();
        assert_eq!((side.task.as_str(), side.n, side.correct, side.unanswered), ("gsm8k_cot", 2, 1, Some(1)));
        let pick = Pick { metric: Some("exact_match,flexible-extract".into()), ..Pick::default() };
        assert_eq!(imported(text.as_bytes(), name, &pick).unwrap().correct, 2);
        assert!(read(&line(0, "x", 0.5, "")).is_err());
    }

    #[test]
    fn other_files_are_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "7",
            "{",
            "{\"a\":1}\n{\"b\":2}",
            r#"{"results":{}}"#,
            r#"{"accuracy":2,"num_questions":5}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
