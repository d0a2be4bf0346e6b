//! What a launch command asks for.

use super::rules::from_args;
use super::statement::{Origin, Standing, Statement, Statements};
use crate::catalog::Catalog;
use crate::repr::Arg;

const MAX_ARGV: usize = 4096;

/// Statements of a command line: `--flag value`, `--flag=value`, `--flag`, `-tp 2`. The engine, where it is known,
/// decides between flags of one name; its name can be found in the command.
#[must_use]
pub fn from_argv(catalog: &Catalog, engine: Option<&str>, argv: &[String]) -> Statements {
    let engine = engine.or_else(|| engine_of(argv));
    let mut found = Statements::default();
    let argv = &argv[..argv.len().min(MAX_ARGV)];
    for (i, word) in argv.iter().enumerate() {
        let Some((flag, inline)) = flag(word) else { continue };
        let next = argv.get(i + 1).filter(|w| self::flag(w).is_none());
        let name = flag.trim_start_matches('-').replace(['-', '.'], "_");
        let given = inline.map(str::to_owned).or_else(|| next.cloned());
        let switch = catalog.arg_rules(engine).any(|r| r.on.is_some() && r.names.contains(&name));
        let value = match given {
            // What follows a switch is another argument.
            Some(value) if !switch || inline.is_some() || is_bool(&value) => value,
            _ if switch => "True".to_owned(),
            _ => continue,
        };
        let arg = Arg { name, value };
        from_args(
            catalog,
            engine,
            &[arg],
            &mut |field, value| {
                found.extend(Statement::told(field, value, Standing::Asked, Origin::Flags, word));
            },
            Standing::Asked,
        );
    }
    found
}

fn is_bool(value: &str) -> bool {
    matches!(value, "True" | "False" | "true" | "false")
}

/// A flag and the value written with it. Negative numbers are values.
fn flag(word: &str) -> Option<(&str, Option<&str>)> {
    let body = word.strip_prefix('-')?;
    let first = body.trim_start_matches('-').chars().next()?;
    if !first.is_ascii_alphabetic() || word.contains(char::is_whitespace) && !word.contains('=') {
        return None;
    }
    match word.split_once('=') {
        Some((flag, value)) => Some((flag, Some(value))),
        None => Some((word, None)),
    }
}

fn engine_of(argv: &[String]) -> Option<&'static str> {
    let has = |needle: &str| argv.iter().take(16).any(|w| w.contains(needle));
    [
        ("sglang", "sglang"),
        ("trtllm", "tensorrt-llm"),
        ("tensorrt_llm", "tensorrt-llm"),
        ("tokenspeed", "tokenspeed"),
        ("vllm", "vllm"),
        ("llama-server", "llama.cpp"),
        ("xllamacpp", "llama.cpp"),
    ]
    .into_iter()
    .find(|(needle, _)| has(needle))
    .map(|(_, engine)| engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(command: &str) -> Vec<String> {
        let catalog = Catalog::builtin().expect("the catalogue");
        let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
        from_argv(&catalog, None, &argv)
            .all()
            .iter()
            .map(|s| format!("{}={}", s.field.name(), s.value))
            .collect()
    }

    #[test]
    fn commands() {
        assert_eq!(
            show(
                "python -m sglang.launch_server --model-path m --attention-backend fa3 --tp 2 --disable-cuda-graph --kv-cache-dtype=fp8_e4m3 --speculative-algorithm EAGLE --dtype auto"
            ),
            [
                "model=m",
                "attention_backend=fa3",
                "tp=2",
                "cuda_graph=off",
                "kv_dtype=fp8_e4m3",
                "speculative_algorithm=eagle"
            ]
        );
        assert_eq!(
            show(
                "vllm serve m -tp 4 --enforce-eager --quantization fp8 --speculative-config {\"method\":\"eagle3\",\"num_speculative_tokens\":3}"
            ),
            [
                "tp=4",
                "cuda_graph=off",
                "quantization=fp8",
                "speculative_algorithm=eagle3",
                "speculative_tokens=3"
            ]
        );
        assert_eq!(show("server --tp"), [""; 0]);
    }
}
