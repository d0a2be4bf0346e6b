//! What an agent's work cost, as its host states it.
//!
//! Three forms are read, each one JSON value a line: the stream of `claude -p --output-format json|stream-json`
//! (`type: result` with `usage` and `total_cost_usd`), Claude Code's transcript (`type: assistant` with
//! `message.usage`, one message on several lines), and Codex (`turn.completed` of `codex exec --json`; `token_count`
//! in a session's rollout file, cumulative). Forms as observed with Claude Code 2.1.197 and Codex 0.169.0.

use std::collections::BTreeMap;

use perfwright_evidence::json::{JsonLimits, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Cost of some work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Micro-dollars, where the host states a cost.
    pub micro_usd: u64,
    /// Milliseconds.
    pub wall_ms: u64,
}

impl Usage {
    /// Tokens in both directions.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            wall_ms: self.wall_ms.saturating_add(other.wall_ms),
        }
    }

    /// What `self` has more than `other`; never less than nothing.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
            wall_ms: self.wall_ms.saturating_sub(other.wall_ms),
        }
    }
}

/// What a host's output says besides its text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostOutput {
    /// The cost.
    pub usage: Usage,
    /// The last message of the agent, where the host wraps it.
    pub message: Option<String>,
    /// The last list of todos, where the agent keeps one.
    pub todos: Option<Vec<(String, String)>>,
}

const LINE: JsonLimits = JsonLimits { max_bytes: 8 << 20, max_depth: 64 };

/// Reads what a host wrote. Lines that are not JSON are skipped: agents print whatever they like.
#[must_use]
pub fn host_output(bytes: &[u8]) -> HostOutput {
    let mut out = HostOutput::default();
    let mut results = Usage::default();
    let mut turns = Usage::default();
    let mut rollout = Usage::default();
    let mut messages: BTreeMap<String, Usage> = BTreeMap::new();
    for line in bytes.split(|&b| b == b'\n') {
        if line.first() != Some(&b'{') {
            continue;
        }
        let Ok(value) = read(line, &LINE) else { continue };
        match value["type"].as_str() {
            Some("result") => {
                results = results.plus(&claude(&value["usage"]));
                results.micro_usd += micro(&value["total_cost_usd"]);
                let text = value["structured_output"]
                    .is_object()
                    .then(|| value["structured_output"].to_string())
                    .or_else(|| value["result"].as_str().map(str::to_owned));
                out.message = text.or(out.message);
            }
            Some("assistant") => {
                let message = &value["message"];
                if let Some(id) = message["id"].as_str() {
                    messages.insert(id.to_owned(), claude(&message["usage"]));
                }
                if let Some(todos) = todos(message) {
                    out.todos = Some(todos);
                }
            }
            Some("turn.completed") => turns = turns.plus(&codex(&value["usage"])),
            Some("item.completed") if value["item"]["type"] == "agent_message" => {
                out.message = value["item"]["text"].as_str().map(str::to_owned).or(out.message);
            }
            Some("event_msg") if value["payload"]["type"] == "token_count" => {
                rollout = codex(&value["payload"]["info"]["total_token_usage"]);
            }
            _ => {}
        }
    }
    // A stream holds both the messages and, at the end, their sum; a transcript only the messages.
    let said = if results == Usage::default() {
        messages.values().fold(Usage::default(), |sum, usage| sum.plus(usage))
    } else {
        results
    };
    out.usage = said.plus(&turns).plus(&rollout);
    out
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn micro(value: &Value) -> u64 {
    value.as_f64().filter(|usd| (0.0..1e9).contains(usd)).map_or(0, |usd| (usd * 1e6).round() as u64)
}

fn claude(usage: &Value) -> Usage {
    Usage {
        input_tokens: number(&usage["input_tokens"])
            .saturating_add(number(&usage["cache_creation_input_tokens"]))
            .saturating_add(number(&usage["cache_read_input_tokens"])),
        output_tokens: number(&usage["output_tokens"]),
        ..Usage::default()
    }
}

fn codex(usage: &Value) -> Usage {
    // Codex counts cached tokens among the input tokens.
    Usage {
        input_tokens: number(&usage["input_tokens"]),
        output_tokens: number(&usage["output_tokens"]),
        ..Usage::default()
    }
}

fn todos(message: &Value) -> Option<Vec<(String, String)>> {
    let calls = message["content"].as_array()?;
    let call = calls.iter().rfind(|c| c["type"] == "tool_use" && c["name"] == "TodoWrite")?;
    let todos = call["input"]["todos"].as_array()?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    Some(todos.iter().map(|t| (text(&t["content"]), text(&t["status"]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_form_gives_its_cost_once() {
        let stream = br#"{"type":"assistant","message":{"id":"m1","usage":{"input_tokens":100,"output_tokens":20}}}
noise
{"type":"result","result":"done","total_cost_usd":0.005,"usage":{"input_tokens":500,"cache_read_input_tokens":7,"output_tokens":100}}
"#;
        let out = host_output(stream);
        assert_eq!((out.usage.input_tokens, out.usage.output_tokens, out.usage.micro_usd), (507, 100, 5000));
        assert_eq!(out.message.as_deref(), Some("done"));
        let transcript = br#"{"type":"assistant","message":{"id":"m1","usage":{"input_tokens":10,"output_tokens":2},"content":[]}}
{"type":"assistant","message":{"id":"m1","usage":{"input_tokens":10,"output_tokens":2},"content":[{"type":"tool_use","name":"TodoWrite","input":{"todos":[{"content":"x","status":"pending"}]}}]}}
{"type":"assistant","message":{"id":"m2","usage":{"input_tokens":1,"output_tokens":1}}}"#;
        let out = host_output(transcript);
        assert_eq!(out.usage.tokens(), 14);
        assert_eq!(out.todos, Some(vec![("x".to_owned(), "pending".to_owned())]));
        let codex = br#"{"type":"item.completed","item":{"type":"agent_message","text":"{}"}}
{"type":"turn.completed","usage":{"input_tokens":5,"cached_input_tokens":4,"output_tokens":6}}
{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}"#;
        let out = host_output(codex);
        assert_eq!((out.usage.tokens(), out.message.as_deref()), (13, Some("{}")));
        let rollout = br#"{"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":5,"output_tokens":6}}}}
{"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":9,"output_tokens":6}}}}"#;
        assert_eq!(host_output(rollout).usage.tokens(), 15);
        assert_eq!(host_output(b"\xff\xfe{"), HostOutput::default());
    }
}
