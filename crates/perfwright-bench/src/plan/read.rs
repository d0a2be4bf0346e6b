//! From YAML to a plan. Both known shapes are read: the runtime plan (bounds at the top) and the cookbook config
//! (bounds under `benchmark`, each framework with its command).

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::check;
use super::fields::Obj;
use super::node::{Fault, Kind, Node, read};
use super::types::{FrameworkPlan, Hardware, Knob, Model, Plan, Qps, SCHEMA, Scenario, Search};
use crate::rows::Framework;
use crate::sla::{Bound, Sla};

/// Most values of one list.
const MAX_LIST: usize = 1000;

/// Reads a plan.
///
/// # Errors
/// Every fault, in the order of the lines. A text that is no YAML at all gives one fault without a path.
pub fn read_plan(text: &str) -> Result<Plan, Vec<Fault>> {
    let node = read(text).map_err(|fault| vec![fault])?;
    let faults = RefCell::new(Vec::new());
    let plan = plan(&Obj::root(&node, &faults));
    let mut faults = faults.into_inner();
    faults.extend(check::faults(&plan));
    if faults.is_empty() {
        return Ok(plan);
    }
    faults.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
    Err(faults)
}

fn plan(root: &Obj<'_>) -> Plan {
    if let Some(version) = root.node("schema_version")
        && version.value() != 1
    {
        root.fault("schema_version", version.line, "should be 1", None);
    }
    root.text("schema");
    let source = root.obj("source").map(|o| words(&o)).unwrap_or_default();
    let model = root.obj("model").map_or_else(
        || {
            root.fault("model", 1, "is missing", None);
            Model::default()
        },
        |o| {
            let name = o.required("name");
            let model = Model {
                name,
                tokenizer: o.text("tokenizer"),
                precision: o.text("precision"),
                quantization: o.text("quantization"),
                config: o.text("config"),
            };
            o.done();
            model
        },
    );
    let hardware = root.obj("hardware").map_or_else(Hardware::default, |o| {
        let hardware = Hardware {
            gpu_model: o.text("gpu_model"),
            gpu_count: o.count("gpu_count"),
            multi_node: o.flag("multi_node").unwrap_or(false),
        };
        o.done();
        hardware
    });
    let mut versions = BTreeMap::new();
    if let Some(o) = root.obj("version_manifest") {
        for (name, node) in o.free() {
            let child = o.child(name, node);
            let entries = child.free().map(|(k, v)| (k.to_owned(), scalar(v)));
            versions.insert(crate::rows::framework::canonical(name), entries.collect());
        }
    }
    let (dataset_kind, canonical_jsonl, num_prompts, scenarios) = dataset(root);
    let benchmark = root.obj("benchmark");
    let b = benchmark.as_ref();
    let sla = bounds(root, b);
    let max_concurrency = b.map_or_else(Vec::new, |b| {
        let each = |n: &Node| match n.value() {
            Value::Null => None,
            v => {
                let n_ok = v.as_u64().filter(|n| *n > 0);
                if n_ok.is_none() {
                    b.fault(
                        "max_concurrency",
                        n.line,
                        "should be whole numbers above 0, or null for no cap",
                        None,
                    );
                }
                n_ok
            }
        };
        b.list("max_concurrency").into_iter().take(MAX_LIST).map(each).collect()
    });
    let request_rates = b.map_or_else(Vec::new, |b| {
        let each = |n: &&Node| {
            let rate = n.value().as_f64().filter(|r| r.is_finite() && *r > 0.0);
            if rate.is_none() {
                b.fault("request_rates", n.line, "should be numbers above 0", None);
            }
            rate
        };
        b.list("request_rates").iter().take(MAX_LIST).filter_map(each).collect()
    });
    let rates = b.and_then(|b| b.obj("qps")).map(|o| range(&o, 0.1));
    let concurrency = b.and_then(|b| b.obj("concurrency")).map(|o| range(&o, 1.0));
    if let (Some(b), true, true) = (b, rates.is_some(), concurrency.is_some()) {
        let hint = Some("keep qps or concurrency".to_owned());
        b.fault("concurrency", b.line_of("concurrency"), "one search looks for one boundary", hint);
    }
    let set: Option<Vec<String>> = b.and_then(|b| {
        let list = b.list("framework_set");
        let names = list.iter().filter_map(|n| scalar(n)).map(|n| crate::rows::framework::canonical(&n));
        (!list.is_empty()).then(|| names.collect())
    });
    let extra_request_body = b.and_then(|b| b.node("extra_request_body")).map_or(Value::Null, Node::value);
    let endpoint = b.and_then(|b| b.text("endpoint")).unwrap_or_else(|| "/v1/completions".to_owned());
    let backend = b.and_then(|b| b.text("backend"));
    let mut output_dir = b.and_then(|b| b.text("output_dir"));
    if let Some(b) = b {
        b.text("tokenizer");
        b.done();
    }
    let search = root.obj("search");
    let s = search.as_ref();
    output_dir = s.and_then(|s| s.text("output_dir")).or(output_dir);
    let search = Search {
        tier: s.and_then(|s| s.count("tier")).unwrap_or(2),
        max_candidates: s.and_then(|s| s.count("max_candidates_per_framework")).unwrap_or(8),
        repeats: s.and_then(|s| s.count("repeats")).unwrap_or(3),
        seed: s.and_then(|s| s.count("seed")).unwrap_or(1),
        resume: s.and_then(|s| s.flag("resume")).unwrap_or(true),
        output_dir,
    };
    if let Some(s) = s {
        s.text("candidate_generation");
        s.done();
    }
    let frameworks = frameworks(root, set.as_deref());
    root.done();
    Plan {
        schema: SCHEMA,
        source,
        model,
        hardware,
        versions,
        dataset_kind,
        canonical_jsonl,
        num_prompts,
        scenarios,
        endpoint,
        backend,
        request_rates,
        max_concurrency,
        qps: rates,
        concurrency,
        extra_request_body,
        sla,
        search,
        frameworks,
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
        _ => None,
    }
}

fn words(o: &Obj<'_>) -> BTreeMap<String, String> {
    o.free().filter_map(|(k, v)| Some((k.to_owned(), scalar(v)?))).collect()
}

fn dataset(root: &Obj<'_>) -> (String, Option<String>, u64, Vec<Scenario>) {
    let Some(o) = root.obj("dataset") else {
        root.fault("dataset", 1, "is missing", None);
        return (String::new(), None, 1, Vec::new());
    };
    let kind = o.text("kind").unwrap_or_else(|| "random".to_owned());
    let file = o.text("canonical_jsonl");
    let prompts = o.count("num_prompts").unwrap_or(80);
    let lengths = |key: &'static str| -> Vec<u64> {
        let each = |n: &&Node| {
            let length = n.value().as_u64().filter(|l| (1..=1 << 24).contains(l));
            if length.is_none() {
                o.fault(key, n.line, "should be whole numbers from 1 to 16777216", None);
            }
            length
        };
        o.list(key).iter().take(MAX_LIST).filter_map(each).collect()
    };
    let (inputs, outputs) = (lengths("input_len"), lengths("output_len"));
    let names: Vec<String> = o.list("scenario_names").into_iter().take(MAX_LIST).filter_map(scalar).collect();
    let aligned = inputs.len() == outputs.len() && (names.is_empty() || names.len() == inputs.len());
    if !aligned {
        o.fault(
            "output_len",
            o.line_of("output_len"),
            format!(
                "scenario_names, input_len and output_len are aligned and have {}, {} and {} values",
                names.len(),
                inputs.len(),
                outputs.len()
            ),
            Some("lengths are pairs, not a product".to_owned()),
        );
    }
    if inputs.is_empty() && file.is_none() {
        o.fault(
            "input_len",
            o.line_of("input_len"),
            "is missing",
            Some("or name a canonical_jsonl".to_owned()),
        );
    }
    let scenarios: Vec<Scenario> = inputs
        .iter()
        .zip(&outputs)
        .enumerate()
        .map(|(i, (input, output))| Scenario {
            name: names.get(i).cloned().unwrap_or_else(|| format!("{input}-{output}")),
            input_len: *input,
            output_len: *output,
        })
        .collect();
    for (i, scenario) in scenarios.iter().enumerate() {
        if scenarios[..i].iter().any(|s| s.name == scenario.name) {
            o.fault(
                "scenario_names",
                o.line_of("scenario_names"),
                format!("{} is named twice", scenario.name),
                None,
            );
        }
    }
    o.done();
    (kind, file, prompts, scenarios)
}

fn range(o: &Obj<'_>, usual_tolerance: f64) -> Qps {
    let lower = o.float("lower").unwrap_or(0.0);
    let upper = o.float("upper").unwrap_or(0.0);
    let tolerance = o.float("tolerance").unwrap_or(usual_tolerance);
    let rounds = o.count("max_rounds");
    if !(lower > 0.0 && upper > lower) {
        o.fault("upper", o.line_of("upper"), format!("{lower} to {upper} is no range above 0"), None);
    }
    if tolerance <= 0.0 {
        o.fault("tolerance", o.line_of("tolerance"), "should be above 0", None);
    }
    o.done();
    let mut qps = Qps { lower, upper, tolerance, max_rounds: 0, rounds_given: rounds.is_some() };
    qps.max_rounds = rounds.unwrap_or_else(|| qps.needed_rounds()).min(1000);
    qps
}

/// Bounds stand at the top or under `benchmark`, flat (`max_p50_ttft_ms: 1500`) or by figure (`ttft_ms: {p99: 1500}`).
fn bounds(root: &Obj<'_>, benchmark: Option<&Obj<'_>>) -> Sla {
    let (top, under) = (root.obj("sla"), benchmark.and_then(|b| b.obj("sla")));
    if top.is_some() && under.is_some() {
        root.fault(
            "sla",
            root.line_of("sla"),
            "bounds are given here and under benchmark",
            Some("keep one".to_owned()),
        );
    }
    let Some(o) = top.or(under) else { return Sla::default() };
    let mut bounds = Vec::new();
    let mut add = |key: &str, name: &str, node: &Node| match node
        .value()
        .as_f64()
        .ok_or_else(|| "should be a number".to_owned())
        .and_then(|x| Bound::parse(name, x))
    {
        Ok(bound) => bounds.push(bound),
        Err(cause) => {
            let hint = "a bound is max_p99_ttft_ms: 1500, or ttft_ms: {p99: 1500}".to_owned();
            o.fault(key, node.line, cause, Some(hint));
        }
    };
    for (key, node) in o.free() {
        match &node.kind {
            _ if node.is_null() => {}
            Kind::Map(statistics) => {
                for (statistic, limit) in statistics {
                    add(key, &format!("max_{statistic}_{key}"), limit);
                }
            }
            _ if key.starts_with("max_") || key.starts_with("min_") => add(key, key, node),
            // A share or a throughput alone is a lower bound.
            _ => add(key, &format!("min_{key}"), node),
        }
    }
    Sla::new(bounds).unwrap_or_else(|cause| {
        root.fault("sla", root.line_of("sla"), cause, None);
        Sla::default()
    })
}

fn frameworks(root: &Obj<'_>, set: Option<&[String]>) -> Vec<FrameworkPlan> {
    let Some(all) = root.obj("frameworks") else {
        root.fault("frameworks", 1, "is missing", None);
        return Vec::new();
    };
    let mut out: Vec<FrameworkPlan> = Vec::new();
    for (name, node) in all.free() {
        let o = all.child(name, node);
        let kind = Framework::parse(name).unwrap_or(Framework::Generic);
        let canonical = crate::rows::framework::canonical(name);
        if out.iter().any(|f| f.name == canonical) {
            o.fault("", node.line, "the same framework stands here twice", None);
        }
        let given = o.text("server_command");
        let usual = match kind {
            Framework::Sglang => "python -m sglang.launch_server",
            Framework::Vllm => "vllm serve",
            Framework::TensorrtLlm => "trtllm-serve serve",
            Framework::Tokenspeed => "tokenspeed serve",
            Framework::Generic => "",
        };
        let server_command = given.unwrap_or_else(|| usual.to_owned());
        if server_command.is_empty() {
            let known: Vec<&str> = Framework::KNOWN.iter().map(|f| f.name()).collect();
            let hint = crate::flags::nearest(name, known.iter().copied()).map_or_else(
                || "a template such as `my-server {model} --port {port} {flags}`".to_owned(),
                |near| format!("did you mean {near}? Another server needs a template"),
            );
            o.fault("server_command", node.line, "is missing", Some(hint));
        } else if let Err(cause) = crate::render::shlex::split(&server_command) {
            o.fault("server_command", o.line_of("server_command"), cause, None);
        }
        let policy = o.text("backend_policy");
        if let Some(policy) = &policy
            && kind == Framework::TensorrtLlm
            && policy != "fixed_pytorch"
        {
            let line = o.line_of("backend_policy");
            o.fault(
                "backend_policy",
                line,
                "TensorRT-LLM runs on its PyTorch backend",
                Some("fixed_pytorch".to_owned()),
            );
        }
        o.text("config_source");
        let enabled = o.flag("enabled").unwrap_or(true) && set.is_none_or(|s| s.contains(&canonical));
        let base = o.obj("base_server_flags").map(|f| flags(&f)).unwrap_or_default();
        let space = o.obj("search_space").map(|f| knobs(&f)).unwrap_or_default();
        let env = o.obj("env").map(|e| words(&e)).unwrap_or_default();
        o.done();
        out.push(FrameworkPlan { name: canonical, kind, enabled, server_command, base, space, env });
    }
    if let Some(set) = set {
        for name in set.iter().filter(|n| !out.iter().any(|f| f.name == **n)) {
            root.fault("benchmark.framework_set", 1, format!("{name} has no section under frameworks"), None);
        }
    }
    if !out.iter().any(|f| f.enabled) {
        root.fault("frameworks", root.line_of("frameworks"), "none takes part", None);
    }
    out
}

fn flag_value(o: &Obj<'_>, key: &str, node: &Node) -> Value {
    if node.ambiguous() {
        let hint = "write true or false, or quote the word".to_owned();
        o.fault(key, node.line, "readers disagree whether this word is a truth value", Some(hint));
    }
    node.value()
}

fn flags(o: &Obj<'_>) -> Vec<(String, Value)> {
    o.free().take(MAX_LIST).map(|(key, node)| (key.to_owned(), flag_value(o, key, node))).collect()
}

fn knobs(o: &Obj<'_>) -> Vec<Knob> {
    let mut out = Vec::new();
    for (key, node) in o.free().take(MAX_LIST) {
        let Kind::Seq(items) = &node.kind else {
            o.fault(key, node.line, "should be a list of values to try", None);
            continue;
        };
        if items.is_empty() || items.len() > MAX_LIST {
            o.fault(key, node.line, format!("should list 1 to {MAX_LIST} values"), None);
            continue;
        }
        let mut values: Vec<Value> = Vec::new();
        for item in items {
            let value = flag_value(o, key, item);
            if values.contains(&value) {
                o.fault(key, item.line, format!("{value} is listed twice"), None);
            }
            values.push(value);
        }
        out.push(Knob { name: key.to_owned(), values });
    }
    out
}
