//! From arguments - of a command, of a log, of `/server_info` - to fields.

use super::field::Field;
use super::statement::Standing;
use crate::catalog::Catalog;
use crate::repr::{self, Arg};

/// Tells every field that the arguments state, with the value as written.
pub(crate) fn from_args(
    catalog: &Catalog,
    engine: Option<&str>,
    args: &[Arg],
    tell: &mut impl FnMut(Field, &str),
    standing: Standing,
) {
    let resolved = standing != Standing::Asked;
    let dtype = args.iter().find(|a| a.name == "dtype").map(|a| a.value.as_str());
    for arg in args {
        for rule in catalog.arg_rules(engine).filter(|r| r.names.contains(&arg.name)) {
            let value = arg.value.as_str();
            match (value, rule.field) {
                ("True" | "true", _) if rule.on.is_some() => {
                    tell(rule.field, rule.on.as_deref().unwrap_or_default());
                }
                // A switch that is off in a command is one that was not given.
                ("False" | "false", _) if rule.on.is_some() || rule.off.is_some() => {
                    if let (true, Some(off)) = (resolved, &rule.off) {
                        tell(rule.field, off);
                    }
                }
                ("None" | "null", _) => {
                    if let (true, Some(none)) = (resolved, &rule.none) {
                        tell(rule.field, none);
                    }
                }
                // The cache then has the type of the model.
                ("auto", Field::KvDtype) => {
                    if let (true, Some(dtype)) = (resolved, dtype) {
                        tell(rule.field, dtype);
                    }
                }
                (_, Field::SpeculativeAlgorithm) if nested(value) => speculative(value, tell),
                (_, Field::CudaGraphMode) => {
                    if let Some(mode) = repr_value(value, "cudagraph_mode") {
                        graph_mode(&mode, tell);
                    } else if !nested(value) {
                        graph_mode(value, tell);
                    }
                }
                _ if nested(value) => {}
                _ => tell(rule.field, value),
            }
        }
    }
}

fn nested(value: &str) -> bool {
    value.contains(['(', '{', '['])
}

/// The value of `name` inside a nested representation or JSON.
fn repr_value(value: &str, name: &str) -> Option<String> {
    let inner = value.trim_start_matches(['{', '(', ' ']);
    repr::args(inner).into_iter().find(|a| a.name == name).map(|a| a.value)
}

fn graph_mode(mode: &str, tell: &mut impl FnMut(Field, &str)) {
    let word = Field::CudaGraphMode.normal(mode);
    match word.as_deref() {
        None | Some("none") => {}
        Some(_) => tell(Field::CudaGraphMode, mode),
    }
}

/// `SpeculativeConfig(method='eagle3', model='x', num_spec_tokens=3)` or `{"method": "eagle3", ...}`.
fn speculative(value: &str, tell: &mut impl FnMut(Field, &str)) {
    let inner = value.split_once('(').map_or(value, |(_, inner)| inner);
    for arg in repr::args(inner.trim_start_matches(['{', ' '])) {
        match arg.name.as_str() {
            "method" | "decoding_type" => tell(Field::SpeculativeAlgorithm, &arg.value),
            "num_spec_tokens" | "num_speculative_tokens" | "max_draft_len" => {
                tell(Field::SpeculativeTokens, &arg.value);
            }
            _ => {}
        }
    }
}
