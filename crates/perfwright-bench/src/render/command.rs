//! The command that starts a server with a candidate's flags.
//!
//! SGLang takes the model as `--model-path`; vLLM, TensorRT-LLM and TokenSpeed take it as the first word behind the
//! command. TensorRT-LLM keeps underscores in flag names (`--tp_size`), the others have dashes. Other servers are
//! templates with `{model}`, `{host}`, `{port}` and `{flags}`.

use serde_json::Value;

use super::shlex::{join, split};
use crate::flags::Help;
use crate::plan::FrameworkPlan;
use crate::rows::Framework;

/// A command that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The words, the program first.
    pub argv: Vec<String>,
    /// What was left out or chosen.
    pub notes: Vec<String>,
}

impl Rendered {
    /// The command as one line for a shell.
    #[must_use]
    pub fn line(&self) -> String {
        join(&self.argv)
    }
}

/// Address that a server listens on.
#[derive(Debug, Clone, Copy)]
pub struct Listen<'a> {
    /// Host.
    pub host: &'a str,
    /// Port.
    pub port: u16,
}

/// Renders the command of `framework` for `model` with `flags`, in their order. An empty `model` is named in the command. Where the captured `help` is known, it
/// decides how a false flag is written.
///
/// # Errors
/// The command of the plan cannot be split, or a template does not say where the model goes.
pub fn command(
    framework: &FrameworkPlan,
    model: &str,
    flags: &[(String, Value)],
    listen: Option<Listen<'_>>,
    help: Option<&Help>,
) -> Result<Rendered, String> {
    let mut argv = split(&framework.server_command)?;
    let mut notes = Vec::new();
    let mut words = Vec::new();
    let has = |name: &str| flags.iter().any(|(k, _)| crate::plan::check::same(k, name));
    let mut add = |name: &str, value: &Value| {
        words.extend(flag(framework.kind, name, value, help, &mut notes));
    };
    match framework.kind {
        _ if model.is_empty() => {}
        Framework::Sglang if !has("model_path") && !has("model") => {
            add("model_path", &Value::String(model.to_owned()));
        }
        Framework::Vllm | Framework::TensorrtLlm | Framework::Tokenspeed => argv.push(model.to_owned()),
        _ => {}
    }
    for (name, value) in flags {
        add(name, value);
    }
    if let Some(listen) = listen.filter(|_| framework.kind != Framework::Generic) {
        add("host", &Value::String(listen.host.to_owned()));
        add("port", &Value::from(listen.port));
    }
    if framework.kind == Framework::Generic {
        let template = argv.iter().any(|w| w.contains("{model}"));
        if !template && !has("model") && !model.is_empty() {
            return Err("the template does not say where {model} goes".to_owned());
        }
        let mut filled = Vec::new();
        let mut placed = false;
        for word in argv {
            if word == "{flags}" {
                filled.append(&mut words);
                placed = true;
                continue;
            }
            let mut word = word.replace("{model}", model);
            if let Some(listen) = listen {
                word = word.replace("{host}", listen.host).replace("{port}", &listen.port.to_string());
            }
            filled.push(word);
        }
        if !placed {
            filled.append(&mut words);
        }
        return Ok(Rendered { argv: filled, notes });
    }
    argv.append(&mut words);
    Ok(Rendered { argv, notes })
}

/// The name of a flag on the command line.
#[must_use]
pub fn flag_name(kind: Framework, name: &str) -> String {
    if name.starts_with('-') {
        return name.to_owned();
    }
    match kind {
        Framework::TensorrtLlm => format!("--{name}"),
        _ if name.chars().count() == 1 => format!("-{name}"),
        _ => format!("--{}", name.replace('_', "-")),
    }
}

/// The words of one flag.
fn flag(
    kind: Framework,
    name: &str,
    value: &Value,
    help: Option<&Help>,
    notes: &mut Vec<String>,
) -> Vec<String> {
    let written = flag_name(kind, name);
    match value {
        Value::Null => Vec::new(),
        // A flag that takes a value gets the word; one that takes none stands alone.
        Value::Bool(truth) if help.and_then(|h| h.find(&written)).is_some_and(|f| f.takes_value) => {
            vec![written, truth.to_string()]
        }
        Value::Bool(true) => vec![written],
        Value::Bool(false) => {
            let negative = format!("--no-{}", written.trim_start_matches('-'));
            let known = match help {
                Some(help) => help.find(&negative).is_some(),
                // vLLM's truth values are argparse's BooleanOptionalAction, which makes the negative.
                None => kind == Framework::Vllm,
            };
            if known {
                return vec![negative];
            }
            notes.push(format!("{written} is false and the server has no {negative}: it is left out"));
            Vec::new()
        }
        Value::Number(n) => vec![written, n.to_string()],
        Value::String(s) => vec![written, s.clone()],
        // Lists of plain values are several words, as argparse's nargs takes them; anything else is JSON.
        Value::Array(items) if !items.is_empty() && items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            let word = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            std::iter::once(written).chain(items.iter().map(word)).collect()
        }
        json => vec![written, json.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(kind: Framework, command: &str) -> FrameworkPlan {
        FrameworkPlan {
            name: kind.name().to_owned(),
            kind,
            enabled: true,
            server_command: command.to_owned(),
            base: Vec::new(),
            space: Vec::new(),
            env: std::collections::BTreeMap::new(),
        }
    }

    fn line(kind: Framework, start: &str, flags: &[(&str, Value)]) -> String {
        let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let listen = Listen { host: "127.0.0.1", port: 8000 };
        command(&plan(kind, start), "org/m", &flags, Some(listen), None).unwrap().line()
    }

    #[test]
    fn every_framework_in_its_own_way() {
        assert_eq!(
            line(
                Framework::Sglang,
                "python -m sglang.launch_server",
                &[("tp_size", json!(4)), ("trust_remote_code", json!(true)), ("quantization", json!(null))]
            ),
            "python -m sglang.launch_server --model-path org/m --tp-size 4 --trust-remote-code --host 127.0.0.1 --port 8000"
        );
        assert_eq!(
            line(
                Framework::Vllm,
                "vllm serve",
                &[
                    ("enable_prefix_caching", json!(false)),
                    ("speculative_config", json!({"method": "eagle", "num_speculative_tokens": 3})),
                    ("cudagraph_capture_sizes", json!([1, 2, 4]))
                ]
            ),
            "vllm serve org/m --no-enable-prefix-caching --speculative-config '{\"method\":\"eagle\",\"num_speculative_tokens\":3}' --cudagraph-capture-sizes 1 2 4 --host 127.0.0.1 --port 8000"
        );
        assert_eq!(
            line(
                Framework::TensorrtLlm,
                "trtllm-serve serve",
                &[("backend", json!("pytorch")), ("tp_size", json!(8))]
            ),
            "trtllm-serve serve org/m --backend pytorch --tp_size 8 --host 127.0.0.1 --port 8000"
        );
        assert_eq!(
            line(
                Framework::Generic,
                "llama-server -m {model} --port {port}",
                &[("c", json!(2048)), ("n_gpu_layers", json!(0))]
            ),
            "llama-server -m org/m --port 8000 -c 2048 --n-gpu-layers 0"
        );
        assert_eq!(
            line(Framework::Generic, "env X='a b' run {flags} --model={model}", &[("flag", json!(true))]),
            "env 'X=a b' run --flag --model=org/m"
        );
    }

    #[test]
    fn help_decides_about_negatives() {
        let help = Help::parse(
            "options:\n  --graph {true,false}  use graphs\n  --cache, --no-cache   keep\n  --plain               x\n",
        );
        let given = [("graph", json!(false)), ("cache", json!(false)), ("plain", json!(false))];
        let flags: Vec<_> = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let rendered = command(&plan(Framework::Sglang, "s"), "m", &flags, None, Some(&help)).unwrap();
        assert_eq!(rendered.line(), "s --model-path m --graph false --no-cache");
        assert_eq!(rendered.notes.len(), 1, "{:?}", rendered.notes);
    }
}
