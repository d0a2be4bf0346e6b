//! What an engine answers about its state.

use serde_json::Value;

use super::rules::from_args;
use super::statement::{Origin, Standing, Statement, Statements};
use crate::catalog::Catalog;
use crate::path::Field;
use crate::repr::Arg;

const MAX_DEPTH: usize = 6;
const MAX_ARGS: usize = 8192;

/// Statements of a `/server_info` answer: SGLang's flat object, also inside a collector's `{"json": ...}`, and vLLM's
/// `{"vllm_config": ...}` as text or as an object. `place` names the answer (`server_info before`).
#[must_use]
pub fn from_server_info(catalog: &Catalog, answer: &Value, place: &str) -> Statements {
    let mut found = Statements::default();
    let answer = answer.get("json").filter(|v| v.is_object()).unwrap_or(answer);
    let (engine, mut args) = match answer.get("vllm_config") {
        Some(Value::String(text)) => (Some("vllm"), crate::repr::args(text)),
        Some(config) => {
            let mut args = Vec::new();
            flatten(config, MAX_DEPTH, &mut args);
            (Some("vllm"), args)
        }
        None => {
            let mut args = Vec::new();
            flatten(answer, 1, &mut args);
            let sglang = answer.get("internal_states").is_some()
                || answer.get("scheduler_info").is_some()
                || answer.get("tp_size").is_some() && answer.get("model_path").is_some();
            (sglang.then_some("sglang"), args)
        }
    };
    let mut tell = |field: Field, value: &str, key: &str| {
        let place = if key.is_empty() { place.to_owned() } else { format!("{place}: {key}") };
        found.extend(Statement::told(field, value, Standing::Resolved, Origin::ServerInfo, &place));
    };
    if let Some(engine) = engine {
        tell(Field::Engine, engine, "");
    }
    for key in ["version", "vllm_version"] {
        if let Some(version) = answer.get(key).and_then(Value::as_str) {
            tell(Field::EngineVersion, version, key);
        }
    }
    // The resolved arguments of the scheduler count before those that were given.
    if let Some(state) = answer.pointer("/internal_states/0") {
        let mut inner = Vec::new();
        flatten(state, 1, &mut inner);
        args.retain(|a| !inner.iter().any(|i| i.name == a.name));
        args.extend(inner);
    }
    // Arguments are read together: some values stand for another argument's.
    from_args(
        catalog,
        engine,
        &args,
        &mut |field, value| tell(field, value, field.name()),
        Standing::Resolved,
    );
    found
}

fn flatten(value: &Value, depth: usize, args: &mut Vec<Arg>) {
    let (Value::Object(fields), true) = (value, depth > 0) else { return };
    for (name, value) in fields {
        if args.len() >= MAX_ARGS {
            return;
        }
        let text = match value {
            Value::Null => "None".to_owned(),
            Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            Value::Object(_) => {
                flatten(value, depth - 1, args);
                value.to_string()
            }
            Value::Array(_) => continue,
        };
        args.push(Arg { name: name.clone(), value: text });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(answer: &Value) -> Vec<String> {
        let catalog = Catalog::builtin().expect("the catalogue");
        let mut all: Vec<String> = from_server_info(&catalog, answer, "server_info")
            .all()
            .iter()
            .map(|s| format!("{}={}", s.field.name(), s.value))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn shapes() {
        let sglang = json!({
            "model_path": "m", "tp_size": 2, "attention_backend": "flashinfer", "disable_cuda_graph": false,
            "speculative_algorithm": null, "dtype": "auto", "version": "0.5.23", "quantization": null,
            "internal_states": [{"attention_backend": "triton"}],
        });
        let expected = [
            "attention_backend=triton",
            "cuda_graph=on",
            "engine=sglang",
            "engine_version=0.5.23",
            "model=m",
            "speculative_algorithm=none",
            "tp=2",
        ];
        assert_eq!(show(&sglang), expected);
        assert_eq!(show(&json!({"ok": true, "json": sglang})), expected);
        let vllm = [
            "cuda_graph=off",
            "dtype=bfloat16",
            "engine=vllm",
            "kv_dtype=bfloat16",
            "model=m",
            "quantization=none",
            "tp=4",
        ];
        let text = "model='m', dtype=torch.bfloat16, tensor_parallel_size=4, quantization=None, enforce_eager=True, kv_cache_dtype=auto";
        assert_eq!(show(&json!({"vllm_config": text})), vllm);
        let object = json!({"vllm_config": {
            "model_config": {"model": "m", "dtype": "torch.bfloat16", "quantization": null, "enforce_eager": true},
            "parallel_config": {"tensor_parallel_size": 4}, "cache_config": {"cache_dtype": "auto"},
        }});
        assert_eq!(show(&object), vllm);
        assert_eq!(show(&json!({"unrelated": [1]})), [""; 0]);
    }
}
