//! What a host says, as far as it is needed. Forms as observed with Claude Code 2.1.197 and Codex 0.169.0.

use std::path::PathBuf;

use perfwright_evidence::json::{JsonLimits, read};
use serde_json::{Map, Value};

use super::decide::HookEvent;

/// Bounds of a host's message.
pub(crate) const LIMITS: JsonLimits = JsonLimits { max_bytes: 32 << 20, max_depth: 64 };

/// A host's message.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) session: String,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) transcript: Option<PathBuf>,
    pub(crate) tool: String,
    pub(crate) tool_input: Map<String, Value>,
    pub(crate) background: Option<u64>,
}

/// Reads a message, or says what is wrong with it.
pub(crate) fn parse(bytes: &[u8], event: HookEvent) -> Result<Input, String> {
    let value = read(bytes, &LIMITS).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(mut object) = value else { return Err("not a JSON object".to_owned()) };
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    match text("hook_event_name") {
        Some(name) if name == event.host_name() => {}
        Some(name) => {
            return Err(format!("hook_event_name is {name:?}, this hook is for {:?}", event.host_name()));
        }
        None => return Err("no hook_event_name".to_owned()),
    }
    let session = text("session_id").filter(|s| !s.is_empty() && s.len() <= 256).ok_or("no session_id")?;
    let tool = text("tool_name");
    let (cwd, transcript) = (text("cwd").map(PathBuf::from), text("transcript_path").map(PathBuf::from));
    let background = object.get("background_tasks").and_then(Value::as_array).map(|tasks| tasks.len() as u64);
    let tool_input = match object.remove("tool_input") {
        Some(Value::Object(input)) => Some(input),
        Some(_) => return Err("tool_input is not an object".to_owned()),
        None => None,
    };
    let of_tool = matches!(event, HookEvent::PreToolUse | HookEvent::PostToolUse);
    if of_tool && (tool.as_ref().is_none_or(String::is_empty) || tool_input.is_none()) {
        return Err("no tool_name or tool_input".to_owned());
    }
    Ok(Input {
        session,
        cwd,
        transcript,
        tool: tool.unwrap_or_default(),
        tool_input: tool_input.unwrap_or_default(),
        background,
    })
}
