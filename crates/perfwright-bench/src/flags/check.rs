//! A candidate's flags against the flags that the server says it has.

use serde_json::Value;

use super::near::nearest;
use super::parse::Help;
use crate::render::command::flag_name;
use crate::rows::Framework;

/// A flag that the server would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagFault {
    /// The flag as the plan writes it.
    pub flag: String,
    /// What is wrong.
    pub cause: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// Every fault of a flag with one value.
#[must_use]
pub fn check(kind: Framework, name: &str, value: &Value, help: &Help) -> Option<FlagFault> {
    if value.is_null() {
        return None;
    }
    let written = flag_name(kind, name);
    let fault = |cause: String, hint: Option<String>| Some(FlagFault { flag: name.to_owned(), cause, hint });
    let Some(flag) = help.find(&written) else {
        let near = nearest(&written, help.names());
        return fault(
            format!("the server has no flag {written}"),
            near.map(|n| format!("did you mean {n}?")),
        );
    };
    match value {
        Value::Bool(_) if !flag.takes_value => None,
        Value::Bool(true) => match flag.choices.iter().any(|c| c.eq_ignore_ascii_case("true")) {
            true => None,
            false => fault(format!("{written} takes a value, and true is none"), flag.metavar.clone()),
        },
        Value::Bool(false) => None,
        _ if !flag.takes_value => {
            fault(format!("{written} takes no value"), Some("true or false".to_owned()))
        }
        _ if flag.choices.is_empty() => None,
        _ => {
            let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            let bad = items.iter().map(text).find(|t| !flag.choices.contains(t))?;
            let hint = match nearest(&bad, flag.choices.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    format!("one of {}", flag.choices.iter().take(20).cloned().collect::<Vec<_>>().join(", "))
                }
            };
            fault(format!("{written} does not take {bad}"), Some(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_what_was_meant() {
        let help = Help::parse("  --max-num-seqs N   x\n  --dtype {auto,bfloat16}  y\n  --eager  z\n");
        let hint = |name: &str, value: Value| {
            check(Framework::Vllm, name, &value, &help).map(|f| f.hint.unwrap_or_default())
        };
        assert_eq!(hint("max_num_seqs", json!(64)), None);
        assert_eq!(hint("max_num_seq", json!(64)).as_deref(), Some("did you mean --max-num-seqs?"));
        assert_eq!(hint("dtype", json!("bfloat61")).as_deref(), Some("did you mean bfloat16?"));
        assert_eq!(hint("eager", json!(true)), None);
        assert_eq!(hint("eager", json!(3)).as_deref(), Some("true or false"));
        assert_eq!(hint("max_num_seqs", json!(true)).as_deref(), Some("N"));
        assert_eq!(hint("unheard_of", json!(null)), None);
    }
}
